"""Providers' credentials, sealed with PAYMENTS_SEAL_KEYS for one restaurant and provider."""

from typing import Any

from fynlo.sealing import Seal, SealBroken

__all__ = ["SealBroken", "is_current", "reseal", "seal", "unseal"]

_seal = Seal("PAYMENTS_SEAL_KEYS", "PAYMENTS_SEAL_KEYS")
reseal = _seal.reseal
is_current = _seal.is_current


def seal(secrets: dict[str, Any], *, restaurant_id: int, provider: str) -> str:
    """Seal with the first of the keys."""
    return _seal.seal(secrets, owner={"restaurant_id": restaurant_id, "provider": provider})


def unseal(sealed: str, *, restaurant_id: int, provider: str) -> dict[str, Any]:
    """Open with whichever of the keys sealed it. Raises SealBroken."""
    return dict(_seal.unseal(sealed, owner={"restaurant_id": restaurant_id, "provider": provider}))
