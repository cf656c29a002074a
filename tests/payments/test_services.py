"""Taking cash and closing, by the services themselves: rows, books and events."""

import datetime
import uuid

import pytest
from django.utils import timezone

from fynlo.errors import InvalidInput, NotAllowed
from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.errors import AmountNotDue, BalanceNotZero, ItemsNotSent, NoSuchOrder, OrderNotOpen
from orders.models import Order
from payments.errors import PaymentIdReused, TenderedTooLittle
from payments.models import LedgerTransaction, PaymentAttempt, PaymentIntent
from payments.payloads import payment_payload, receipt_payload
from payments.providers import Outcome, Snapshot
from payments.services import close_and_issue_receipt, pay_cash, settle
from tests import factories
from tests.client import ApiClient

from .bills import close, everything, in_books, open_bill, pay


@pytest.fixture
def bill(till, scene):
    """Two burgers with bacon and a lager, 34.10 with 5.68 of VAT, sent."""
    return open_bill(till, scene.order(scene.burger(2, "Bacon"), scene.line("Lager")))


def stored(restaurant, bill):
    with restaurant_scope(restaurant.pk):
        order = Order.objects.get(pk=bill["id"])
        return (
            order.status,
            order.reserved_minor,
            order.captured_minor,
            order.balance_due_minor,
            order.version,
        )


def test_cash_with_a_tip_and_change(restaurant, waiter, bill):
    key = uuid7()
    with restaurant_scope(restaurant.pk):
        payment = pay_cash(
            bill["id"], client_key=key, amount_minor=3410, tendered_minor=4000, tip_minor=300, by=waiter
        )
        assert (payment.amount_minor, payment.tip_minor, payment.change_minor) == (3410, 300, 290)
        payload = payment_payload(payment)
    with restaurant_scope(restaurant.pk):
        row = PaymentIntent.objects.values().get(pk=key)
        attempt = PaymentAttempt.objects.values("n", "provider", "state").get(intent=key)
        event = Event.objects.get(kind="payment.captured")
        transaction = LedgerTransaction.objects.get()
    expected = {
        "client_key": key,
        "order_id": uuid.UUID(bill["id"]),
        "method": "cash",
        "state": "paid",
        "amount_minor": 3410,
        "tip_minor": 300,
        "captured_minor": 3410,
        "tip_captured_minor": 300,
        "refunded_minor": 0,
        "refund_reserved_minor": 0,
        "tendered_minor": 4000,
        "change_minor": 290,
        "taken_by_id": waiter.membership_id,
        "device_id": None,
        "business_date": datetime.date.fromisoformat(bill["business_date"]),
    }
    assert {name: row[name] for name in expected} == expected
    assert row["created_at"] == row["settled_at"]
    assert attempt == {"n": 1, "provider": "cash", "state": "captured"}
    assert stored(restaurant, bill) == ("open", 0, 3410, 0, bill["version"] + 2)
    assert in_books(restaurant, bill) == {
        "capture": {"cash": 3710, "receivable": -3410, "tips_payable": -300}
    }
    assert transaction.business_date == row["business_date"]
    assert (event.subject_id, event.payload, event.actor) == (key, payload, waiter.actor)
    assert (payload["balance_due_minor"], payload["taken_by"]) == (0, waiter.name)


def test_it_pays_all_that_is_due_with_the_exact_money_unless_told_otherwise(restaurant, waiter, bill):
    with restaurant_scope(restaurant.pk):
        payment = pay_cash(bill["id"], client_key=uuid7(), tip_minor=90, by=waiter)
    assert (payment.amount_minor, payment.tendered_minor, payment.change_minor) == (3410, 3500, 0)


