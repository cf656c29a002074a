"""Taking money that is there once the waiter says so: cash, and what their own card machine took.

The machine is the same as for cards: reserve a part of the balance, have the money moved, settle. With
nobody to ask over the network it is one transaction. Rows are locked in this order: order, payment,
attempt.

A till without a connection cannot ask; what it took (`taken_offline_at`) is told later and is a fact. It is
recorded whatever became of the order meanwhile, on the order's business day or, where that is closed, on
the day it is known. What is too much then is an `overpaid` issue, and goes back by a refund.
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
from fynlo.errors import InvalidInput
from fynlo.money import format_money
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id
from orders.errors import AmountNotDue, OrderNotOpen
from orders.models import BillPart, Order
from orders.services import money, opening
from orders.services.rows import new_row
from payments import metrics
from payments.errors import PaymentIdReused, TenderedTooLittle
from payments.errors_cash import DrawerNotOpen
from payments.models import DrawerSession, PaymentAttempt, PaymentIntent, Provider, ReconciliationIssue
from payments.providers import Outcome, Snapshot
from payments.rows import insert_rows

from . import drawers
from .issues import raise_issue
from .rows import lock_order
from .settling import settle


@transaction.atomic(savepoint=False)
def pay_cash(
    order_id: UUID,
    *,
    client_key: UUID,
    amount_minor: int | None = None,
    tendered_minor: int | None = None,
    tip_minor: int = 0,
    part_id: UUID | None = None,
    by: Staff,
    at: datetime.datetime | None = None,
    taken_offline_at: datetime.datetime | None = None,
) -> PaymentIntent:
    """Take cash towards an open bill, at most what is due; change is what was tendered beyond it and the tip.

    Without an amount it is all that is due; without a tender it is the exact money. `client_key`, the
    till's id of the tap, becomes the payment's id: repeated with the same content it answers with that
    payment (`is_repeat`). `at` imports a payment of the past, by the right that importing orders asks; it
    went into no drawer of now. Raises NoSuchOrder, OrderNotOpen, AmountNotDue, TenderedTooLittle,
    DrawerNotOpen and PaymentIdReused; of what was taken offline, which needs an amount, only NoSuchOrder,
    TenderedTooLittle and PaymentIdReused.
    """
    order = lock_order(order_id)
    method = PaymentIntent.Method.CASH
    asked = [order_id, method, amount_minor, tendered_minor, tip_minor, part_id, at]
    request_hash = hashlib.sha256(orjson.dumps(asked)).hexdigest()
    is_known, has_drawers = _look_up(client_key)
    if is_known:
        fact = _fact(order_id, method, amount_minor, tip_minor) if taken_offline_at else None
        return _repeated(client_key, request_hash, fact)
    if taken_offline_at is not None:
        amount, part_id = _taken(order, amount_minor, part_id)
        session = _drawer_then(by, taken_offline_at) if has_drawers else None
    else:
        amount = _amount(order, amount_minor, part_id)
        session = drawers.cash_session_for(by) if has_drawers and at is None else None
    if at is not None:
        opening.check_import(at, field="paid_at", earliest=order.opened_at, by=by)
    tendered = amount + tip_minor if tendered_minor is None else tendered_minor
    if tendered < amount + tip_minor:
        wanted = format_money(amount + tip_minor, order.currency)
        raise TenderedTooLittle(f"This is less than {wanted}.", field="tendered_minor")
    return _take(
        order,
        session=session,
        is_in_no_drawer=taken_offline_at is not None and has_drawers and session is None,
        provider=Provider.CASH,
        by=by,
        client_key=client_key,
        request_hash=request_hash,
        method=method,
        amount_minor=amount,
        tip_minor=tip_minor,
        part_id=part_id,
        tendered_minor=tendered,
        change_minor=tendered - amount - tip_minor,
        taken_offline_at=taken_offline_at,
        created_at=at or timezone.now(),
    )


@transaction.atomic(savepoint=False)
def pay_external(
    order_id: UUID,
    *,
    client_key: UUID,
    amount_minor: int | None = None,
    tip_minor: int = 0,
    reference: str,
    part_id: UUID | None = None,
    by: Staff,
    taken_offline_at: datetime.datetime | None = None,
) -> PaymentIntent:
    """Record what the restaurant's own card machine took, by the reference on its slip.

    Also the way out while a provider is away: its own app takes the card, and reconciling finds it by the
    reference later. Raises NoSuchOrder, OrderNotOpen, AmountNotDue and PaymentIdReused; of what was taken
    offline, which needs an amount, only NoSuchOrder and PaymentIdReused.
    """
    order = lock_order(order_id)
    method = PaymentIntent.Method.EXTERNAL
    asked = [order_id, method, amount_minor, tip_minor, reference, part_id]
    request_hash = hashlib.sha256(orjson.dumps(asked)).hexdigest()
    fact = _fact(order_id, method, amount_minor, tip_minor, reference) if taken_offline_at else None
    if repeat := find_repeat(client_key, request_hash, fact):
        return repeat
    if taken_offline_at is not None:
        amount, part_id = _taken(order, amount_minor, part_id)
    else:
        amount = _amount(order, amount_minor, part_id)
    return _take(
        order,
        session=None,
        provider=Provider.EXTERNAL,
        by=by,
        client_key=client_key,
        request_hash=request_hash,
        method=method,
        amount_minor=amount,
        tip_minor=tip_minor,
        part_id=part_id,
        reference=reference,
        taken_offline_at=taken_offline_at,
        created_at=timezone.now(),
    )


def find_repeat(
    client_key: UUID, request_hash: str, fact: dict[str, Any] | None = None
) -> PaymentIntent | None:
    """The payment of an earlier request with this key, if there was one. Raises PaymentIdReused."""
    return _repeated(client_key, request_hash, fact) if _look_up(client_key)[0] else None


def _amount(order: Order, amount_minor: int | None, part_id: UUID | None) -> int:
    """How much of what is due on the order, or on the part, is to be taken."""
    if order.status != Order.Status.OPEN:
        raise OrderNotOpen(order.number, order.status)
    due = money.due_minor(order, part_id)
    amount = due if amount_minor is None else amount_minor
    if not 0 < amount <= due:
        raise AmountNotDue(due)
    return amount


def _taken(order: Order, amount_minor: int | None, part_id: UUID | None) -> tuple[int, UUID | None]:
    """What a till took offline, and of which part, unless the bill is no longer divided like that."""
    if amount_minor is None or amount_minor <= 0:
        raise InvalidInput("Say how much was taken.", field="amount_minor")
    is_there = part_id and BillPart.objects.filter(pk=part_id, split__order=order.pk).exists()
    return amount_minor, part_id if is_there else None


def _drawer_then(by: Staff, taken_offline_at: datetime.datetime) -> DrawerSession | None:
    """The open session that cash of then is in: none, where the drawer was counted since.

    No count is rewritten: it had the cash in it, and said so as a difference. Nor does it go into the
    session of now, which never held it and would come out short.
    """
    try:
        session = drawers.cash_session_for(by)
    except DrawerNotOpen:
        return None
    counts = DrawerSession.objects.filter(status=DrawerSession.Status.CLOSED, closed_at__gt=taken_offline_at)
    return None if session is None or counts.filter(drawer=session.drawer_id).exists() else session


def _take(
    order: Order,
    *,
    session: DrawerSession | None,
    is_in_no_drawer: bool = False,
    provider: str,
    by: Staff,
    **columns: Any,
) -> PaymentIntent:
    payment = new_row(
        PaymentIntent,
        related={"order": order, "taken_by": Membership(id=by.membership_id, name=by.name)},
        id=columns["client_key"],
        restaurant_id=by.restaurant_id,
        order_id=order.pk,
        business_date=order.business_date,
        taken_by_id=by.membership_id,
        device_id=by.device_id,
        drawer_session_id=session.pk if session else None,
        **columns,
    )
    attempt = _reserve(payment, provider=provider)
    if session:
        drawers.record_cash_sale(session, payment)
    if is_in_no_drawer:
        raise_issue(
            ReconciliationIssue.Kind.CASH_WITHOUT_DRAWER,
            f"payment:{payment.pk}",
            detail="Taken offline; its drawer was counted before this was known, or is not open.",
            order_id=order.pk,
            payment_id=payment.pk,
            ours_minor=payment.amount_minor + payment.tip_minor,
            currency=order.currency,
        )
    taken = Snapshot(Outcome.SUCCEEDED, payment.amount_minor, payment.tip_minor)
    return settle(attempt, taken, at=payment.created_at, actor=by.actor)


def _reserve(payment: PaymentIntent, *, provider: str) -> PaymentAttempt:
    """Set the payment's amount aside on its order and begin the attempt to take it."""
    reserve = money.set_aside if payment.taken_offline_at else money.reserve
    reserve(payment.order_id, payment.amount_minor, part_id=payment.part_id)
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
    method = payment.method
    transaction.on_commit(lambda: metrics.ATTEMPTS.labels(provider, method, "live").inc(), robust=True)
    return attempt


def _fact(
    order_id: UUID, method: str, amount_minor: int | None, tip_minor: int, reference: str = ""
) -> dict[str, Any]:
    """What a till tells of a payment, perhaps of one that it had asked for before the connection was lost."""
    return {
        "order_id": order_id,
        "method": method,
        "amount_minor": amount_minor,
        "tip_minor": tip_minor,
        "reference": reference,
    }


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


def _repeated(client_key: UUID, request_hash: str, fact: dict[str, Any] | None = None) -> PaymentIntent:
    """The payment of an earlier request, where this one asks for the same, or tells the same fact."""
    payment = PaymentIntent.objects.with_details().get(client_key=client_key)
    is_told = fact is not None and all(getattr(payment, name) == value for name, value in fact.items())
    if payment.request_hash != request_hash and not is_told:
        raise PaymentIdReused(field="id")
    payment.is_repeat = True
    return payment
