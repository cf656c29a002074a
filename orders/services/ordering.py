"""Taking an order: open, add, change, send, void, close.

Every service locks the order's row first and records its events last. Amounts are in minor units.
"""

import datetime
import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, TypedDict, Unpack
from uuid import UUID

import orjson
from django.db import models, transaction
from django.utils import timezone

from accounts.models import Membership, Role
from accounts.staff import Staff
from fynlo.api.versions import check_version
from fynlo.errors import InvalidInput, NotAllowed
from fynlo.events.log import NewEvent, record_events
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id
from orders.errors import (
    BalanceNotZero,
    BillIsSplit,
    IdNotRecent,
    ItemExists,
    ItemNotSent,
    ItemSent,
    ItemsNotSent,
    ItemTwice,
    ItemVoided,
    LessThanPaid,
    MoneyTaken,
    NoSuchItem,
    NoSuchOrder,
    NoTaxRate,
    NothingToSend,
    OrderExists,
    OrderNotOpen,
    SoldOut,
    TableMissing,
    TableNotTaken,
    TooManyItems,
    UnknownTable,
)
from orders.models import BillPart, BillSplit, KitchenTicket, Order, OrderItem
from orders.payloads import order_payload, ticket_payload
from orders.pricing import (
    check_available,
    choose_modifiers,
    percents_on,
    service_charge,
    tax_lines,
    unit_price,
)
from restaurants.errors import DayClosed
from restaurants.models import KitchenStation, MenuItem, Restaurant, ServiceCharge, Table
from restaurants.services import tax_percents

from .insert import insert_order
from .menu import Menu, read_menu
from .rows import columns_of, new_row

ITEMS_MAX = 500
SERVICE_CHARGE = ("service_charge_kind", "service_charge_percent")
CLOCK_TOLERANCE_MS = 48 * 60 * 60 * 1000
EARLIEST_IMPORT = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


class NewItem(TypedDict):
    """A line as a till asks for it; `modifiers` are ids."""

    id: UUID
    menu_item_id: UUID
    quantity: int
    modifiers: Sequence[UUID]
    note: str
    seat: int | None
    course: int


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
    _check_seating(kind, table_id, menu.table)
    at = opened_at or now
    waiter = _member(by)
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
        _charge_service(order, menu.restaurant)
    order.lines = []
    order.lines = _new_lines(order, items, menu, by=waiter, at=at)
    _add_up(order)
    tickets: list[KitchenTicket] = []
    if send and not items:
        raise NothingToSend
    if send and opened_at is None:
        tickets = _make_tickets(order, order.lines, menu.stations, first_number=1, at=at)
    elif send:
        for line in order.lines:
            line.status = OrderItem.Status.SENT
    if not insert_order(order, tickets, by=by):
        return _repeated(id, request_hash)
    return order


@transaction.atomic(savepoint=False)
def add_items(order_id: UUID, *, items: Sequence[NewItem], by: Staff) -> Order:
    """Add lines to whatever others have added meanwhile.

    A line whose id is there already with the same content is left alone (`order.is_repeat` when that
    is true of them all). Raises ItemExists, NotOnMenu, SoldOut, NoTaxRate, TooManyItems, BillIsSplit
    and what is wrong with modifiers, naming the line.
    """
    order = _lock(order_id)
    there = {line.pk: line for line in order.lines}
    for n, item in enumerate(items):
        if item["id"] in there and not _is_same(there[item["id"]], item):
            raise ItemExists(field=f"items.{n}.id", item_id=str(item["id"]))
    if all(item["id"] in there for item in items):
        order.is_repeat = True
        return order
    _check_open(order)
    menu = read_menu(
        [item["menu_item_id"] for item in items],
        line_ids=[item["id"] for item in items if item["id"] not in there],
    )
    lines = _new_lines(order, items, menu, by=_member(by), at=timezone.now())
    OrderItem.objects.bulk_create(lines)
    order.lines += lines
    _save_bill(order)
    record_order(order, "order.items_added", by=by)
    return order


class ItemChanges(TypedDict, total=False):
    quantity: int
    modifiers: Sequence[UUID]
    note: str
    seat: int | None
    course: int


