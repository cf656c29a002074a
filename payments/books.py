"""Posting to the books: double entry, debit positive, each business event once.

Accounts: `cash` (of a restaurant without drawers), `cash:<drawer session>`, `safe`, `bank` and
`receivable` (what guests owe, by order) are debit accounts, and so is `petty_cash`, what was paid out of
a drawer; `tips_payable`, `service_charge` (one that can be declined), `sales:<percent>` (net, by VAT
rate), `vat:<percent>` and `cash_in`, what was paid into a drawer, are credit accounts; `cash_over_short`
is a debit where cash is missing. `clearing:<account>` is what a provider owes us until it pays it out to
the bank, less its `fees`, the platform's among them, and `disputes`: after a payout it is what the
provider's balance says. `clearing:external` is what the house's own card machine took, until a provider
lists it.

A sale is booked when its order is closed, money when it is taken; so a closed order's receivable is
nothing, an open one's is what was paid on account, and a voided order is not in the books at all.
"""

import datetime
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection, models

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id
from orders.models import Order
from orders.services.rows import new_row

from .models import (
    CashMovement,
    Dispute,
    DrawerSession,
    LedgerEntry,
    LedgerTransaction,
    PaymentAttempt,
    PaymentIntent,
    Payout,
    Provider,
    Refund,
)
from .rows import insert_rows

CASH = "cash"
RECEIVABLE = "receivable"
TIPS_PAYABLE = "tips_payable"
FEES = "fees"
DISPUTES = "disputes"
BANK = "bank"
SERVICE_CHARGE = "service_charge"
SAFE = "safe"
PETTY_CASH = "petty_cash"
CASH_IN = "cash_in"
CASH_OVER_SHORT = "cash_over_short"

# Where cash that is not a sale's or a refund's goes to or comes from.
ACROSS = {
    CashMovement.Kind.PAY_IN: CASH_IN,
    CashMovement.Kind.PAY_OUT: PETTY_CASH,
    CashMovement.Kind.DROP: SAFE,
}


def book_capture(
    order: Order, attempt: PaymentAttempt, *, captured: int, tip: int, at: datetime.datetime
) -> None:
    """Money came in, against what the guest owes and what staff will get."""
    payment = attempt.intent
    where = _money_account(attempt, payment.drawer_session_id)
    entries = [(where, captured + tip), (RECEIVABLE, -captured), (TIPS_PAYABLE, -tip)]
    key = f"capture:{attempt.pk}"
    _post(key, entries, at, payment.business_date, order.currency, order_id=order.pk)


def book_sale(order: Order, *, at: datetime.datetime) -> None:
    """A closed order was sold: the guest owed its total, of which each rate's tax is not ours.

    What of the total bears no VAT at all is the service charge that the guest could have declined.
    """
    taxed = sum(line["gross_minor"] for line in order.tax_lines)
    entries = [(RECEIVABLE, order.total_minor), (SERVICE_CHARGE, taxed - order.total_minor)]
    for line in order.tax_lines:
        entries.append((f"sales:{line['percent']}", -line["net_minor"]))
        entries.append((f"vat:{line['percent']}", -line["tax_minor"]))
    # On the order's business day, so that a bill paid after the cut-off stays one evening's.
    _post(f"sale:{order.pk}", entries, at, order.business_date, order.currency, order_id=order.pk)


def book_float(session: DrawerSession) -> None:
    """The float went from the safe into the drawer."""
    entries = [(cash_account(session.pk), session.float_minor), (SAFE, -session.float_minor)]
    _post(f"float:{session.pk}", entries, session.opened_at, session.business_date, session.currency)


def book_cash_movement(session: DrawerSession, movement: CashMovement) -> None:
    """Cash went in or out other than by a sale or a refund, which are booked with their payment."""
    if not movement.amount_minor:
        return
    across = ACROSS[CashMovement.Kind(movement.kind)]
    entries = [(cash_account(session.pk), movement.amount_minor), (across, -movement.amount_minor)]
    key = f"cash_movement:{movement.pk}"
    _post(key, entries, movement.created_at, session.business_date, session.currency)


def book_count(session: DrawerSession, *, n: int, at: datetime.datetime) -> None:
    """What was counted went to the safe, and what was over or short is said; the drawer holds nothing.

    `n` tells the counts of a session that was opened again from each other.
    """
    counted, expected = session.counted_minor or 0, session.expected_minor or 0
    entries = [(SAFE, counted), (CASH_OVER_SHORT, expected - counted), (cash_account(session.pk), -expected)]
    _post(f"count:{session.pk}:{n}", entries, at, session.business_date, session.currency)


