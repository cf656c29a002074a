"""Dividing a bill among its guests, and undoing that."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.staff import Staff
from fynlo.events.log import record_event
from orders.errors import BillIsSplit, MoneyReserved, NothingToSplit, NotSplit
from orders.models import BillPart, BillSplit, Order, OrderItem
from orders.payloads import order_payload
from orders.splits import (
    Bill,
    Claim,
    Line,
    Part,
    split_by_amounts,
    split_by_items,
    split_by_seats,
    split_evenly,
)

from .bill import drop_split, lock_open


@transaction.atomic(savepoint=False)
def split_bill(
    order_id: UUID,
    *,
    kind: str,
    ways: int | None = None,
    amounts: Sequence[int] | None = None,
    parts: Sequence[Sequence[Claim]] | None = None,
    seats: Sequence[Sequence[int]] | None = None,
    seen_version: int,
    by: Staff,
) -> Order:
    """Divide a bill evenly in so many `ways`, by `amounts` in minor units, by items (`parts`) or by `seats`.

    Evenly and by amounts divides what is still due; by items and by seats the whole bill, of which nothing
    may have been paid. An earlier split is replaced; what was paid of it stays paid. Raises VersionChanged,
    MoneyReserved, NothingToSplit, BillIsSplit (part of it has been paid) and CannotSplit.
    """
    order = lock_open(order_id, seen_version)
    if order.reserved_minor:
        raise MoneyReserved
    if order.balance_due_minor <= 0:
        raise NothingToSplit
    is_of_what_is_due = kind in (BillSplit.Kind.EVEN, BillSplit.Kind.AMOUNTS)
    if order.paid_minor and not is_of_what_is_due:
        raise BillIsSplit("Part of this bill has been paid: split what is due evenly or by amounts.")
    bill, due = bill_of(order), order.balance_due_minor
    if kind == BillSplit.Kind.EVEN:
        divided = split_evenly(bill, due, ways or 2)
    elif kind == BillSplit.Kind.AMOUNTS:
        divided = split_by_amounts(bill, due, amounts or [])
    elif kind == BillSplit.Kind.ITEMS:
        divided = split_by_items(bill, parts or [])
    else:
        divided = split_by_seats(bill, seats)
    drop_split(order)
    _write(order, kind, divided, by=by)
    return _changed(order, "order.split", is_split=True, by=by)


@transaction.atomic(savepoint=False)
def unsplit_bill(order_id: UUID, *, seen_version: int, by: Staff) -> Order:
    """Make one bill of it again. What was paid of its parts stays paid, on the bill.

    Raises VersionChanged, NotSplit, MoneyReserved.
    """
    order = lock_open(order_id, seen_version)
    if not order.is_split:
        raise NotSplit
    if order.reserved_minor:
        raise MoneyReserved
    drop_split(order)
    return _changed(order, "order.unsplit", is_split=False, by=by)


def bill_of(order: Order) -> Bill:
    """An order, loaded with_details(), as what is divided."""
    return Bill(
        total_minor=order.total_minor,
        tax_lines=order.tax_lines,
        service_charge_minor=order.service_charge_minor,
        lines=[
            Line(str(line.pk), line.name, line.quantity, line.total_minor, line.tax_percent, line.seat)
            for line in order.lines
            if line.status != OrderItem.Status.VOIDED
        ],
    )


def _write(order: Order, kind: str, parts: Sequence[Part], *, by: Staff) -> None:
    split = BillSplit.objects.create(
        order=order,
        kind=kind,
        total_minor=sum(part.amount_minor for part in parts),
        split_by_id=by.membership_id,
        split_at=timezone.now(),
    )
    BillPart.objects.bulk_create(
        BillPart(
            split=split,
            number=number,
            label=part.label,
            seat=part.seat,
            amount_minor=part.amount_minor,
            service_charge_minor=part.service_charge_minor,
            tax_lines=part.tax_lines,
            items=part.items,
        )
        for number, part in enumerate(parts, start=1)
    )


def _changed(order: Order, event: str, *, is_split: bool, by: Staff) -> Order:
    Order.objects.filter(pk=order.pk).update(is_split=is_split, version=F("version") + 1)
    order = Order.objects.with_details().get(pk=order.pk)
    record_event(event, order.pk, order_payload(order), actor=by.actor)
    return order
