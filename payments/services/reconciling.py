"""Our books beside a provider's: every night, or when asked. May be run twice; the same is found again.

The provider's lists are read outside any transaction, then compared. What only the provider knows of is
asked about first: a payment that was thought to have failed is booked (adopted). What remains is an issue
that a person settles, and that settles itself once it no longer holds.
"""

import datetime
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from fynlo.tenancy.scope import bind_restaurant, require_restaurant_id, restaurant_scope
from payments import books
from payments.models import (
    PaymentAttempt,
    PaymentIntent,
    Payout,
    PayoutLine,
    ProviderAccount,
    ReconciliationIssue,
    ReconciliationRun,
    Refund,
)
from payments.providers import PROVIDERS
from payments.providers.base import Account, ProviderPayout, ProviderTransaction
from payments.providers.errors import ProviderError

from . import accounts, cards
from .calling import call
from .issues import raise_issue, resolve_issue

logger = logging.getLogger(__name__)

Kind = ReconciliationIssue.Kind

WINDOW = datetime.timedelta(days=3)
SETTLING = datetime.timedelta(minutes=15)  # what is younger may not be in the provider's list yet
CLOCKS = datetime.timedelta(minutes=1)  # providers count in whole seconds, by clocks of their own
AT_MOST = 50_000  # transactions of one account in one run
LIKELY_ONES = 10
FEE_DRIFT_PERCENT = 2
FEE_DRIFT_MINOR = 100
PAID_OUT = {"paid", "sent", "successful", "completed"}


@dataclass
class Counts:
    """What a run found; see `ReconciliationRun`."""

    matched: int = 0
    ours_only: int = 0
    theirs_only: int = 0
    different: int = 0
    adopted: int = 0
    unknown: int = 0
    payouts: int = 0
    fee_estimated_minor: int = 0
    fee_minor: int = 0
    clearing_minor: int = 0


@dataclass
class Comparison:
    """One run in hand: whose account, which time, what was found so far."""

    account: Account
    since: datetime.datetime
    until: datetime.datetime
    counts: Counts = field(default_factory=Counts)


def restaurants_with_accounts() -> list[int]:
    """The restaurants that have payment accounts. Opens a transaction of its own."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT definer.restaurants_with_accounts()")
        return [restaurant_id for (restaurant_id,) in cursor.fetchall()]


def reconcile_restaurant(
    restaurant_id: int,
    *,
    account_id: UUID | None = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
) -> list[ReconciliationRun]:
    """Reconcile the restaurant's accounts, or one. One that cannot be asked does not stop the others."""
    with bind_restaurant(restaurant_id):
        with restaurant_scope(restaurant_id):
            rows = ProviderAccount.objects.filter(mode=accounts.mode_here())
            ids = list((rows.filter(pk=account_id) if account_id else rows).values_list("pk", flat=True))
        return [reconcile_account(found, since=since, until=until) for found in ids]


def reconcile_account(
    account_id: UUID, *, since: datetime.datetime | None = None, until: datetime.datetime | None = None
) -> ReconciliationRun:
    """Compare one account with our books, from three days before the last time up to now.

    An error of the provider is kept on the run. Opens transactions of its own.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        until = until or timezone.now() + CLOCKS
        since = since or _since(account_id, until)
        run = ReconciliationRun.objects.create(
            account_id=account_id, since=since, until=until, started_at=timezone.now()
        )
    try:
        with restaurant_scope(restaurant_id):
            account = accounts.load_account(account_id)
        comparison = Comparison(account, since, until)
        theirs, payouts = _read(comparison)
        _compare(comparison, theirs)
        with restaurant_scope(restaurant_id):
            _take_over_payouts(comparison, payouts)
            _sum_up(comparison)
        run.counts = comparison.counts.__dict__
    except ProviderError as error:
        logger.warning("Account %s could not be reconciled: %s", account_id, error)
        run.error = f"{error.error_class}: {error}"[:300]
    run.finished_at = timezone.now()
    with restaurant_scope(restaurant_id):
        run.save(update_fields=["counts", "error", "finished_at"])
    return run


def _since(account_id: UUID, until: datetime.datetime) -> datetime.datetime:
    last = ReconciliationRun.objects.filter(account=account_id, error="", finished_at__isnull=False).first()
    return min(last.until if last else until, until) - WINDOW


def _read(comparison: Comparison) -> tuple[list[ProviderTransaction], list[ProviderPayout]]:
    """The provider's lists of the time. Raises ProviderError."""
    provider, account = PROVIDERS[comparison.account.provider], comparison.account

    def transactions(account: Account) -> list[ProviderTransaction]:
        found = []
        for row in provider.list_transactions(account, comparison.since, comparison.until):
            found.append(row)
            if len(found) >= AT_MOST:
                raise ProviderError(f"More than {AT_MOST} transactions: reconcile a shorter time.")
        return found

    def payouts(account: Account) -> list[ProviderPayout]:
        return list(provider.list_payouts(account, comparison.since, comparison.until))

    return (
        call("list_transactions", transactions, account),
        call("list_payouts", payouts, account),
    )


