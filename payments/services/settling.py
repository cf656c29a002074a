"""What became of an attempt: recorded once, however often, in whatever order and by whomever it is told.

Nothing here refuses a fact. Money that a provider reports is booked whatever has become of the order, or
of the attempt, meanwhile; what it makes too much is an issue for a person.
"""

import datetime
import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Sum
from django.db.models.functions import Now
from django.utils import timezone

from fynlo.events.log import NewEvent, record_events
from fynlo.tenancy.scope import require_restaurant_id
from orders.models import BillPart, Order
from orders.services import money
from payments import books, metrics
from payments.errors import CaptureUnderWay, PaymentNotAuthorized
from payments.models import (
    Dispute,
    PaymentAttempt,
    PaymentIntent,
    Provider,
    ReconciliationIssue,
    Refund,
)
from payments.payloads import payment_payload
from payments.providers.base import DisputeSnapshot, Outcome, Snapshot
from payments.providers.errors import ProviderError
from payments.providers.transport import IN_FLIGHT_SECONDS
from payments.tasks import sweep_soon

from .issues import raise_again, raise_issue, resolve_issue
from .rows import lock_order

logger = logging.getLogger(__name__)

State = PaymentAttempt.State
Kind = ReconciliationIssue.Kind

GIVEN_BACK = "It was given back."
THE_SYSTEM = {"membership": None, "name": "Fynlo", "device": None}

# How long a guest has, by method, before an attempt is given up: seconds.
PATIENCE = {
    PaymentIntent.Method.CARD_PRESENT: 150,
    PaymentIntent.Method.CARD_ONLINE: 15 * 60,
    PaymentIntent.Method.LINK: 24 * 60 * 60,
}
# When the provider is asked again, by how often it was: seconds, the last one over and over.
UNKNOWN_CHECKS = (5, 15, 60, 300, 1800, 3600)
WAITING_CHECKS = (4, 4, 4, 4, 8, 8, 15, 15, 30, 60)
AUTHORIZED_CHECK_SECONDS = 3600
CAPTURE_LEASE = datetime.timedelta(seconds=IN_FLIGHT_SECONDS)

# The attempt's row is read before it is changed, so that the one statement also tells what it was. A tap
# may be reported for an attempt that was given up before: it took money, so it is captured all the same.
SETTLE = f"""
    WITH before AS (
        SELECT id, intent_id, state, settled_at IS NULL AS was_open FROM payments_paymentattempt
         WHERE restaurant_id = %(restaurant)s AND id = %(attempt)s AND state <> 'captured'
    ), settled AS (
        UPDATE payments_paymentattempt a
           SET state = 'captured', settled_at = %(at)s, next_check_at = NULL, next_action = '{{}}',
               provider_ref = coalesce(nullif(%(ref)s, ''), a.provider_ref), error_class = '',
               provider_code = '', card_brand = %(brand)s, card_last4 = %(last4)s,
               fee_minor = coalesce(%(fee)s::bigint, a.fee_minor)
          FROM before WHERE a.restaurant_id = %(restaurant)s AND a.id = before.id
    ), today AS ({books.TODAY})
    UPDATE payments_paymentintent p
       SET state = 'paid', settled_at = %(at)s, captured_minor = p.captured_minor + %(captured)s,
           tip_captured_minor = p.tip_captured_minor + %(tip)s,
           business_date = CASE WHEN p.business_date <= today.closed_through THEN today.business_date
                                ELSE p.business_date END
      FROM before, today WHERE p.restaurant_id = %(restaurant)s AND p.id = before.intent_id
    RETURNING p.state, p.settled_at, p.captured_minor, p.tip_captured_minor, p.business_date,
              before.state, before.was_open
"""  # noqa: S608


