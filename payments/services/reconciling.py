"""Our books beside a provider's: every night, or when asked. May be run twice; the same is found again.

The provider's lists are read outside any transaction, then compared row by row, each in short ones of its
own. What only one side knows of is asked about first: a payment that was thought to have failed is booked
(adopted). What remains is an issue that a person settles, or that settles itself once it no longer holds.
"""

import datetime
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from fynlo.money import format_money
from fynlo.tenancy.scope import bind_restaurant, require_restaurant_id, restaurant_scope
from orders.models import Order
from payments import books
from payments.models import (
    Dispute,
    PaymentAttempt,
    PaymentIntent,
    Provider,
    ProviderAccount,
    ReconciliationIssue,
    ReconciliationRun,
    Refund,
)
from payments.providers import PROVIDERS
from payments.providers.base import (
    Account,
    ChargeRequest,
    ListsDisputes,
    NamesAttempts,
    Outcome,
    ProviderPayout,
    ProviderTransaction,
)
from payments.providers.errors import InvalidRequest, ProviderError

from . import accounts, cards, payouts, refunds, settling
from .calling import call
from .issues import raise_again, resolve_issue

logger = logging.getLogger(__name__)

Kind = ReconciliationIssue.Kind
State = PaymentAttempt.State

WINDOW = datetime.timedelta(days=3)
SETTLING = datetime.timedelta(minutes=15)  # what is younger may not be in the provider's list yet
CLOCKS = datetime.timedelta(minutes=1)  # providers count in whole seconds, by clocks of their own
STILL_PAYS_OUT = datetime.timedelta(days=14)  # how long after its last payment an account may
AT_MOST = 50_000  # transactions of one account in one run
ASKED_AT_MOST = 500  # of ours that the provider does not list
LIKELY_ONES = 10
FEE_DRIFT_PERCENT = 2
FEE_DRIFT_MINOR = 100
UNEXPECTED = "unexpected"

Progress = Callable[[], None]


@dataclass
class Counts:
    """What a run found; see `ReconciliationRun`. `clearing_minor` is what the provider holds by our books."""

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
    """One run in hand: whose account, which time, what was found so far.

    `account_ids` are all of the restaurant's that stand for this one at the provider: it may have been
    disconnected and added anew. `listed` are the charges in the provider's list; `attempts` and
    `refunds` are ours that were found there.
    """

    account: Account
    account_ids: list[UUID]
    since: datetime.datetime
    until: datetime.datetime
    progress: Progress | None = None
    counts: Counts = field(default_factory=Counts)
    listed: frozenset[str] = frozenset()
    attempts: set[UUID] = field(default_factory=set)
    refunds: set[UUID] = field(default_factory=set)

    @property
    def is_shared(self) -> bool:
        """Whether other restaurants' payments are in the provider's list, which are none of this one's."""
        return self.account.kind == ProviderAccount.Kind.PLATFORM_ENV


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
    progress: Progress | None = None,
) -> list[ReconciliationRun]:
    """Reconcile the restaurant's accounts, or one. One that cannot be asked does not stop the others.

    `progress` is called for every transaction of the provider's that was compared.
    """
    with bind_restaurant(restaurant_id):
        with restaurant_scope(restaurant_id):
            ids = [account_id] if account_id else _accounts_in_use()
        runs = [reconcile_account(one, since=since, until=until, progress=progress) for one in ids]
        if runs and account_id is None:
            with restaurant_scope(restaurant_id):
                _look_for_bills_without_money(min(run.since for run in runs))
        return runs


