"""What must hold of a restaurant's money at any moment, asked of the database itself.

Each check answers what breaks it; none needs a provider (I1, that a provider's books and ours agree, is
what reconciling asks). The numbers are those of the money design:

I2 orders and their parts agree with their payments, and nothing is overpaid without an issue; I3 a tender
is taken once; I4 refunds are within what was taken; I5 the books balance and agree with the rows; I6 what
is set aside is what open attempts and refunds hold; I7 nothing is stuck; I8 every attempt is open, taken
or failed, and its payment says the same; I9 drawers hold float and movements; I10 tips taken are tips
owed to staff. Receipts have no gaps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

from fynlo.tenancy.scope import require_restaurant_id


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that breaks an invariant."""

    check: str
    row: str
    detail: str

    def __str__(self) -> str:
        return f"{self.check} {self.row}: {self.detail}"


# Each query answers (row, detail) for what is wrong, with the restaurant as its only parameter.
CHECKS = {
    "I2": """
        SELECT 'order ' || o.id, format('captured %%s, refunded %%s; its payments say %%s and %%s',
                                        o.captured_minor, o.refunded_minor, p.captured, p.refunded)
          FROM orders_order o
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(captured_minor), 0) AS captured,
                      coalesce(sum(refunded_minor), 0) AS refunded
                 FROM payments_paymentintent i
                WHERE i.restaurant_id = o.restaurant_id AND i.order_id = o.id) p
         WHERE o.restaurant_id = %(restaurant)s
           AND (o.captured_minor, o.refunded_minor) IS DISTINCT FROM (p.captured, p.refunded)
        UNION ALL
        SELECT 'bill part ' || b.id, format('captured %%s, refunded %%s; its payments say %%s and %%s',
                                            b.captured_minor, b.refunded_minor, p.captured, p.refunded)
          FROM orders_billpart b
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(captured_minor), 0) AS captured,
                      coalesce(sum(refunded_minor), 0) AS refunded
                 FROM payments_paymentintent i
                WHERE i.restaurant_id = b.restaurant_id AND i.part_id = b.id) p
         WHERE b.restaurant_id = %(restaurant)s
           AND (b.captured_minor, b.refunded_minor) IS DISTINCT FROM (p.captured, p.refunded)
        UNION ALL
        SELECT 'order ' || o.id, format('%%s, total %%s, paid %%s, sale undone %%s, and no issue says so',
                                        o.status, o.total_minor, o.captured_minor - o.refunded_minor,
                                        r.undone)
          FROM orders_order o
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(f.reversed_sale_minor), 0) AS undone
                 FROM payments_refund f JOIN payments_paymentintent i
                      ON i.restaurant_id = f.restaurant_id AND i.id = f.intent_id
                WHERE i.restaurant_id = o.restaurant_id AND i.order_id = o.id AND f.state = 'succeeded') r
          CROSS JOIN LATERAL (
               SELECT o.captured_minor - o.refunded_minor + r.undone
                      - CASE WHEN o.status = 'voided' THEN 0 ELSE o.total_minor END AS excess) e
         WHERE o.restaurant_id = %(restaurant)s
           AND (e.excess < 0 AND o.status = 'closed'
                OR e.excess > 0 AND NOT EXISTS (
                   SELECT FROM payments_reconciliationissue q
                    WHERE q.restaurant_id = o.restaurant_id AND q.kind = 'overpaid'
                      AND q.subject = 'order:' || o.id))
    """,
    "I3": """
        SELECT 'payment ' || intent_id, format('taken by %%s attempts', count(*))
          FROM payments_paymentattempt
         WHERE restaurant_id = %(restaurant)s AND state = 'captured'
         GROUP BY intent_id HAVING count(*) > 1
    """,
    "I4": """
        SELECT 'payment ' || i.id,
               format('refunded %%s and %%s of the tip, of %%s and %%s; its refunds say %%s and %%s',
                      i.refunded_minor, i.tip_refunded_minor, i.captured_minor, i.tip_captured_minor,
                      f.amount, f.tip)
          FROM payments_paymentintent i
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor), 0) AS amount, coalesce(sum(tip_minor), 0) AS tip
                 FROM payments_refund r
                WHERE r.restaurant_id = i.restaurant_id AND r.intent_id = i.id AND r.state = 'succeeded') f
         WHERE i.restaurant_id = %(restaurant)s
           AND ((i.refunded_minor, i.tip_refunded_minor) IS DISTINCT FROM (f.amount, f.tip)
                OR f.amount > i.captured_minor OR f.tip > i.tip_captured_minor)
    """,
    "I5": """
        SELECT 'ledger transaction ' || t.key, format('entries sum to %%s in %%s currencies',
                                                      sum(e.amount_minor), count(DISTINCT e.currency))
          FROM payments_ledgertransaction t
          LEFT JOIN payments_ledgerentry e ON e.restaurant_id = t.restaurant_id AND e.transaction_id = t.id
         WHERE t.restaurant_id = %(restaurant)s
         GROUP BY t.id, t.key
        HAVING coalesce(sum(e.amount_minor), 1) <> 0 OR count(DISTINCT e.currency) <> 1
        UNION ALL
        SELECT 'order ' || o.id,
               format('the books say receivable %%s, sold %%s, tax %%s, tips %%s, money %%s',
                      b.receivable, b.sold, b.tax, b.tips, b.money)
          FROM orders_order o
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor) FILTER (WHERE account = 'receivable'), 0) AS receivable,
                      coalesce(sum(amount_minor) FILTER (WHERE starts_with(account, 'sales:')
                                                            OR starts_with(account, 'vat:')
                                                            OR account = 'service_charge'), 0) AS sold,
                      coalesce(sum(amount_minor) FILTER (WHERE starts_with(account, 'vat:')), 0) AS tax,
                      coalesce(sum(amount_minor) FILTER (WHERE account = 'tips_payable'), 0) AS tips,
                      coalesce(sum(amount_minor) FILTER (WHERE account = 'cash'
                                                            OR starts_with(account, 'cash:')
                                                            OR starts_with(account, 'clearing:')), 0) AS money
                 FROM payments_ledgerentry e WHERE e.restaurant_id = o.restaurant_id AND e.order_id = o.id) b
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(captured_minor - refunded_minor), 0) AS taken,
                      coalesce(sum(tip_captured_minor - tip_refunded_minor), 0) AS tips
                 FROM payments_paymentintent i
                WHERE i.restaurant_id = o.restaurant_id AND i.order_id = o.id) p
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(f.reversed_sale_minor), 0) AS total,
                      coalesce(sum((SELECT sum((line ->> 'tax_minor')::bigint)
                                      FROM jsonb_array_elements(f.tax_lines) line)), 0) AS tax
                 FROM payments_refund f JOIN payments_paymentintent i
                      ON i.restaurant_id = f.restaurant_id AND i.id = f.intent_id
                WHERE i.restaurant_id = o.restaurant_id AND i.order_id = o.id
                  AND f.state = 'succeeded') undone
          CROSS JOIN LATERAL (
               SELECT CASE WHEN o.status = 'closed' THEN o.total_minor ELSE 0 END - undone.total AS total,
                      CASE WHEN o.status = 'closed' THEN o.tax_minor ELSE 0 END - undone.tax AS tax) sold
         WHERE o.restaurant_id = %(restaurant)s
           AND (b.receivable, b.sold, b.tax, b.tips, b.money) IS DISTINCT FROM
               (sold.total - p.taken, -sold.total, -sold.tax, -p.tips, p.taken + p.tips)
    """,
    "I6": """
        SELECT 'order ' || o.id, format('reserved %%s, open attempts hold %%s', o.reserved_minor, a.held)
          FROM orders_order o
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(i.amount_minor), 0) AS held
                 FROM payments_paymentintent i
                 JOIN payments_paymentattempt t ON t.restaurant_id = i.restaurant_id AND t.intent_id = i.id
                WHERE i.restaurant_id = o.restaurant_id AND i.order_id = o.id AND t.settled_at IS NULL) a
         WHERE o.restaurant_id = %(restaurant)s AND o.reserved_minor <> a.held
        UNION ALL
        SELECT 'payment ' || i.id, format('%%s and %%s set aside for refunds, open ones hold %%s and %%s',
                                          i.refund_reserved_minor, i.tip_refund_reserved_minor, f.held, f.tip)
          FROM payments_paymentintent i
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor), 0) AS held, coalesce(sum(tip_minor), 0) AS tip
                 FROM payments_refund r
                WHERE r.restaurant_id = i.restaurant_id AND r.intent_id = i.id
                  AND r.settled_at IS NULL AND r.source = 'ours') f
         WHERE i.restaurant_id = %(restaurant)s
           AND (i.refund_reserved_minor, i.tip_refund_reserved_minor) IS DISTINCT FROM (f.held, f.tip)
    """,
    "I7": """
        SELECT 'attempt ' || id, format('%%s, and nobody has looked at it since %%s', state, next_check_at)
          FROM payments_paymentattempt
         WHERE restaurant_id = %(restaurant)s AND settled_at IS NULL
           AND coalesce(next_check_at, '-infinity') < now() - interval '1 hour'
        UNION ALL
        SELECT 'refund ' || id, format('%%s, and nobody has looked at it since %%s', state, next_check_at)
          FROM payments_refund
         WHERE restaurant_id = %(restaurant)s AND settled_at IS NULL
           AND coalesce(next_check_at, '-infinity') < now() - interval '1 hour'
        UNION ALL
        SELECT 'webhook ' || id, format('has waited since %%s', received_at)
          FROM payments_webhookevent
         WHERE restaurant_id = %(restaurant)s AND state = 'new' AND next_try_at < now() - interval '1 hour'
        UNION ALL
        SELECT 'attempt ' || id, 'took money, and its provider''s name of it is not known'
          FROM payments_paymentattempt
         WHERE restaurant_id = %(restaurant)s AND state = 'captured' AND account_id IS NOT NULL
           AND provider_ref = ''
    """,
    "I8": """
        SELECT 'payment ' || i.id, format('%%s, with %%s attempts open, %%s taken, %%s failed',
                                          i.state, a.open, a.taken, a.failed)
          FROM payments_paymentintent i
          CROSS JOIN LATERAL (
               SELECT count(*) FILTER (WHERE settled_at IS NULL) AS open,
                      count(*) FILTER (WHERE state = 'captured') AS taken,
                      count(*) FILTER (WHERE state IN ('failed', 'canceled', 'expired')) AS failed
                 FROM payments_paymentattempt t
                WHERE t.restaurant_id = i.restaurant_id AND t.intent_id = i.id) a
         WHERE i.restaurant_id = %(restaurant)s
           AND CASE i.state WHEN 'paid' THEN a.taken <> 1
                            WHEN 'open' THEN a.open <> 1 OR a.taken <> 0
                            ELSE a.open <> 0 OR a.taken <> 0 OR a.failed = 0 END
    """,
    "I9": """
        SELECT 'drawer session ' || s.id,
               format('float and movements come to %%s; %%s was expected; the books say %%s', m.cash,
                      coalesce(s.expected_minor::text, 'nothing yet'), b.cash)
          FROM payments_drawersession s
          CROSS JOIN LATERAL (
               SELECT s.float_minor + coalesce(sum(amount_minor), 0) AS cash FROM payments_cashmovement c
                WHERE c.restaurant_id = s.restaurant_id AND c.session_id = s.id) m
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor), 0) AS cash FROM payments_ledgerentry e
                WHERE e.restaurant_id = s.restaurant_id AND e.account = 'cash:' || s.id) b
         WHERE s.restaurant_id = %(restaurant)s
           AND CASE s.status WHEN 'open' THEN b.cash <> m.cash
                             ELSE b.cash <> 0 OR s.expected_minor <> m.cash
                                  OR s.variance_minor <> s.counted_minor - s.expected_minor END
        UNION ALL
        SELECT 'payment ' || i.id, format('%%s went into the drawer for it, %%s were taken', m.cash, i.taken)
          FROM (SELECT *, captured_minor + tip_captured_minor AS taken FROM payments_paymentintent) i
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor), 0) AS cash FROM payments_cashmovement c
                WHERE c.restaurant_id = i.restaurant_id AND c.payment_id = i.id AND c.kind = 'sale') m
         WHERE i.restaurant_id = %(restaurant)s AND i.drawer_session_id IS NOT NULL AND m.cash <> i.taken
    """,
    "I10": """
        SELECT 'tips', format('%%s taken, %%s owed by the books', p.tips, -b.tips)
          FROM (SELECT coalesce(sum(tip_captured_minor - tip_refunded_minor), 0) AS tips
                  FROM payments_paymentintent WHERE restaurant_id = %(restaurant)s) p,
               (SELECT coalesce(sum(amount_minor), 0) AS tips
                  FROM payments_ledgerentry
                 WHERE restaurant_id = %(restaurant)s AND account = 'tips_payable') b
         WHERE p.tips <> -b.tips
    """,
    "receipts": """
        SELECT 'order ' || o.id, 'closed without a receipt'
          FROM orders_order o
          LEFT JOIN payments_receipt r ON r.restaurant_id = o.restaurant_id AND r.order_id = o.id
         WHERE o.restaurant_id = %(restaurant)s AND o.status = 'closed' AND r.id IS NULL
        UNION ALL
        SELECT 'receipts', format('%%s of them, numbered %%s to %%s; the counter is at %%s',
                                  count(r.id), min(r.number), max(r.number), c.value)
          FROM restaurants_counter c
          LEFT JOIN payments_receipt r ON r.restaurant_id = c.restaurant_id
         WHERE c.restaurant_id = %(restaurant)s AND c.name = 'receipt'
         GROUP BY c.value
        HAVING (count(r.id), coalesce(max(r.number), 0)) <> (c.value, c.value) OR min(r.number) <> 1
    """,
}


# What the last reconciliation found and nobody has settled: our books and a provider's do not agree.
PROVIDER_CHECKS = {
    "I1": """
        SELECT 'issue ' || id,
               format('%%s: %%s, ours %%s, theirs %%s', kind, subject, ours_minor, theirs_minor)
          FROM payments_reconciliationissue
         WHERE restaurant_id = %(restaurant)s AND resolved_at IS NULL
           AND kind IN ('ours_only', 'theirs_only', 'amount_differs', 'payout_differs')
    """
}


def broken_invariants(*, also: Mapping[str, str] | None = None) -> list[Problem]:
    """What is wrong with the money of the restaurant in scope: nothing, it is to be hoped."""
    problems = []
    with connection.cursor() as cursor:
        for check, query in {**CHECKS, **(also or {})}.items():
            cursor.execute(query, {"restaurant": require_restaurant_id()})
            problems += [Problem(check, row, detail) for row, detail in cursor.fetchall()]
    return problems
