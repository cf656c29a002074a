"""Idempotency-Key: a repeated POST is answered, not repeated.

After draft-ietf-httpapi-idempotency-key-header-06, except that refusals are not stored: they leave
nothing behind, so running them again is safe and may by then succeed.
"""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection

from fynlo.errors import DomainError
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id

MAX_KEY_LENGTH = 100

CLAIM = """
    INSERT INTO api_idempotencykey
           (id, restaurant_id, caller, key, fingerprint,
            response_status, response_body, response_etag, created_at)
    VALUES (%s, %s, %s, %s, %s, 0, '', '', clock_timestamp())
    ON CONFLICT (restaurant_id, caller, key) DO NOTHING
    RETURNING id
"""
FIND = """
    SELECT fingerprint, response_status, response_body, response_etag
      FROM api_idempotencykey WHERE restaurant_id = %s AND caller = %s AND key = %s
"""
FINISH = """
    UPDATE api_idempotencykey SET response_status = %s, response_body = %s, response_etag = %s
     WHERE id = %s AND restaurant_id = %s
"""


class KeyMissing(DomainError):
    status = 400
    code = "idempotency_key_missing"
    detail = "Send an Idempotency-Key header with a value of your own, such as a UUID, with every POST."


class KeyInvalid(DomainError):
    status = 400
    code = "idempotency_key_invalid"
    detail = f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} printable ASCII characters."


class KeyReused(DomainError):
    status = 422
    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used before with another request."


class KeyInFlight(DomainError):
    status = 409
    code = "request_in_flight"
    detail = "The first request with this Idempotency-Key is still running; try again in a moment."
    retry_after = 1


class Replay(Exception):
    """Not an error: this request was carried out before, with this answer."""

    def __init__(self, status: int, body: str, etag: str) -> None:
        self.status = status
        self.body = body
        self.etag = etag


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry a request out; `finish` stores its answer."""

    id: UUID

    def finish(self, status: int, body: bytes, etag: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(FINISH, [status, body.decode(), etag, self.id, require_restaurant_id()])


def read_key(header: str | None) -> str:
    """The key from the header, quoted (RFC 8941) or bare."""
    if header is None:
        raise KeyMissing
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise KeyInvalid
    return key


def fingerprint(method: str, path: str, body: bytes) -> str:
    return hashlib.sha256(b"\n".join([method.encode(), path.encode(), body])).hexdigest()


def claim(*, caller: UUID, key: str, fingerprint: str) -> Claim:
    """Take the key for this transaction.

    Waits while another transaction holds the same key. Raises Replay if it was carried out before,
    KeyReused if with another request, KeyInFlight if the wait was too long.
    """
    restaurant_id = require_restaurant_id()
    row_id = uuid7()
    values: list[Any] = [row_id, restaurant_id, caller, key, fingerprint]
    with connection.cursor() as cursor:
        try:
            cursor.execute(CLAIM, values)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) == "55P03":  # lock_not_available
                raise KeyInFlight from error
            raise
        if cursor.fetchone():
            return Claim(row_id)
        cursor.execute(FIND, [restaurant_id, caller, key])
        found_fingerprint, status, body, etag = cursor.fetchone()
    if found_fingerprint != fingerprint:
        raise KeyReused
    raise Replay(status, body, etag)
