"""A circuit breaker for each account: five unknown outcomes in a row, and nobody is asked for 30 seconds.

Guards the beginning of payments only. What became of those under way is always asked.
"""

import contextlib
import functools
import logging
from collections.abc import Callable
from uuid import UUID

import pybreaker
import redis
from django_redis import get_redis_connection

from payments.metrics import CIRCUIT_STATE

from .errors import ProviderError, UnknownOutcome

FAILURES_IN_A_ROW = 5
OPEN_SECONDS = 30
STATES = {pybreaker.STATE_CLOSED: 0, pybreaker.STATE_OPEN: 1, pybreaker.STATE_HALF_OPEN: 2}

logging.getLogger("pybreaker").setLevel(logging.CRITICAL)  # it logs each command that Redis did not take


def note_success(provider: str, account_id: UUID) -> None:
    _note(provider, account_id, None)


def note_unknown(provider: str, account_id: UUID, error: UnknownOutcome) -> None:
    _note(provider, account_id, error)


def is_available(provider: str, account_id: UUID, probe: Callable[[], None]) -> bool:
    """Whether a payment may be begun. After 30 seconds `probe`, which moves no money, has to succeed."""
    breaker = _breaker(provider, account_id)
    if breaker.current_state == pybreaker.STATE_CLOSED:
        return True
    try:
        breaker.call(probe)
    except (pybreaker.CircuitBreakerError, ProviderError):
        return False
    finally:
        CIRCUIT_STATE.labels(provider).set(STATES[breaker.current_state])
    return True


def _note(provider: str, account_id: UUID, error: UnknownOutcome | None) -> None:
    breaker = _breaker(provider, account_id)
    if error is None and not breaker.fail_counter:
        return

    def tell() -> None:
        if error is not None:
            raise error

    with contextlib.suppress(pybreaker.CircuitBreakerError, UnknownOutcome):
        breaker.call(tell)
    CIRCUIT_STATE.labels(provider).set(STATES[breaker.current_state])


def _breaker(provider: str, account_id: UUID) -> pybreaker.CircuitBreaker:
    try:
        return _shared(provider, account_id)
    except redis.RedisError:  # each process counts alone until it is back
        return _own(provider, account_id)


@functools.lru_cache(maxsize=1000)
def _shared(provider: str, account_id: UUID) -> pybreaker.CircuitBreaker:
    storage = pybreaker.CircuitRedisStorage(
        pybreaker.STATE_CLOSED,
        get_redis_connection("default"),
        namespace=f"fynlo:breaker:{provider}:{account_id}",
    )
    return _make(storage)


@functools.lru_cache(maxsize=1000)
def _own(provider: str, account_id: UUID) -> pybreaker.CircuitBreaker:
    return _make(pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED))


def _make(storage: pybreaker.CircuitBreakerStorage) -> pybreaker.CircuitBreaker:
    return pybreaker.CircuitBreaker(
        fail_max=FAILURES_IN_A_ROW,
        reset_timeout=OPEN_SECONDS,
        state_storage=storage,
        throw_new_error_on_trip=False,
    )