def test_a_part_then_the_rest(restaurant, waiter, bill):
    with restaurant_scope(restaurant.pk):
        pay_cash(bill["id"], client_key=uuid7(), amount_minor=1000, by=waiter)
    assert stored(restaurant, bill)[1:4] == (0, 1000, 2410)
    with restaurant_scope(restaurant.pk):
        rest = pay_cash(bill["id"], client_key=uuid7(), tendered_minor=2500, by=waiter)
    assert (rest.amount_minor, rest.change_minor) == (2410, 90)
    assert stored(restaurant, bill)[1:4] == (0, 3410, 0)
    assert in_books(restaurant, bill) == {"capture": {"cash": 3410, "receivable": -3410}}


def test_a_till_is_named_on_what_it_takes(restaurant, waiter, bill):
    device = factories.device(restaurant)
    at_till = type(waiter)(
        waiter.restaurant_id,
        waiter.membership_id,
        waiter.name,
        waiter.role,
        waiter.session_id,
        device.device_id,
    )
    with restaurant_scope(restaurant.pk):
        payment = pay_cash(bill["id"], client_key=uuid7(), by=at_till)
        assert payment.device_id == device.device_id


@pytest.mark.parametrize(
    ("fields", "error", "field", "says"),
    [
        ({"amount_minor": 3411}, AmountNotDue, "amount_minor", {"balance_due_minor": 3410}),
        ({"amount_minor": 3410, "tendered_minor": 3409}, TenderedTooLittle, "tendered_minor", {}),
        ({"tendered_minor": 3499, "tip_minor": 90}, TenderedTooLittle, "tendered_minor", {}),
    ],
)
def test_a_refused_payment_leaves_nothing(restaurant, waiter, bill, fields, error, field, says):
    before = everything(restaurant)
    with pytest.raises(error) as refused, restaurant_scope(restaurant.pk):
        pay_cash(bill["id"], client_key=uuid7(), by=waiter, **fields)
    assert (refused.value.field, refused.value.extra) == (field, says)
    assert everything(restaurant) == before


def test_what_is_short_is_named_in_money(restaurant, waiter, bill):
    with (
        pytest.raises(TenderedTooLittle, match=r"This is less than £35\.00\."),
        restaurant_scope(restaurant.pk),
    ):
        pay_cash(bill["id"], client_key=uuid7(), tendered_minor=3499, tip_minor=90, by=waiter)


def test_nothing_is_taken_where_nothing_is_due(restaurant, waiter, bill):
    with restaurant_scope(restaurant.pk):
        pay_cash(bill["id"], client_key=uuid7(), by=waiter)
    before = everything(restaurant)
    for amount in (None, 1):
        with pytest.raises(AmountNotDue) as refused, restaurant_scope(restaurant.pk):
            pay_cash(bill["id"], client_key=uuid7(), amount_minor=amount, by=waiter)
        assert refused.value.extra == {"balance_due_minor": 0}
    assert everything(restaurant) == before


def test_the_same_tap_again_is_the_same_payment(restaurant, waiter, bill):
    key = uuid7()
    with restaurant_scope(restaurant.pk):
        first = pay_cash(bill["id"], client_key=key, tendered_minor=4000, by=waiter)
        assert not first.is_repeat
    after = everything(restaurant)
    with restaurant_scope(restaurant.pk):
        again = pay_cash(bill["id"], client_key=key, tendered_minor=4000, by=waiter)
        assert again.is_repeat
        assert payment_payload(again) == payment_payload(first)
    assert everything(restaurant) == after
    with restaurant_scope(restaurant.pk):
        close_and_issue_receipt(bill["id"], by=waiter)
    with restaurant_scope(restaurant.pk):  # also when the bill is closed meanwhile
        assert pay_cash(bill["id"], client_key=key, tendered_minor=4000, by=waiter).pk == first.pk


@pytest.mark.parametrize(
    "other", [{"amount_minor": 1000}, {"tendered_minor": 3500}, {"tip_minor": 1}, {"amount_minor": 3410}]
)
def test_another_payment_cannot_have_the_same_id(restaurant, waiter, bill, other):
    key = uuid7()
    with restaurant_scope(restaurant.pk):
        pay_cash(bill["id"], client_key=key, by=waiter)
    before = everything(restaurant)
    with pytest.raises(PaymentIdReused) as refused, restaurant_scope(restaurant.pk):
        pay_cash(bill["id"], client_key=key, by=waiter, **other)
    assert refused.value.field == "id"
    assert everything(restaurant) == before


