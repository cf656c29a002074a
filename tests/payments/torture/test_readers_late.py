"""The guest is faster, slower, or gone: the reader and the till disagree, and the vendor decides (T4, T7)."""

import pytest

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import PaymentAttempt
from payments.providers.base import Outcome, Snapshot
from payments.services import cards, settling, sweeping
from tests.client import ApiClient
from tests.payments.bills import all_at_once, open_bill, pay
from tests.payments.cards.house import SquareHouse, SumupHouse

BURGER = 1250


@pytest.fixture
def bill(till, scene):
    """A burger for £12.50."""
    return open_bill(till, scene.takeaway(scene.burger()))


@pytest.fixture
def boss(owner):
    return ApiClient(owner)


def test_a_tap_just_before_the_cancellation_is_money(rig, till, bill):
    payment = rig.house.begin(till, bill).json()
    rig.house.tap(payment)
    answer = till.post(f"payments/{payment['id']}/cancel").json()
    assert (answer["state"], answer["captured_minor"]) == ("paid", BURGER)
    assert rig.audit() == BURGER


@pytest.mark.parametrize("vendor", ["square", "sumup"])
def test_a_tap_just_after_the_cancellation_is_money_too(vendor, request, rig_of, till, bill):
    """The reader had only promised to let go; until it did, no cash is taken for the bill."""
    rig = rig_of(request.getfixturevalue(vendor))
    payment = rig.house.begin(till, bill).json()
    assert till.post(f"payments/{payment['id']}/cancel").json()["attempt_state"] == "cancel_pending"
    assert pay(till, bill).json()["code"] == "amount_not_due"
    if isinstance(rig.house, SquareHouse):
        rig.peer.tap(rig.house.reader_ref(payment), ahead_of_cancel=True)
    else:
        assert isinstance(rig.house, SumupHouse)
        rig.house.tap(payment)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == BURGER


def test_a_card_in_the_reader_outruns_the_cancellation_at_stripe(rig_of, stripe, till, bill):
    """The reader does not let go, but the cancelled charge cannot be paid: the guest is told no."""
    rig = rig_of(stripe)
    payment = stripe.begin(till, bill).json()
    stripe.peer.refuse_cancel(stripe.terminal.reader_id)
    assert till.post(f"payments/{payment['id']}/cancel").json()["state"] == "canceled"
    stripe.tap(payment)
    assert stripe.taken() == 0
    assert pay(till, bill).status_code == 201
    assert rig.audit() == 0


def test_whoever_walks_away_pays_nothing_and_a_late_tap_takes_nothing(rig, till, bill):
    """Out of time it is cancelled at the vendor first; only then can it be paid in another way."""
    payment = rig.house.begin(till, bill).json()
    rig.finish()
    assert rig.payment(payment["id"]).state == "canceled"
    assert pay(till, bill).status_code == 201
    tap_late(rig, payment)
    assert rig.audit() == 0


def tap_late(rig, payment) -> None:
    """The reader refuses, in its vendor's own words."""
    if rig.house.name == "stripe":
        with pytest.raises(Exception, match="no action in progress"):
            rig.house.tap(payment)
    elif isinstance(rig.house, SquareHouse):
        assert rig.peer.tap(rig.house.reader_ref(payment)) is None
    else:
        assert rig.peer.tap(rig.house.reader_ref(payment)) is False


def test_cash_while_the_reader_is_armed_waits_for_the_reader(rig, till, bill):
    """OCA #550: the cashier chooses cash, the guest taps all the same."""
    payment = rig.house.begin(till, bill).json()
    assert pay(till, bill).json()["code"] == "amount_not_due"
    rig.house.tap(payment)
    assert pay(till, bill).json()["code"] == "amount_not_due"
    rig.finish()
    assert pay(till, bill).json()["code"] == "amount_not_due"
    assert rig.audit() == BURGER


@pytest.mark.parametrize("vendor", ["stripe", "sumup"])
def test_a_reader_that_is_away_is_definite(vendor, request, rig_of, till, bill):
    rig = rig_of(request.getfixturevalue(vendor))
    set_online(rig, False)
    answer = rig.house.begin(till, bill).json()
    assert (answer["state"], answer["failure_class"]) == ("failed", "retryable")
    assert pay(till, bill).status_code == 201
    assert rig.audit() == 0


@pytest.mark.parametrize("vendor", ["stripe", "sumup"])
def test_a_reader_that_dies_with_a_payment(vendor, request, rig_of, till, bill):
    """Stripe's charge is cancelled without it; SumUp's stays set aside until the reader is back."""
    rig = rig_of(request.getfixturevalue(vendor))
    payment = rig.house.begin(till, bill).json()
    set_online(rig, False)
    state = till.post(f"payments/{payment['id']}/cancel").json()["state"]
    assert state == ("canceled" if vendor == "stripe" else "open")
    if vendor == "sumup":
        assert pay(till, bill).json()["code"] == "amount_not_due"
        set_online(rig, True)
    rig.finish()
    assert rig.payment(payment["id"]).state == "canceled"
    assert rig.audit() == 0
    assert pay(till, bill).status_code == 201


def set_online(rig, is_online: bool) -> None:
    reader_id = rig.house.terminal.reader_id
    if rig.house.name == "stripe":
        rig.peer.set_reader(reader_id, "online" if is_online else "offline")
    else:
        rig.peer.set_online(reader_id, is_online)


