"""What a business day came to, worked out in two ways that know nothing of each other.

From the rows: orders, payments, refunds, receipts, drawer sessions and their movements. From the books:
the ledger alone. They agree to the penny, or something is wrong that no report may hide. Amounts are in
minor units of the restaurant's currency.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from django.db import connection

from fynlo.tenancy.scope import require_restaurant_id

from .models import DrawerSession, ProviderAccount

# Of a drawer: what both ways tell, in this order.
DRAWER = ("float", "sale", "refund", "pay_in", "pay_out", "drop", "counted", "variance")


@dataclass
class Figures:
    """Of one day. Rates are as on the receipts ("20"); what went back to guests is positive.

    `taken` and `given_back` are (of bills, tips) by provider; `sales` and `returned` (net, VAT) by rate;
    `drawers` by session. `owed` is what guests owe more, or less, at the end of the day than before.
    """

    sales: dict[str, tuple[int, int]] = field(default_factory=dict)
    service_charge: int = 0
    returned: dict[str, tuple[int, int]] = field(default_factory=dict)
    returned_service_charge: int = 0
    taken: dict[str, tuple[int, int]] = field(default_factory=dict)
    given_back: dict[str, tuple[int, int]] = field(default_factory=dict)
    receipts: int = 0
    owed: int = 0
    over_short: int = 0
    drawers: dict[str, dict[str, int]] = field(default_factory=dict)


def differences(rows: Figures, books: Figures) -> list[str]:
    """Where the two ways differ, for whoever has to find out why."""
    return [
        f"{each.name}: the rows say {getattr(rows, each.name)}, the books {getattr(books, each.name)}"
        for each in fields(Figures)
        if getattr(rows, each.name) != getattr(books, each.name)
    ]


# From the rows

SALES = """
    SELECT t.percent, sum(t.net_minor)::bigint, sum(t.tax_minor)::bigint
      FROM orders_order o
     CROSS JOIN LATERAL jsonb_to_recordset(o.tax_lines) AS t(percent text, net_minor bigint, tax_minor bigint)
     WHERE o.restaurant_id = %(restaurant)s AND o.business_date = %(day)s AND o.status = 'closed'
     GROUP BY 1
"""
SOLD = """
    SELECT coalesce(sum(o.total_minor), 0)::bigint,
           coalesce(sum(o.service_charge_minor) FILTER (WHERE o.service_charge_kind = 'optional'), 0)::bigint,
           coalesce(sum((r.content ->> 'total_minor')::bigint), 0)::bigint
      FROM orders_order o
      LEFT JOIN payments_receipt r ON r.restaurant_id = o.restaurant_id AND r.order_id = o.id
     WHERE o.restaurant_id = %(restaurant)s AND o.business_date = %(day)s AND o.status = 'closed'
"""
# A refund that the guest's bank sent back was one on its day, and is the opposite on the day it came.
BACK = """
    WITH back AS (
        SELECT r.*, 1 AS sign FROM payments_refund r
         WHERE r.restaurant_id = %(restaurant)s AND r.business_date = %(day)s
           AND (r.state = 'succeeded' OR EXISTS (
                SELECT FROM payments_ledgertransaction t
                 WHERE t.restaurant_id = r.restaurant_id AND t.key = 'bounce:' || r.id))
         UNION ALL
        SELECT r.*, -1 FROM payments_ledgertransaction t
          JOIN payments_refund r ON r.restaurant_id = t.restaurant_id AND 'bounce:' || r.id = t.key
         WHERE t.restaurant_id = %(restaurant)s AND t.business_date = %(day)s
           AND starts_with(t.key, 'bounce:')
    )
"""
RETURNED = f"""
    {BACK}
    SELECT t.percent, sum(sign * t.net_minor)::bigint, sum(sign * t.tax_minor)::bigint
      FROM back
     CROSS JOIN LATERAL jsonb_to_recordset(tax_lines) AS t(percent text, net_minor bigint, tax_minor bigint)
     WHERE t.percent <> ''
     GROUP BY 1
"""  # noqa: S608
REVERSED = f"""
    {BACK}
    SELECT coalesce(sum(sign * reversed_sale_minor), 0)::bigint, coalesce(sum(sign * amount_minor), 0)::bigint
      FROM back
