"""A card on the reader, at each vendor: from the waiter's tap on the till to the books."""

import pytest

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import LedgerEntry, PaymentAttempt, ProviderCall
from tests.payments.bills import in_books, kinds_of_events, open_bill


@pytest.fixture
def bill(till, scene):
    """A burger for £12.50."""
    return open_bill(till, scene.takeaway(scene.burger()))


def check(till, payment):
    answer = till.post(f"payments/{payment['id']}/check")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_tap_is_money(house, till, bill, restaurant):
    begun = house.begin(till, bill)
    assert begun.status_code == 202, begun.content
    payment = begun.json()
    assert (payment["state"], payment["attempt_state"]) == ("open", "requires_action")
    assert payment["next_action"]["type"] == "tap"
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == 1250

    house.tap(payment)
    paid = check(till, payment)

    assert (paid["state"], paid["attempt_state"], paid["captured_minor"]) == ("paid", "captured", 1250)
    assert paid["balance_due_minor"] == 0
    assert house.taken() == 1250
    clearing = f"clearing:{house.account.pk}"
    assert in_books(restaurant, bill)["capture"] == {clearing: 1250, "receivable": -1250}
    closed = till.post(f"orders/{bill['id']}/close")
    assert closed.status_code == 200
    assert closed.json()["receipt"]["payments"][0]["method"] == "card_present"
    assert kinds_of_events(restaurant, "payment.") == ["payment.begun", "payment.changed", "payment.captured"]


def test_a_tip_on_the_reader_is_beside_the_bill(house, till, bill, restaurant):
    payment = house.begin(till, bill).json()
    house.tap(payment, tip=200)
    paid = check(till, payment)
    assert (paid["captured_minor"], paid["tip_captured_minor"]) == (1250, 200)
    assert house.taken() == 1450
    clearing = f"clearing:{house.account.pk}"
    assert in_books(restaurant, bill)["capture"] == {
        clearing: 1450,
        "receivable": -1250,
        "tips_payable": -200,
    }


def test_a_declined_card_takes_nothing_and_another_may_be_tried(house, till, bill, restaurant):
    payment = house.begin(till, bill).json()
    house.tap(payment, decline=True)
    failed = check(till, payment)
    assert (failed["state"], failed["attempt_state"], failed["failure_class"]) == house.after_decline
    assert house.taken() == 0
    again = till.post(f"payments/{payment['id']}/retry", {"terminal_id": str(house.terminal.pk)})
    assert again.status_code == 202, again.content
    house.tap(payment)
    paid = check(till, payment)
    assert (paid["state"], paid["attempt"], paid["captured_minor"]) == ("paid", 2, 1250)
    assert house.taken() == 1250


def test_it_is_cancelled_before_the_guest_taps(house, till, bill):
    payment = house.begin(till, bill).json()
    cancelled = till.post(f"payments/{payment['id']}/cancel").json()
    if cancelled["state"] == "open":  # Square and SumUp only promise to
        assert cancelled["attempt_state"] == "cancel_pending"
        house.let_go(payment)
        cancelled = check(till, payment)
    assert (cancelled["state"], cancelled["attempt_state"]) == ("canceled", "canceled")
    assert house.taken() == 0
    paid = till.post(f"orders/{bill['id']}/payments", {"id": str(uuid7()), "method": "cash"})
    assert paid.status_code == 201, paid.content


def test_one_tap_on_the_till_is_one_payment(house, till, bill):
    payment_id = str(uuid7())
    first = house.begin(till, bill, id=payment_id)
    again = house.begin(till, bill, id=payment_id)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    other = house.begin(till, bill, id=payment_id, amount_minor=500)
    assert (other.status_code, other.json()["code"]) == (422, "payment_id_reused")
    house.tap(first.json())
    assert check(till, first.json())["state"] == "paid"
    assert house.taken() == 1250


def test_what_is_on_the_reader_cannot_be_paid_another_way(house, till, bill):
    house.begin(till, bill)
    cash = till.post(f"orders/{bill['id']}/payments", {"id": str(uuid7()), "method": "cash"})
    assert (cash.status_code, cash.json()["code"]) == (409, "amount_not_due")
    other = house.begin(till, bill, amount_minor=100)
    assert (other.status_code, other.json()["code"]) == (409, "amount_not_due")


def test_a_reader_serves_one_payment_at_a_time(house, till, scene, bill):
    house.begin(till, bill)
    other = open_bill(till, scene.takeaway(scene.line("Fries")))
    answer = house.begin(till, other)
    assert (answer.status_code, answer.json()["code"]) == (409, "terminal_busy")
    assert till.get(f"orders/{other['id']}/payments").json()["results"] == []


def test_every_call_is_on_record(house, till, bill, restaurant):
    payment = house.begin(till, bill).json()
    house.tap(payment)
    check(till, payment)
    with restaurant_scope(restaurant.pk):
        attempt = PaymentAttempt.objects.get(intent=payment["id"])
        operations = list(
            ProviderCall.objects.filter(attempt=attempt)
            .order_by("created_at")
            .values_list("operation", flat=True)
        )
        assert LedgerEntry.objects.filter(account="receivable").count() == 1
    expected = ["prepare", "execute", "fetch"] if house.name == "stripe" else ["execute", "fetch"]
    assert operations == expected