@transaction.atomic(savepoint=False)
def change_item(
    order_id: UUID, item_id: UUID, *, seen_version: int, by: Staff, **changes: Unpack[ItemChanges]
) -> Order:
    """Change a line that the kitchen has not had. Other modifiers price it anew, from today's menu.

    Raises VersionChanged, ItemSent, ItemVoided, LessThanPaid, BillIsSplit and what is wrong with modifiers.
    """
    order = lock_open(order_id, seen_version)
    line = _find_line(order, item_id)
    _check_pending(line)
    before = columns_of(line)
    if "modifiers" in changes:
        _choose(line, changes["modifiers"])
    for name in ("quantity", "note", "seat", "course"):
        if name in changes:
            setattr(line, name, changes[name])
    line.total_minor = line.unit_price_minor * line.quantity
    if columns_of(line) == before:
        return order
    line.save(
        update_fields=[
            "quantity", "modifiers", "note", "seat", "course", "unit_price_minor", "total_minor"
        ]
    )  # fmt: skip
    is_on_the_bill = columns_of(line) != before | {"note": line.note, "course": line.course}
    (_save_bill if is_on_the_bill else _save)(order)
    record_order(order, "order.item_changed", by=by)
    return order


@transaction.atomic(savepoint=False)
def remove_item(order_id: UUID, item_id: UUID, *, seen_version: int, by: Staff) -> Order:
    """Take a line off that the kitchen has not had.

    Raises VersionChanged, ItemSent, ItemVoided, LessThanPaid, BillIsSplit.
    """
    order = lock_open(order_id, seen_version)
    line = _find_line(order, item_id)
    _check_pending(line)
    OrderItem.objects.filter(pk=item_id).delete()
    order.lines.remove(line)
    _save_bill(order)
    record_order(order, "order.item_removed", by=by)
    return order


@transaction.atomic(savepoint=False)
def void_item(order_id: UUID, item_id: UUID, *, reason: str, by: Staff) -> Order:
    """Take a line off the bill that the kitchen has had; its ticket says so. Managers and owners only.

    Raises NotAllowed, ItemNotSent, ItemVoided, LessThanPaid, BillIsSplit.
    """
    order = lock_open(order_id)
    line = _find_line(order, item_id)
    if line.status == OrderItem.Status.VOIDED:
        raise ItemVoided
    if line.status == OrderItem.Status.PENDING:
        raise ItemNotSent
    _check_manages(by)
    _void([line], reason=reason, by=by)
    _save_bill(order)
    ticket = KitchenTicket.objects.filter(items=line.pk)
    if any(other.ticket_id == line.ticket_id for other in _standing(order)):
        tickets = [("ticket.changed", changed) for changed in _touch(ticket)]
    else:
        voided = _touch(ticket, status=KitchenTicket.Status.VOIDED)
        tickets = [("ticket.voided", changed) for changed in voided]
    record_order(order, "order.item_voided", tickets, by=by)
    return order


class OrderChanges(TypedDict, total=False):
    kind: str
    table_id: UUID | None
    covers: int
    customer_name: str
    note: str


@transaction.atomic(savepoint=False)
def change_order(order_id: UUID, *, seen_version: int, by: Staff, **changes: Unpack[OrderChanges]) -> Order:
    """Move an order, change its covers, name or note, or switch between eating in and taking away.

    Switching taxes every line anew, by the rates of the order's business date, and a takeaway gives
    its table up. While nothing has been paid, the restaurant's service charge comes and goes with its
    conditions; one that was changed by hand stays so. Raises VersionChanged, UnknownTable, TableMissing,
    TableNotTaken, NoTaxRate, BillIsSplit.
    """
    order = lock_open(order_id, seen_version)
    before = columns_of(order)
    for name in ("kind", "covers", "customer_name", "note"):
        if name in changes:
            setattr(order, name, changes[name])
    table_id = changes.get("table_id", None if order.kind == Order.Kind.TAKEAWAY else order.table_id)
    if table_id != order.table_id:
        order.table = Table.objects.filter(pk=table_id, is_active=True).first() if table_id else None
    _check_seating(order.kind, table_id, order.table)
    if columns_of(order) == before:
        return order
    if order.kind != before["kind"]:
        _tax_anew(order)
    if (order.kind, order.covers) != (before["kind"], before["covers"]) and not _has_money(order):
        _charge_service(order, Restaurant.objects.get(pk=require_restaurant_id()))
    charge = [name for name in SERVICE_CHARGE if getattr(order, name) != before[name]]
    save = _save_bill if charge or order.kind != before["kind"] else _save
    save(order, "kind", "table", "covers", "customer_name", "note", *charge)
    tickets = _touch(KitchenTicket.objects.filter(order=order_id, status=KitchenTicket.Status.OPEN))
    record_order(order, "order.changed", [("ticket.changed", ticket) for ticket in tickets], by=by)
    return order