def _compare(comparison: Comparison, theirs: Iterable[ProviderTransaction]) -> None:
    seen_attempts: set[UUID] = set()
    seen_refunds: set[UUID] = set()
    for row in theirs:
        if row.status != "succeeded" and not (row.kind == "refund" and row.status == "pending"):
            continue
        if row.kind == "refund":
            seen_refunds |= _compare_refund(comparison, row)
        else:
            seen_attempts |= _compare_charge(comparison, row)
    _look_for_ours(comparison, seen_attempts, seen_refunds)


def _compare_charge(comparison: Comparison, row: ProviderTransaction) -> set[UUID]:
    """Find our attempt of a charge, book it where we thought it had failed, compare the amounts."""
    account, counts = comparison.account, comparison.counts
    with restaurant_scope(account.restaurant_id):
        attempt = _attempt_of(account, row)
        is_booked = attempt is not None and attempt.state == PaymentAttempt.State.CAPTURED
    if attempt is not None and not is_booked:
        cards.check(attempt.pk)  # asks, and books what was taken
    if attempt is None:
        attempt = _ask_about_likely_ones(account, row)
    if attempt is None:
        _without_bill(comparison, row)
        return set()
    with restaurant_scope(account.restaurant_id):
        resolve_issue(Kind.THEIRS_ONLY, _subject(account, row), "It belongs to a payment of ours.")
        attempt = PaymentAttempt.objects.select_related("intent").get(pk=attempt.pk)
        if attempt.state != PaymentAttempt.State.CAPTURED:
            counts.unknown += 1
            return {attempt.pk}
        counts.adopted += not is_booked
        payment = attempt.intent
        ours = payment.captured_minor + payment.tip_captured_minor
        if ours != row.amount_minor:
            counts.different += 1
            raise_issue(
                Kind.AMOUNT_DIFFERS,
                f"attempt:{attempt.pk}",
                detail="The provider's list says another amount.",
                account_id=account.id,
                payment_id=payment.pk,
                order_id=payment.order_id,
                ours_minor=ours,
                theirs_minor=row.amount_minor,
                currency=row.currency,
            )
        else:
            counts.matched += 1
        resolve_issue(Kind.OURS_ONLY, f"attempt:{attempt.pk}", "The provider lists it now.")
        if row.fee_minor is not None and attempt.fee_minor != row.fee_minor:
            PaymentAttempt.objects.filter(pk=attempt.pk).update(fee_minor=row.fee_minor)
        if row.fee_minor:
            books.book_fee(attempt, fee=row.fee_minor, at=timezone.now())
        return {attempt.pk}


def _attempt_of(account: Account, row: ProviderTransaction) -> PaymentAttempt | None:
    of_account = PaymentAttempt.objects.filter(account=account.id)
    found = of_account.filter(provider_ref=row.provider_ref).exclude(provider_ref="").first()
    if found is None and (named := _uuid(row.reference)):
        found = of_account.filter(pk=named).first()
    return found


def _ask_about_likely_ones(account: Account, row: ProviderTransaction) -> PaymentAttempt | None:
    """Our attempt of a charge that says nothing of us, as SumUp's history: one of the same amount and time
    that is thought to have taken nothing."""
    with restaurant_scope(account.restaurant_id):
        likely = (
            PaymentAttempt.objects.filter(account=account.id, created_at__lte=row.created_at + CLOCKS)
            .filter(created_at__gt=row.created_at - datetime.timedelta(days=1))
            .exclude(state=PaymentAttempt.State.CAPTURED)
            .annotate(asked=F("intent__amount_minor") + F("intent__tip_minor"))
            .filter(asked__lte=row.amount_minor)
        )
        ids = list(likely.order_by("-created_at").values_list("pk", flat=True)[:LIKELY_ONES])
    for attempt_id in ids:
        cards.check(attempt_id)
        with restaurant_scope(account.restaurant_id):
            if found := _attempt_of(account, row):
                return found
    return None


