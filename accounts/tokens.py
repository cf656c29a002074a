"""Tokens: what a till or an app sends to say who is calling, and for which restaurant."""

import contextlib
import datetime
import functools
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from django.conf import settings

ALGORITHMS = ["HS256", "HS384", "HS512"]  # what ALGORITHM may be; another in a token's header is refused
AUDIENCE = "fynlo-api"
DEVICE_PREFIX = "fyd"


class InvalidToken(Exception):
    """Not a token of ours, altered, or expired."""


@dataclass(frozen=True, slots=True)
class SessionToken:
    """What a staff token names: a session of a restaurant."""

    restaurant_id: int
    session_id: UUID


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """What a device token names: a restaurant and the SHA-256 (hex) of the whole token."""

    restaurant_id: int
    token_hash: str


def make_session_token(restaurant_id: int, session_id: UUID, expires_at: datetime.datetime) -> str:
    """A JWT that names the session, signed with the first of the keys.

    The session's row decides whether it still counts.
    """
    claims = {"aud": AUDIENCE, "rid": restaurant_id, "sid": str(session_id), "exp": expires_at}
    return jwt.encode(claims, settings.TOKEN_KEYS[0], algorithm=settings.TOKEN_ALGORITHM)


def make_device_token(restaurant_id: int) -> str:
    """An opaque token of 256 random bits, such as fyd.7.…; only its hash is kept."""
    return f"{DEVICE_PREFIX}.{restaurant_id}.{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def read_token(token: str) -> SessionToken | DeviceToken:
    """Raises InvalidToken. Says nothing yet about whether the session or device still counts."""
    return _read(token, settings.TOKEN_KEYS)


@functools.lru_cache(maxsize=4096)  # a till sends the same token all evening; the session row also expires
def _read(token: str, keys: tuple[str, ...]) -> SessionToken | DeviceToken:
    prefix, _, rest = token.partition(".")
    if prefix == DEVICE_PREFIX:
        restaurant_id, _, secret = rest.partition(".")
        if not secret or not restaurant_id.isdecimal() or len(restaurant_id) > 9:
            raise InvalidToken
        return DeviceToken(int(restaurant_id), hash_token(token))
    try:
        claims = _open(token, keys)
        return SessionToken(int(claims["rid"]), UUID(claims["sid"]))
    except (jwt.InvalidTokenError, ValueError) as error:
        raise InvalidToken from error


def _open(token: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """What the token claims, if any of the keys signed it; raises jwt.InvalidTokenError."""
    for key in keys:
        with contextlib.suppress(jwt.InvalidSignatureError):
            return jwt.decode(
                token, key, ALGORITHMS, audience=AUDIENCE, options={"require": ["exp", "rid", "sid"]}
            )
    raise jwt.InvalidSignatureError
