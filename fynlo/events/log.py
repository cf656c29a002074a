"""Writing the event log."""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id

from .poke import poke

logger = logging.getLogger(__name__)

# One statement takes the numbers and writes the events. The head row stays locked until commit, so
# call it last: whatever follows lengthens the wait of every other till of this restaurant.
APPEND = """
    WITH head AS (
        UPDATE events_streamhead SET last_seq = last_seq + %s WHERE restaurant_id = %s RETURNING last_seq
    )
    INSERT INTO events_event (id, restaurant_id, seq, kind, subject_id, payload, actor, created_at)
    SELECT e.id, %s, head.last_seq - %s + e.n, e.kind, e.subject_id, e.payload, %s::jsonb, clock_timestamp()
      FROM head, jsonb_to_recordset(%s::jsonb) AS e(n int, id uuid, kind text, subject_id uuid, payload jsonb)
    RETURNING seq
"""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to record: past-tense kind, the row it happened to, that row in full."""

    kind: str
    subject_id: uuid.UUID
    payload: Mapping[str, Any]
    id: uuid.UUID = field(default_factory=uuid7)


def record_event(
    kind: str, subject_id: uuid.UUID, payload: Mapping[str, Any], *, actor: Mapping[str, Any]
) -> int:
    """Append one event; see `record_events`. Returns its number."""
    return record_events([NewEvent(kind, subject_id, payload)], actor=actor)


def record_events(events: Sequence[NewEvent], *, actor: Mapping[str, Any]) -> int:
    """Append events in order, as the last statement of the caller's transaction.

    Returns the number of the last one. Screens are told after commit.
    """
    restaurant_id = require_restaurant_id()
    rows = [
        {"n": n, "id": e.id, "kind": e.kind, "subject_id": e.subject_id, "payload": e.payload}
        for n, e in enumerate(events, start=1)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            APPEND,
            [
                len(rows),
                restaurant_id,
                restaurant_id,
                len(rows),
                json.dumps(dict(actor), cls=DjangoJSONEncoder),
                json.dumps(rows, cls=DjangoJSONEncoder),
            ],
        )
        written = cursor.fetchall()
    if len(written) != len(rows):
        raise RuntimeError(f"Restaurant {restaurant_id} has no event stream.")
    last_seq = max(seq for (seq,) in written)
    transaction.on_commit(lambda: poke(restaurant_id, last_seq), robust=True)
    return last_seq