def test_the_same_id_for_another_bill_is_refused(restaurant, waiter, till, scene, bill):
    key = uuid7()
    other = open_bill(till, scene.takeaway(scene.line("Fries")))
    with restaurant_scope(restaurant.pk):
        pay_cash(bill["id"], client_key=key, by=waiter)
    before = everything(restaurant)
    with pytest.raises(PaymentIdReused), restaurant_scope(restaurant.pk):
        pay_cash(other["id"], client_key=key, by=waiter)
    assert everything(restaurant) == before


def test_only_an_open_bill_is_paid(restaurant, waiter, manager, till, scene, bill):
    pay(till, bill)
    close(till, bill)
    voided = open_bill(till, scene.takeaway(scene.line("Fries")))
    ApiClient(manager).post(f"orders/{voided['id']}/void", {"reason": "Left"})
    before = everything(restaurant)
    for order_id, error in [
        (bill["id"], OrderNotOpen),
        (voided["id"], OrderNotOpen),
        (uuid7(), NoSuchOrder),
    ]:
        with pytest.raises(error), restaurant_scope(restaurant.pk):
            pay_cash(order_id, client_key=uuid7(), by=waiter)
        with pytest.raises(error), restaurant_scope(restaurant.pk):
            close_and_issue_receipt(order_id, by=waiter)
    assert everything(restaurant) == before


def test_settling_again_changes_nothing(restaurant, waiter, bill):
    with restaurant_scope(restaurant.pk):
        pay_cash(bill["id"], client_key=uuid7(), tip_minor=100, by=waiter)
    after = everything(restaurant)
    for _ in range(2):
        with restaurant_scope(restaurant.pk):
            attempt = PaymentAttempt.objects.select_related("intent").get()
            told = Snapshot(Outcome.SUCCEEDED, captured_minor=3410, tip_minor=100)
            payment = settle(attempt, told, at=timezone.now(), actor=waiter.actor)
            assert (payment.state, payment.captured_minor) == ("paid", 3410)
    assert everything(restaurant) == after


def test_closing_books_the_sale_and_issues_the_receipt(restaurant, waiter, bill):
    with restaurant_scope(restaurant.pk):
        payment = pay_cash(bill["id"], client_key=uuid7(), tendered_minor=4000, by=waiter)
    with restaurant_scope(restaurant.pk):
        receipt = close_and_issue_receipt(bill["id"], by=waiter)
        payload = receipt_payload(receipt)
        assert receipt.order.status == "closed"
        assert receipt.number == 1
    assert in_books(restaurant, bill) == {
        "capture": {"cash": 3410, "receivable": -3410},
        "sale": {"receivable": 3410, "sales:20": -2842, "vat:20": -568},
    }
    with restaurant_scope(restaurant.pk):
        events = list(Event.objects.order_by("-seq")[:3])
    assert [event.kind for event in events] == ["receipt.issued", "order.closed", "payment.captured"]
    assert (events[0].subject_id, events[0].payload, events[0].actor) == (receipt.pk, payload, waiter.actor)
    assert [paid["id"] for paid in payload["payments"]] == [str(payment.pk)]


def test_a_bill_with_two_rates_is_booked_by_rate(restaurant, waiter, till, scene):
    bill = open_bill(till, scene.takeaway(scene.burger(), scene.line("Cake")))
    with restaurant_scope(restaurant.pk):
        pay_cash(bill["id"], client_key=uuid7(), by=waiter)
        close_and_issue_receipt(bill["id"], by=waiter)
    assert in_books(restaurant, bill)["sale"] == {
        "receivable": 1845,
        "sales:20": -1042,
        "vat:20": -208,
        "sales:0": -595,
    }


