"""Every write of an order."""