@transaction.atomic(savepoint=False)
def change_service_charge(
    order_id: UUID,
    *,
    seen_version: int,
    is_removed: bool | None = None,
    percent: Decimal | None = None,
    by: Staff,
) -> Order:
    """Take the service charge off a bill, put the restaurant's own back, or charge another percentage.

    A guest may decline an optional one, or a part of it. More than the restaurant's own, one where there
    was none, and anything about a compulsory one is for managers and owners. Raises VersionChanged,
    NotAllowed, BillIsSplit, LessThanPaid.
    """
    order = lock_open(order_id, seen_version)
    own = Restaurant.objects.get(pk=require_restaurant_id()).service_charge_percent
    wanted = Decimal(0) if is_removed else own if percent is None else percent
    if wanted == order.service_charge_percent:
        return order
    may_decline = order.service_charge_kind == ServiceCharge.OPTIONAL and wanted <= own
    if not may_decline and not by.has_role(Role.MANAGER, Role.OWNER):
        raise NotAllowed("A manager or the owner may change this service charge.")
    if order.service_charge_kind == ServiceCharge.NONE:
        order.service_charge_kind = ServiceCharge.OPTIONAL
    order.service_charge_percent = wanted
    _save_bill(order, *SERVICE_CHARGE)
    record_order(order, "order.service_charge_changed", by=by)
    return order


@transaction.atomic(savepoint=False)
def send_order(order_id: UUID, *, by: Staff) -> Order:
    """Send what has not been sent to the kitchen, one ticket for each station.

    Raises NothingToSend, and SoldOut for an item that was 86'd meanwhile.
    """
    order = lock_open(order_id)
    lines = [line for line in order.lines if line.status == OrderItem.Status.PENDING]
    if not lines:
        raise NothingToSend
    menu_items = MenuItem.objects.filter(pk__in={line.menu_item_id for line in lines})
    sold_out = set(menu_items.filter(is_sold_out=True).values_list("pk", flat=True))
    for line in lines:
        if line.menu_item_id in sold_out:
            raise SoldOut(line.name, item_id=str(line.pk))
    stations = KitchenStation.objects.filter(pk__in={line.station_id for line in lines})
    first_number = KitchenTicket.objects.filter(order=order_id).count() + 1
    tickets = _make_tickets(order, lines, stations, first_number=first_number, at=timezone.now())
    KitchenTicket.objects.bulk_create(tickets)
    OrderItem.objects.bulk_update(lines, ["ticket", "status"])
    _save(order)
    record_order(order, "order.sent", [("ticket.created", ticket) for ticket in tickets], by=by)
    return order


@transaction.atomic(savepoint=False)
def close_order(order_id: UUID, *, at: datetime.datetime | None = None, by: Staff) -> Order:
    """Close a settled bill and free its table. Takes no money: payments does that.

    `at` closes an imported order in the past, by the same right as opening it. Raises ItemsNotSent and
    BalanceNotZero.
    """
    order = lock_open(order_id)
    if at is not None:
        check_import(at, field="closed_at", earliest=order.opened_at, by=by)
    if any(line.status == OrderItem.Status.PENDING for line in order.lines):
        raise ItemsNotSent
    if order.balance_due_minor or order.reserved_minor:
        raise BalanceNotZero(order.balance_due_minor, order.reserved_minor)
    order.status = Order.Status.CLOSED
    order.closed_at = at or timezone.now()
    _save(order, "status", "closed_at")
    record_order(order, "order.closed", by=by)
    return order


