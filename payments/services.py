"""Taking money and closing bills.

The machine is the same for every provider: reserve a part of the balance, let the provider move the
money, settle by its answer. With cash that is one transaction; a provider who is asked over the
network is asked between two. Rows are locked in this order: order, payment, attempt.
"""

import datetime
import hashlib
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction
from django.utils import timezone

from accounts.models import Membership
from accounts.staff import Staff
from fynlo.events.log import record_event
from fynlo.money import format_money
from fynlo.tenancy.scope import require_restaurant_id
from orders.errors import AmountNotDue, NoSuchOrder, OrderNotOpen
from orders.models import Order
from orders.services import money, ordering
from restaurants.models import Restaurant
from restaurants.services import next_number

from . import books
from .errors import NoReceipt, PaymentIdReused, TenderedTooLittle
from .models import PaymentAttempt, PaymentIntent, Receipt
from .payloads import payment_payload, receipt_payload
from .providers import PROVIDERS, ChargeRequest, Snapshot
from .receipts import receipt_content


@transaction.atomic(savepoint=False)
def pay_cash(
    order_id: UUID,
    *,
    client_key: UUID,
    amount_minor: int | None = None,
    tendered_minor: int | None = None,
    tip_minor: int = 0,
    by: Staff,
    at: datetime.datetime | None = None,
) -> PaymentIntent:
    """Take cash towards an open bill, at most what is due; change is what was tendered beyond it and the tip.

    Without an amount it is all that is due; without a tender it is the exact money. `client_key`, the
    till's id of the tap, becomes the payment's id: repeated with the same content it answers with that
    payment (`is_repeat`). `at` imports a payment of the past, by the right that importing orders asks.
    Raises NoSuchOrder, OrderNotOpen, AmountNotDue, TenderedTooLittle and PaymentIdReused.
    """
    order = _lock(order_id)
    asked = [order_id, PaymentIntent.Method.CASH, amount_minor, tendered_minor, tip_minor, at]
    request_hash = hashlib.sha256(orjson.dumps(asked)).hexdigest()
    if PaymentIntent.objects.filter(client_key=client_key).exists():
        return _repeated(client_key, request_hash)
    if order.status != Order.Status.OPEN:
        raise OrderNotOpen(order.number, order.status)
    if at is not None:
        ordering.check_import(at, field="paid_at", earliest=order.opened_at, by=by)
    due = order.balance_due_minor - order.reserved_minor
    amount = due if amount_minor is None else amount_minor
    if not 0 < amount <= due:
        raise AmountNotDue(due)
    tendered = amount + tip_minor if tendered_minor is None else tendered_minor
    if tendered < amount + tip_minor:
        wanted = format_money(amount + tip_minor, order.currency)
        raise TenderedTooLittle(f"This is less than {wanted}.", field="tendered_minor")
    payment = PaymentIntent(
        id=client_key,
        client_key=client_key,
        request_hash=request_hash,
        order=order,
        method=PaymentIntent.Method.CASH,
        amount_minor=amount,
        tip_minor=tip_minor,
        tendered_minor=tendered,
        change_minor=tendered - amount - tip_minor,
        business_date=order.business_date,
        taken_by=Membership(id=by.membership_id, name=by.name),
        device_id=by.device_id,
        created_at=at or timezone.now(),
    )
    attempt = reserve(payment, provider="cash")
    charge = ChargeRequest(attempt.pk, amount, tip_minor, order.currency)
    return settle(attempt, PROVIDERS["cash"].execute(charge), at=payment.created_at, actor=by.actor)


def reserve(payment: PaymentIntent, *, provider: str) -> PaymentAttempt:
    """Set the payment's amount aside on its order and begin the first attempt to take it.

    Raises AmountNotDue where another payment is taking it, and OrderNotOpen.
    """
    money.reserve(payment.order_id, payment.amount_minor)
    payment.save(force_insert=True)
    return PaymentAttempt.objects.create(intent=payment, provider=provider, created_at=payment.created_at)


@transaction.atomic(savepoint=False)
def settle(
    attempt: PaymentAttempt, snapshot: Snapshot, *, at: datetime.datetime, actor: dict[str, Any]
) -> PaymentIntent:
    """Record what the provider says became of an attempt: once, however often and by whomever it is told.

    It is a fact by now, so nothing here refuses it, whatever has become of the order meanwhile.
    """
    order = _lock(attempt.intent.order_id)
    attempt = PaymentAttempt.objects.lock(attempt.pk)
    payment = attempt.intent
    payment.order = order
    if attempt.state not in PaymentAttempt.OPEN_STATES:
        return payment
    attempt.state = PaymentAttempt.State.CAPTURED
    attempt.settled_at = at
    attempt.save(update_fields=["state", "settled_at"])
    payment.state = PaymentIntent.State.PAID
    payment.captured_minor += snapshot.captured_minor
    payment.tip_captured_minor += snapshot.tip_minor
    payment.settled_at = at
    payment.save(update_fields=["state", "captured_minor", "tip_captured_minor", "settled_at"])
    money.settle(order.pk, reserved_minor=payment.amount_minor, captured_minor=snapshot.captured_minor)
    order.refresh_from_db(fields=["version", "reserved_minor", "captured_minor", "refunded_minor"])
    books.book_capture(order, attempt, captured=snapshot.captured_minor, tip=snapshot.tip_minor, at=at)
    record_event("payment.captured", payment.pk, payment_payload(payment), actor=actor)
    return payment


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
    payments = PaymentIntent.objects.paid().filter(order=order_id).order_by("settled_at", "id")
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


def _lock(order_id: UUID) -> Order:
    order = Order.objects.select_for_update().filter(pk=order_id).first()
    if order is None:
        raise NoSuchOrder
    return order


def _repeated(client_key: UUID, request_hash: str) -> PaymentIntent:
    """The payment of an earlier request, where this one asks for the same."""
    payment = PaymentIntent.objects.with_details().get(client_key=client_key)
    if payment.request_hash != request_hash:
        raise PaymentIdReused(field="id")
    payment.is_repeat = True
    return payment
