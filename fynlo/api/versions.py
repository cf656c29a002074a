"""ETag and If-Match: whoever edits what another may edit says which version was seen."""

from collections.abc import Callable
from typing import Any

from fynlo.errors import DomainError


class VersionRequired(DomainError):
    status = 428
    code = "version_required"
    detail = 'Send If-Match with the ETag that you last saw, such as If-Match: "3".'


class VersionChanged(DomainError):
    status = 412
    code = "version_changed"
    detail = "Someone changed this meanwhile; `current` is how it is now."


def etag(version: int) -> str:
    return f'"{version}"'


def seen_version(request: Any) -> int:
    """The version named by If-Match; raises VersionRequired where it is missing or not a number."""
    text = request.headers.get("If-Match", "").removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise VersionRequired
    return int(text)


def check_version(seen: int, current: int, describe: Callable[[], Any]) -> None:
    """Raise VersionChanged, with the current state, unless `seen` is `current`."""
    if seen != current:
        raise VersionChanged(current=describe())
