"""What must hold of a restaurant's money at any moment, asked of the database itself.

Numbers as in the design: I2 orders agree with their payments, I5 the books balance and agree with
both, I6 what is reserved is what open attempts hold, I9 a drawer holds its float and what moved.
"""

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
        SELECT 'order ' || id, format('%%s, total %%s, paid %%s',
                                      status, total_minor, captured_minor - refunded_minor)
          FROM orders_order
         WHERE restaurant_id = %(restaurant)s
           AND CASE status WHEN 'closed' THEN captured_minor - refunded_minor <> total_minor
                           WHEN 'voided' THEN captured_minor <> refunded_minor
                           ELSE captured_minor - refunded_minor > total_minor END
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
               format('the books say receivable %%s, sales %%s, tax %%s, tips %%s, money %%s',
                      b.receivable, b.sales, b.tax, b.tips, b.money)
          FROM orders_order o
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor) FILTER (WHERE account = 'receivable'), 0) AS receivable,
                      coalesce(sum(amount_minor) FILTER (WHERE account LIKE 'sales:%%'
                                                             OR account = 'service_charge'), 0) AS sales,
                      coalesce(sum(amount_minor) FILTER (WHERE account LIKE 'vat:%%'), 0) AS tax,
                      coalesce(sum(amount_minor) FILTER (WHERE account = 'tips_payable'), 0) AS tips,
                      coalesce(sum(amount_minor) FILTER (WHERE account = 'cash'
                                                             OR account LIKE 'cash:%%'), 0) AS money
                 FROM payments_ledgerentry e WHERE e.restaurant_id = o.restaurant_id AND e.order_id = o.id) b
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(captured_minor - refunded_minor), 0) AS taken,
                      coalesce(sum(tip_captured_minor), 0) AS tips
                 FROM payments_paymentintent i
                WHERE i.restaurant_id = o.restaurant_id AND i.order_id = o.id) p
          CROSS JOIN LATERAL (
               SELECT CASE WHEN o.status = 'closed' THEN o.total_minor ELSE 0 END AS total,
                      CASE WHEN o.status = 'closed' THEN o.tax_minor ELSE 0 END AS tax) sold
         WHERE o.restaurant_id = %(restaurant)s
           AND (b.receivable, b.sales, b.tax, b.tips, b.money) IS DISTINCT FROM
               (sold.total - p.taken, sold.tax - sold.total, -sold.tax, -p.tips, p.taken + p.tips)
    """,
    "I6": """
        SELECT 'order ' || o.id, format('reserved %%s, open attempts hold %%s', o.reserved_minor, a.held)
          FROM orders_order o
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(i.amount_minor), 0) AS held
                 FROM payments_paymentintent i
                 JOIN payments_paymentattempt t ON t.restaurant_id = i.restaurant_id AND t.intent_id = i.id
                WHERE i.restaurant_id = o.restaurant_id AND i.order_id = o.id AND t.state = 'created') a
         WHERE o.restaurant_id = %(restaurant)s AND o.reserved_minor <> a.held
    """,
    "I9": """
        SELECT 'drawer session ' || s.id, format('float %%s, moved %%s; expected %%s, the books say %%s',
                                                 s.float_minor, m.moved, s.expected_minor, b.held)
          FROM payments_drawersession s
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor), 0) AS moved FROM payments_cashmovement m
                WHERE m.restaurant_id = s.restaurant_id AND m.session_id = s.id) m
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor), 0) AS held FROM payments_ledgerentry e
                WHERE e.restaurant_id = s.restaurant_id AND e.account = 'cash:' || s.id) b
         WHERE s.restaurant_id = %(restaurant)s
           AND CASE status WHEN 'open' THEN b.held <> s.float_minor + m.moved
                           ELSE b.held <> 0 OR s.expected_minor <> s.float_minor + m.moved
                                OR s.variance_minor <> s.counted_minor - s.expected_minor END
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


def broken_invariants() -> list[Problem]:
    """What is wrong with the money of the restaurant in scope: nothing, it is to be hoped."""
    problems = []
    with connection.cursor() as cursor:
        for check, query in CHECKS.items():
            cursor.execute(query, {"restaurant": require_restaurant_id()})
            problems += [Problem(check, row, detail) for row, detail in cursor.fetchall()]
    return problems