"""  # noqa: S608
GIVEN_BACK = f"""
    {BACK}
    SELECT a.provider, sum(sign * amount_minor)::bigint, sum(sign * tip_minor)::bigint
      FROM back
      JOIN payments_paymentattempt a ON a.restaurant_id = back.restaurant_id AND a.id = back.attempt_id
     GROUP BY 1
"""  # noqa: S608
TAKEN = """
    SELECT a.provider, sum(p.captured_minor)::bigint, sum(p.tip_captured_minor)::bigint
      FROM payments_paymentintent p
     CROSS JOIN LATERAL (
           SELECT provider FROM payments_paymentattempt a
            WHERE a.restaurant_id = p.restaurant_id AND a.intent_id = p.id AND a.state = 'captured'
            ORDER BY n LIMIT 1) a
     WHERE p.restaurant_id = %(restaurant)s AND p.business_date = %(day)s
     GROUP BY 1
"""
MOVED = """
    SELECT m.session_id::text, m.kind, sum(m.amount_minor)::bigint
      FROM payments_cashmovement m
      JOIN payments_drawersession s ON s.restaurant_id = m.restaurant_id AND s.id = m.session_id
     WHERE m.restaurant_id = %(restaurant)s AND s.business_date = %(day)s
     GROUP BY 1, 2
"""


def figures_from_rows(day: datetime.date) -> Figures:
    """The day by what was sold, paid, given back and counted."""
    [(sold, service_charge, receipts)] = _ask(SOLD, day)
    [(reversed_sale, refunded)] = _ask(REVERSED, day)
    sales, returned, taken = _pairs(_ask(SALES, day)), _pairs(_ask(RETURNED, day)), _pairs(_ask(TAKEN, day))
    drawers = _drawers_from_rows(day)
    return Figures(
        sales=sales,
        service_charge=service_charge,
        returned=returned,
        returned_service_charge=reversed_sale - sum(net + tax for net, tax in returned.values()),
        taken=taken,
        given_back=_pairs(_ask(GIVEN_BACK, day)),
        receipts=receipts,
        owed=sold - sum(amount for amount, _ in taken.values()) + refunded - reversed_sale,
        over_short=sum(drawer["variance"] for drawer in drawers.values()),
        drawers=drawers,
    )


def _drawers_from_rows(day: datetime.date) -> dict[str, dict[str, int]]:
    drawers = {}
    for session in DrawerSession.objects.filter(business_date=day):
        drawers[str(session.pk)] = {
            **dict.fromkeys(DRAWER, 0),
            "float": session.float_minor,
            "counted": session.counted_minor or 0,
            "variance": session.variance_minor or 0,
        }
    for session_id, kind, amount in _ask(MOVED, day):
        if kind in DRAWER:
            drawers[session_id][kind] = amount
    return drawers


# From the books

REFUNDS = ["refund", "bounce"]
BOOKED = """
    SELECT split_part(t.key, ':', 1), e.account, sum(e.amount_minor)::bigint
      FROM payments_ledgertransaction t
      JOIN payments_ledgerentry e ON e.restaurant_id = t.restaurant_id AND e.transaction_id = t.id
     WHERE t.restaurant_id = %(restaurant)s AND t.business_date = %(day)s
     GROUP BY 1, 2
"""
# What a drawer's account gained, by event and by where it came from; over the session's whole life.
DRAWER_BOOKED = """
    SELECT substr(c.account, 6), split_part(t.key, ':', 1), other.account, -sum(other.amount_minor)::bigint
      FROM payments_ledgerentry c
      JOIN payments_ledgertransaction t ON t.restaurant_id = c.restaurant_id AND t.id = c.transaction_id
      JOIN payments_ledgerentry other ON other.restaurant_id = c.restaurant_id
           AND other.transaction_id = c.transaction_id AND other.id <> c.id
     WHERE c.restaurant_id = %(restaurant)s AND c.account = ANY(%(accounts)s)
     GROUP BY 1, 2, 3
"""
# By key: the count of a drawer that should hold nothing is not on its account.
COUNT_BOOKED = """
    SELECT split_part(t.key, ':', 2), e.account, sum(e.amount_minor)::bigint
      FROM payments_ledgertransaction t
      JOIN payments_ledgerentry e ON e.restaurant_id = t.restaurant_id AND e.transaction_id = t.id
     WHERE t.restaurant_id = %(restaurant)s AND split_part(t.key, ':', 1) IN ('count', 'reopen')
       AND split_part(t.key, ':', 2) = ANY(%(sessions)s) AND t.business_date >= %(day)s
     GROUP BY 1, 2
