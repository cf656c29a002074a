"""Filling and emptying the cache, restaurant by restaurant."""

from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.db import DatabaseError, connection
from django_redis import get_redis_connection
from redis import RedisError

from fynlo.ops.command import Exit, OpsError
from fynlo.tenancy.scope import restaurant_scope
from restaurants.menu import current_edition, render_menu

MANY = 500  # keys in one command


def forget(restaurant_id: int | None) -> int:
    """Remove what we cached, of one restaurant or of all; returns how many keys that were.

    By name (see fynlo/tenancy/keys.py), never by FLUSH: in development the queue lives on the same server.
    """
    prefix = f"{cache.key_prefix}:*:"
    patterns = (
        [f"{prefix}r{restaurant_id}:*"] if restaurant_id else [f"{prefix}r[0-9]*:*", f"{prefix}global:*"]
    )
    try:
        client = get_redis_connection("default")
        return sum(_unlink(client, pattern) for pattern in patterns)
    except RedisError as error:
        raise OpsError(Exit.UNREACHABLE, f"The cache does not answer: {error}") from None


def _unlink(client: Any, pattern: str) -> int:
    removed, batch = 0, []
    for key in client.scan_iter(match=pattern, count=MANY):
        batch.append(key)
        if len(batch) == MANY:
            removed += client.unlink(*batch)
            batch = []
    return int(removed + (client.unlink(*batch) if batch else 0))


def warm(only: int | None, say: Callable[[str], None]) -> tuple[int, list[int]]:
    """Render each restaurant's menu into the cache. Returns how many, and the ids that failed."""
    warmed, failed = 0, []
    for restaurant_id in [only] if only else _restaurants():
        try:
            with restaurant_scope(restaurant_id):
                render_menu(current_edition())
            warmed += 1
        except DatabaseError:
            raise
        except Exception as error:  # one restaurant's menu must not leave the others cold
            say(f"restaurant {restaurant_id}: {type(error).__name__}: {error}")
            failed.append(restaurant_id)
    return warmed, failed


def _restaurants() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM definer.active_restaurants()")
        return [restaurant_id for (restaurant_id,) in cursor.fetchall()]