@transaction.atomic(savepoint=False)
def void_order(order_id: UUID, *, reason: str, by: Staff) -> Order:
    """Void a bill with all its lines and tickets. Once anything was sent, managers and owners only.

    Raises MoneyTaken while payments hold or reserve anything of it.
    """
    order = lock_open(order_id)
    if _has_money(order):
        raise MoneyTaken
    if any(line.status == OrderItem.Status.SENT for line in order.lines):
        _check_manages(by)
    _void(_standing(order), reason=reason, by=by)
    order.status = Order.Status.VOIDED
    order.voided_by = _member(by)
    order.voided_at = timezone.now()
    order.void_reason = reason
    drop_split(order)
    _save(order, "status", "voided_by", "voided_at", "void_reason")
    standing = KitchenTicket.objects.filter(order=order_id).exclude(status=KitchenTicket.Status.VOIDED)
    tickets = _touch(standing, status=KitchenTicket.Status.VOIDED)
    record_order(order, "order.voided", [("ticket.voided", ticket) for ticket in tickets], by=by)
    return order


# Rows


def _lock(order_id: UUID) -> Order:
    try:
        return Order.objects.lock(order_id)
    except Order.DoesNotExist as error:
        raise NoSuchOrder from error


def lock_open(order_id: UUID, seen_version: int | None = None) -> Order:
    order = _lock(order_id)
    if seen_version is not None:
        check_version(seen_version, order.version, lambda: order_payload(order))
    _check_open(order)
    return order


def _repeated(order_id: UUID, request_hash: str) -> Order:
    """The order of an earlier request, where this one asks for the same."""
    order = Order.objects.with_details().filter(pk=order_id, request_hash=request_hash).first()
    if order is None:
        raise OrderExists(field="id")
    order.is_repeat = True
    return order


def _find_line(order: Order, item_id: UUID) -> OrderItem:
    for line in order.lines:
        if line.pk == item_id:
            return line
    raise NoSuchItem


def _standing(order: Order) -> list[OrderItem]:
    """The lines that are to be paid."""
    return [line for line in order.lines if line.status != OrderItem.Status.VOIDED]


def _member(by: Staff) -> Membership:
    return new_row(Membership, id=by.membership_id, restaurant_id=by.restaurant_id, name=by.name)


# Checks


def _check_open(order: Order) -> None:
    if order.status != Order.Status.OPEN:
        raise OrderNotOpen(order.number, order.status)


def _check_pending(line: OrderItem) -> None:
    if line.status == OrderItem.Status.VOIDED:
        raise ItemVoided
    if line.status == OrderItem.Status.SENT:
        raise ItemSent


def _check_manages(by: Staff) -> None:
    if not by.has_role(Role.MANAGER, Role.OWNER):
        raise NotAllowed("The kitchen has had this: a manager or the owner may void it.")


def _check_recent(order_id: UUID, now: datetime.datetime) -> None:
    made_at_ms = order_id.int >> 80
    if abs(now.timestamp() * 1000 - made_at_ms) > CLOCK_TOLERANCE_MS:
        raise IdNotRecent(field="id")


def check_import(moment: datetime.datetime, *, field: str, earliest: datetime.datetime, by: Staff) -> None:
    """Only an owner brings past orders in, signed in by password: no till can set its own times."""
    if not by.has_role(Role.OWNER) or by.device_id is not None:
        raise NotAllowed("Only an owner who signed in by password sets the time of an order.", field=field)
    if not earliest <= moment <= timezone.now():
        raise InvalidInput("This time cannot be right.", field=field)


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


def _check_seating(kind: str, table_id: UUID | None, table: Table | None) -> None:
    if kind == Order.Kind.TAKEAWAY:
        if table_id is not None:
            raise TableNotTaken(field="table_id")
    elif table_id is None:
        raise TableMissing(field="table_id")
    elif table is None:
        raise UnknownTable(field="table_id")


def _is_same(line: OrderItem, item: NewItem) -> bool:
    return (
        line.menu_item_id == item["menu_item_id"]
        and line.quantity == item["quantity"]
        and {modifier["id"] for modifier in line.modifiers} == {str(m) for m in item["modifiers"]}
        and line.note == item["note"]
        and line.seat == item["seat"]
        and line.course == item["course"]
    )


