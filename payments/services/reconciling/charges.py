"""Charges that the provider lists: found in our books, booked where we thought they had failed, compared.

One that we took nowhere may have been typed in from the house's own machine, by the reference on its slip;
then its money lies with the provider. If not, it is money without a bill, looked at again in every run.
"""

import datetime
from collections.abc import Sequence

from django.db.models import F, Q
from django.utils import timezone

from fynlo.money import format_money
from fynlo.tenancy.scope import restaurant_scope
from payments import books
from payments.models import PaymentAttempt, Provider, ReconciliationIssue
from payments.providers.base import Account, ProviderTransaction
from payments.providers.wire import as_uuid
from payments.services import payouts, settling
from payments.services.issues import raise_again, resolve_issue

from .comparison import CLOCKS, Comparison, ask, subject_of, words

Kind = ReconciliationIssue.Kind
State = PaymentAttempt.State

LIKELY_ONES = 10


def compare_charge(comparison: Comparison, row: ProviderTransaction) -> None:
    """Find our attempt of a charge, book it where we thought it had failed, compare the amounts."""
    attempt = _find_attempt(comparison, row)
    if attempt is None:
        _without_bill(comparison, row)
        return
    with restaurant_scope(comparison.account.restaurant_id):
        attempt = settling.lock_attempt(attempt.pk)
        if attempt.is_open:  # the provider is at it still, or does not say; counted with the unknown ones
            return
        if attempt.state != State.CAPTURED:
            _money_not_booked(comparison, row, attempt, "The payment was given up, and this is not booked.")
        elif _is_second(comparison, attempt, row):
            _money_not_booked(comparison, row, attempt, "The guest was charged a second time.")
        else:
            _compare_amounts(comparison, row, attempt)


def _find_attempt(comparison: Comparison, row: ProviderTransaction) -> PaymentAttempt | None:
    """Our attempt of a charge. One that is not booked is asked about, and booked if it was taken."""
    restaurant_id, counts = comparison.account.restaurant_id, comparison.counts
    with restaurant_scope(restaurant_id):
        attempt = _attempt_of(comparison, row)
    if attempt is None:
        attempt = _ask_about_likely_ones(comparison, row)
        counts.adopted += attempt is not None
        return attempt
    if attempt.state != State.CAPTURED:
        ask(attempt.pk)
        with restaurant_scope(restaurant_id):
            counts.adopted += PaymentAttempt.objects.filter(pk=attempt.pk, state=State.CAPTURED).exists()
    return attempt


def _attempt_of(comparison: Comparison, row: ProviderTransaction) -> PaymentAttempt | None:
    """By the provider's name of the charge, or by ours."""
    ours = PaymentAttempt.objects.filter(account__in=comparison.account_ids)
    found = ours.filter(provider_ref=row.provider_ref).exclude(provider_ref="").first()
    if found is None and (named := as_uuid(row.reference)):
        found = ours.filter(pk=named).first()
    return found


def _ask_about_likely_ones(comparison: Comparison, row: ProviderTransaction) -> PaymentAttempt | None:
    """Our attempt of a charge that says nothing of us, as SumUp's history: one of the same amount and time
    that is thought to have taken nothing."""
    restaurant_id = comparison.account.restaurant_id
    with restaurant_scope(restaurant_id):
        likely = (
            PaymentAttempt.objects.filter(account__in=comparison.account_ids)
            .filter(created_at__lte=row.created_at + CLOCKS)
            .filter(created_at__gt=row.created_at - datetime.timedelta(days=1))
            .exclude(state=State.CAPTURED)
            .annotate(asked=F("intent__amount_minor") + F("intent__tip_minor"))
            .filter(asked__lte=row.amount_minor)
        )
        ids = list(likely.order_by("-created_at").values_list("pk", flat=True)[:LIKELY_ONES])
    for attempt_id in ids:
        ask(attempt_id)
        with restaurant_scope(restaurant_id):
            if found := _attempt_of(comparison, row):
                return found
    return None


def _is_second(comparison: Comparison, attempt: PaymentAttempt, row: ProviderTransaction) -> bool:
    """Whether this is another charge than the one that we booked for the attempt."""
    is_other = attempt.provider_ref != row.provider_ref
    return is_other and (attempt.provider_ref in comparison.listed or attempt.pk in comparison.attempts)


def _compare_amounts(comparison: Comparison, row: ProviderTransaction, attempt: PaymentAttempt) -> None:
    account, counts, payment = comparison.account, comparison.counts, attempt.intent
    comparison.attempts.add(attempt.pk)
    resolve_issue(Kind.THEIRS_ONLY, subject_of(account, row), "It belongs to a payment of ours.")
    resolve_issue(Kind.OURS_ONLY, f"attempt:{attempt.pk}", "The provider lists it now.")
    _book_as_listed(account, attempt, row)
    ours = payment.captured_minor + payment.tip_captured_minor
    subject = f"listed:{attempt.pk}"
    if ours == row.amount_minor and not _tip_differs(attempt, row):
        counts.matched += 1
        resolve_issue(Kind.AMOUNT_DIFFERS, subject, "The amounts agree now.")
        return
    counts.different += 1
    tips = [format_money(tip, row.currency) for tip in (payment.tip_captured_minor, row.tip_minor)]
    raise_again(
        Kind.AMOUNT_DIFFERS,
        subject,
        detail=f"In the provider's list. Tips: ours {tips[0]}, theirs {tips[1]}.",
        account_id=account.id,
        payment_id=payment.pk,
        order_id=payment.order_id,
        ours_minor=ours,
        theirs_minor=row.amount_minor,
        currency=row.currency,
    )


