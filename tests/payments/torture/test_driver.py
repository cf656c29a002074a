"""Between two calls of whoever began a payment nobody else ends it, and what was given up is not asked."""

import fnmatch

import pytest

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant
from payments.models import PaymentAttempt
from payments.providers import PROVIDERS
from payments.providers.square import SquareProvider
from payments.providers.stripe import StripeProvider
from payments.services import cards, settling
from tests.payments.bills import all_at_once, open_bill, pay

State = PaymentAttempt.State


@pytest.fixture
def bill(till, scene):
    """A burger for £12.50."""
    return open_bill(till, scene.takeaway(scene.burger()))


@pytest.fixture
def held_up(monkeypatch):
    """Do something at a moment of the driver's: held_up(module, name, do, after=…)."""

    def put(owner, name, do, *, after=False):
        usual = getattr(owner, name)

        def wrapped(*args, **kwargs):
            if after:
                answer = usual(*args, **kwargs)
                monkeypatch.setattr(owner, name, usual)
                do()
                return answer
            monkeypatch.setattr(owner, name, usual)
            do()
            return usual(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)

    return put


def test_what_was_cancelled_before_it_was_asked_for_is_not_asked_for(rig, till, bill, held_up):
    """The waiter gives up while the driver is still at its beginning: the reader is never armed."""

    payment_id = str(uuid7())
    held_up(cards, "drive", lambda: till.post(f"payments/{payment_id}/cancel"))
    rig.house.begin(till, bill, id=payment_id)
    assert rig.house.attempt({"id": payment_id}).state == State.CANCELED
    assert rig.payment(payment_id).state == "canceled"
    method, path = rig.wire("execute")
    assert [c for c in rig.peer.calls if c.method == method and fnmatch.fnmatch(c.path, path)] == []
    assert pay(till, bill).status_code == 201
    assert rig.audit() == 0


def test_a_cancellation_while_it_is_prepared_wins(rig_of, stripe, till, bill, held_up):
    """The PaymentIntent appears after the cancellation found nothing: cancelled, and never confirmed."""

    rig, payment_id = rig_of(stripe), str(uuid7())
    held_up(StripeProvider, "prepare", lambda: till.post(f"payments/{payment_id}/cancel"))
    body = {"id": payment_id, "method": "card_online", "source_token": "pm_card_visa"}
    till.post(f"orders/{bill['id']}/card-payments", body)
    rig.finish()
    assert rig.payment(payment_id).state == "canceled"
    assert [intent["status"] for intent in stripe.peer.payment_intents()] == ["canceled"]
    assert pay(till, bill).status_code == 201
    assert rig.audit() == 0


@pytest.mark.parametrize("vendor", ["square", "sumup"])
def test_what_may_be_on_its_way_is_not_over_because_nobody_knows_it(
    vendor, request, rig_of, till, bill, held_up
):
    """A vendor of one step finds nothing to cancel, as the request has not arrived: it stays set aside."""

    rig, payment_id = rig_of(request.getfixturevalue(vendor)), str(uuid7())
    seen = []

    def cancel():
        seen.append(till.post(f"payments/{payment_id}/cancel").json())
        seen.append(pay(till, bill).json())

    held_up(type(PROVIDERS[vendor]), "execute", cancel)
    rig.house.begin(till, bill, id=payment_id)
    assert seen[0]["attempt_state"] == "cancel_pending"
    assert seen[1]["code"] == "amount_not_due"
    rig.house.tap({"id": payment_id})
    rig.finish()
    assert rig.payment(payment_id).state == "paid"  # the guest was faster, and nobody else has paid
    assert rig.audit() == 1250


def charge_a_burger(rig, till, bill, payment_id):
    """A card typed in at Square, which takes money in one step; then everything comes to its end."""
    body = {"id": payment_id, "method": "card_online", "source_token": "cnon:card-nonce-ok"}
    assert till.post(f"orders/{bill['id']}/card-payments", body).status_code in (201, 202)
    rig.finish()


@pytest.mark.parametrize("after", [True, False])
def test_a_cancellation_undoes_nothing_that_an_answer_on_its_way_calls_paid(
    rig_of, square, till, bill, held_up, after
):
    """Whether Square had it before the waiter gave it up or not: the money is there, and so say our books."""
    rig, payment_id = rig_of(square), str(uuid7())
    held_up(SquareProvider, "execute", lambda: till.post(f"payments/{payment_id}/cancel"), after=after)
    charge_a_burger(rig, till, bill, payment_id)
    assert rig.payment(payment_id).state == "paid"
    assert rig.audit() == 1250


def test_what_is_settled_while_it_is_being_cancelled_stays_settled(rig_of, square, till, bill, held_up):
    rig, payment_id = rig_of(square), str(uuid7())

    def look():
        with bind_restaurant(rig.restaurant_id):
            cards.check(rig.house.attempt({"id": payment_id}).pk)

    held_up(SquareProvider, "cancel", look)
    held_up(SquareProvider, "execute", lambda: till.post(f"payments/{payment_id}/cancel"), after=True)
    charge_a_burger(rig, till, bill, payment_id)
    assert rig.payment(payment_id).state == "paid"
    assert rig.audit() == 1250


def test_a_webhook_between_two_calls_cancels_nothing(rig, till, bill, held_up):
    """`payment_intent.created` arrives before the reader is armed: the payment goes on."""

    payment_id = str(uuid7())

    def hint():
        with bind_restaurant(rig.restaurant_id):
            cards.check(rig.house.attempt({"id": payment_id}).pk)

    held_up(settling, "record_submitted", hint)
    held_up(cards, "_carry", hint)
    begun = rig.house.begin(till, bill, id=payment_id)
    assert begun.json()["attempt_state"] == "requires_action"
    rig.house.tap(begun.json())
    rig.finish()
    assert rig.payment(payment_id).state == "paid"
    assert rig.audit() == 1250


def test_a_look_that_fails_does_not_give_up_the_guest_at_the_reader(rig, till, bill):
    """One lost answer while the guest looks for a card: the reader goes on waiting."""
    payment = rig.house.begin(till, bill).json()
    rig.fail("fetch", "500_before")
    till.post(f"payments/{payment['id']}/check")
    till.post(f"payments/{payment['id']}/check")
    assert rig.house.attempt(payment).state == State.REQUIRES_ACTION
    rig.house.tap(payment)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == 1250


def test_going_on_all_the_same_would_charge_a_paid_bill(rig_of, square, till, bill, monkeypatch):
    """The mutant of the above: whoever does not look whether it was given up takes the money twice."""
    rig, payment_id = rig_of(square), str(uuid7())
    usual = settling.record_submitted

    def give_up_and_pay_cash(n: int) -> None:
        assert till.post(f"payments/{payment_id}/cancel").json()["state"] == "canceled"
        assert pay(till, bill).status_code == 201

    def go_on_all_the_same(*args):
        all_at_once(1, give_up_and_pay_cash)  # by another till, while this one is about to say so
        usual(*args)
        return True

    monkeypatch.setattr(settling, "record_submitted", go_on_all_the_same)
    body = {"id": payment_id, "method": "card_online", "source_token": "cnon:card-nonce-ok"}
    till.post(f"orders/{bill['id']}/card-payments", body)
    assert square.taken() == 1250
    assert rig.issues() == ["overpaid"]
