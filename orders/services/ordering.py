"""Taking an order once it is open (see opening.py): add, change, send, void, close.

Every service locks the order's row first and records its events last. Amounts are in minor units.
"""

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import TypedDict, Unpack
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import Role
from accounts.staff import Staff
from fynlo.errors import NotAllowed
from fynlo.tenancy.scope import require_restaurant_id
from orders.errors import (
    BalanceNotZero,
    ItemExists,
    ItemNotSent,
    ItemSent,
    ItemsNotSent,
    ItemVoided,
    MoneyTaken,
    NoSuchItem,
    NothingToSend,
    SoldOut,
)
from orders.models import KitchenTicket, Order, OrderItem
from restaurants.models import KitchenStation, MenuItem, Restaurant, ServiceCharge, Table

from .bill import (
    charge_service,
    check_open,
    drop_split,
    has_money,
    lock_open,
    lock_order,
    record_order,
    save_bill,
    save_order,
)
from .lines import NewItem, choose_anew, is_same, new_lines, standing_lines, tax_anew, void_lines
from .menu import read_menu
from .opening import check_import, check_seating
from .rows import columns_of, member_row
from .tickets import make_tickets, touch_tickets

SERVICE_CHARGE = ("service_charge_kind", "service_charge_percent")


@transaction.atomic(savepoint=False)
def add_items(order_id: UUID, *, items: Sequence[NewItem], by: Staff) -> Order:
    """Add lines to whatever others have added meanwhile.

    A line whose id is there already with the same content is left alone (`order.is_repeat` when that
    is true of them all). Raises ItemExists, NotOnMenu, SoldOut, NoTaxRate, TooManyItems, BillIsSplit
    and what is wrong with modifiers, naming the line.
    """
    order = lock_order(order_id)
    there = {line.pk: line for line in order.lines}
    for n, item in enumerate(items):
        if item["id"] in there and not is_same(there[item["id"]], item):
            raise ItemExists(field=f"items.{n}.id", item_id=str(item["id"]))
    if all(item["id"] in there for item in items):
        order.is_repeat = True
        return order
    check_open(order)
    menu = read_menu(
        [item["menu_item_id"] for item in items],
        line_ids=[item["id"] for item in items if item["id"] not in there],
    )
    lines = new_lines(order, items, menu, by=member_row(by), at=timezone.now())
    OrderItem.objects.bulk_create(lines)
    order.lines += lines
    save_bill(order)
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
        choose_anew(line, changes["modifiers"])
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
    (save_bill if is_on_the_bill else save_order)(order)
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
    save_bill(order)
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
    void_lines([line], reason=reason, by=by)
    save_bill(order)
    ticket = KitchenTicket.objects.filter(items=line.pk)
    if any(other.ticket_id == line.ticket_id for other in standing_lines(order)):
        tickets = [("ticket.changed", changed) for changed in touch_tickets(ticket)]
    else:
        voided = touch_tickets(ticket, status=KitchenTicket.Status.VOIDED)
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
    check_seating(order.kind, table_id, order.table)
    if columns_of(order) == before:
        return order
    if order.kind != before["kind"]:
        tax_anew(order)
    if (order.kind, order.covers) != (before["kind"], before["covers"]) and not has_money(order):
        charge_service(order, Restaurant.objects.get(pk=require_restaurant_id()))
    charge = [name for name in SERVICE_CHARGE if getattr(order, name) != before[name]]
    save = save_bill if charge or order.kind != before["kind"] else save_order
    save(order, "kind", "table", "covers", "customer_name", "note", *charge)
    tickets = touch_tickets(KitchenTicket.objects.filter(order=order_id, status=KitchenTicket.Status.OPEN))
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
    save_bill(order, *SERVICE_CHARGE)
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
    tickets = make_tickets(order, lines, stations, first_number=first_number, at=timezone.now())
    KitchenTicket.objects.bulk_create(tickets)
    OrderItem.objects.bulk_update(lines, ["ticket", "status"])
    save_order(order)
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
    save_order(order, "status", "closed_at")
    record_order(order, "order.closed", by=by)
    return order


@transaction.atomic(savepoint=False)
def void_order(order_id: UUID, *, reason: str, by: Staff) -> Order:
    """Void a bill with all its lines and tickets. Once anything was sent, managers and owners only.

    Raises MoneyTaken while payments hold or reserve anything of it.
    """
    order = lock_open(order_id)
    if has_money(order):
        raise MoneyTaken
    if any(line.status == OrderItem.Status.SENT for line in order.lines):
        _check_manages(by)
    void_lines(standing_lines(order), reason=reason, by=by)
    order.status = Order.Status.VOIDED
    order.voided_by = member_row(by)
    order.voided_at = timezone.now()
    order.void_reason = reason
    drop_split(order)
    save_order(order, "status", "voided_by", "voided_at", "void_reason")
    standing = KitchenTicket.objects.filter(order=order_id).exclude(status=KitchenTicket.Status.VOIDED)
    tickets = touch_tickets(standing, status=KitchenTicket.Status.VOIDED)
    record_order(order, "order.voided", [("ticket.voided", ticket) for ticket in tickets], by=by)
    return order


def _find_line(order: Order, item_id: UUID) -> OrderItem:
    for line in order.lines:
        if line.pk == item_id:
            return line
    raise NoSuchItem


def _check_pending(line: OrderItem) -> None:
    if line.status == OrderItem.Status.VOIDED:
        raise ItemVoided
    if line.status == OrderItem.Status.SENT:
        raise ItemSent


def _check_manages(by: Staff) -> None:
    if not by.has_role(Role.MANAGER, Role.OWNER):
        raise NotAllowed("The kitchen has had this: a manager or the owner may void it.")
