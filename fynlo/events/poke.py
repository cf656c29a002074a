"""The tiny message that wakes the screens' hubs. Losing one costs at most a second."""

import functools
import time

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from fynlo.redis_servers import connect

CHANNEL = "fynlo.poke"
PAUSE_SECONDS = 1.0

_silent_until = 0.0


@functools.cache
def _client() -> redis.Redis:
    # One retry without a wait: after a restart of Redis each pooled connection fails once.
    return connect(
        settings.REDIS_URL,
        socket_timeout=0.25,
        socket_connect_timeout=0.25,
        retry=Retry(NoBackoff(), 1),
    )


def poke(restaurant_id: int, last_seq: int) -> None:
    """Say that a restaurant's log reached `last_seq`. Never raises, never waits for a dead Redis twice."""
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        _client().publish(CHANNEL, f"{restaurant_id} {last_seq}")
    except redis.RedisError:
        _silent_until = time.monotonic() + PAUSE_SECONDS