def reconcile_account(
    account_id: UUID,
    *,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    progress: Progress | None = None,
) -> ReconciliationRun:
    """Compare one account with our books, from three days before the last time up to now.

    What goes wrong is kept on the run. Opens transactions of its own; none may be open.
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
            comparison = Comparison(account, _same_accounts(account_id), since, until, progress)
        _compare_all(comparison)
        run.counts = asdict(comparison.counts)
    except ProviderError as error:
        logger.warning("Account %s could not be reconciled: %s", account_id, error)
        run.error = f"{error.error_class}: {error}"[:300]
    except Exception as error:  # one account's odd row is no reason not to compare the others
        logger.exception("Account %s could not be reconciled", account_id)
        run.error = f"{UNEXPECTED}: {type(error).__name__}: {error}"[:300]
    run.finished_at = timezone.now()
    with restaurant_scope(restaurant_id):
        run.save(update_fields=["counts", "error", "finished_at"])
    return run


def _accounts_in_use() -> list[UUID]:
    """All accounts but those that were disconnected and pay nothing out any more."""
    recent = PaymentAttempt.objects.filter(settled_at__gte=timezone.now() - STILL_PAYS_OUT)
    in_use = Q(pk__in=recent.filter(state=State.CAPTURED).values("account"))
    rows = ProviderAccount.objects.filter(mode=accounts.mode_here()).exclude(
        kind=ProviderAccount.Kind.SQUARE_OAUTH, credentials_sealed=""
    )
    return list(
        rows.filter(in_use | ~Q(status=ProviderAccount.Status.DISCONNECTED)).values_list("pk", flat=True)
    )


def _same_accounts(account_id: UUID) -> list[UUID]:
    row = accounts.row_of(account_id)
    same = {name: getattr(row, name) for name in ("provider", "mode", "external_account_id")}
    return list(ProviderAccount.objects.filter(**same).values_list("pk", flat=True))


def _since(account_id: UUID, until: datetime.datetime) -> datetime.datetime:
    last = ReconciliationRun.objects.filter(account=account_id, error="", finished_at__isnull=False).first()
    return min(last.until if last else until, until) - WINDOW


def _compare_all(comparison: Comparison) -> None:
    """Read the provider's lists, compare, sum up. Raises ProviderError."""
    account = comparison.account
    theirs = call("list_transactions", _list_transactions, account, comparison.since, comparison.until)
    with restaurant_scope(account.restaurant_id):
        since = payouts.first_to_ask_for(account.id, comparison.since)
    paid_out = call("list_payouts", _list_payouts, account, since, comparison.until)
    disputed = call("list_disputes", _list_disputes, account, comparison.since, comparison.until)
    comparison.listed = frozenset(row.provider_ref for row in theirs if _is_charge(row))
    for row in sorted(theirs, key=lambda row: row.created_at):
        if row.kind == "refund":
            _compare_refund(comparison, row)
        elif _is_charge(row):
            _compare_charge(comparison, row)
        if comparison.progress:
            comparison.progress()
    _look_at_disputes(comparison, disputed)
    _look_for_ours(comparison)
    if not comparison.is_shared:
        for payout in paid_out:
            comparison.counts.payouts += payouts.take_over(account, comparison.account_ids, payout)
    with restaurant_scope(account.restaurant_id):
        _sum_up(comparison)


def _list_transactions(
    account: Account, since: datetime.datetime, until: datetime.datetime
) -> list[ProviderTransaction]:
    found = []
    for row in PROVIDERS[account.provider].list_transactions(account, since, until):
        found.append(row)
        if len(found) > AT_MOST:
            raise InvalidRequest(f"More than {AT_MOST} transactions: reconcile a shorter time.")
    return found


def _list_disputes(account: Account, since: datetime.datetime, until: datetime.datetime) -> list[str]:
    provider = PROVIDERS[account.provider]
    if not isinstance(provider, ListsDisputes):
        return []
    return list(provider.disputed_charges(account, since, until))


def _list_payouts(
    account: Account, since: datetime.datetime, until: datetime.datetime
) -> list[ProviderPayout]:
    return list(PROVIDERS[account.provider].list_payouts(account, since, until))


def _is_charge(row: ProviderTransaction) -> bool:
    return row.kind == "charge" and row.status == "succeeded"


# Charges


def _compare_charge(comparison: Comparison, row: ProviderTransaction) -> None:
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
        _ask(attempt.pk)
        with restaurant_scope(restaurant_id):
            counts.adopted += PaymentAttempt.objects.filter(pk=attempt.pk, state=State.CAPTURED).exists()
    return attempt


