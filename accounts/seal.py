"""The seeds of platform owners' second factors, sealed: a stolen dump is not a second factor."""

from fynlo.sealing import Seal

_seal = Seal("OWNER_SEAL_KEYS", "PLATFORM_OWNER_SECRET_KEY")
reseal = _seal.reseal
is_current = _seal.is_current


def seal_seed(seed: str, user_id: int) -> str:
    """`seed` is hex."""
    return _seal.seal(seed, owner={"user": user_id})


def unseal_seed(sealed: str, user_id: int) -> str:
    """Raises SealBroken."""
    return str(_seal.unseal(sealed, owner={"user": user_id}))
