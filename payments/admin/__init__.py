"""Money in the back office: to look at, never to edit."""

from . import cash, tenders  # noqa: F401 - register their models