def book_reopening(session: DrawerSession, *, n: int, at: datetime.datetime) -> None:
    """The `n`th count of a session is taken back: the books say of it what they said before."""
    counted, expected = session.counted_minor or 0, session.expected_minor or 0
    entries = [(SAFE, -counted), (CASH_OVER_SHORT, counted - expected), (cash_account(session.pk), expected)]
    _post(f"reopen:{session.pk}:{n}", entries, at, session.business_date, session.currency)


def book_refund(refund: Refund, *, back: bool, at: datetime.datetime) -> None:
    """Money went back to the guest, today, and with it the sale; or (`back`) it came back from their bank."""
    sign = -1 if back else 1
    order_id = refund.intent.order_id
    amount, tip = refund.amount_minor, refund.tip_minor
    where = _money_account(refund.attempt, refund.drawer_session_id)
    entries = [(where, -amount - tip), (RECEIVABLE, amount - refund.reversed_sale_minor), (TIPS_PAYABLE, tip)]
    for line in refund.tax_lines:
        if not line["percent"]:
            entries.append((SERVICE_CHARGE, line["gross_minor"]))
            continue
        entries.append((f"sales:{line['percent']}", line["net_minor"]))
        entries.append((f"vat:{line['percent']}", line["tax_minor"]))
    _post(
        f"{'bounce' if back else 'refund'}:{refund.pk}",
        [(account, sign * value) for account, value in entries],
        at,
        refund.business_date if not back else lock_today()[1],
        refund.intent.order.currency,
        order_id=order_id,
    )


def book_fee(attempt: PaymentAttempt, *, fee: int, at: datetime.datetime, where: str = "") -> None:
    """What the provider kept of a charge, once it says so, and whatever it says later.

    `where` is the clearing account that it came out of, if that is not the attempt's own.
    """
    _book_up_to(
        f"fee:{attempt.pk}",
        FEES,
        fee,
        where=where or clearing_account(attempt),
        currency=_currency(attempt),
        at=at,
    )


def book_application_fee(attempt: PaymentAttempt, *, fee: int, at: datetime.datetime) -> None:
    """What the platform keeps of a charge: the provider takes it out of what it owes the restaurant."""
    _book_up_to(
        *(f"application_fee:{attempt.pk}", FEES, fee),
        where=clearing_account(attempt),
        currency=_currency(attempt),
        at=at,
    )


def book_fees_back(
    refund: Refund, *, fee: int | None, application_fee: int | None, at: datetime.datetime, where: str = ""
) -> None:
    """What a refund gave back of the charge's fees: the provider's own, and the platform's."""
    attempt = refund.attempt
    for name, back in (("fee", fee), ("application_fee", application_fee)):
        if back is not None:
            _book_up_to(
                *(f"{name}:{refund.pk}", FEES, -back),
                where=where or clearing_account(attempt),
                currency=_currency(attempt),
                at=at,
            )


def book_dispute(
    attempt: PaymentAttempt, dispute: Dispute, *, taken: int, fee: int, at: datetime.datetime
) -> None:
    """What the provider holds back because of a dispute, now: nothing once it was won; and its fee for it."""
    for name, account, amount in (("dispute", DISPUTES, taken), ("dispute_fee", FEES, fee)):
        _book_up_to(
            *(f"{name}:{dispute.pk}", account, amount),
            where=clearing_account(attempt),
            currency=_currency(attempt),
            at=at,
        )


def book_match(payment: PaymentIntent, account_id: UUID, *, amount: int, at: datetime.datetime) -> None:
    """What the house's own card machine took turned out to lie with a provider: it is looked for there."""
    _book_moved(f"matched:{payment.pk}", payment, f"clearing:{account_id}", amount, at)


def book_refund_match(refund: Refund, account_id: UUID, *, amount: int, at: datetime.datetime) -> None:
    """The same of money that went back by that machine."""
    _book_moved(f"matched_refund:{refund.pk}", refund.intent, f"clearing:{account_id}", -amount, at)


def book_payout(payout: Payout, *, at: datetime.datetime) -> None:
    """Money left the provider for the restaurant's bank: once, however often it is listed."""
    if LedgerTransaction.objects.filter(key=f"payout:{payout.pk}").exists():
        return
    entries = [(BANK, payout.amount_minor), (f"clearing:{payout.account_id}", -payout.amount_minor)]
    _post(f"payout:{payout.pk}", entries, at, lock_today()[1], payout.currency)


