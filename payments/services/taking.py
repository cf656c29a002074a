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
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Membership
from accounts.staff import Staff
from fynlo.events.log import record_event
from fynlo.money import format_money
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id
from orders.errors import AmountNotDue, NoSuchOrder, OrderNotOpen
from orders.models import Order
from orders.services import money, ordering
from orders.services.rows import new_row
from payments import books
from payments.errors import NoReceipt, PaymentIdReused, TenderedTooLittle
from payments.models import PaymentAttempt, PaymentIntent, Receipt
from payments.payloads import payment_payload, receipt_payload
from payments.providers import ChargeRequest, Snapshot
from payments.providers.cash import take_cash
from payments.receipts import receipt_content
from payments.rows import insert_rows
from restaurants.models import Restaurant
from restaurants.services import next_number

from . import drawers


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
    payment (`is_repeat`). `at` imports a payment of the past, by the right that importing orders asks; it
    went into no drawer of now. Raises NoSuchOrder, OrderNotOpen, AmountNotDue, TenderedTooLittle,
    DrawerNotOpen and PaymentIdReused.
    """
    order = _lock(order_id)
    asked = [order_id, PaymentIntent.Method.CASH, amount_minor, tendered_minor, tip_minor, at]
    request_hash = hashlib.sha256(orjson.dumps(asked)).hexdigest()
    is_known, has_drawers = _look_up(client_key)
    if is_known:
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
    moment = at or timezone.now()
    session = drawers.cash_session_for(by) if has_drawers and at is None else None
    payment = new_row(
        PaymentIntent,
        related={"order": order, "taken_by": Membership(id=by.membership_id, name=by.name)},
        id=client_key,
        restaurant_id=by.restaurant_id,
        client_key=client_key,
        request_hash=request_hash,
        order_id=order.pk,
        method=PaymentIntent.Method.CASH,
        amount_minor=amount,
        tip_minor=tip_minor,
        tendered_minor=tendered,
        change_minor=tendered - amount - tip_minor,
        business_date=order.business_date,
        taken_by_id=by.membership_id,
        device_id=by.device_id,
        drawer_session_id=session.pk if session else None,
        created_at=moment,
    )
    attempt = reserve(payment, provider="cash")
    if session:
        drawers.record_cash_sale(session, payment)
    charge = ChargeRequest(attempt.pk, amount, tip_minor, order.currency)
    return settle(attempt, take_cash(charge), at=moment, actor=by.actor)


@transaction.atomic(savepoint=False)
def reserve(payment: PaymentIntent, *, provider: str) -> PaymentAttempt:
    """Set the payment's amount aside on its order and begin the first attempt to take it.

    Raises AmountNotDue where another payment is taking it, and OrderNotOpen.
    """
    money.reserve(payment.order_id, payment.amount_minor)
    attempt = new_row(
        PaymentAttempt,
        related={"intent": payment},
        id=uuid7(),
        restaurant_id=payment.restaurant_id,
        intent_id=payment.pk,
        provider=provider,
        created_at=payment.created_at,
    )
    insert_rows([payment])
    insert_rows([attempt])
    return attempt


# Money that becomes known after the Z report of its day is today's.
SETTLE = f"""
    WITH attempt AS (
        UPDATE payments_paymentattempt SET state = 'captured', settled_at = %(at)s
         WHERE restaurant_id = %(restaurant)s AND id = %(attempt)s AND state = ANY(%(open)s)
        RETURNING intent_id
    ), today AS ({books.TODAY})
    UPDATE payments_paymentintent p
       SET state = 'paid', settled_at = %(at)s, captured_minor = p.captured_minor + %(captured)s,
           tip_captured_minor = p.tip_captured_minor + %(tip)s,
           business_date = CASE WHEN p.business_date <= today.closed_through THEN today.business_date
                                ELSE p.business_date END
      FROM attempt, today WHERE p.restaurant_id = %(restaurant)s AND p.id = attempt.intent_id
    RETURNING p.state, p.settled_at, p.captured_minor, p.tip_captured_minor, p.business_date
"""  # noqa: S608


@transaction.atomic(savepoint=False)
def settle(
    attempt: PaymentAttempt, snapshot: Snapshot, *, at: datetime.datetime, actor: dict[str, Any]
) -> PaymentIntent:
    """Record what the provider says became of an attempt: once, however often and by whomever it is told.

    It is a fact by now, so nothing here refuses it, whatever has become of the order meanwhile.
    """
    payment = attempt.intent
    order = _lock(payment.order_id)
    with connection.cursor() as cursor:
        cursor.execute(
            SETTLE,
            {
                "restaurant": payment.restaurant_id,
                "attempt": attempt.pk,
                "open": list(PaymentAttempt.OPEN_STATES),
                "captured": snapshot.captured_minor,
                "tip": snapshot.tip_minor,
                "at": at,
            },
        )
        row = cursor.fetchone()
    if row is None:  # settled before
        return PaymentIntent.objects.with_details().get(pk=payment.pk)
    payment.state, payment.settled_at, payment.captured_minor, payment.tip_captured_minor = row[:4]
    payment.business_date = row[4]
    money.settle(order.pk, reserved_minor=payment.amount_minor, captured_minor=snapshot.captured_minor)
    order.captured_minor += snapshot.captured_minor
    payment.order = order
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


LOCK = """
    SELECT id, number, status, currency, business_date, total_minor, reserved_minor, captured_minor,
           refunded_minor, opened_at
      FROM orders_order WHERE restaurant_id = %s AND id = %s FOR UPDATE
"""


def _lock(order_id: UUID) -> Order:
    """The order, locked until the transaction ends, with no more than payments look at."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [require_restaurant_id(), order_id])
        row = cursor.fetchone()
        if row is None:
            raise NoSuchOrder
        names = [column.name for column in cursor.description]
    return new_row(Order, **dict(zip(names, row, strict=True)))


LOOK_UP = """
    SELECT EXISTS (SELECT FROM payments_paymentintent
                    WHERE restaurant_id = %(restaurant)s AND client_key = %(key)s),
           EXISTS (SELECT FROM payments_cashdrawer WHERE restaurant_id = %(restaurant)s AND is_active)
"""


def _look_up(client_key: UUID) -> tuple[bool, bool]:
    """Whether a payment has this key already, and whether the restaurant keeps its cash in drawers."""
    with connection.cursor() as cursor:
        cursor.execute(LOOK_UP, {"restaurant": require_restaurant_id(), "key": client_key})
        is_known, has_drawers = cursor.fetchone()
    return is_known, has_drawers


def _repeated(client_key: UUID, request_hash: str) -> PaymentIntent:
    """The payment of an earlier request, where this one asks for the same."""
    payment = PaymentIntent.objects.with_details().get(client_key=client_key)
    if payment.request_hash != request_hash:
        raise PaymentIdReused(field="id")
    payment.is_repeat = True
    return payment