# Steps


def _new_lines(
    order: Order, items: Sequence[NewItem], menu: Menu, *, by: Membership, at: datetime.datetime
) -> list[OrderItem]:
    """Priced lines, not yet saved, for those of `items` that the order does not have."""
    there = {line.pk for line in order.lines}
    if len(there) + len(items) > ITEMS_MAX:
        raise TooManyItems(f"An order has at most {ITEMS_MAX} items.", field="items")
    percents = percents_on(menu.rates, order.business_date, order.kind)
    position = max((line.position for line in order.lines), default=0)
    lines: list[OrderItem] = []
    seen: set[UUID] = set()
    for n, item in enumerate(items):
        if item["id"] in there:
            continue
        field, item_id = f"items.{n}", str(item["id"])
        if item["id"] in seen:
            raise ItemTwice(field=f"{field}.id", item_id=item_id)
        if item_id in menu.taken_ids:
            raise ItemExists(field=f"{field}.id", item_id=item_id)
        seen.add(item["id"])
        entry = menu.items.get(str(item["menu_item_id"]))
        entry = check_available(entry, field=f"{field}.menu_item_id", item_id=item_id)
        if entry["tax_class_id"] not in percents:
            raise NoTaxRate(entry["name"], field=f"{field}.menu_item_id")
        chosen = [str(modifier) for modifier in item["modifiers"]]
        modifiers = choose_modifiers(entry, chosen, field=f"{field}.modifiers", item_id=item_id)
        unit_price_minor = unit_price(entry["price_minor"], modifiers)
        position += 1
        lines.append(
            new_row(
                OrderItem,
                id=item["id"],
                restaurant_id=order.restaurant_id,
                order_id=order.id,
                menu_item_id=item["menu_item_id"],
                station_id=UUID(entry["station_id"]),
                name=entry["name"],
                quantity=item["quantity"],
                unit_price_minor=unit_price_minor,
                total_minor=unit_price_minor * item["quantity"],
                tax_percent=percents[entry["tax_class_id"]],
                modifiers=modifiers,
                note=item["note"],
                seat=item["seat"],
                course=item["course"],
                position=position,
                added_by_id=by.id,
                added_at=at,
                related={"added_by": by, "voided_by": None},
            )
        )
    return lines


def _choose(line: OrderItem, modifiers: Sequence[UUID]) -> None:
    chosen = [str(modifier) for modifier in modifiers]
    if sorted(chosen) == sorted(modifier["id"] for modifier in line.modifiers):
        return
    item_id = str(line.pk)
    entry = read_menu([line.menu_item_id]).items.get(str(line.menu_item_id))
    entry = check_available(entry, field="modifiers", item_id=item_id)
    line.modifiers = choose_modifiers(entry, chosen, field="modifiers", item_id=item_id)
    line.unit_price_minor = unit_price(entry["price_minor"], line.modifiers)


def _tax_anew(order: Order) -> None:
    lines = _standing(order)
    items = MenuItem.objects.filter(pk__in={line.menu_item_id for line in lines})
    tax_classes = dict(items.values_list("pk", "tax_class_id"))
    percents = tax_percents(order.business_date, order.kind)
    for line in lines:
        tax_class_id = tax_classes[line.menu_item_id]
        if tax_class_id not in percents:
            raise NoTaxRate(line.name, field="kind")
        line.tax_percent = percents[tax_class_id]
    OrderItem.objects.bulk_update(lines, ["tax_percent"])


def _make_tickets(
    order: Order,
    lines: Sequence[OrderItem],
    stations: Iterable[KitchenStation],
    *,
    first_number: int,
    at: datetime.datetime,
) -> list[KitchenTicket]:
    """One ticket, not yet saved, for each of the stations that has something to make."""
    tickets: list[KitchenTicket] = []
    for station in stations:
        of_station = [line for line in lines if line.station_id == station.id]
        if not of_station:
            continue
        ticket = new_row(
            KitchenTicket,
            id=uuid7(),
            restaurant_id=order.restaurant_id,
            order_id=order.id,
            station_id=station.id,
            number=first_number + len(tickets),
            is_add_on=first_number > 1,
            sent_at=at,
            related={"order": order, "station": station},
        )
        ticket.lines = of_station
        for line in of_station:
            line.ticket_id = ticket.id
            line.status = OrderItem.Status.SENT
        tickets.append(ticket)
    return tickets


