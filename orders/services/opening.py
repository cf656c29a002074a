"""Opening a bill: what a till does all evening, and how an owner brings the orders of the past in.

Amounts are in minor units.
"""

import datetime
import hashlib
from collections.abc import Sequence
from uuid import UUID

import orjson
from django.db import transaction
from django.utils import timezone

from accounts.models import Role
from accounts.staff import Staff
from fynlo.errors import InvalidInput, NotAllowed
from orders.errors import (
    IdNotRecent,
    NothingToSend,
    OrderExists,
    TableMissing,
    TableNotTaken,
    UnknownTable,
)
from orders.models import KitchenTicket, Order, OrderItem
from restaurants.errors import DayClosed
from restaurants.models import Restaurant, Table

from .bill import add_up, charge_service
from .insert import insert_order
from .lines import NewItem, new_lines
from .menu import read_menu
from .rows import member_row, new_row
from .tickets import make_tickets

CLOCK_TOLERANCE_MS = 48 * 60 * 60 * 1000
EARLIEST_IMPORT = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


@transaction.atomic(savepoint=False)
def open_order(
    *,
    id: UUID,
    kind: str,
    table_id: UUID | None = None,
    covers: int = 1,
    customer_name: str = "",
    note: str = "",
    items: Sequence[NewItem] = (),
    send: bool = False,
    opened_at: datetime.datetime | None = None,
    by: Staff,
) -> Order:
    """Open a bill, with its first items where there are any, and send them where asked.

    Repeated with the same content it answers with that order as it is now (`order.is_repeat`).
    `opened_at` imports an order of the past: an owner may, signed in by password, and the kitchen gets
    no tickets; a day that has its Z report takes none. Raises OrderExists, IdNotRecent, UnknownTable,
    DayClosed and what `add_items` raises.
    """
    now = timezone.now()
    asked = {
        "kind": kind,
        "table_id": table_id,
        "covers": covers,
        "customer_name": customer_name,
        "note": note,
        "items": items,
        "send": send,
        "opened_at": opened_at,
    }
    request_hash = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
    if opened_at is not None:
        check_import(opened_at, field="opened_at", earliest=EARLIEST_IMPORT, by=by)
    menu = read_menu(
        [item["menu_item_id"] for item in items],
        line_ids=[item["id"] for item in items],
        table_id=table_id,
        order_id=id,
    )
    if menu.request_hash is not None:
        return _repeated(id, request_hash)
    if opened_at is None:
        _check_recent(id, now)
    check_seating(kind, table_id, menu.table)
    at = opened_at or now
    waiter = member_row(by)
    order = new_row(
        Order,
        id=id,
        restaurant_id=by.restaurant_id,
        number=0,
        request_hash=request_hash,
        kind=kind,
        table_id=table_id,
        covers=covers,
        customer_name=customer_name,
        note=note,
        currency=menu.restaurant.currency,
        business_date=_business_date(menu.restaurant, opened_at, now),
        opened_by_id=by.membership_id,
        opened_at=at,
        related={"table": menu.table, "opened_by": waiter, "voided_by": None},
    )
    if opened_at is None:
        charge_service(order, menu.restaurant)
    order.lines = []
    order.lines = new_lines(order, items, menu, by=waiter, at=at)
    add_up(order)
    tickets: list[KitchenTicket] = []
    if send and not items:
        raise NothingToSend
    if send and opened_at is None:
        tickets = make_tickets(order, order.lines, menu.stations, first_number=1, at=at)
    elif send:
        for line in order.lines:
            line.status = OrderItem.Status.SENT
    if not insert_order(order, tickets, by=by):
        return _repeated(id, request_hash)
    return order


def check_import(moment: datetime.datetime, *, field: str, earliest: datetime.datetime, by: Staff) -> None:
    """Only an owner brings past orders in, signed in by password: no till can set its own times."""
    if not by.has_role(Role.OWNER) or by.device_id is not None:
        raise NotAllowed("Only an owner who signed in by password sets the time of an order.", field=field)
    if not earliest <= moment <= timezone.now():
        raise InvalidInput("This time cannot be right.", field=field)


def check_seating(kind: str, table_id: UUID | None, table: Table | None) -> None:
    """Eating in takes a table that is in use, `table` being the row of that id; a takeaway takes none."""
    if kind == Order.Kind.TAKEAWAY:
        if table_id is not None:
            raise TableNotTaken(field="table_id")
    elif table_id is None:
        raise TableMissing(field="table_id")
    elif table is None:
        raise UnknownTable(field="table_id")


def _repeated(order_id: UUID, request_hash: str) -> Order:
    """The order of an earlier request, where this one asks for the same."""
    order = Order.objects.with_details().filter(pk=order_id, request_hash=request_hash).first()
    if order is None:
        raise OrderExists(field="id")
    order.is_repeat = True
    return order


def _check_recent(order_id: UUID, now: datetime.datetime) -> None:
    made_at_ms = order_id.int >> 80
    if abs(now.timestamp() * 1000 - made_at_ms) > CLOCK_TOLERANCE_MS:
        raise IdNotRecent(field="id")


def _business_date(
    restaurant: Restaurant, opened_at: datetime.datetime | None, now: datetime.datetime
) -> datetime.date:
    """The day that an order belongs to: the one that is open now, or that of a past that is not closed."""
    if opened_at is None:
        return restaurant.open_business_date(now)
    day = restaurant.business_date(opened_at)
    if restaurant.closed_through is not None and day <= restaurant.closed_through:
        raise DayClosed(field="opened_at")
    return day
