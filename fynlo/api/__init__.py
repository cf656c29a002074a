"""What every endpoint shares: problems, JSON, pages, idempotency, versions."""
