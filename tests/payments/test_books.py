"""The books cannot be altered and are always in balance, whoever writes to them."""

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments import books
from payments.models import LedgerEntry, LedgerTransaction, PaymentAttempt
from tests.databases import database_role

from .bills import everything, in_books, paid_and_closed


@pytest.fixture
def closed(till, scene):
    """A burger for 12.50, paid with a tip of 1.00 and closed."""
    return paid_and_closed(till, scene.takeaway(scene.burger()), tip_minor=100)


TAMPERING = [
    "UPDATE payments_ledgerentry SET amount_minor = 0",
    "DELETE FROM payments_ledgerentry",
    "UPDATE payments_ledgertransaction SET key = key || 'x'",
    "DELETE FROM payments_ledgertransaction",
    "UPDATE payments_receipt SET number = number + 1",
    "UPDATE payments_receipt SET content = '{}'",
    "DELETE FROM payments_receipt",
    "DELETE FROM payments_paymentintent",
    "DELETE FROM payments_paymentattempt",
    "UPDATE events_event SET payload = '{}'",
    "DELETE FROM events_event",
    "TRUNCATE payments_ledgerentry",
    "ALTER TABLE payments_ledgerentry DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
]


@pytest.mark.parametrize("statement", TAMPERING)
@pytest.mark.parametrize("role", ["app", "platform"])
def test_neither_process_can_rewrite_what_was_written(restaurant, closed, role, statement):
    before = everything(restaurant)
    with (
        database_role(role),
        pytest.raises(DatabaseError, match=r"permission denied|must be owner"),
        restaurant_scope(restaurant.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert everything(restaurant) == before


def entry(transaction: LedgerTransaction, account: str, amount: int) -> LedgerEntry:
    return LedgerEntry(transaction=transaction, account=account, amount_minor=amount, currency="GBP")


def test_a_transaction_out_of_balance_is_refused_at_commit(restaurant, closed):
    before = everything(restaurant)
    with pytest.raises(IntegrityError, match="out of balance by 1"), restaurant_scope(restaurant.pk):
        booked = LedgerTransaction.objects.create(
            key="wrong", business_date=closed["business_date"], created_at=closed["closed_at"]
        )
        LedgerEntry.objects.bulk_create([entry(booked, "cash", 100), entry(booked, "receivable", -99)])
    with pytest.raises(IntegrityError, match="out of balance by -5"), restaurant_scope(restaurant.pk):
        entry(LedgerTransaction.objects.get(key=f"sale:{closed['id']}"), "cash", -5).save()
    assert everything(restaurant) == before


def test_switching_the_restaurant_before_commit_hides_nothing(restaurant, other_restaurant, closed):
    before = everything(restaurant)
    with pytest.raises(IntegrityError, match="out of balance"), restaurant_scope(restaurant.pk):
        sale = LedgerTransaction.objects.get(key=f"sale:{closed['id']}")
        entry(sale, "cash", -5).save()
        raw = connection.connection
        raw.execute("SELECT set_config('app.restaurant_id', %s, true)", (str(other_restaurant.pk),))
    assert everything(restaurant) == before


def test_an_event_of_business_is_booked_once(restaurant, closed):
    before = everything(restaurant)
    with (
        pytest.raises(IntegrityError, match="payments_ledgertransaction_key"),
        restaurant_scope(restaurant.pk),
    ):
        order = Order.objects.get(pk=closed["id"])
        books.book_sale(order, at=order.closed_at)
    with (
        pytest.raises(IntegrityError, match="payments_ledgertransaction_key"),
        restaurant_scope(restaurant.pk),
    ):
        order = Order.objects.get(pk=closed["id"])
        attempt = PaymentAttempt.objects.get()
        books.book_capture(order, attempt, captured=1250, tip=100, at=order.closed_at)
    assert everything(restaurant) == before


def test_a_key_belongs_to_one_restaurant(restaurant, other_restaurant, closed):
    with restaurant_scope(other_restaurant.pk):
        theirs = LedgerTransaction.objects.create(
            key=f"sale:{closed['id']}", business_date=closed["business_date"], created_at=closed["closed_at"]
        )
        assert list(LedgerTransaction.objects.all()) == [theirs]
    with (
        pytest.raises(IntegrityError, match="payments_ledgerentry_transaction_id_tfk"),
        restaurant_scope(restaurant.pk),
    ):
        LedgerEntry.objects.bulk_create(
            [LedgerEntry(transaction_id=theirs.pk, account="cash", amount_minor=0, currency="GBP")]
        )


def test_the_books_of_a_day_come_to_nothing(restaurant, till, scene, dba: psycopg.Connection):
    for body in (scene.takeaway(scene.line("Cake"), scene.burger(3)), scene.order(scene.line("Lager", 7))):
        bill = paid_and_closed(till, body, tip_minor=33)
        booked = in_books(restaurant, bill)
        assert booked["sale"]["receivable"] + booked["capture"]["receivable"] == 0
    accounts = dict(
        dba.execute(
            "SELECT account, sum(amount_minor)::int FROM payments_ledgerentry"
            " WHERE restaurant_id = %s GROUP BY 1",
            [restaurant.pk],
        ).fetchall()
    )
    # 5.95 at 0 %, 37.50 and 42.70 at 20 %: VAT 6.25 and 7.12
    assert accounts == {
        "cash": 595 + 3750 + 4270 + 66,
        "tips_payable": -66,
        "receivable": 0,
        "sales:0": -595,
        "sales:20": -(3125 + 3558),
        "vat:20": -(625 + 712),
    }


def test_a_bill_of_no_money_is_not_in_the_books(restaurant, till, scene):
    with restaurant_scope(restaurant.pk):
        order = Order(id=uuid7(), currency="GBP", business_date="2026-11-24", total_minor=0, tax_lines=[])
        books.book_sale(order, at=None)
        assert LedgerTransaction.objects.count() == 0
