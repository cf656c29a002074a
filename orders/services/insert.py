"""Writing a new order in one statement."""

from collections.abc import Sequence
from typing import Any

import orjson
import psycopg
from django.db import IntegrityError, connection, transaction

from accounts.staff import Staff
from fynlo.events.log import NewEvent
from fynlo.events.poke import poke
from fynlo.tenancy.scope import require_restaurant_id
from orders.models import KitchenTicket, Order
from orders.payloads import order_payload, ticket_payload
from restaurants.errors import DayClosed

from .rows import columns_of

# The plain way (take a number, insert the order, its lines and its tickets, append the events) is six
# round trips and some 500 calls for each line. Placing an order is what a till does all evening, so it
# is one statement, whatever the number of lines. tests/orders/test_insert.py holds it equal to opening
# an empty order, adding the items and sending them.
#
# The order goes in before the counter moves, so a repeated id uses up no number: of two tills that send
# the same order at once, the second waits for the counter's row, then meets the first one's order and
# writes nothing. The events come last because their head stays locked until commit; the number is put
# into their payloads here, where it is known.
INSERT_ORDER = """
    WITH sent AS (SELECT %s::jsonb AS document),
    counter AS (
        SELECT value + 1 AS next FROM restaurants_counter
         WHERE restaurant_id = %s AND name = 'order' FOR UPDATE
    ),
    new_order AS (
        INSERT INTO orders_order
        SELECT o.* FROM counter, sent, jsonb_populate_record(NULL::orders_order,
               sent.document -> 'order' || jsonb_build_object('number', counter.next)) AS o
            ON CONFLICT (id) DO NOTHING
        RETURNING number
    ),
    counted AS (
        UPDATE restaurants_counter SET value = new_order.number
          FROM new_order WHERE restaurant_id = %s AND name = 'order'
    ),
    new_tickets AS (
        INSERT INTO orders_kitchenticket
        SELECT t.* FROM new_order, sent,
               jsonb_populate_recordset(NULL::orders_kitchenticket, sent.document -> 'tickets') AS t
    ),
    new_items AS (
        INSERT INTO orders_orderitem
        SELECT i.* FROM new_order, sent,
               jsonb_populate_recordset(NULL::orders_orderitem, sent.document -> 'items') AS i
    ),
    head AS (
        UPDATE events_streamhead SET last_seq = last_seq + jsonb_array_length(sent.document -> 'events')
          FROM new_order, sent WHERE restaurant_id = %s
        RETURNING last_seq, last_seq - jsonb_array_length(sent.document -> 'events') AS before
    ),
    new_events AS (
        INSERT INTO events_event (id, restaurant_id, seq, kind, subject_id, payload, actor, created_at)
        SELECT e.id, %s, head.before + e.n, e.kind, e.subject_id,
               e.payload || jsonb_build_object(e.number_key, new_order.number),
               sent.document -> 'actor', clock_timestamp()
          FROM head, new_order, sent, jsonb_to_recordset(sent.document -> 'events')
               AS e(n int, id uuid, kind text, subject_id uuid, number_key text, payload jsonb)
    )
    SELECT new_order.number, head.last_seq FROM new_order, head
"""

DAY_CLOSED = "business_day_closed"  # what the trigger on orders calls itself


def insert_order(order: Order, tickets: Sequence[KitchenTicket], *, by: Staff) -> bool:
    """Write an order with its `lines`, tickets and events, and give it its number.

    Returns False, having written nothing, where the order's id is taken. Raises DayClosed.
    """
    restaurant_id = require_restaurant_id()
    events = [("number", NewEvent("order.opened", order.pk, order_payload(order)))]
    events += [("order_number", NewEvent("ticket.created", t.pk, ticket_payload(t))) for t in tickets]
    document = {
        "order": columns_of(order),
        "tickets": [columns_of(ticket) for ticket in tickets],
        "items": [columns_of(item) for item in order.lines],
        "events": [
            {
                "n": n,
                "id": event.id,
                "kind": event.kind,
                "subject_id": event.subject_id,
                "number_key": number_key,
                "payload": event.payload,
            }
            for n, (number_key, event) in enumerate(events, start=1)
        ],
        "actor": by.actor,
    }
    parameters: list[Any] = [orjson.dumps(document, default=str).decode(), *[restaurant_id] * 4]
    try:
        with connection.cursor() as cursor:
            cursor.execute(INSERT_ORDER, parameters)
            written = cursor.fetchone()
    except IntegrityError as error:  # the day was closed since the order's was chosen: ask again
        cause = error.__cause__
        if isinstance(cause, psycopg.errors.CheckViolation) and cause.diag.constraint_name == DAY_CLOSED:
            raise DayClosed from error
        raise
    if written is None:
        return False
    order.number, last_seq = written
    transaction.on_commit(lambda: poke(restaurant_id, last_seq), robust=True)
    return True