def _attempt_of(comparison: Comparison, row: ProviderTransaction) -> PaymentAttempt | None:
    """By the provider's name of the charge, or by ours."""
    ours = PaymentAttempt.objects.filter(account__in=comparison.account_ids)
    found = ours.filter(provider_ref=row.provider_ref).exclude(provider_ref="").first()
    if found is None and (named := _uuid(row.reference)):
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
        _ask(attempt_id)
        with restaurant_scope(restaurant_id):
            if found := _attempt_of(comparison, row):
                return found
    return None


def _ask(attempt_id: UUID) -> None:
    """Ask what became of an attempt. That one cannot be asked about does not stop the comparison."""
    try:
        cards.check(attempt_id)
    except InvalidRequest:
        logger.exception("Attempt %s cannot be asked about", attempt_id)


def _is_second(comparison: Comparison, attempt: PaymentAttempt, row: ProviderTransaction) -> bool:
    """Whether this is another charge than the one that we booked for the attempt."""
    is_other = attempt.provider_ref != row.provider_ref
    return is_other and (attempt.provider_ref in comparison.listed or attempt.pk in comparison.attempts)


def _compare_amounts(comparison: Comparison, row: ProviderTransaction, attempt: PaymentAttempt) -> None:
    account, counts, payment = comparison.account, comparison.counts, attempt.intent
    comparison.attempts.add(attempt.pk)
    resolve_issue(Kind.THEIRS_ONLY, _subject(account, row), "It belongs to a payment of ours.")
    resolve_issue(Kind.OURS_ONLY, f"attempt:{attempt.pk}", "The provider lists it now.")
    if attempt.provider_ref != row.provider_ref:  # somebody decided it was taken; refunds need its true name
        PaymentAttempt.objects.filter(pk=attempt.pk).update(provider_ref=row.provider_ref)
    payouts.note_fee(account, attempt, row.fee_minor)
    if row.application_fee_minor is not None and (row.application_fee_minor or attempt.application_fee_minor):
        books.book_application_fee(attempt, fee=row.application_fee_minor, at=timezone.now())
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
        _subject(comparison.account, row),
        detail=f"{detail} {_words(row)}"[:300],
        account_id=comparison.account.id,
        payment_id=attempt.intent_id,
        order_id=attempt.intent.order_id,
        theirs_minor=row.amount_minor,
        currency=row.currency,
    )


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
            _subject(account, row),
            detail=_words(row),
            account_id=account.id,
            theirs_minor=row.amount_minor,
            currency=row.currency,
        )


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


# Refunds


def _compare_refund(comparison: Comparison, row: ProviderTransaction) -> None:
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
        _ask(charge.pk)
        with restaurant_scope(restaurant_id):
            refund = _refund_of(comparison, row)
        counts.adopted += refund is not None
    elif refund is not None and _disagrees(refund, row):
        was = refund.state
        refunds.check_refund(refund.pk)
        with restaurant_scope(restaurant_id):
            refund = refunds.load_refund(refund.pk)
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
    if found is None and (named := _uuid(row.reference)):
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
        _subject(account, row),
        detail=f"{detail} {_words(row)}"[:300],
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
    resolve_issue(Kind.THEIRS_ONLY, _subject(account, row), "It belongs to a refund of ours.")
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


# Disputes


def _look_at_disputes(comparison: Comparison, charges: Sequence[str]) -> None:
    """Ask about every charge that was disputed in the time, and about those whose dispute is not over."""
    with restaurant_scope(comparison.account.restaurant_id):
        ours = PaymentAttempt.objects.filter(account__in=comparison.account_ids)
        unsettled = ours.filter(disputes__status=Dispute.Status.OPEN)
        disputed = ours.filter(provider_ref__in=[ref for ref in charges if ref])
        ids = {*unsettled.values_list("pk", flat=True), *disputed.values_list("pk", flat=True)}
        known = set(disputed.values_list("provider_ref", flat=True))
    for ref in sorted(set(charges) - known):
        if named := _named_by_provider(comparison.account, ref):
            ids.add(named)
    for attempt_id in sorted(ids):
        _ask(attempt_id)