def _without_bill(comparison: Comparison, row: ProviderTransaction) -> None:
    """Money that we took nowhere: typed in from the house's own machine, or an issue."""
    account, counts = comparison.account, comparison.counts
    with restaurant_scope(account.restaurant_id):
        typed_in = (
            PaymentIntent.objects.paid()
            .filter(method=PaymentIntent.Method.EXTERNAL)
            .filter(reference__in=[row.provider_ref, row.reference or row.provider_ref])
            .annotate(taken=F("captured_minor") + F("tip_captured_minor"))
            .filter(taken=row.amount_minor)
            .first()
        )
        if typed_in is not None:
            counts.matched += 1
            resolve_issue(
                Kind.THEIRS_ONLY, _subject(account, row), f"It was typed in as payment {typed_in.pk}."
            )
            return
        counts.theirs_only += 1
        raise_issue(
            Kind.THEIRS_ONLY,
            _subject(account, row),
            detail=f"{row.description} {row.created_at:%Y-%m-%d %H:%M} UTC".strip()[:300],
            account_id=account.id,
            theirs_minor=row.amount_minor,
            currency=row.currency,
        )


def _compare_refund(comparison: Comparison, row: ProviderTransaction) -> set[UUID]:
    """Find our refund; one made at the provider is taken over by asking about its charge."""
    account, counts = comparison.account, comparison.counts
    with restaurant_scope(account.restaurant_id):
        refund = _refund_of(account, row)
        charge = (
            PaymentAttempt.objects.filter(account=account.id, provider_ref=row.payment_ref)
            .exclude(provider_ref="")
            .first()
        )
    if refund is None and charge is not None:
        cards.check(charge.pk)
        with restaurant_scope(account.restaurant_id):
            refund = _refund_of(account, row)
            counts.adopted += refund is not None
    with restaurant_scope(account.restaurant_id):
        if refund is None:
            counts.theirs_only += 1
            raise_issue(
                Kind.THEIRS_ONLY,
                _subject(account, row),
                detail="A refund of nothing that we took.",
                account_id=account.id,
                theirs_minor=-row.amount_minor,
                currency=row.currency,
            )
            return set()
        counts.matched += 1
        resolve_issue(Kind.OURS_ONLY, f"refund:{refund.pk}", "The provider lists it now.")
        return {refund.pk}


def _refund_of(account: Account, row: ProviderTransaction) -> Refund | None:
    of_account = Refund.objects.filter(attempt__account=account.id)
    found = of_account.filter(provider_ref=row.provider_ref).exclude(provider_ref="").first()
    if found is None and (named := _uuid(row.reference)):
        found = of_account.filter(pk=named).first()
    return found


def _look_for_ours(comparison: Comparison, attempts: set[UUID], refunds: set[UUID]) -> None:
    """What we booked and the provider does not list: asked about once more, then an issue."""
    account, counts = comparison.account, comparison.counts
    inside = {"settled_at__gte": comparison.since, "settled_at__lt": comparison.until - SETTLING}
    with restaurant_scope(account.restaurant_id):
        # Begun within the time as well: a list goes by when the provider made a thing.
        missing = list(
            PaymentAttempt.objects.select_related("intent__order")
            .filter(account=account.id, state=PaymentAttempt.State.CAPTURED, **inside)
            .filter(created_at__gte=comparison.since)
            .exclude(pk__in=attempts)
        )
        for attempt in missing:
            counts.ours_only += 1
            payment = attempt.intent
            raise_issue(
                Kind.OURS_ONLY,
                f"attempt:{attempt.pk}",
                account_id=account.id,
                payment_id=payment.pk,
                order_id=payment.order_id,
                ours_minor=payment.captured_minor + payment.tip_captured_minor,
                currency=payment.order.currency,
            )
        gone = Refund.objects.filter(
            attempt__account=account.id,
            state=Refund.State.SUCCEEDED,
            created_at__gte=comparison.since,
            **inside,
        ).exclude(pk__in=refunds)
        for refund in gone:
            counts.ours_only += 1
            raise_issue(
                Kind.OURS_ONLY,
                f"refund:{refund.pk}",
                account_id=account.id,
                refund_id=refund.pk,
                ours_minor=-(refund.amount_minor + refund.tip_minor),
            )