@transaction.atomic(savepoint=False)
def settle(
    attempt: PaymentAttempt, snapshot: Snapshot, *, at: datetime.datetime, actor: dict[str, Any]
) -> PaymentIntent:
    """Record that an attempt took money: once, however often and by whomever it is told."""
    order = lock_order(attempt.intent.order_id)
    is_second = attempt.account_id is not None and _took_another(attempt)
    if is_second:
        attempt.intent = _payment_of_its_own(attempt)
    payment = attempt.intent
    with connection.cursor() as cursor:
        cursor.execute(
            SETTLE,
            {
                "restaurant": payment.restaurant_id,
                "attempt": attempt.pk,
                "ref": snapshot.provider_ref,
                "brand": snapshot.card_brand[:20],
                "last4": snapshot.card_last4[:4],
                "fee": snapshot.fee_minor,
                "captured": snapshot.captured_minor,
                "tip": snapshot.tip_minor,
                "at": at,
            },
        )
        row = cursor.fetchone()
    if row is None:  # settled before
        return PaymentIntent.objects.with_details().get(pk=payment.pk)
    payment.state, payment.settled_at, payment.captured_minor, payment.tip_captured_minor = row[:4]
    payment.business_date, was, was_open = row[4:]
    money.settle(
        order.pk,
        reserved_minor=payment.amount_minor if was_open else 0,
        captured_minor=snapshot.captured_minor,
        part_id=payment.part_id,
    )
    order.captured_minor += snapshot.captured_minor
    order.reserved_minor -= payment.amount_minor if was_open else 0
    payment.order = order
    attempt.state, attempt.settled_at, attempt.next_action = State.CAPTURED, at, {}
    attempt.card_brand, attempt.card_last4 = snapshot.card_brand[:20], snapshot.card_last4[:4]
    attempt.provider_ref = snapshot.provider_ref or attempt.provider_ref
    payment.tries = [attempt]
    books.book_capture(order, attempt, captured=snapshot.captured_minor, tip=snapshot.tip_minor, at=at)
    if attempt.provider != Provider.CASH or payment.taken_offline_at:
        _look_at_capture(order, payment, attempt, snapshot, was=was, is_second=is_second)
    if not was_open or payment.taken_offline_at or snapshot.captured_minor > payment.amount_minor:
        _give_up_what_is_paid(order, payment, actor=actor)
    transaction.on_commit(lambda: _count_success(attempt, payment.method, was), robust=True)
    record_events([NewEvent("payment.captured", payment.pk, payment_payload(payment))], actor=actor)
    return payment


@transaction.atomic(savepoint=False)
def record(attempt_id: UUID, snapshot: Snapshot, *, actor: dict[str, Any] | None = None) -> PaymentAttempt:
    """Bring an attempt to what its provider says of it now. Refunds and disputes of it come along."""
    actor = actor or THE_SYSTEM
    attempt = lock_attempt(attempt_id)
    match snapshot.outcome:
        case Outcome.SUCCEEDED:
            settle(attempt, snapshot, at=timezone.now(), actor=actor)
            adopt(attempt, snapshot)
        case _ if not attempt.is_open:
            pass  # what was definite stays so; only money can still be reported
        case Outcome.DECLINED:
            _end(attempt, State.FAILED, actor, error_class="declined", code=snapshot.code)
        case Outcome.CANCELED if attempt.error_class == "declined":
            _end(attempt, State.FAILED, actor, error_class="declined", code=attempt.provider_code)
        case Outcome.CANCELED | Outcome.NOT_FOUND:
            was_asked = attempt.state == State.CANCEL_PENDING
            _end(attempt, State.CANCELED if was_asked else State.EXPIRED, actor, code=snapshot.code)
        case Outcome.AUTHORIZED:
            _wait(attempt, State.AUTHORIZED, snapshot, actor, seconds=AUTHORIZED_CHECK_SECONDS)
        case Outcome.REQUIRES_ACTION | Outcome.PAYABLE:
            _wait(attempt, State.REQUIRES_ACTION, snapshot, actor, seconds=_waiting_seconds(attempt))
        case Outcome.PENDING:
            _wait(attempt, attempt.state, snapshot, actor, seconds=_waiting_seconds(attempt))
    return attempt


@transaction.atomic(savepoint=False)
def record_submitted(attempt_id: UUID, provider_ref: str) -> bool:
    """Save by what name the provider knows the attempt, before anything is asked that may move money.

    Returns False where it was given up meanwhile: then nothing may be asked any more.
    """
    attempt = lock_attempt(attempt_id)
    goes_on = attempt.state == State.CREATED
    if goes_on:
        attempt.state, attempt.sent_at = State.SUBMITTED, timezone.now()
    attempt.provider_ref = provider_ref or attempt.provider_ref
    attempt.save(update_fields=["state", "provider_ref", "sent_at"])
    return goes_on


