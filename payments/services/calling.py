"""Asking a provider: never inside a transaction, always on record."""

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import orjson
from django.db import DatabaseError, connection
from django.utils import timezone

from fynlo.tenancy.scope import restaurant_scope
from payments.metrics import REQUESTS
from payments.models import ProviderCall
from payments.providers import breaker
from payments.providers.base import Account
from payments.providers.errors import ProviderError, UnknownOutcome
from payments.providers.transport import refuse_inside_transaction

logger = logging.getLogger(__name__)

T = TypeVar("T")


def call(
    operation: str,
    function: Callable[..., T],
    account: Account,
    *args: Any,
    attempt_id: UUID | None = None,
    refund_id: UUID | None = None,
) -> T:
    """What `function(account, *args)` answers, with a ProviderCall row to show for it.

    Raises ProviderError, CallInsideTransaction, and nothing else that a provider may do: what its
    library lets through is an UnknownOutcome.
    """
    refuse_inside_transaction()
    give_back_connection()
    started = time.monotonic()
    error: ProviderError | None = None
    answer: Any = None
    try:
        answer = function(account, *args)
    except ProviderError as known:
        error = known
    except Exception as surprise:
        logger.exception("%s of %s failed in a way nobody foresaw", operation, account.provider)
        error = UnknownOutcome(f"{type(surprise).__name__}: {surprise}"[:300])
    seconds = time.monotonic() - started
    outcome = error.error_class if error else str(getattr(answer, "outcome", "ok"))
    REQUESTS.labels(account.provider, operation, outcome).observe(seconds)
    if isinstance(error, UnknownOutcome):
        breaker.note_unknown(account.provider, account.id, error)
    else:
        breaker.note_success(account.provider, account.id)
    evidence = error or answer
    _record(
        account,
        attempt_id=attempt_id,
        refund_id=refund_id,
        operation=operation,
        request_sha256=_digest(args),
        status=error.status if error else None,
        outcome=outcome,
        code=str(getattr(evidence, "code", "") or "")[:80],
        request_id=str(getattr(evidence, "request_id", "") or "")[:120],
        duration_ms=int(seconds * 1000),
    )
    if error is not None:
        raise error
    result: T = answer
    return result


def give_back_connection() -> None:
    """Whoever waits for a provider needs no database: a slow one must not empty the pool for all others."""
    if not connection.in_atomic_block:
        connection.close()


def _record(account: Account, **values: Any) -> None:
    """The row is evidence: that the database is away is no reason to forget what the provider said."""
    try:
        with restaurant_scope(account.restaurant_id):
            ProviderCall.objects.create(account_id=account.id, created_at=timezone.now(), **values)
    except DatabaseError:
        logger.exception("A call to %s could not be recorded", account.provider)


def _digest(args: tuple[Any, ...]) -> str:
    return hashlib.sha256(orjson.dumps(args, default=str)).hexdigest()
