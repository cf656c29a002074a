"""Providers' credentials, sealed: readable only with PAYMENTS_SEAL_KEYS, and only for whom they were sealed.

Fernet has no associated data, so the sealed text itself says whose it is; a copy in another
restaurant's row does not open.
"""

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """These credentials cannot be opened: the key is gone, or they were sealed for somebody else."""


def seal(secrets: dict[str, Any], *, restaurant_id: int, provider: str) -> str:
    """Seal with the first of the keys."""
    content = {"restaurant_id": restaurant_id, "provider": provider, "secrets": secrets}
    return _box().encrypt(json.dumps(content).encode()).decode()


def unseal(sealed: str, *, restaurant_id: int, provider: str) -> dict[str, Any]:
    """Open with whichever of the keys sealed it. Raises SealBroken."""
    try:
        content = json.loads(_box().decrypt(sealed.encode()))
    except InvalidToken as error:
        raise SealBroken("None of PAYMENTS_SEAL_KEYS opens these credentials.") from error
    if (content["restaurant_id"], content["provider"]) != (restaurant_id, provider):
        raise SealBroken("These credentials were sealed for another account.")
    return dict(content["secrets"])


def reseal(sealed: str) -> str:
    """The same credentials, sealed with the first of the keys. Raises SealBroken."""
    try:
        return _box().rotate(sealed.encode()).decode()
    except InvalidToken as error:
        raise SealBroken("None of PAYMENTS_SEAL_KEYS opens these credentials.") from error


def is_current(sealed: str) -> bool:
    """Whether the first of the keys opens it."""
    try:
        Fernet(settings.PAYMENTS_SEAL_KEYS[0]).decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.PAYMENTS_SEAL_KEYS])