def _named_by_provider(account: Account, ref: str) -> UUID | None:
    """Our attempt by what the provider has kept of it, such as of a link's charge."""
    provider = PROVIDERS[account.provider]
    if not isinstance(provider, NamesAttempts):
        return None
    named = call("attempt_of", provider.attempt_of, account, ref)
    with restaurant_scope(account.restaurant_id):
        is_ours = named and PaymentAttempt.objects.filter(pk=named, account__isnull=False).exists()
    return named if is_ours else None


# What is left


def _look_for_ours(comparison: Comparison) -> None:
    """What we booked and the provider does not list: asked about once more, then an issue."""
    restaurant_id = comparison.account.restaurant_id
    with restaurant_scope(restaurant_id):
        _look_again_at_money_without_bill(comparison)
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


def _look_again_at_money_without_bill(comparison: Comparison) -> None:
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


def _unlisted_attempts(comparison: Comparison) -> list[PaymentAttempt]:
    """Booked within the time, or not found before, and not in the provider's list now."""
    before = ReconciliationIssue.objects.filter(
        kind=Kind.OURS_ONLY, account=comparison.account.id, refund=None, resolved_at=None
    )
    again = [_uuid(subject.partition(":")[2]) for subject in before.values_list("subject", flat=True)]
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


def _look_for_bills_without_money(since: datetime.datetime) -> None:
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


def _sum_up(comparison: Comparison) -> None:
    """Fees expected and kept, what nobody knows yet, and what the provider still holds by our books."""
    account, counts = comparison.account, comparison.counts
    taken = PaymentAttempt.objects.filter(
        account=account.id,
        state=State.CAPTURED,
        settled_at__gte=comparison.since,
        settled_at__lt=comparison.until,
        fee_minor__isnull=False,
    )
    for estimated, actual in taken.values_list("fee_estimated_minor", "fee_minor"):
        counts.fee_estimated_minor += estimated
        counts.fee_minor += actual or 0
    counts.unknown = PaymentAttempt.objects.filter(
        account=account.id, state__in=[State.UNKNOWN, State.CANCEL_PENDING]
    ).count()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(amount_minor), 0) FROM payments_ledgerentry"
            " WHERE restaurant_id = %s AND account = %s",
            [account.restaurant_id, f"clearing:{account.id}"],
        )
        counts.clearing_minor = int(cursor.fetchone()[0])
    _compare_fees(comparison)


def _compare_fees(comparison: Comparison) -> None:
    """Where an account's fees are estimated at all, and drift."""
    account, counts = comparison.account, comparison.counts
    drift = abs(counts.fee_minor - counts.fee_estimated_minor)
    subject = f"fees:{account.id}"
    is_much = drift > FEE_DRIFT_MINOR and drift * 100 > counts.fee_minor * FEE_DRIFT_PERCENT
    if not (counts.fee_estimated_minor and is_much):
        resolve_issue(Kind.FEE_DIFFERS, subject, "The fees are as expected now.")
        return
    raise_again(
        Kind.FEE_DIFFERS,
        subject,
        detail=f"From {comparison.since:%Y-%m-%d} to {comparison.until:%Y-%m-%d}",
        account_id=account.id,
        ours_minor=counts.fee_estimated_minor,
        theirs_minor=counts.fee_minor,
        currency=account.currency,
    )


def _words(row: ProviderTransaction) -> str:
    """What a person finds a transaction at the provider by."""
    tip = f"tip {format_money(row.tip_minor, row.currency)}" if row.tip_minor else ""
    parts = [row.description, tip, row.provider_ref, f"{row.created_at:%Y-%m-%d %H:%M} UTC"]
    return ", ".join(part for part in parts if part)[:300]


def _subject(account: Account, row: ProviderTransaction) -> str:
    return f"{row.kind}:{account.id}:{row.provider_ref}"[:160]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
