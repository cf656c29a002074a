"""The one door by which payments changes what an order says of money.

Each is a single UPDATE, so that two payments at once cannot both take what is due once. Taking money is
a fact: `settle` and `release` record it whatever state the order is in and never refuse.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest

from orders.errors import AmountNotDue, NoSuchOrder, OrderNotOpen
from orders.models import Order


@transaction.atomic(savepoint=False)
def reserve(order_id: UUID, amount_minor: int) -> None:
    """Set an amount aside for a payment that is under way.

    Raises OrderNotOpen, or AmountNotDue with what is still due and not set aside by another payment.
    """
    if amount_minor <= 0:
        raise ValueError("Reserve a positive amount.")
    unclaimed = F("total_minor") - F("captured_minor") + F("refunded_minor") - F("reserved_minor")
    open_order = Order.objects.open().filter(pk=order_id)
    due = open_order.annotate(unclaimed_minor=unclaimed).filter(unclaimed_minor__gte=amount_minor)
    if _update(due, reserved_minor=F("reserved_minor") + amount_minor):
        return
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise NoSuchOrder
    if order.status != Order.Status.OPEN:
        raise OrderNotOpen(order.number, order.status)
    raise AmountNotDue(order.balance_due_minor - order.reserved_minor)


@transaction.atomic(savepoint=False)
def settle(order_id: UUID, *, reserved_minor: int, captured_minor: int) -> None:
    """Record that a payment took `captured_minor` and free the amount that was set aside for it."""
    _update(
        Order.objects.filter(pk=order_id),
        reserved_minor=Greatest(F("reserved_minor") - reserved_minor, 0),
        captured_minor=F("captured_minor") + captured_minor,
    )


@transaction.atomic(savepoint=False)
def release(order_id: UUID, amount_minor: int) -> None:
    """Free an amount that was set aside for a payment which took nothing."""
    settle(order_id, reserved_minor=amount_minor, captured_minor=0)


def _update(orders: QuerySet[Order], **values: object) -> int:
    return orders.update(version=F("version") + 1, **values)
