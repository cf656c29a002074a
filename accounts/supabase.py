"""People who signed in at Supabase: who they are, proved by Supabase and by nobody else.

Off unless SUPABASE_URL is set. Only the project's public (anon) key is needed; the service-role key, which
steps over every rule there, is not.
"""

import json
import threading
import time
from typing import Any

import httpx
import jwt
from django.conf import settings
from django.db import connection

from .errors import SignInFailed, SupabaseAway

# Signed by a key that only Supabase has. Projects that still sign with a shared secret (HS256) must move on.
ALGORITHMS = ["ES256", "RS256", "EdDSA"]
AUDIENCE = "authenticated"
TIMEOUT = 3.0  # seconds
KEYS_LIFE = 600.0  # seconds; Supabase keeps a key for longer than that after it rotates
KEYS_PAUSE = 30.0  # seconds between looks for a key that is not there
MAX_BYTES = 64 * 1024


def verified_email(access_token: str) -> str:
    """The e-mail address that Supabase has verified for whoever holds this token.

    Two looks: the token itself, by its signature; then Supabase is asked, as only it knows whether the
    session still stands and the address was confirmed (what the token says of that, people can edit).
    Raises SignInFailed, or SupabaseAway. Never inside a transaction.
    """
    if connection.in_atomic_block:
        raise RuntimeError("Supabase is asked inside a transaction: commit first.")
    claims = _claims(access_token)
    person = _get("/auth/v1/user", Authorization=f"Bearer {access_token}")
    email = person.get("email")
    is_same = person.get("id") == claims["sub"]
    if not (is_same and isinstance(email, str) and email and person.get("email_confirmed_at")):
        raise SignInFailed("Supabase has not verified this person's e-mail address.")
    return email


def _claims(access_token: str) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(access_token)
        if header.get("alg") not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError
        return jwt.decode(
            access_token,
            keys.find(str(header.get("kid", ""))),
            ALGORITHMS,
            audience=AUDIENCE,
            issuer=f"{settings.SUPABASE_URL}/auth/v1",
            options={"require": ["exp", "sub", "aud", "iss"]},
            leeway=10,
        )
    except jwt.InvalidTokenError as error:
        raise SignInFailed("Supabase did not sign this token for us, or it has expired.") from error


def _get(path: str, **headers: str) -> dict[str, Any]:
    """What Supabase answers. Raises SignInFailed where it refuses the token, SupabaseAway otherwise."""
    sent = {"apikey": settings.SUPABASE_ANON_KEY, **headers}
    try:
        with httpx.stream("GET", settings.SUPABASE_URL + path, headers=sent, timeout=TIMEOUT) as answer:
            if answer.status_code in (401, 403, 404):
                raise SignInFailed("Supabase knows this sign-in no more.")
            answer.raise_for_status()
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > MAX_BYTES:
                    raise SupabaseAway
        document = json.loads(body)
    except (httpx.HTTPError, ValueError) as error:
        raise SupabaseAway from error
    if not isinstance(document, dict):
        raise SupabaseAway
    return document


class _Keys:
    """Supabase's public keys, fetched again after ten minutes, or sooner for one that is not among them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._source = ""
        self._fetched = float("-inf")

    def find(self, key_id: str) -> jwt.PyJWK:
        """Raises jwt.InvalidTokenError where Supabase has no such key, or SupabaseAway."""
        with self._lock:
            age = time.monotonic() - self._fetched
            if self._source != settings.SUPABASE_URL or age > (
                KEYS_LIFE if key_id in self._keys else KEYS_PAUSE
            ):
                self._fetch()
            if key_id not in self._keys:
                raise jwt.InvalidTokenError
            return self._keys[key_id]

    def _fetch(self) -> None:
        document = _get("/auth/v1/.well-known/jwks.json")
        try:
            found = jwt.PyJWKSet.from_dict(document).keys
        except jwt.PyJWKSetError:
            found = []
        self._keys = {key.key_id: key for key in found if key.key_id and key.algorithm_name in ALGORITHMS}
        self._source, self._fetched = settings.SUPABASE_URL, time.monotonic()


keys = _Keys()