def _book_as_listed(account: Account, attempt: PaymentAttempt, row: ProviderTransaction) -> None:
    """The provider's name of it, and what the provider and the platform kept."""
    if attempt.provider_ref != row.provider_ref:  # somebody decided it was taken; refunds need its true name
        PaymentAttempt.objects.filter(pk=attempt.pk).update(provider_ref=row.provider_ref)
    payouts.note_fee(account, attempt, row.fee_minor)
    if row.application_fee_minor is not None and (row.application_fee_minor or attempt.application_fee_minor):
        books.book_application_fee(attempt, fee=row.application_fee_minor, at=timezone.now())


def _tip_differs(attempt: PaymentAttempt, row: ProviderTransaction) -> bool:
    """Where the list names a tip at all; of what was captured in part it names the one that was asked for."""
    is_named = row.tip_minor > 0 and "capture_minor" not in attempt.request
    return is_named and row.tip_minor != attempt.intent.tip_captured_minor


def _money_not_booked(
    comparison: Comparison, row: ProviderTransaction, attempt: PaymentAttempt, detail: str
) -> None:
    comparison.counts.theirs_only += 1
    raise_again(
        Kind.THEIRS_ONLY,
        subject_of(comparison.account, row),
        detail=f"{detail} {words(row)}"[:300],
        account_id=comparison.account.id,
        payment_id=attempt.intent_id,
        order_id=attempt.intent.order_id,
        theirs_minor=row.amount_minor,
        currency=row.currency,
    )


# Money without a bill


def _without_bill(comparison: Comparison, row: ProviderTransaction) -> None:
    """Money that we took nowhere: typed in from the house's own machine, or an issue."""
    account, counts = comparison.account, comparison.counts
    if comparison.is_shared:
        return
    with restaurant_scope(account.restaurant_id):
        typed_in = _typed_in([row.provider_ref, row.reference], row.provider_ref, row.amount_minor)
        if typed_in is not None:
            counts.matched += 1
            _match_typed_in(account, row.provider_ref, typed_in, fee_minor=row.fee_minor)
            return
        counts.theirs_only += 1
        raise_again(
            Kind.THEIRS_ONLY,
            subject_of(account, row),
            detail=words(row),
            account_id=account.id,
            theirs_minor=row.amount_minor,
            currency=row.currency,
        )


def look_again_at_money_without_bill(comparison: Comparison) -> None:
    """Its payment may have been typed in by now, however long ago it was found."""
    prefix = f"charge:{comparison.account.id}:"
    found = ReconciliationIssue.objects.filter(
        kind=Kind.THEIRS_ONLY, subject__startswith=prefix, resolved_at=None
    )
    for issue in found:
        provider_ref = issue.subject.removeprefix(prefix)
        typed_in = _typed_in([provider_ref], provider_ref, issue.theirs_minor or 0)
        if typed_in is not None:
            _match_typed_in(comparison.account, provider_ref, typed_in)


def _typed_in(references: Sequence[str], provider_ref: str, amount_minor: int) -> PaymentAttempt | None:
    """The payment on the house's own machine whose slip said this reference and this amount.

    Once found it keeps the provider's name of its charge: a slip is of one charge.
    """
    named = Q(provider_ref=provider_ref)
    for reference in filter(None, references):
        named |= Q(provider_ref="", intent__reference__iexact=reference)
    found: PaymentAttempt | None = (
        PaymentAttempt.objects.filter(named, provider=Provider.EXTERNAL, state=State.CAPTURED)
        .annotate(taken=F("intent__captured_minor") + F("intent__tip_captured_minor"))
        .filter(taken=amount_minor)
        .order_by("-provider_ref", "created_at")
        .first()
    )
    return found


def _match_typed_in(
    account: Account, provider_ref: str, typed_in: PaymentAttempt, *, fee_minor: int | None = None
) -> None:
    """The money lies with the provider: the books look for it there from now on."""
    attempt = settling.lock_attempt(typed_in.pk)
    if not attempt.provider_ref:
        attempt.provider_ref = provider_ref
        attempt.save(update_fields=["provider_ref"])
    payment = attempt.intent
    amount = payment.captured_minor + payment.tip_captured_minor
    books.book_match(payment, account.id, amount=amount, at=timezone.now())
    payouts.note_fee(account, attempt, fee_minor)
    resolve_issue(
        Kind.THEIRS_ONLY, f"charge:{account.id}:{provider_ref}", f"It was typed in as payment {payment.pk}."
    )