def _take_over_payouts(comparison: Comparison, payouts: Iterable[ProviderPayout]) -> None:
    """Keep the provider's payouts with their lines; book each once, when it was paid."""
    account = comparison.account
    for theirs in payouts:
        payout, _ = Payout.objects.update_or_create(
            account_id=account.id,
            provider_ref=theirs.provider_ref,
            defaults={
                "amount_minor": theirs.amount_minor,
                "currency": theirs.currency or account.currency,
                "status": theirs.status[:20],
                "arrives_on": theirs.arrives_on,
            },
            create_defaults={
                "amount_minor": theirs.amount_minor,
                "currency": theirs.currency or account.currency,
                "status": theirs.status[:20],
                "arrives_on": theirs.arrives_on,
                "created_at": theirs.created_at,
            },
        )
        comparison.counts.payouts += 1
        for line in theirs.lines:
            attempt = PaymentAttempt.objects.filter(
                account=account.id, provider_ref=line.provider_ref
            ).first()
            PayoutLine.objects.get_or_create(
                payout=payout,
                provider_ref=line.provider_ref,
                kind=line.kind[:40],
                defaults={
                    "amount_minor": line.amount_minor,
                    "fee_minor": line.fee_minor,
                    "payment_id": attempt.intent_id if attempt else None,
                },
            )
        if theirs.status in PAID_OUT:
            books.book_payout(payout, at=timezone.now())
        _check_payout(account, payout, theirs)


def _check_payout(account: Account, payout: Payout, theirs: ProviderPayout) -> None:
    total = sum(line.amount_minor - line.fee_minor for line in theirs.lines)
    subject = f"payout:{payout.pk}"
    if theirs.lines and total != theirs.amount_minor:
        raise_issue(
            Kind.PAYOUT_DIFFERS,
            subject,
            account_id=account.id,
            ours_minor=total,
            theirs_minor=theirs.amount_minor,
            currency=payout.currency,
        )
    else:
        resolve_issue(Kind.PAYOUT_DIFFERS, subject, "It is the sum of its lines now.")


def _sum_up(comparison: Comparison) -> None:
    """Fees expected and kept, what nobody knows yet, and what the provider still holds by our books."""
    account, counts = comparison.account, comparison.counts
    taken = PaymentAttempt.objects.filter(
        account=account.id,
        state=PaymentAttempt.State.CAPTURED,
        settled_at__gte=comparison.since,
        settled_at__lt=comparison.until,
        fee_minor__isnull=False,
    )
    for estimated, actual in taken.values_list("fee_estimated_minor", "fee_minor"):
        counts.fee_estimated_minor += estimated
        counts.fee_minor += actual or 0
    counts.unknown = PaymentAttempt.objects.filter(
        Q(state=PaymentAttempt.State.UNKNOWN) | Q(state=PaymentAttempt.State.CANCEL_PENDING),
        account=account.id,
    ).count()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(amount_minor), 0) FROM payments_ledgerentry"
            " WHERE restaurant_id = %s AND account = %s",
            [account.restaurant_id, f"clearing:{account.id}"],
        )
        counts.clearing_minor = int(cursor.fetchone()[0])
    drift = abs(counts.fee_minor - counts.fee_estimated_minor)
    subject = f"fees:{account.id}"
    is_much = drift > FEE_DRIFT_MINOR and drift * 100 > counts.fee_minor * FEE_DRIFT_PERCENT
    if counts.fee_estimated_minor and is_much:
        raise_issue(
            Kind.FEE_DIFFERS,
            subject,
            detail=f"From {comparison.since:%Y-%m-%d} to {comparison.until:%Y-%m-%d}",
            account_id=account.id,
            ours_minor=counts.fee_estimated_minor,
            theirs_minor=counts.fee_minor,
            currency=account.currency,
        )
    else:
        resolve_issue(Kind.FEE_DIFFERS, subject, "The fees are as expected now.")


def _subject(account: Account, row: ProviderTransaction) -> str:
    return f"{row.kind}:{account.id}:{row.provider_ref}"[:160]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
