"""What a provider paid out to the bank: kept once with its lines, booked once, checked against them."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from fynlo.tenancy.scope import restaurant_scope
from payments import books
from payments.models import PaymentAttempt, Payout, PayoutLine, Provider, ReconciliationIssue, Refund
from payments.providers.base import Account, ProviderPayout

from . import settling
from .issues import raise_again, resolve_issue

PAID_OUT = frozenset({"paid", "sent", "successful", "completed"})
CAME_TO_NOTHING = frozenset({"failed", "canceled", "cancelled"})
DIFFERS = ReconciliationIssue.Kind.PAYOUT_DIFFERS
LONGEST_WAY = datetime.timedelta(days=30)

Line = tuple[str, str]  # the provider's reference and the kind


@dataclass(frozen=True, slots=True)
class Subject:
    """What a line is about, where it is about something of ours."""

    payment_id: UUID
    attempt_id: UUID | None = None  # of a charge


def first_to_ask_for(account_id: UUID, since: datetime.datetime) -> datetime.datetime:
    """From when payouts are to be listed: those on their way since before `since` are asked for as well."""
    on_their_way = Payout.objects.filter(account=account_id, created_at__gte=since - LONGEST_WAY).exclude(
        status__in=PAID_OUT | CAME_TO_NOTHING
    )
    oldest = on_their_way.order_by("created_at").first()
    return min(since, oldest.created_at) if oldest else since


def take_over(account: Account, account_ids: Sequence[UUID], theirs: ProviderPayout) -> bool:
    """Keep a payout, its lines and the fees they name. False where another account has it already.

    `account_ids` are all of ours that stand for the same account at the provider. Opens transactions of
    its own.
    """
    with restaurant_scope(account.restaurant_id):
        of_others = Payout.objects.filter(account__in=account_ids, provider_ref=theirs.provider_ref)
        if of_others.exclude(account=account.id).exists():
            return False
        payout = _keep(account, theirs)
        subjects = _subjects(account_ids, theirs)
        _keep_lines(payout, theirs, subjects)
        if payout.status in PAID_OUT:
            books.book_payout(payout, at=timezone.now())
    for line in theirs.lines:
        subject = subjects.get(line.provider_ref)
        if line.kind == "charge" and subject and subject.attempt_id:
            with restaurant_scope(account.restaurant_id):
                _note_fee(account, subject.attempt_id, line.fee_minor, theirs.currency)
    return True


def note_fee(account: Account, attempt: PaymentAttempt, fee_minor: int | None) -> None:
    """Keep and book what the provider kept of a charge, typed in or not.

    The attempt is locked (`settling.lock_attempt`).
    """
    if fee_minor is None:
        return
    if attempt.fee_minor != fee_minor:
        PaymentAttempt.objects.filter(pk=attempt.pk).update(fee_minor=fee_minor)
        attempt.fee_minor = fee_minor
    where = "" if attempt.account_id else f"clearing:{account.id}"
    books.book_fee(attempt, fee=fee_minor, at=timezone.now(), where=where)


def _note_fee(account: Account, attempt_id: UUID, fee_minor: int, currency: str) -> None:
    """Some say the fee nowhere but in the payout. One that includes the platform's own is not theirs."""
    attempt = settling.lock_attempt(attempt_id)
    is_theirs = attempt.application_fee_minor == 0 and attempt.request.get("currency", currency) == currency
    if attempt.fee_minor is None and attempt.state == PaymentAttempt.State.CAPTURED and is_theirs:
        note_fee(account, attempt, fee_minor)