def test_the_answer_of_an_earlier_attempt_does_not_end_the_next(rig, till, bill):
    """Declined, tried again, and the first one's webhook comes once more: the second goes on."""
    payment = rig.house.begin(till, bill).json()
    rig.house.tap(payment, decline=True)
    till.post(f"payments/{payment['id']}/check")
    first = rig.house.attempt(payment)
    assert not first.is_open
    till.post(f"payments/{payment['id']}/retry", {"terminal_id": str(rig.house.terminal.pk)})

    with rig.scope():
        cards.check(first.pk)
    assert rig.house.attempt(payment).is_open
    rig.house.tap(payment)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == BURGER


@pytest.fixture
def late(rig, till, bill, restaurant):
    """What nobody thought possible: the vendor takes "cancelled" back while a second attempt waits."""
    payment = rig.house.begin(till, bill).json()
    rig.finish()
    first = rig.house.attempt(payment)
    till.post(f"payments/{payment['id']}/retry", {"terminal_id": str(rig.house.terminal.pk)})
    second = rig.house.attempt(payment)

    def report():
        with restaurant_scope(restaurant.pk):
            settling.record(first.pk, Snapshot(Outcome.SUCCEEDED, BURGER, provider_ref=first.provider_ref))

    return payment, second, report


def states_of(restaurant) -> list[str]:
    with restaurant_scope(restaurant.pk):
        return [attempt.state for attempt in PaymentAttempt.objects.order_by("n")]


def test_money_of_an_attempt_that_was_given_up_is_booked_and_calls_the_next_one_off(
    rig, till, late, restaurant
):
    """The reader is let go at once, before its time is up; nothing unpays the payment."""
    payment, _, report = late
    report()
    assert rig.payment(payment["id"]).state == "paid"
    assert states_of(restaurant) == ["captured", "cancel_pending"]
    shown = till.get(f"payments/{payment['id']}").json()
    assert (shown["attempt"], shown["attempt_state"], shown["next_action"]) == (1, "captured", None)
    sweeping.sweep_restaurant(restaurant.pk)
    rig._vendor_goes_on()
    tap_late(rig, payment)
    rig.finish()
    assert states_of(restaurant) == ["captured", "canceled"]
    assert rig.payment(payment["id"]).state == "paid"
    assert (rig.ours(), rig.house.taken()) == (BURGER, 0)  # the first one's is only in our story
    assert rig.issues() == []


def test_a_second_tap_that_outruns_being_called_off_is_a_payment_of_its_own(
    rig, till, boss, bill, late, restaurant
):
    """Both are facts: two payments, one issue, and what is too much goes back to whom it came from."""
    payment, second, report = late
    rig.house.tap(payment)
    report()
    sweeping.sweep_restaurant(restaurant.pk)
    rig.finish()
    assert states_of(restaurant) == ["captured", "captured"]
    paid = rig.payment(payment["id"])
    other = rig.payment(str(second.pk))
    assert [(p.state, p.captured_minor, len(p.tries)) for p in (paid, other)] == [("paid", BURGER, 1)] * 2
    assert rig.issues() == ["overpaid"]
    assert (rig.ours(), rig.house.taken()) == (2 * BURGER, BURGER)
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == -BURGER
    with rig.scope():
        cards.check(second.pk)  # told again it is the same
    assert rig.ours() == 2 * BURGER
    body = {"id": str(uuid7()), "reason": "Paid twice"}
    assert boss.post(f"payments/{other.pk}/refunds", body).status_code in (201, 202)
    rig.finish()
    assert (rig.ours(), rig.house.taken()) == (BURGER, 0)
    assert till.post(f"orders/{bill['id']}/close").status_code == 200


def test_another_tender_of_the_bill_is_called_off_too(rig_of, square, till, bill, restaurant):
    """The first was given up and another payment begun for the bill; then the first one's money shows up."""
    rig = rig_of(square)
    first = square.begin(till, bill).json()
    rig.finish()
    given_up = square.attempt(first)
    other = square.begin(till, bill).json()
    with restaurant_scope(restaurant.pk):
        settling.record(given_up.pk, Snapshot(Outcome.SUCCEEDED, BURGER, provider_ref=given_up.provider_ref))
    assert square.attempt(other).state == "cancel_pending"
    rig.finish()
    assert (rig.payment(first["id"]).state, rig.payment(other["id"]).state) == ("paid", "canceled")
    assert (rig.ours(), square.taken()) == (BURGER, 0)
    assert rig.issues() == []


def test_taps_on_eight_tills_with_one_key_are_one_payment(rig, till, bill):
    """The same request at the same moment: one attempt, one charge (T4)."""
    payment_id = str(uuid7())
    answers = all_at_once(8, lambda n: rig.house.begin(till, bill, id=payment_id))
    assert {answer.status_code for answer in answers} <= {200, 202, 409}
    assert {a.json().get("code") for a in answers if a.status_code == 409} <= {"amount_not_due", "busy"}
    with restaurant_scope(rig.restaurant_id):
        assert PaymentAttempt.objects.count() == 1
    rig.house.tap({"id": payment_id})
    rig.finish()
    assert rig.audit() == BURGER
    other = rig.house.begin(till, bill, id=payment_id, amount_minor=5)
    assert (other.status_code, other.json()["code"]) == (422, "payment_id_reused")
