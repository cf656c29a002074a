"""The one door by which payments changes what an order, and the part of it that is being paid, say of money.

Each is a single UPDATE of the order, so that two payments at once cannot both take what is due once, then
one of the part in the same way; the order's row is locked by then, so parts need no lock of their own.
Taking money and giving it back are facts: `set_aside`, `settle`, `release` and `record_refund` record them
whatever state the order is in and never refuse, even where the part is gone.
"""

from typing import NoReturn
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest

from orders.errors import AmountNotDue, NoSuchOrder, NoSuchPart, OrderNotOpen, PartNotNamed
from orders.models import BillPart, BillSplit, Order


@transaction.atomic(savepoint=False)
def reserve(order_id: UUID, amount_minor: int, *, part_id: UUID | None = None) -> None:
    """Set an amount aside for a payment that is under way; where the bill is split, of one of its parts.

    Raises OrderNotOpen, PartNotNamed, NoSuchPart, or AmountNotDue with what is still due and not set
    aside by another payment.
    """
    if amount_minor <= 0:
        raise ValueError("Reserve a positive amount.")
    unclaimed = F("total_minor") - F("captured_minor") + F("refunded_minor") - F("reserved_minor")
    orders = Order.objects.open().filter(pk=order_id, is_split=part_id is not None)
    due = orders.annotate(unclaimed_minor=unclaimed).filter(unclaimed_minor__gte=amount_minor)
    reserved = F("reserved_minor") + amount_minor
    if not _update(due, reserved_minor=reserved):
        _refuse(order_id, part_id)
    if part_id is None:
        return
    unclaimed = F("amount_minor") - F("captured_minor") + F("refunded_minor") - F("reserved_minor")
    parts = _parts(order_id, part_id).annotate(unclaimed_minor=unclaimed)
    if not parts.filter(unclaimed_minor__gte=amount_minor).update(reserved_minor=reserved):
        _refuse(order_id, part_id, set_aside_minor=amount_minor)


@transaction.atomic(savepoint=False)
def set_aside(order_id: UUID, amount_minor: int, *, part_id: UUID | None = None) -> None:
    """Set aside what was taken before anybody could be asked: a fact, whatever is due."""
    settle(order_id, reserved_minor=-amount_minor, captured_minor=0, part_id=part_id)


def due_minor(order: Order, part_id: UUID | None) -> int:
    """What is still due, and not being paid, of an order that is locked, or of one of its parts.

    Raises PartNotNamed and NoSuchPart.
    """
    due = order.balance_due_minor - order.reserved_minor
    if part_id is None:
        if order.is_split:
            raise PartNotNamed
        return due
    part = _parts(order.pk, part_id).first()
    if part is None:
        raise NoSuchPart
    return min(due, part.balance_due_minor - part.reserved_minor)


@transaction.atomic(savepoint=False)
def settle(order_id: UUID, *, reserved_minor: int, captured_minor: int, part_id: UUID | None = None) -> None:
    """Record that a payment took `captured_minor` and free the amount that was set aside for it."""
    values = {
        "reserved_minor": Greatest(F("reserved_minor") - reserved_minor, 0),
        "captured_minor": F("captured_minor") + captured_minor,
    }
    _update(Order.objects.filter(pk=order_id), **values)
    if part_id is not None:
        _parts(order_id, part_id).update(**values)


@transaction.atomic(savepoint=False)
def release(order_id: UUID, amount_minor: int, *, part_id: UUID | None = None) -> None:
    """Free an amount that was set aside for a payment which took nothing."""
    settle(order_id, reserved_minor=amount_minor, captured_minor=0, part_id=part_id)


@transaction.atomic(savepoint=False)
def record_refund(order_id: UUID, *, amount_minor: int, part_id: UUID | None = None) -> None:
    """Record that `amount_minor` of what had been taken went back to the guest."""
    refunded = F("refunded_minor") + amount_minor
    _update(Order.objects.filter(pk=order_id), refunded_minor=refunded)
    if part_id is not None:
        _parts(order_id, part_id).update(refunded_minor=refunded)


def _update(orders: QuerySet[Order], **values: object) -> int:
    return orders.update(version=F("version") + 1, **values)


def _parts(order_id: UUID, part_id: UUID) -> QuerySet[BillPart]:
    return BillPart.objects.filter(pk=part_id, split__in=BillSplit.objects.filter(order=order_id))


def _refuse(order_id: UUID, part_id: UUID | None, *, set_aside_minor: int = 0) -> NoReturn:
    """Say why nothing could be reserved; `set_aside_minor` is what the order has set aside for it already."""
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise NoSuchOrder
    if order.status != Order.Status.OPEN:
        raise OrderNotOpen(order.number, order.status)
    order.reserved_minor -= set_aside_minor
    raise AmountNotDue(due_minor(order, part_id))