def _void(lines: Sequence[OrderItem], *, reason: str, by: Staff) -> None:
    fields = {
        "status": OrderItem.Status.VOIDED,
        "voided_by": _member(by),
        "voided_at": timezone.now(),
        "void_reason": reason,
    }
    OrderItem.objects.filter(pk__in=[line.pk for line in lines]).update(**fields)
    for line in lines:
        for name, value in fields.items():
            setattr(line, name, value)


def _touch(tickets: models.QuerySet[KitchenTicket], **values: Any) -> list[KitchenTicket]:
    """Raise the versions of the tickets, so that screens take the change over."""
    ids = list(tickets.values_list("pk", flat=True))
    KitchenTicket.objects.filter(pk__in=ids).update(version=models.F("version") + 1, **values)
    return list(KitchenTicket.objects.with_details().filter(pk__in=ids).order_by("number"))


def _charge_service(order: Order, restaurant: Restaurant) -> None:
    """Let the restaurant's service charge apply where its conditions hold, and none where they do not."""
    if order.kind != Order.Kind.DINE_IN or order.covers < restaurant.service_charge_min_covers:
        order.service_charge_kind, order.service_charge_percent = ServiceCharge.NONE, Decimal(0)
    elif order.service_charge_kind == ServiceCharge.NONE:
        order.service_charge_kind = restaurant.service_charge_kind
        order.service_charge_percent = restaurant.service_charge_percent
    if order.service_charge_kind == ServiceCharge.NONE:
        order.service_charge_percent = Decimal(0)


def _add_up(order: Order) -> None:
    lines = _standing(order)
    items_minor = sum(line.total_minor for line in lines)
    order.service_charge_minor = service_charge(items_minor, order.service_charge_percent)
    is_taxed = order.service_charge_kind == ServiceCharge.COMPULSORY
    order.total_minor = items_minor + order.service_charge_minor
    order.tax_lines = tax_lines(
        ((line.tax_percent, line.total_minor) for line in lines),
        charge_minor=order.service_charge_minor if is_taxed else 0,
    )
    order.tax_minor = sum(line["tax_minor"] for line in order.tax_lines)


def _has_money(order: Order) -> bool:
    return bool(order.paid_minor or order.reserved_minor)


def _save(order: Order, *fields: str) -> None:
    """Save these fields with the totals and a higher version. Raises LessThanPaid."""
    before = order.total_minor
    _add_up(order)
    if order.total_minor < min(before, order.paid_minor + order.reserved_minor):
        raise LessThanPaid
    order.version += 1
    order.save(
        update_fields=[
            "total_minor", "tax_minor", "tax_lines", "service_charge_minor", "is_split", "version", *fields
        ]
    )  # fmt: skip


def _save_bill(order: Order, *fields: str) -> None:
    """The same where what is to be paid changed: then a split no longer fits and is undone.

    Raises BillIsSplit where money has been taken, or is being taken, for one of its parts.
    """
    if order.is_split:
        money = models.Q(reserved_minor__gt=0) | ~models.Q(captured_minor=models.F("refunded_minor"))
        if BillPart.objects.filter(money, split__order=order.pk).exists():
            raise BillIsSplit
        drop_split(order)
    _save(order, *fields)


def drop_split(order: Order) -> None:
    """Delete how a locked order is split, where it is; the caller saves the order."""
    if order.is_split:
        BillSplit.objects.filter(order=order.pk).delete()
        order.is_split, order.shown_split = False, None


def record_order(
    order: Order, kind: str, tickets: Iterable[tuple[str, KitchenTicket]] = (), *, by: Staff
) -> None:
    events = [NewEvent(kind, order.pk, order_payload(order))]
    events += [NewEvent(kind, ticket.pk, ticket_payload(ticket)) for kind, ticket in tickets]
    record_events(events, actor=by.actor)
