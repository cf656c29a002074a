"""Names outside Postgres carry the restaurant too."""

from .scope import require_restaurant_id


def cache_key(key: str, key_prefix: str, version: int) -> str:
    """CACHES KEY_FUNCTION: a key belongs to the current restaurant unless it starts with `global:`.

    Raises RestaurantNotSet for any other key outside a scope.
    """
    if key.startswith("global:"):
        return f"{key_prefix}:{version}:{key}"
    return f"{key_prefix}:{version}:r{require_restaurant_id()}:{key}"
