"""HTTP for providers whose libraries use httpx: connections, time-outs, and what went wrong."""

import datetime
import functools
import os
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from . import transport
from .errors import Misconfigured, NotSent, ProviderError, UnknownOutcome

# Nothing of the request had left. A broken proxy or a failed write is not among them.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class GuardedTransport(httpx.HTTPTransport):
    """Sends no request while a database transaction is open."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        transport.refuse_inside_transaction()
        return super().handle_request(request)


@functools.cache
def _connections() -> GuardedTransport:
    return GuardedTransport()


# Sockets are not shared with a forked worker.
os.register_at_fork(after_in_child=_connections.cache_clear)


def timeouts() -> httpx.Timeout:
    return httpx.Timeout(transport.ANSWER_SECONDS, connect=transport.CONNECT_SECONDS)


def client(**settings: Any) -> httpx.Client:
    """A client over this process's connections. Not to be closed: that would close them for all."""
    return httpx.Client(transport=_connections(), timeout=timeouts(), **settings)


def secret(secrets: Mapping[str, Any], name: str) -> str:
    """A credential that fits into a header. Raises Misconfigured where there is none."""
    value = secrets.get(name)
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.isprintable()
        or " " in value
        or not value
    ):
        raise Misconfigured(f"The account's {name} is missing or malformed.")
    return value


def failure(error: Exception) -> ProviderError:
    """What an exception means that is not the provider's answer: UnknownOutcome, unless nothing was sent."""
    message = f"{type(error).__name__}: {error}"[:300]
    return NotSent(message) if isinstance(error, NOT_SENT) else UnknownOutcome(message)


def retry_after(headers: Mapping[str, str] | None) -> float:
    """The seconds to wait that an answer asks for, between 1 and 60; 1 where it does not say."""
    asked = {name.lower(): value for name, value in (headers or {}).items()}.get("retry-after", "")
    return min(max(float(asked), 1.0), 60.0) if asked.strip().isdigit() else 1.0


def made_at(row_id: UUID) -> datetime.datetime | None:
    """When a row's UUIDv7 was made; None for another kind of UUID."""
    if row_id.version != 7:
        return None
    return datetime.datetime.fromtimestamp((row_id.int >> 80) / 1000, datetime.UTC)


def is_in_flight(row_id: UUID) -> bool:
    """Whether what was first asked for a row, or its answer, may still be on its way."""
    made = made_at(row_id)
    longest = datetime.timedelta(seconds=transport.IN_FLIGHT_SECONDS)
    return made is not None and datetime.datetime.now(datetime.UTC) < made + longest


def as_uuid(text: object) -> UUID | None:
    """A UUID in its usual spelling, or None."""
    try:
        return UUID(text) if isinstance(text, str) and len(text) == 36 else None
    except ValueError:
        return None
