"""Money in the back office: to look at, never to edit."""

from . import tenders  # noqa: F401 - registers its models
