"""Changing the database's schema under a running service: linting, applying, verifying, going back."""