def test_a_bill_of_nothing_closes_without_payment(restaurant, waiter, manager, till, scene):
    bill = open_bill(till, scene.takeaway(scene.line("Fries")))
    void = ApiClient(manager).post(
        f"orders/{bill['id']}/items/{bill['items'][0]['id']}/void", {"reason": "On the house"}
    )
    assert void.json()["total_minor"] == 0
    with restaurant_scope(restaurant.pk):
        receipt = close_and_issue_receipt(bill["id"], by=waiter)
    assert (receipt.number, receipt.content["total_minor"], receipt.content["lines"]) == (1, 0, [])
    assert in_books(restaurant, bill) == {}


def test_a_bill_that_is_not_settled_stays_open(restaurant, waiter, till, scene, bill):
    unsent = till.post("orders", scene.takeaway(scene.line("Fries"))).json()
    assert pay(till, unsent).status_code == 201
    assert pay(till, bill, amount_minor=3409).status_code == 201
    before = everything(restaurant)
    for order, error in [(bill, BalanceNotZero), (unsent, ItemsNotSent)]:
        with pytest.raises(error), restaurant_scope(restaurant.pk):
            close_and_issue_receipt(order["id"], by=waiter)
    assert everything(restaurant) == before


def test_receipt_numbers_have_no_gap_after_refusals(restaurant, till, scene):
    numbers = []
    for _ in range(3):
        bill = open_bill(till, scene.takeaway(scene.line("Lager")))
        assert close(till, bill).status_code == 409
        assert pay(till, bill, amount_minor=611).status_code == 409
        assert pay(till, bill).status_code == 201
        numbers.append(close(till, bill).json()["receipt"]["number"])
        assert close(till, bill).status_code == 409
    assert numbers == [1, 2, 3]


# Importing the past

PAST = datetime.datetime(2015, 6, 5, 22, 30, tzinfo=datetime.UTC)


@pytest.fixture
def past_bill(owner, scene):
    return open_bill(ApiClient(owner), scene.takeaway(scene.line("Fries"), opened_at=PAST.isoformat()))


def test_an_owner_imports_a_payment_and_a_receipt_of_the_past(restaurant, owner, past_bill):
    paid_at, closed_at = PAST + datetime.timedelta(minutes=5), PAST + datetime.timedelta(minutes=6)
    with restaurant_scope(restaurant.pk):
        payment = pay_cash(past_bill["id"], client_key=uuid7(), by=owner, at=paid_at)
        receipt = close_and_issue_receipt(past_bill["id"], by=owner, at=closed_at)
        days = set(LedgerTransaction.objects.values_list("business_date", "created_at"))
    day = datetime.date(2015, 6, 5)
    assert (payment.created_at, payment.settled_at, payment.business_date) == (paid_at, paid_at, day)
    assert (receipt.issued_at, receipt.order.closed_at) == (closed_at, closed_at)
    assert receipt.content["local_time"] == "2015-06-05T23:36:00"  # summer time in London
    assert days == {(day, paid_at), (day, closed_at)}


def test_nobody_else_sets_times_and_no_time_can_be_wrong(restaurant, owner, manager, past_bill):
    device = factories.device(restaurant)
    at_till = type(owner)(
        owner.restaurant_id, owner.membership_id, owner.name, owner.role, owner.session_id, device.device_id
    )
    before = everything(restaurant)
    for by, at, error, field in [
        (manager, PAST, NotAllowed, "paid_at"),
        (at_till, PAST, NotAllowed, "paid_at"),
        (owner, PAST - datetime.timedelta(seconds=1), InvalidInput, "paid_at"),
        (owner, timezone.now() + datetime.timedelta(minutes=1), InvalidInput, "paid_at"),
    ]:
        with pytest.raises(error) as refused, restaurant_scope(restaurant.pk):
            pay_cash(past_bill["id"], client_key=uuid7(), by=by, at=at)
        assert refused.value.field == field
        with pytest.raises(error) as refused, restaurant_scope(restaurant.pk):
            close_and_issue_receipt(past_bill["id"], by=by, at=at)
        assert refused.value.field == "closed_at"
    assert everything(restaurant) == before
