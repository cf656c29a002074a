"""Money in the back office: to look at, never to edit."""

from . import cash, inbox, reconciliation, tenders  # noqa: F401 - register their models
