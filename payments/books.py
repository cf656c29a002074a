"""Posting to the books: double entry, debit positive, each business event once.

Accounts: `cash` and `receivable` (what guests owe, by order) are debit accounts; `tips_payable`,
`sales:<percent>` (net, by VAT rate) and `vat:<percent>` are credit accounts. A sale is booked when its
order is closed, money when it is taken; so a closed order's receivable is nothing, an open one's is
what was paid on account, and a voided order is not in the books at all.
"""

import datetime
from collections.abc import Iterable

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id
from orders.models import Order
from orders.services.rows import new_row

from .models import LedgerEntry, LedgerTransaction, PaymentAttempt
from .rows import insert_rows

MONEY = {"cash": "cash"}  # where the money that a provider takes lies
RECEIVABLE = "receivable"
TIPS_PAYABLE = "tips_payable"


def book_capture(
    order: Order, attempt: PaymentAttempt, *, captured: int, tip: int, at: datetime.datetime
) -> None:
    """Money came in, against what the guest owes and what staff will get."""
    entries = [(MONEY[attempt.provider], captured + tip), (RECEIVABLE, -captured), (TIPS_PAYABLE, -tip)]
    _post(f"capture:{attempt.pk}", order, entries, at)


def book_sale(order: Order, *, at: datetime.datetime) -> None:
    """A closed order was sold: the guest owed its total, of which each rate's tax is not ours."""
    entries = [(RECEIVABLE, order.total_minor)]
    for line in order.tax_lines:
        entries.append((f"sales:{line['percent']}", -line["net_minor"]))
        entries.append((f"vat:{line['percent']}", -line["tax_minor"]))
    _post(f"sale:{order.pk}", order, entries, at)


def _post(key: str, order: Order, entries: Iterable[tuple[str, int]], at: datetime.datetime) -> None:
    """Write one balanced transaction; a second one with the same key is an IntegrityError.

    It belongs to the order's business day, so that a bill paid after the cut-off stays one evening's.
    """
    entries = [(account, amount) for account, amount in entries if amount]
    if not entries:
        return
    restaurant_id = require_restaurant_id()
    booked = new_row(
        LedgerTransaction,
        id=uuid7(),
        restaurant_id=restaurant_id,
        key=key,
        business_date=order.business_date,
        created_at=at,
    )
    insert_rows([booked])
    insert_rows(
        [
            new_row(
                LedgerEntry,
                id=uuid7(),
                restaurant_id=restaurant_id,
                transaction_id=booked.pk,
                account=account,
                amount_minor=amount,
                currency=order.currency,
                order_id=order.pk,
            )
            for account, amount in entries
        ]
    )