@transaction.atomic(savepoint=False)
def record_capturing(attempt_id: UUID, amount_minor: int) -> PaymentAttempt | None:
    """Somebody is about to take what was authorised: nobody else does meanwhile.

    None where the same amount is being captured already. Whoever dies meanwhile holds it up for the
    `CAPTURE_LEASE`; then the provider is asked. Raises PaymentNotAuthorized and CaptureUnderWay.
    """
    attempt = lock_attempt(attempt_id)
    if attempt.state != State.AUTHORIZED:
        raise PaymentNotAuthorized
    row = PaymentAttempt.objects.filter(pk=attempt_id)
    if row.filter(request__has_key="capture_minor", lease_until__gt=Now()).exists():
        if attempt.request["capture_minor"] != amount_minor:
            raise CaptureUnderWay
        return None
    attempt.request = {**attempt.request, "capture_minor": amount_minor}
    until = Now() + CAPTURE_LEASE
    row.update(request=attempt.request, lease_until=until, next_check_at=until)
    return attempt


def record_not_captured(attempt_id: UUID) -> None:
    """The provider refused to capture: what is held stays so, to be captured later."""
    PaymentAttempt.objects.filter(pk=attempt_id, state=State.AUTHORIZED).update(
        lease_until=None, next_check_at=_later(UNKNOWN_CHECKS[0])
    )


@transaction.atomic(savepoint=False)
def record_failure(attempt_id: UUID, error: ProviderError) -> None:
    """A definite no: nothing was taken, and nothing will be."""
    attempt = lock_attempt(attempt_id)
    if attempt.is_open:
        _end(attempt, State.FAILED, THE_SYSTEM, error_class=error.error_class, code=error.code)


@transaction.atomic(savepoint=False)
def record_unknown(attempt_id: UUID, error: ProviderError | None = None) -> None:
    """Nobody knows what became of it: what is set aside stays so, and the provider is asked again."""
    attempt = lock_attempt(attempt_id)
    if not attempt.is_open:
        return
    if attempt.state != State.CANCEL_PENDING:
        attempt.state = State.UNKNOWN
    if error and attempt.error_class != "declined":  # what it was refused for outlasts a lost answer
        attempt.error_class, attempt.provider_code = error.error_class, error.code[:80]
    attempt.next_check_at = _later(UNKNOWN_CHECKS[min(attempt.checks, len(UNKNOWN_CHECKS) - 1)])
    attempt.lease_until = None
    attempt.save(update_fields=["state", "error_class", "provider_code", "next_check_at", "lease_until"])
    _tell(attempt, "payment.unknown", THE_SYSTEM)


@transaction.atomic(savepoint=False)
def record_not_seen(attempt_id: UUID) -> None:
    """A look failed while a guest has time to pay: that changes nothing, and is made up for soon."""
    attempt = lock_attempt(attempt_id)
    if attempt.is_open:
        attempt.next_check_at, attempt.lease_until = _later(_waiting_seconds(attempt)), None
        attempt.save(update_fields=["next_check_at", "lease_until"])


@transaction.atomic(savepoint=False)
def record_cancel_pending(
    attempt_id: UUID,
    *,
    actor: dict[str, Any] | None = None,
    decline_code: str | None = None,
    check_in_seconds: float = UNKNOWN_CHECKS[0],
) -> bool:
    """It is to be cancelled: go on watching it until the provider says that nobody can pay it any more.

    With a `decline_code` it failed by that, and ends so. Returns False where it is over already.
    """
    attempt = lock_attempt(attempt_id)
    if not attempt.is_open:
        return False
    attempt.state = State.CANCEL_PENDING
    attempt.next_check_at = _later(check_in_seconds)
    if decline_code is not None:
        attempt.error_class, attempt.provider_code = "declined", decline_code[:80]
    attempt.save(update_fields=["state", "next_check_at", "error_class", "provider_code"])
    _tell(attempt, "payment.changed", actor or THE_SYSTEM)
    return True


