"""What only our books have: payments and refunds that the provider does not list, bills without money.

Lists have their gaps and come late. So what is missing is asked about once more, what is younger than a
quarter of an hour waits for the next run, and an issue is an issue only while it holds.
"""

import datetime

from django.db.models import F, Q

from fynlo.money import format_money
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments.models import PaymentAttempt, ReconciliationIssue, Refund
from payments.providers import PROVIDERS
from payments.providers.base import ChargeRequest, Outcome
from payments.providers.errors import InvalidRequest
from payments.providers.wire import as_uuid
from payments.services import refunds, settling
from payments.services.calling import call
from payments.services.issues import raise_again, resolve_issue

from .charges import look_again_at_money_without_bill
from .comparison import Comparison

Kind = ReconciliationIssue.Kind
State = PaymentAttempt.State

SETTLING = datetime.timedelta(minutes=15)  # what is younger may not be in the provider's list yet
ASKED_AT_MOST = 500  # of ours that the provider does not list


def look_for_ours(comparison: Comparison) -> None:
    """What we booked and the provider does not list: asked about once more, then an issue."""
    restaurant_id = comparison.account.restaurant_id
    with restaurant_scope(restaurant_id):
        look_again_at_money_without_bill(comparison)
        missing = _unlisted_attempts(comparison)
        gone = _unlisted_refunds(comparison)
    for n, attempt in enumerate(missing):
        is_there = n < ASKED_AT_MOST and _is_taken(comparison, attempt)
        with restaurant_scope(restaurant_id):
            _note_unlisted(comparison, attempt, is_there=is_there)
    for refund in gone:
        refunds.check_refund(refund.pk)
        with restaurant_scope(restaurant_id):
            _note_unlisted_refund(comparison, refunds.load_refund(refund.pk))


def _unlisted_attempts(comparison: Comparison) -> list[PaymentAttempt]:
    """Booked within the time, or not found before, and not in the provider's list now."""
    before = ReconciliationIssue.objects.filter(
        kind=Kind.OURS_ONLY, account=comparison.account.id, refund=None, resolved_at=None
    )
    again = [as_uuid(subject.partition(":")[2]) for subject in before.values_list("subject", flat=True)]
    # Begun within the time as well: a list goes by when the provider made a thing.
    inside = Q(
        created_at__gte=comparison.since,
        settled_at__gte=comparison.since,
        settled_at__lt=comparison.until - SETTLING,
    )
    booked = PaymentAttempt.objects.select_related("intent__order").filter(
        inside | Q(pk__in=[pk for pk in again if pk]), account=comparison.account.id, state=State.CAPTURED
    )
    return list(booked.exclude(pk__in=comparison.attempts).order_by("created_at"))


def _is_taken(comparison: Comparison, attempt: PaymentAttempt) -> bool:
    """Whether the provider, asked for this very payment, says that it took it: lists have their gaps."""
    account = comparison.account
    asked = {name: value for name, value in attempt.request.items() if name != "capture_minor"}
    request = ChargeRequest(**{**asked, "attempt_id": attempt.pk})
    fetch = PROVIDERS[account.provider].fetch
    try:
        found = call("fetch", fetch, account, request, attempt.provider_ref, attempt_id=attempt.pk)
    except InvalidRequest:
        return False
    return found.outcome == Outcome.SUCCEEDED


def _note_unlisted(comparison: Comparison, attempt: PaymentAttempt, *, is_there: bool) -> None:
    subject, payment = f"attempt:{attempt.pk}", attempt.intent
    if is_there:
        comparison.counts.matched += 1
        resolve_issue(Kind.OURS_ONLY, subject, "The provider says that it took it.")
        return
    comparison.counts.ours_only += 1
    raise_again(
        Kind.OURS_ONLY,
        subject,
        detail=f"Order {payment.order.number}: the provider knows nothing of this payment.",
        account_id=comparison.account.id,
        payment_id=payment.pk,
        order_id=payment.order_id,
        ours_minor=payment.captured_minor + payment.tip_captured_minor,
        currency=payment.order.currency,
    )


def _unlisted_refunds(comparison: Comparison) -> list[Refund]:
    return list(
        Refund.objects.filter(
            attempt__account=comparison.account.id,
            state=Refund.State.SUCCEEDED,
            created_at__gte=comparison.since,
            settled_at__gte=comparison.since,
            settled_at__lt=comparison.until - SETTLING,
        ).exclude(pk__in=comparison.refunds)
    )


def _note_unlisted_refund(comparison: Comparison, refund: Refund) -> None:
    if refund.state != Refund.State.SUCCEEDED:  # it came back: that is an issue of its own
        return
    comparison.counts.ours_only += 1
    raise_again(
        Kind.OURS_ONLY,
        f"refund:{refund.pk}",
        detail="The provider does not list this refund.",
        account_id=comparison.account.id,
        refund_id=refund.pk,
        payment_id=refund.intent_id,
        order_id=refund.intent.order_id,
        ours_minor=-(refund.amount_minor + refund.tip_minor),
        currency=refund.intent.order.currency,
    )


def look_for_bills_without_money(since: datetime.datetime) -> None:
    """Closed bills on which less was taken than they come to, which no till allows."""
    kind = Kind.BILL_WITHOUT_MONEY
    before = ReconciliationIssue.objects.filter(kind=kind, resolved_at=None).values("order")
    closed = Order.objects.filter(status=Order.Status.CLOSED).filter(
        Q(closed_at__gte=since) | Q(pk__in=before)
    )
    known = set(ReconciliationIssue.objects.filter(kind=kind).values_list("order", flat=True))
    for order in closed.filter(
        Q(captured_minor__lt=F("total_minor") + F("refunded_minor")) | Q(pk__in=known)
    ):
        missing = -settling.overpaid_minor(order)
        if missing <= 0:
            resolve_issue(kind, f"order:{order.pk}", "Its money is there now.")
            continue
        raise_again(
            kind,
            f"order:{order.pk}",
            detail=f"Order {order.number} was closed with {format_money(missing, order.currency)} missing.",
            order_id=order.pk,
            ours_minor=order.total_minor,
            theirs_minor=order.total_minor - missing,
            currency=order.currency,
        )
