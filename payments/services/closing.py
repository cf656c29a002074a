"""Closing bills: the sale is booked, the receipt is issued."""

import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.staff import Staff
from fynlo.events.log import record_event
from fynlo.tenancy.scope import require_restaurant_id
from orders.errors import NoSuchOrder, OrderNotOpen
from orders.models import Order
from orders.services import ordering
from payments import books
from payments.errors import NoReceipt
from payments.models import PaymentIntent, Receipt
from payments.payloads import receipt_payload
from payments.receipts import receipt_content
from restaurants.models import Restaurant
from restaurants.services import next_number


@transaction.atomic(savepoint=False)
def close_and_issue_receipt(order_id: UUID, *, by: Staff, at: datetime.datetime | None = None) -> Receipt:
    """Close a bill that is paid in full, book its sale and issue its receipt, with the next number.

    A refusal gives the number back, so numbers have no gaps. `at` imports the closing of a past order.
    Raises NoSuchOrder, OrderNotOpen and what `close_order` raises.
    """
    # The order is closed, and its event recorded, after the work: the log's head is locked last.
    try:
        order = Order.objects.lock(order_id)
    except Order.DoesNotExist as error:
        raise NoSuchOrder from error
    if order.status != Order.Status.OPEN:
        raise OrderNotOpen(order.number, order.status)
    moment = at or timezone.now()
    books.book_sale(order, at=moment)
    restaurant = Restaurant.objects.get(pk=require_restaurant_id())
    payments = PaymentIntent.objects.with_details().paid().filter(order=order_id).order_by("settled_at", "id")
    number = next_number("receipt")
    receipt = Receipt.objects.create(
        order=order,
        number=number,
        content=receipt_content(restaurant, order, payments, number=number, issued_at=moment),
        issued_at=moment,
    )
    receipt.order = ordering.close_order(order_id, at=at, by=by)
    record_event("receipt.issued", receipt.pk, receipt_payload(receipt), actor=by.actor)
    return receipt


def print_receipt(order_id: UUID) -> tuple[Receipt, bool]:
    """The receipt, and whether it was printed before: then this is a copy and has to say so.

    Raises NoReceipt.
    """
    receipt = Receipt.objects.filter(order=order_id).first()
    if receipt is None:
        raise NoReceipt
    is_first = Receipt.objects.filter(pk=receipt.pk, printed_at=None).update(printed_at=timezone.now())
    return receipt, not is_first