def adopt(attempt: PaymentAttempt, snapshot: Snapshot) -> None:
    """Take over what the provider says of the refunds and disputes of a charge that took money."""
    from .refunds import adopt_refund

    for refund in snapshot.refunds:
        adopt_refund(attempt, refund)
    _adopt_disputes(attempt, snapshot.disputes)
    if snapshot.fee_minor is not None and attempt.fee_minor != snapshot.fee_minor:
        PaymentAttempt.objects.filter(pk=attempt.pk).update(fee_minor=snapshot.fee_minor)
    if snapshot.fee_minor is not None:
        books.book_fee(attempt, fee=snapshot.fee_minor, at=timezone.now())
    platforms = snapshot.application_fee_minor
    if platforms is not None and (platforms or attempt.application_fee_minor):
        books.book_application_fee(attempt, fee=platforms, at=timezone.now())


def lock_attempt(attempt_id: UUID) -> PaymentAttempt:
    """The attempt with its payment; order, payment and attempt are locked, in this order."""
    attempt = PaymentAttempt.objects.select_related("intent").get(pk=attempt_id)
    lock_order(attempt.intent.order_id)
    PaymentIntent.objects.select_for_update().only("pk").get(pk=attempt.intent_id)
    PaymentAttempt.objects.select_for_update().only("pk").get(pk=attempt_id)
    return PaymentAttempt.objects.select_related("intent", "account", "terminal").get(pk=attempt_id)


def is_out_of_time(attempt: PaymentAttempt) -> bool:
    """Whether the guest has had the time there is to pay."""
    patience = PATIENCE.get(PaymentIntent.Method(attempt.intent.method), 0)
    return timezone.now() > attempt.created_at + datetime.timedelta(seconds=patience)


def _wait(
    attempt: PaymentAttempt, state: str, snapshot: Snapshot, actor: dict[str, Any], *, seconds: float
) -> None:
    """It goes on: remember what the guest has to do, and when to ask next."""
    if attempt.state == State.CANCEL_PENDING:  # it was authorised or is payable still: ask again
        state = State.CANCEL_PENDING
    next_action = dict(snapshot.next_action) or attempt.next_action
    changed = (attempt.state, attempt.next_action) != (state, next_action)
    was = attempt.state
    attempt.state = state
    attempt.provider_ref = snapshot.provider_ref or attempt.provider_ref
    attempt.next_action = next_action
    attempt.next_check_at = _later(seconds)
    attempt.lease_until = None
    if state != State.CANCEL_PENDING:
        attempt.error_class = attempt.provider_code = ""
    attempt.save(
        update_fields=[
            *["state", "provider_ref", "next_action", "next_check_at", "lease_until"],
            *["error_class", "provider_code"],
        ]
    )
    if was == State.UNKNOWN and state != was:
        metrics.UNKNOWN_RESOLVED.labels(attempt.provider, state).inc()
    if changed:
        _tell(attempt, "payment.changed", actor)


def _end(
    attempt: PaymentAttempt, state: str, actor: dict[str, Any], *, error_class: str = "", code: str = ""
) -> None:
    """It took nothing and never will: free what was set aside for it."""
    was = attempt.state
    payment = attempt.intent
    now = timezone.now()
    attempt.state, attempt.settled_at, attempt.next_check_at, attempt.next_action = state, now, None, {}
    attempt.error_class, attempt.provider_code = error_class, code[:80]
    attempt.save(
        update_fields=[
            *["state", "settled_at", "next_check_at", "next_action", "error_class", "provider_code"],
        ]
    )
    if payment.state != PaymentIntent.State.PAID:  # by an earlier attempt, whose money was reported late
        payment.state = PaymentIntent.State.FAILED if state == State.FAILED else PaymentIntent.State.CANCELED
        payment.settled_at = now
        payment.save(update_fields=["state", "settled_at"])
    money.release(payment.order_id, payment.amount_minor, part_id=payment.part_id)
    resolve_issue(Kind.UNKNOWN_TOO_LONG, f"attempt:{attempt.pk}", "The provider took nothing.")
    method, provider = payment.method, attempt.provider

    def count() -> None:
        metrics.FAILURES.labels(provider, method, error_class or state, code[:40]).inc()
        if was == State.UNKNOWN:
            metrics.UNKNOWN_RESOLVED.labels(provider, state).inc()

    transaction.on_commit(count, robust=True)
    _tell(attempt, "payment.failed" if state == State.FAILED else "payment.canceled", actor)


def _took_another(attempt: PaymentAttempt) -> bool:
    """Whether another attempt of the same tender took money before. Its order is locked."""
    others = PaymentAttempt.objects.filter(intent=attempt.intent_id, state=State.CAPTURED)
    return others.exclude(pk=attempt.pk).exists()


