"""The check of the invariants would notice: each kind of damage, done by a superuser, is named."""

import psycopg
import pytest

from fynlo.tenancy.scope import restaurant_scope
from payments.invariants import Problem, broken_invariants

from .bills import open_bill, paid_and_closed, pay

ORDER = "UPDATE orders_order SET {} WHERE id = %(closed)s"
SALE = "(SELECT id FROM payments_ledgertransaction WHERE key = 'sale:' || %(closed)s)"
SABOTAGE = [
    ("I2", ORDER.format("captured_minor = captured_minor - 1")),
    ("I2", ORDER.format("total_minor = total_minor + 1")),
    ("I2", ORDER.format("status = 'voided'")),
    ("I2", "UPDATE orders_order SET total_minor = 1 WHERE id = %(open)s"),
    ("I2", "UPDATE payments_paymentintent SET captured_minor = 1 WHERE order_id = %(closed)s"),
    ("I5", f"UPDATE payments_ledgerentry SET amount_minor = amount_minor - 1 WHERE transaction_id = {SALE}"),
    ("I5", f"DELETE FROM payments_ledgerentry WHERE transaction_id = {SALE}"),
    (
        "I5",
        "UPDATE payments_ledgerentry SET account = 'sales:20'"
        f" WHERE transaction_id = {SALE} AND account = 'vat:20'",
    ),
    (
        "I5",
        "UPDATE payments_ledgerentry SET currency = 'EUR'"
        f" WHERE transaction_id = {SALE} AND account = 'vat:20'",
    ),
    (
        "I5",
        "UPDATE payments_ledgerentry SET account = 'cash'"
        " WHERE account = 'tips_payable' AND order_id = %(closed)s",
    ),
    ("I5", "UPDATE payments_paymentintent SET tip_captured_minor = 0 WHERE order_id = %(closed)s"),
    ("I6", "UPDATE orders_order SET reserved_minor = 1 WHERE id = %(open)s"),
    (
        "I6",
        "UPDATE payments_paymentattempt SET state = 'created', settled_at = NULL"
        " WHERE intent_id IN (SELECT id FROM payments_paymentintent WHERE order_id = %(closed)s)",
    ),
    ("receipts", "DELETE FROM payments_receipt WHERE order_id = %(closed)s"),
    ("receipts", "UPDATE payments_receipt SET number = 7 WHERE order_id = %(closed)s"),
    (
        "receipts",
        "UPDATE restaurants_counter SET value = value + 1"
        " WHERE name = 'receipt' AND restaurant_id = %(restaurant)s",
    ),
]


@pytest.fixture
def bills(till, scene):
    return {
        "closed": paid_and_closed(till, scene.takeaway(scene.burger()), tip_minor=50)["id"],
        "open": open_bill(till, scene.takeaway(scene.burger(2)))["id"],
    }


@pytest.mark.parametrize(("check", "sabotage"), SABOTAGE)
def test_damage_is_named(restaurant, till, bills, dba: psycopg.Connection, check, sabotage):
    pay(till, {"id": bills["open"]}, amount_minor=100)
    with restaurant_scope(restaurant.pk):
        assert broken_invariants() == []
    tables = ["orders_order", "payments_paymentintent", "payments_paymentattempt", "payments_ledgerentry"]
    tables += ["payments_ledgertransaction", "payments_receipt", "restaurants_counter"]
    kept = {
        table: dba.execute(
            f"SELECT coalesce(jsonb_agg(t), '[]') FROM {table} t WHERE restaurant_id = %s", [restaurant.pk]
        ).fetchone()[0]
        for table in tables
    }
    try:
        done = dba.execute(sabotage, {**bills, "restaurant": restaurant.pk})
        assert done.rowcount > 0
        with restaurant_scope(restaurant.pk):
            found = broken_invariants()
        assert check in {problem.check for problem in found}
        if check != "receipts":
            assert any(bills["closed"] in problem.row or bills["open"] in problem.row for problem in found)
    finally:
        restore(dba, restaurant.pk, kept)


def restore(dba: psycopg.Connection, restaurant_id: int, kept: dict) -> None:
    """Put the rows back, foreign keys and triggers aside."""
    with dba.transaction():
        dba.execute("SET LOCAL session_replication_role = replica")
        for table, rows in kept.items():
            dba.execute(f"DELETE FROM {table} WHERE restaurant_id = %s", [restaurant_id])
            columns = ", ".join(
                name
                for (name,) in dba.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                    " AND NOT attisdropped AND attgenerated = ''",
                    [table],
                )
            )
            dba.execute(
                f"INSERT INTO {table} ({columns})"
                f" SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s)",
                [psycopg.types.json.Jsonb(rows)],
            )


def test_another_restaurant_is_not_looked_at(restaurant, other_restaurant, bills):
    with restaurant_scope(other_restaurant.pk):
        assert broken_invariants() == []


def test_a_problem_reads_as_a_line():
    assert str(Problem("I6", "order 1", "reserved 5, open attempts hold 0")) == (
        "I6 order 1: reserved 5, open attempts hold 0"
    )
