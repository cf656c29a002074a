"""Money in the back office: to look at, never to edit; and how cards are taken."""

from . import accounts, cash, inbox, reconciliation, tenders  # noqa: F401 - register their models
