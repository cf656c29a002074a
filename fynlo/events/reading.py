"""Reading the event log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from fynlo.tenancy.scope import restaurant_scope

from .models import Event


@dataclass(frozen=True, slots=True)
class Head:
    """How far a restaurant's log reaches; numbers of another epoch do not compare."""

    restaurant_id: int
    epoch: UUID
    last_seq: int


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A row of the log, with its JSON as every socket sends it."""

    seq: int
    kind: str
    subject_id: UUID
    payload: dict[str, Any]
    text: str


def read_heads(restaurant_ids: Sequence[int]) -> list[Head]:
    """The heads of these logs, in one statement that looks over the fence at numbers only."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT restaurant_id, epoch, last_seq FROM definer.event_heads(%s)", [list(restaurant_ids)]
        )
        return [Head(*row) for row in cursor.fetchall()]


def read_events(restaurant_id: int, after: int, limit: int) -> list[LoggedEvent]:
    """The next events of a log, in a scope of its own."""
    with restaurant_scope(restaurant_id):
        return next_events(after, limit)


def next_events(after: int, limit: int) -> list[LoggedEvent]:
    """The next events of the current restaurant's log."""
    columns = ("seq", "id", "kind", "subject_id", "payload", "actor", "created_at")
    rows = Event.objects.filter(seq__gt=after).order_by("seq").values_list(*columns)[:limit]
    return [_logged(*row) for row in rows]


def follows_on(events: Sequence[LoggedEvent], after: int) -> bool:
    """Whether the events continue a log at `after`, each by one; they do not where it was pruned."""
    return bool(events) and all(event.seq == n for n, event in enumerate(events, start=after + 1))


def _logged(
    seq: int, id: UUID, kind: str, subject_id: UUID, payload: dict[str, Any], actor: Any, at: Any
) -> LoggedEvent:
    document = {
        "seq": seq,
        "id": id,
        "type": kind,
        "v": 1,
        "at": at,
        "entity": subject_id,
        "by": actor.get("name"),
        "data": payload,
    }
    return LoggedEvent(
        seq, kind, subject_id, payload, orjson.dumps(document, option=orjson.OPT_UTC_Z).decode()
    )