def _payment_of_its_own(attempt: PaymentAttempt) -> PaymentIntent:
    """The attempt's money as a payment beside the one it was meant for, which another attempt has taken.

    So each has its own amount, day, provider and refunds. It has the attempt's id for its own.
    """
    meant = attempt.intent
    payment = PaymentIntent.objects.create(
        id=attempt.pk,
        client_key=attempt.pk,
        order_id=meant.order_id,
        method=meant.method,
        amount_minor=meant.amount_minor,
        tip_minor=meant.tip_minor,
        part_id=meant.part_id,
        business_date=meant.business_date,
        taken_by_id=meant.taken_by_id,
        device_id=meant.device_id,
        created_at=attempt.created_at,
    )
    PaymentAttempt.objects.filter(pk=attempt.pk).update(intent=payment.pk)
    return payment


def _give_up_what_is_paid(order: Order, payment: PaymentIntent, *, actor: dict[str, Any]) -> None:
    """Money came in that nobody had set aside: what is still being asked for may be paid by now.

    Other attempts of the same payment are cancelled; then the newest, first those of the same part, until
    what is left fits the bill. They are watched until the provider says that nobody can pay them; should
    somebody pay all the same it is booked, and too much.
    """
    over = order.captured_minor - order.refunded_minor + order.reserved_minor - _total(order)
    claimed: dict[UUID | None, int] = {None: over}
    if part := BillPart.objects.filter(pk=payment.part_id).first() if payment.part_id else None:
        claimed[part.pk] = part.reserved_minor - part.balance_due_minor
    waiting = PaymentAttempt.objects.filter(intent__order=order.pk, settled_at=None).select_related("intent")
    for attempt in sorted(
        waiting.order_by("-created_at"),
        key=lambda each: (
            each.state != State.CANCEL_PENDING,
            each.intent_id != payment.pk,
            each.intent.part_id != payment.part_id,
        ),
    ):
        parts = {None, attempt.intent.part_id} & claimed.keys()
        is_paid = attempt.intent_id == payment.pk or any(claimed[each] > 0 for each in parts)
        if attempt.state != State.CANCEL_PENDING:
            if not is_paid:
                continue
            record_cancel_pending(attempt.pk, actor=actor, check_in_seconds=0)
        for each in parts:
            claimed[each] -= attempt.intent.amount_minor
    restaurant_id = require_restaurant_id()
    transaction.on_commit(lambda: sweep_soon(restaurant_id), robust=True)


def _look_at_capture(
    order: Order,
    payment: PaymentIntent,
    attempt: PaymentAttempt,
    snapshot: Snapshot,
    *,
    was: str,
    is_second: bool,
) -> None:
    """Name what is odd about money that came in, so that a person sees it."""
    resolve_issue(Kind.UNKNOWN_TOO_LONG, f"attempt:{attempt.pk}", "The provider took it.")
    asked = attempt.request.get("capture_minor", payment.amount_minor)
    amounts = {"ours_minor": asked, "theirs_minor": snapshot.captured_minor, "currency": order.currency}
    about = {"account_id": attempt.account_id, "order_id": order.pk, "payment_id": payment.pk}
    if snapshot.captured_minor != asked:
        raise_issue(Kind.AMOUNT_DIFFERS, f"attempt:{attempt.pk}", **amounts, **about)
    excess = overpaid_minor(order)
    if is_second and excess <= 0:  # it is too much of this guest's, though another still owes as much
        raise_issue(
            Kind.OVERPAID,
            f"payment:{payment.pk}",
            detail="Another attempt had taken the same payment.",
            theirs_minor=snapshot.captured_minor,
            currency=order.currency,
            **about,
        )
    if is_second or excess > 0:
        metrics.OVERPAID.labels(attempt.provider).inc()
        logger.error("Order %s is overpaid by %s (attempt %s was %s)", order.pk, excess, attempt.pk, was)
    if excess > 0:
        raise_issue(
            Kind.OVERPAID,
            f"order:{order.pk}",
            ours_minor=order.total_minor,
            theirs_minor=order.captured_minor - order.refunded_minor,
            currency=order.currency,
            **about,
        )


