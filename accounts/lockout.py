"""How often somebody may be wrong: 5 times for each account and 30 for each address, in 15 minutes."""

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import redis
from django.conf import settings
from django_redis import get_redis_connection
from prometheus_client import Counter as Metric

from fynlo.ratelimit import address_block

from .errors import LockedOut

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 15 * 60
ACCOUNT_TRIES = 5
ADDRESS_TRIES = 30

ATTEMPTS = Metric("fynlo_login_attempts", "Tries at a secret, by what became of them.", ["method", "outcome"])
for _method in ("password", "pin", "code"):
    for _outcome in ("succeeded", "failed", "locked"):
        ATTEMPTS.labels(_method, _outcome)  # from 0, so that the first one is an increase

T = TypeVar("T")


def guess(check: Callable[[], T], *, address: str, account: str = "") -> T:
    """What `check` finds for a secret, which is nothing (falsy) for a wrong one.

    Counts before it checks, so that parallel guesses get no more tries than guesses in a row, and
    takes the count back when the secret is right. Raises LockedOut, also for the wrong try that was
    the account's last. `account` is a name of our own, such as "pin:<membership>".
    """
    method = account.partition(":")[0] or "code"
    limits = [(f"account:{account}", ACCOUNT_TRIES)] if account else []
    limits.append((f"address:{address_block(address)}", ADDRESS_TRIES))
    used: dict[str, int] = {}
    with contextlib.ExitStack() as give_back:
        for name, limit in limits:
            key = "fynlo:lockout:" + hashlib.sha256(name.encode()).hexdigest()  # nothing personal in Redis
            counts, used[name], seconds = _take(key, limit, is_account=name.startswith("account:"))
            if seconds:
                ATTEMPTS.labels(method, "locked").inc()
                raise LockedOut(seconds)
            give_back.callback(counts.give_back, key)
        found = check()
        ATTEMPTS.labels(method, "succeeded" if found else "failed").inc()
        if found:
            return found
        give_back.pop_all()
    if used.get(f"account:{account}") == ACCOUNT_TRIES:
        raise LockedOut(WINDOW_SECONDS, has_just_begun=True)
    return found


class Counts(Protocol):
    def take(self, key: str, limit: int) -> tuple[int, int]:
        """Use up a try. Returns how many are used, and for how many seconds none is left (0: one was)."""

    def give_back(self, key: str) -> None: ...


def _take(key: str, limit: int, *, is_account: bool) -> tuple[Counts, int, int]:
    try:
        return in_redis, *in_redis.take(key, limit)
    except redis.RedisError as error:
        logger.warning("Redis is down: each process counts wrong tries alone, and none by address. %s", error)
    # Many people share an address: what only this process has seen says little about it.
    if not is_account and settings.RATELIMIT_FAIL_OPEN:
        return in_process, 0, 0
    return in_process, *in_process.take(key, limit)


class _InRedis:
    # Knocking on a locked door does not keep it locked; using the last try starts the 15 minutes anew.
    TAKE = """
        local used = tonumber(redis.call('GET', KEYS[1]) or '0')
        if used >= tonumber(ARGV[1]) then return {used, math.max(redis.call('TTL', KEYS[1]), 1)} end
        used = redis.call('INCR', KEYS[1])
        if used == 1 or used == tonumber(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
        return {used, 0}
    """
    GIVE_BACK = "if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end"

    def take(self, key: str, limit: int) -> tuple[int, int]:
        used, seconds = get_redis_connection(settings.RATELIMIT_USE_CACHE).eval(
            self.TAKE, 1, key, limit, WINDOW_SECONDS
        )
        return used, seconds

    def give_back(self, key: str) -> None:
        with contextlib.suppress(redis.RedisError):
            get_redis_connection(settings.RATELIMIT_USE_CACHE).eval(self.GIVE_BACK, 1, key)


class _InProcess:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}

    def take(self, key: str, limit: int) -> tuple[int, int]:
        with self._lock:
            now = time.monotonic()
            self._counts = {k: count for k, count in self._counts.items() if count[1] > now}
            used, until = self._counts.get(key, (0, now + WINDOW_SECONDS))
            if used >= limit:
                return used, max(int(until - now), 1)
            self._counts[key] = used + 1, now + WINDOW_SECONDS if used + 1 == limit else until
            return used + 1, 0

    def give_back(self, key: str) -> None:
        with self._lock:
            used, until = self._counts.get(key, (0, 0.0))
            if used:
                self._counts[key] = used - 1, until


in_redis = _InRedis()
in_process = _InProcess()
