"""Reports read from a replica where there is one that keeps up; everything else from the primary."""

import contextlib
import contextvars
import logging
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connections, transaction

logger = logging.getLogger(__name__)

PRIMARY, REPLICA = "default", "replica"
LAG_MAX = 30.0  # seconds behind the primary that a report may be
LOOK_AGAIN = 5.0  # seconds for which one look at the lag counts

# A replica that lost its primary has replayed all it ever received: so it must also be receiving.
IS_FRESH = """
    SELECT pg_is_in_recovery() AND EXISTS (SELECT 1 FROM pg_stat_wal_receiver)
           AND (pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                OR pg_last_xact_replay_timestamp() > now() - %s * interval '1 second')
"""

_reading: contextvars.ContextVar[bool] = contextvars.ContextVar("reading_from_replica", default=False)
_looked_at: tuple[float, bool] = (-LOOK_AGAIN, False)


class ReplicaRouter:
    """Sends reads to the replica inside `reading_from_replica`, and nothing else."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return REPLICA if _reading.get() else PRIMARY

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return PRIMARY

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True  # they are the same rows

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == PRIMARY


@contextlib.contextmanager
def reading_from_replica() -> Iterator[None]:
    """What is read inside may be up to LAG_MAX seconds old. In the current restaurant's scope, if any.

    Without a replica, or when it is down or too far behind, the primary is read.
    """
    if not _is_fresh():
        yield
        return
    token = _reading.set(True)
    try:
        with transaction.atomic(using=REPLICA):
            yield
    finally:
        _reading.reset(token)


def _is_fresh() -> bool:
    """Whether the replica may answer now, by a look that several requests share."""
    global _looked_at
    if REPLICA not in settings.DATABASES:
        return False
    when, was_fresh = _looked_at
    if time.monotonic() - when > LOOK_AGAIN:
        fresh = _look()
        if fresh != was_fresh:
            logger.log(logging.INFO if fresh else logging.WARNING, "Reports read from the %s", _place(fresh))
        _looked_at = (time.monotonic(), fresh)
    return _looked_at[1]


def _place(fresh: bool) -> str:
    return "replica" if fresh else "primary: the replica is down or too far behind"


def _look() -> bool:
    try:
        with connections[REPLICA].cursor() as cursor:
            cursor.execute(IS_FRESH, [LAG_MAX])
            return cursor.fetchone() == (True,)
    except DatabaseError as error:
        logger.warning("The replica does not answer: %s", error)
        return False
