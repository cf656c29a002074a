"""Money in the back office: to look at, never to edit."""

from . import cash, reconciliation, tenders  # noqa: F401 - register their models