def _keep(account: Account, theirs: ProviderPayout) -> Payout:
    """Our row of the payout, locked, as the provider says it is now; what was booked stays as it was."""
    kept = Payout.objects.select_for_update().filter(account=account.id, provider_ref=theirs.provider_ref)
    payout = kept.first()
    if payout is None:
        Payout.objects.get_or_create(
            account_id=account.id,
            provider_ref=theirs.provider_ref,
            defaults={
                "amount_minor": theirs.amount_minor,
                "currency": theirs.currency or account.currency,
                "status": theirs.status[:20],
                "arrives_on": theirs.arrives_on,
                "created_at": theirs.created_at,
            },
        )
        payout = kept.get()
    was_booked = payout.status in PAID_OUT
    _check(account, payout, theirs, was_booked=was_booked)
    if was_booked and theirs.status not in PAID_OUT:
        return payout
    payout.status, payout.arrives_on = theirs.status[:20], theirs.arrives_on
    payout.amount_minor = payout.amount_minor if was_booked else theirs.amount_minor
    payout.save(update_fields=["status", "arrives_on", "amount_minor"])
    return payout


def _check(account: Account, payout: Payout, theirs: ProviderPayout, *, was_booked: bool) -> None:
    """Name a payout that is not what its lines come to, or not what was booked before."""
    of_lines = sum(line.amount_minor - line.fee_minor for line in theirs.lines)
    ours, detail = of_lines if theirs.lines else theirs.amount_minor, ""
    theirs_minor = theirs.amount_minor
    if was_booked and theirs.status in CAME_TO_NOTHING:
        ours, theirs_minor = payout.amount_minor, 0
        detail = f"It was booked as paid; the provider calls it {theirs.status} now."
    elif was_booked and theirs.amount_minor != payout.amount_minor:
        ours, detail = payout.amount_minor, "It was booked with another amount."
    if ours == theirs_minor:
        resolve_issue(DIFFERS, f"payout:{payout.pk}", "It is the sum of its lines now.")
        return
    raise_again(
        DIFFERS,
        f"payout:{payout.pk}",
        detail=detail,
        account_id=account.id,
        ours_minor=ours,
        theirs_minor=theirs_minor,
        currency=payout.currency,
    )


def _subjects(account_ids: Sequence[UUID], theirs: ProviderPayout) -> dict[str, Subject]:
    """What the lines are about, by the provider's reference."""
    named = {line.provider_ref for line in theirs.lines if line.provider_ref}
    typed_in = Q(account=None, provider=Provider.EXTERNAL)
    charges = PaymentAttempt.objects.filter(typed_in | Q(account__in=account_ids), provider_ref__in=named)
    refunds = Refund.objects.filter(attempt__account__in=account_ids, provider_ref__in=named)
    found = {ref: Subject(payment) for ref, payment in refunds.values_list("provider_ref", "intent_id")}
    for ref, payment, attempt in charges.values_list("provider_ref", "intent_id", "pk"):
        found[ref] = Subject(payment, attempt)
    return found


def _keep_lines(payout: Payout, theirs: ProviderPayout, subjects: dict[str, Subject]) -> None:
    """Each line once; several of one kind about one thing, such as two refunds, are one line."""
    known = set(PayoutLine.objects.filter(payout=payout).values_list("provider_ref", "kind"))
    sums = _together(
        (line.provider_ref, line.kind[:40], line.amount_minor, line.fee_minor) for line in theirs.lines
    )
    PayoutLine.objects.bulk_create(
        [
            PayoutLine(
                payout=payout,
                provider_ref=ref,
                kind=kind,
                amount_minor=amount,
                fee_minor=fee,
                payment_id=subjects[ref].payment_id if ref in subjects else None,
            )
            for (ref, kind), (amount, fee) in sums.items()
            if (ref, kind) not in known
        ],
        batch_size=500,
    )


def _together(lines: Iterable[tuple[str, str, int, int]]) -> dict[Line, tuple[int, int]]:
    sums: dict[Line, tuple[int, int]] = {}
    for ref, kind, amount, fee in lines:
        before = sums.get((ref, kind), (0, 0))
        sums[ref, kind] = (before[0] + amount, before[1] + fee)
    return sums