"""


def figures_from_books(day: datetime.date) -> Figures:
    """The day by the ledger alone."""
    booked = [(event, account, int(amount)) for event, account, amount in _ask(BOOKED, day)]
    sold = _by_account(booked, "sale")
    refunds = _by_account(booked, *REFUNDS)
    drawers = _drawers_from_books(day)
    return Figures(
        sales=_by_rate(sold, sign=-1),
        service_charge=-sold.get("service_charge", 0),
        returned=_by_rate(refunds, sign=1),
        returned_service_charge=refunds.get("service_charge", 0),
        taken=_by_provider(day, ["capture"], sign=1),
        given_back=_by_provider(day, REFUNDS, sign=-1),
        receipts=sold.get("receivable", 0),
        owed=sum(amount for _, account, amount in booked if account == "receivable"),
        over_short=-sum(amount for _, account, amount in booked if account == "cash_over_short"),
        drawers=drawers,
    )


def _by_account(booked: Iterable[tuple[str, str, int]], *events: str) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for event, account, amount in booked:
        if event in events:
            found[account] += amount
    return dict(found)


def _by_rate(accounts: dict[str, int], *, sign: int) -> dict[str, tuple[int, int]]:
    rates = {name.partition(":")[2] for name in accounts if name.startswith(("sales:", "vat:"))}
    pairs = {
        rate: (sign * accounts.get(f"sales:{rate}", 0), sign * accounts.get(f"vat:{rate}", 0))
        for rate in rates
    }
    return {rate: pair for rate, pair in pairs.items() if any(pair)}


# Money and the tip in it: what an event put where money lies, less what of it is a tip.
MONEY_BOOKED = """
    SELECT m.account, sum(m.amount_minor)::bigint, -sum(coalesce(tip.amount_minor, 0))::bigint
      FROM payments_ledgertransaction t
      JOIN payments_ledgerentry m ON m.restaurant_id = t.restaurant_id AND m.transaction_id = t.id
           AND split_part(m.account, ':', 1) IN ('cash', 'clearing')
      LEFT JOIN payments_ledgerentry tip ON tip.restaurant_id = t.restaurant_id
           AND tip.transaction_id = t.id AND tip.account = 'tips_payable'
     WHERE t.restaurant_id = %(restaurant)s AND t.business_date = %(day)s
       AND split_part(t.key, ':', 1) = ANY(%(events)s)
     GROUP BY 1
"""


def _by_provider(day: datetime.date, events: list[str], *, sign: int) -> dict[str, tuple[int, int]]:
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    providers = {str(pk): name for pk, name in ProviderAccount.objects.values_list("pk", "provider")}
    for account, money, tips in _ask(MONEY_BOOKED, day, events=events):
        name, _, of = account.partition(":")
        sums = found[name if name == "cash" else providers.get(of, of)]
        sums[0] += sign * (money - tips)
        sums[1] += sign * tips
    return {provider: (amount, tips) for provider, (amount, tips) in found.items() if amount or tips}


def _drawers_from_books(day: datetime.date) -> dict[str, dict[str, int]]:
    sessions = [
        str(pk) for pk in DrawerSession.objects.filter(business_date=day).values_list("pk", flat=True)
    ]
    drawers = {session: dict.fromkeys(DRAWER, 0) for session in sessions}
    accounts = [f"cash:{session}" for session in sessions]
    for session, event, other, amount in _ask(DRAWER_BOOKED, day, accounts=accounts):
        if name := _name_in_drawer(event, other):
            drawers[session][name] += amount
    for session, account, amount in _ask(COUNT_BOOKED, day, sessions=sessions):
        if account == "safe":
            drawers[session]["counted"] = amount
        elif account == "cash_over_short":
            drawers[session]["variance"] = -amount
    return drawers


def _name_in_drawer(event: str, other: str) -> str | None:
    if event in REFUNDS:
        return "refund"
    if event == "cash_movement":
        return {"cash_in": "pay_in", "petty_cash": "pay_out", "safe": "drop"}[other]
    return {"float": "float", "capture": "sale"}.get(event)


# Both


def _ask(query: str, day: datetime.date, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, {"restaurant": require_restaurant_id(), "day": day, **values})
        return list(cursor.fetchall())


def _pairs(rows: Sequence[tuple[Any, ...]]) -> dict[str, tuple[int, int]]:
    return {name: (first, second) for name, first, second in rows if first or second}
