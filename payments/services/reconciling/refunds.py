"""Refunds that the provider lists: those made there are taken over, what came back of the fees is booked.

Where it and we do not agree, it is asked first: about the charge of a refund that we do not know, about the
refund of one that we do.
"""

from django.db.models import F, Q
from django.utils import timezone

from fynlo.tenancy.scope import restaurant_scope
from payments import books
from payments.models import PaymentAttempt, PaymentIntent, ReconciliationIssue, Refund
from payments.providers.base import Account, ProviderTransaction
from payments.providers.wire import as_uuid
from payments.services.issues import raise_again, resolve_issue
from payments.services.refunds import check_refund, load_refund

from .comparison import Comparison, ask, subject_of, words

Kind = ReconciliationIssue.Kind


def compare_refund(comparison: Comparison, row: ProviderTransaction) -> None:
    """Find our refund; one made at the provider is taken over by asking about its charge."""
    refund = _find_refund(comparison, row)
    with restaurant_scope(comparison.account.restaurant_id):
        is_over = row.status not in ("succeeded", "pending")
        if refund is None or (refund.state == Refund.State.FAILED and not is_over):
            if not is_over and not (refund is None and comparison.is_shared):
                _refund_not_booked(comparison, row, refund)
            return
        comparison.refunds.add(refund.pk)
        if not is_over:
            _compare_refunded(comparison, row, refund)


def _find_refund(comparison: Comparison, row: ProviderTransaction) -> Refund | None:
    """Our refund as it stands after the provider was asked about it, where the two did not agree."""
    restaurant_id, counts = comparison.account.restaurant_id, comparison.counts
    with restaurant_scope(restaurant_id):
        refund = _refund_of(comparison, row)
        charge = _charge_of(comparison, row)
    if refund is None and charge is not None:
        ask(charge.pk)
        with restaurant_scope(restaurant_id):
            refund = _refund_of(comparison, row)
        counts.adopted += refund is not None
    elif refund is not None and _disagrees(refund, row):
        was = refund.state
        check_refund(refund.pk)
        with restaurant_scope(restaurant_id):
            refund = load_refund(refund.pk)
        counts.adopted += was != refund.state == Refund.State.SUCCEEDED
    return refund


def _disagrees(refund: Refund, row: ProviderTransaction) -> bool:
    if refund.attempt.account_id is None:  # on the house's own machine: there is nobody to ask
        return False
    if row.status == "pending":
        return refund.state == Refund.State.FAILED
    return (row.status == "succeeded") != (refund.state == Refund.State.SUCCEEDED)


def _refund_of(comparison: Comparison, row: ProviderTransaction) -> Refund | None:
    ours = Refund.objects.with_details().filter(attempt__account__in=comparison.account_ids)
    found = ours.filter(provider_ref=row.provider_ref).exclude(provider_ref="").first()
    if found is None and (named := as_uuid(row.reference)):
        found = ours.filter(pk=named).first()
    if found is None and row.payment_ref:  # of a payment that was typed in
        found = (
            Refund.objects.with_details()
            .filter(intent__method=PaymentIntent.Method.EXTERNAL, state=Refund.State.SUCCEEDED)
            .filter(Q(intent__reference__iexact=row.payment_ref) | Q(attempt__provider_ref=row.payment_ref))
            .annotate(total=F("amount_minor") + F("tip_minor"))
            .filter(total=row.amount_minor)
            .exclude(pk__in=comparison.refunds)
            .first()
        )
    return found


def _charge_of(comparison: Comparison, row: ProviderTransaction) -> PaymentAttempt | None:
    of_accounts = PaymentAttempt.objects.filter(account__in=comparison.account_ids)
    return of_accounts.filter(provider_ref=row.payment_ref).exclude(provider_ref="").first()


def _refund_not_booked(comparison: Comparison, row: ProviderTransaction, refund: Refund | None) -> None:
    account = comparison.account
    detail = "A refund of nothing that we took." if refund is None else "We have it that this refund failed."
    comparison.counts.theirs_only += 1
    raise_again(
        Kind.THEIRS_ONLY,
        subject_of(account, row),
        detail=f"{detail} {words(row)}"[:300],
        account_id=account.id,
        refund_id=refund.pk if refund else None,
        payment_id=refund.intent_id if refund else None,
        order_id=refund.intent.order_id if refund else None,
        theirs_minor=-row.amount_minor,
        currency=row.currency,
    )


def _compare_refunded(comparison: Comparison, row: ProviderTransaction, refund: Refund) -> None:
    account, counts = comparison.account, comparison.counts
    ours, subject = refund.amount_minor + refund.tip_minor, f"listed:{refund.pk}"
    _book_refund_as_listed(account, refund, row)
    resolve_issue(Kind.THEIRS_ONLY, subject_of(account, row), "It belongs to a refund of ours.")
    resolve_issue(Kind.OURS_ONLY, f"refund:{refund.pk}", "The provider lists it now.")
    if ours == row.amount_minor:
        counts.matched += 1
        resolve_issue(Kind.AMOUNT_DIFFERS, subject, "The amounts agree now.")
        return
    counts.different += 1
    raise_again(
        Kind.AMOUNT_DIFFERS,
        subject,
        detail="The provider's list has another amount refunded.",
        account_id=account.id,
        refund_id=refund.pk,
        payment_id=refund.intent_id,
        order_id=refund.intent.order_id,
        ours_minor=-ours,
        theirs_minor=-row.amount_minor,
        currency=row.currency,
    )


def _book_refund_as_listed(account: Account, refund: Refund, row: ProviderTransaction) -> None:
    """Where its money came out of, if it was typed in; and what came back of the charge's fees."""
    if refund.state != Refund.State.SUCCEEDED:
        return
    where = "" if refund.attempt.account_id else f"clearing:{account.id}"
    if where:
        books.book_refund_match(refund, account.id, amount=row.amount_minor, at=timezone.now())
    books.book_fees_back(
        refund,
        fee=None if row.fee_minor is None else -row.fee_minor,
        application_fee=None if row.application_fee_minor is None else -row.application_fee_minor,
        at=timezone.now(),
        where=where,
    )