def clearing_account(attempt: PaymentAttempt) -> str:
    """What a provider owes the restaurant until it pays it out; of their own card machine, their bank's."""
    return f"clearing:{attempt.account_id or attempt.provider}"


def _book_up_to(
    subject: str, account: str, amount: int, *, where: str, currency: str, at: datetime.datetime
) -> None:
    """Bring what the books say of a subject to `amount`, however often it changes. Its rows are locked.

    The n-th correction has the key <subject>:<n>. Keys are ordered by their bytes (the database's
    collation is C.UTF-8), so all of a subject's lie between it and the next one.
    """
    booked = LedgerEntry.objects.filter(
        account=account, transaction__key__gte=subject, transaction__key__lt=f"{subject};"
    ).aggregate(sum=models.Sum("amount_minor"), n=models.Count("pk"))
    difference = amount - (booked["sum"] or 0)
    if difference:
        entries = [(account, difference), (where, -difference)]
        _post(f"{subject}:{booked['n'] + 1}", entries, at, lock_today()[1], currency)


def _book_moved(key: str, payment: PaymentIntent, where: str, amount: int, at: datetime.datetime) -> None:
    """From where an own card machine's money is thought to lie to where it does: once."""
    if LedgerTransaction.objects.filter(key=key).exists():
        return
    order = payment.order
    entries = [(where, amount), (f"clearing:{Provider.EXTERNAL}", -amount)]
    _post(key, entries, at, lock_today()[1], order.currency, order_id=order.pk)


def _money_account(attempt: PaymentAttempt, session_id: UUID | None) -> str:
    """Where the money that an attempt took lies."""
    return cash_account(session_id) if attempt.provider == CASH else clearing_account(attempt)


def _currency(attempt: PaymentAttempt) -> str:
    return str(attempt.request.get("currency") or attempt.intent.order.currency)


def cash_account(session_id: UUID | None) -> str:
    """Where cash lies: in a drawer from its float to its count, or simply in the house."""
    return f"{CASH}:{session_id}" if session_id else CASH


# A day that has its Z report is over: what becomes known of it later is booked on the day it is known, as
# `Restaurant.open_business_date` says. The row lock waits for a Z report that is being written.
TODAY = """
    SELECT id, closed_through,
           greatest(closed_through + 1, ((now() AT TIME ZONE timezone) - business_day_cutoff)::date)
               AS business_date
      FROM restaurants_restaurant WHERE id = %(restaurant)s FOR KEY SHARE
"""
BOOK = f"""
    INSERT INTO payments_ledgertransaction (id, restaurant_id, key, business_date, created_at)
    SELECT %(id)s, today.id, %(key)s,
           CASE WHEN %(day)s::date <= today.closed_through THEN today.business_date ELSE %(day)s::date END,
           %(at)s
      FROM ({TODAY}) today
    RETURNING business_date
"""  # noqa: S608


def lock_today() -> tuple[datetime.date | None, datetime.date]:
    """The last closed business day and today, neither of which changes until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(TODAY, {"restaurant": require_restaurant_id()})
        _, closed_through, today = cursor.fetchone()
    return closed_through, today


def _post(
    key: str,
    entries: Iterable[tuple[str, int]],
    at: datetime.datetime,
    business_date: datetime.date,
    currency: str,
    *,
    order_id: UUID | None = None,
) -> datetime.date | None:
    """Write one balanced transaction; a second one with the same key is an IntegrityError.

    Answers the business day it was booked on: the one asked for, or today where that one is closed.
    """
    entries = [(account, amount) for account, amount in entries if amount]
    if not entries:
        return None
    restaurant_id, booking_id = require_restaurant_id(), uuid7()
    values: dict[str, Any] = {
        "id": booking_id,
        "key": key,
        "day": business_date,
        "at": at,
        "restaurant": restaurant_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(BOOK, values)
        booked_on: datetime.date = cursor.fetchone()[0]
    insert_rows(
        [
            new_row(
                LedgerEntry,
                id=uuid7(),
                restaurant_id=restaurant_id,
                transaction_id=booking_id,
                account=account,
                amount_minor=amount,
                currency=currency,
                order_id=order_id,
            )
            for account, amount in entries
        ]
    )
    return booked_on
