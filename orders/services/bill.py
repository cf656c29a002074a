"""A bill in hand: locked, its service charge, added up, saved with a higher version, and recorded.

What every service of an order begins and ends with. Amounts are in minor units.
"""

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from django.db import models

from accounts.staff import Staff
from fynlo.api.versions import check_version
from fynlo.events.log import NewEvent, record_events
from orders.errors import BillIsSplit, LessThanPaid, NoSuchOrder, OrderNotOpen
from orders.models import BillPart, BillSplit, KitchenTicket, Order
from orders.payloads import order_payload, ticket_payload
from orders.pricing import service_charge, tax_lines
from restaurants.models import Restaurant, ServiceCharge

from .lines import standing_lines


def lock_order(order_id: UUID) -> Order:
    """The order with its lines, locked until the transaction ends. Raises NoSuchOrder."""
    try:
        return Order.objects.lock(order_id)
    except Order.DoesNotExist as error:
        raise NoSuchOrder from error


def lock_open(order_id: UUID, seen_version: int | None = None) -> Order:
    """The same where it is open and, if asked, as it was seen. Raises VersionChanged, OrderNotOpen."""
    order = lock_order(order_id)
    if seen_version is not None:
        check_version(seen_version, order.version, lambda: order_payload(order))
    check_open(order)
    return order


def check_open(order: Order) -> None:
    """Raises OrderNotOpen."""
    if order.status != Order.Status.OPEN:
        raise OrderNotOpen(order.number, order.status)


def charge_service(order: Order, restaurant: Restaurant) -> None:
    """Let the restaurant's service charge apply where its conditions hold, and none where they do not."""
    if order.kind != Order.Kind.DINE_IN or order.covers < restaurant.service_charge_min_covers:
        order.service_charge_kind, order.service_charge_percent = ServiceCharge.NONE, Decimal(0)
    elif order.service_charge_kind == ServiceCharge.NONE:
        order.service_charge_kind = restaurant.service_charge_kind
        order.service_charge_percent = restaurant.service_charge_percent
    if order.service_charge_kind == ServiceCharge.NONE:
        order.service_charge_percent = Decimal(0)


def add_up(order: Order) -> None:
    """Work the totals out of the lines and the service charge, not yet saved."""
    lines = standing_lines(order)
    items_minor = sum(line.total_minor for line in lines)
    order.service_charge_minor = service_charge(items_minor, order.service_charge_percent)
    is_taxed = order.service_charge_kind == ServiceCharge.COMPULSORY
    order.total_minor = items_minor + order.service_charge_minor
    order.tax_lines = tax_lines(
        ((line.tax_percent, line.total_minor) for line in lines),
        charge_minor=order.service_charge_minor if is_taxed else 0,
    )
    order.tax_minor = sum(line["tax_minor"] for line in order.tax_lines)


def has_money(order: Order) -> bool:
    """Whether payments hold or reserve anything of it."""
    return bool(order.paid_minor or order.reserved_minor)


def save_order(order: Order, *fields: str) -> None:
    """Save these fields with the totals and a higher version. Raises LessThanPaid."""
    before = order.total_minor
    add_up(order)
    if order.total_minor < min(before, order.paid_minor + order.reserved_minor):
        raise LessThanPaid
    order.version += 1
    order.save(
        update_fields=[
            "total_minor", "tax_minor", "tax_lines", "service_charge_minor", "is_split", "version", *fields
        ]
    )  # fmt: skip


def save_bill(order: Order, *fields: str) -> None:
    """The same where what is to be paid changed: then a split no longer fits and is undone.

    Raises BillIsSplit where money has been taken, or is being taken, for one of its parts.
    """
    if order.is_split:
        money = models.Q(reserved_minor__gt=0) | ~models.Q(captured_minor=models.F("refunded_minor"))
        if BillPart.objects.filter(money, split__order=order.pk).exists():
            raise BillIsSplit
        drop_split(order)
    save_order(order, *fields)


def drop_split(order: Order) -> None:
    """Delete how a locked order is split, where it is; the caller saves the order."""
    if order.is_split:
        BillSplit.objects.filter(order=order.pk).delete()
        order.is_split, order.shown_split = False, None


def record_order(
    order: Order, kind: str, tickets: Iterable[tuple[str, KitchenTicket]] = (), *, by: Staff
) -> None:
    """Record what became of the order, then of its tickets, each as it is now."""
    events = [NewEvent(kind, order.pk, order_payload(order))]
    events += [NewEvent(kind, ticket.pk, ticket_payload(ticket)) for kind, ticket in tickets]
    record_events(events, actor=by.actor)