def look_at_excess(payment_id: UUID) -> None:
    """What was too much was given back, so nobody has to look at it any more; or the bank sent it back."""
    payment = PaymentIntent.objects.select_related("order").get(pk=payment_id)
    order = payment.order
    if payment.captured_minor - payment.refunded_minor <= payment.amount_minor:
        resolve_issue(Kind.OVERPAID, f"payment:{payment.pk}", GIVEN_BACK)
    if overpaid_minor(order) <= 0:
        resolve_issue(Kind.OVERPAID, f"order:{order.pk}", GIVEN_BACK)
    else:
        raise_again(
            Kind.OVERPAID,
            f"order:{order.pk}",
            ours_minor=_total(order),
            theirs_minor=order.captured_minor - order.refunded_minor,
            currency=order.currency,
            order_id=order.pk,
        )


def overpaid_minor(order: Order) -> int:
    """How much more was taken than the bill comes to now; a refund of its sale is no longer on the bill."""
    reversed_sale = Refund.objects.filter(intent__order=order.pk, state=Refund.State.SUCCEEDED).aggregate(
        sum=Sum("reversed_sale_minor")
    )["sum"]
    return order.captured_minor - order.refunded_minor - _total(order) + int(reversed_sale or 0)


def _total(order: Order) -> int:
    """What the bill comes to: nothing, once it was voided."""
    return 0 if order.status == Order.Status.VOIDED else order.total_minor


def _adopt_disputes(attempt: PaymentAttempt, disputes: Iterable[DisputeSnapshot]) -> None:
    for found in disputes:
        row, is_new = Dispute.objects.get_or_create(
            attempt_id=attempt.pk,
            provider_ref=found.provider_ref,
            defaults={
                "amount_minor": found.amount_minor,
                "created_at": timezone.now(),
                "reason": found.reason[:80],
            },
        )
        books.book_dispute(attempt, row, taken=found.taken_minor, fee=found.fee_minor, at=timezone.now())
        known = (row.status, row.fee_minor, row.evidence_due_at)
        if known == (found.status, found.fee_minor, found.evidence_due_at) and not is_new:
            continue
        row.status, row.fee_minor, row.evidence_due_at = found.status, found.fee_minor, found.evidence_due_at
        if found.status != Dispute.Status.OPEN:
            row.closed_at = row.closed_at or timezone.now()
        row.save(update_fields=["status", "fee_minor", "evidence_due_at", "closed_at"])
        _look_at_dispute(attempt, row)


def _look_at_dispute(attempt: PaymentAttempt, dispute: Dispute) -> None:
    """A dispute is the restaurant's to answer, at the provider's, until the day it names."""
    subject = f"dispute:{dispute.pk}"
    if dispute.status != Dispute.Status.OPEN:
        resolve_issue(Kind.DISPUTE, subject, f"The dispute was {dispute.status}.")
        return
    order = Order.objects.get(pk=attempt.intent.order_id)
    reason = dispute.reason.replace("_", " ").capitalize() or "No reason given"
    todo = "The bank decides."
    if dispute.evidence_due_at:
        todo = f"Answer it at {attempt.get_provider_display()} by {dispute.evidence_due_at:%-d %B %Y}."
    raise_again(
        Kind.DISPUTE,
        subject,
        detail=f"{reason}. {todo}",
        account_id=attempt.account_id,
        order_id=order.pk,
        payment_id=attempt.intent_id,
        theirs_minor=dispute.amount_minor,
        currency=order.currency,
    )


def _tell(attempt: PaymentAttempt, kind: str, actor: dict[str, Any]) -> None:
    payment = PaymentIntent.objects.with_details().get(pk=attempt.intent_id)
    record_events([NewEvent(kind, payment.pk, payment_payload(payment))], actor=actor)


def _count_success(attempt: PaymentAttempt, method: str, was: str) -> None:
    metrics.SUCCESSES.labels(attempt.provider, method).inc()
    if was == State.UNKNOWN:
        metrics.UNKNOWN_RESOLVED.labels(attempt.provider, "captured").inc()


def _waiting_seconds(attempt: PaymentAttempt) -> float:
    return WAITING_CHECKS[min(attempt.checks, len(WAITING_CHECKS) - 1)]


def _later(seconds: float) -> datetime.datetime:
    return timezone.now() + datetime.timedelta(seconds=seconds)
