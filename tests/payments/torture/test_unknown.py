"""Every way in which a call breaks, at every operation of every vendor: a sweep ends it, right (T2)."""

import pytest

from payments.providers.errors import UnknownOutcome
from payments.services import cards
from tests.payments.bills import open_bill, pay
from tests.peers.fault_plan import MODES

BURGER = 1250


@pytest.fixture
def bill(till, scene):
    """A burger for £12.50."""
    return open_bill(till, scene.takeaway(scene.burger()))


def take(rig, till, bill) -> None:
    """The guest taps if the reader asks; whether that was known or not, it is taken once or not at all."""
    begun = rig.house.begin(till, bill)
    assert begun.status_code in (201, 202), begun.content
    payment = begun.json()
    if payment["attempt_state"] == "requires_action":
        rig.house.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    rig.finish()
    assert rig.peer.faults.pending == 0
    held = rig.audit()
    assert (rig.payment(payment["id"]).state, held) in (("paid", BURGER), ("canceled", 0), ("failed", 0))
    assert pay(till, bill).status_code == (409 if held else 201)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", ["execute", "fetch"])
def test_taking_is_right_whatever_breaks(rig, till, bill, operation, mode):
    rig.fail(operation, mode)
    take(rig, till, bill)


@pytest.mark.parametrize("mode", MODES)
def test_preparing_is_right_whatever_breaks(rig_of, stripe, till, bill, mode):
    rig = rig_of(stripe)
    rig.fail("prepare", mode)
    take(rig, till, bill)


@pytest.mark.parametrize("mode", MODES)
def test_cancelling_is_right_whatever_breaks(rig, till, bill, mode):
    payment = rig.house.begin(till, bill).json()
    rig.fail("cancel", mode)
    till.post(f"payments/{payment['id']}/cancel")
    rig.finish()
    assert rig.peer.faults.pending == 0
    assert rig.payment(payment["id"]).state == "canceled"
    assert rig.audit() == 0
    assert pay(till, bill).status_code == 201


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", ["refund", "fetch_refund"])
def test_giving_back_is_right_whatever_breaks(rig, till, bill, operation, mode):
    """Once; only SumUp, which has no keys, obeys twice where a proxy sends a request twice: we say so."""
    payment = rig.paid(till, bill)
    rig.fail(operation, *([mode] if operation == "refund" else ["drop_after", mode]))
    if operation == "fetch_refund":
        rig.fail("refund", "drop_after")
    body = {"id": payment["id"], "amount_minor": 300, "reason": "Cold soup"}
    answer = till.post(f"payments/{payment['id']}/refunds", body)
    assert answer.status_code in (201, 202), answer.content
    rig.finish()
    assert till.get(f"refunds/{answer.json()['id']}").json()["state"] == "succeeded"
    if (rig.house.name, operation, mode) == ("sumup", "refund", "dup"):
        assert rig.house.taken() == BURGER - 600
        rig.look(payment)
        assert rig.issues() == ["external_refund"]
        assert rig.audit() == BURGER - 600
    else:
        rig.look(payment)
        assert rig.audit() == BURGER - 300


def test_a_hint_about_a_settled_charge_outlives_a_failed_look(rig, till, bill):
    """Nobody sweeps what is over: the webhook is what has to come again."""

    payment = rig.paid(till, bill)
    rig.peer.faults.next("500_before", method="GET")
    with pytest.raises(UnknownOutcome), rig.scope():
        cards.check(rig.house.attempt(payment).pk)
    rig.look(payment)
    assert rig.audit() == BURGER


def test_an_unknown_one_holds_the_bill_until_it_is_known(rig, till, bill):
    """Neither cash nor another card pays what may have been paid."""
    rig.fail("execute", "500_after")
    payment = rig.house.begin(till, bill).json()
    assert (payment["attempt_state"], payment["state"]) == ("unknown", "open")
    assert pay(till, bill).json()["code"] == "amount_not_due"
    rig.finish()
    assert rig.payment(payment["id"]).state == "canceled"
    assert pay(till, bill).status_code == 201
    assert rig.audit() == 0


def test_declined_stays_declined_though_the_cancellation_is_lost(rig_of, stripe, till, bill):
    rig = rig_of(stripe)
    rig.fail("cancel", "500_before")
    body = {"id": bill["id"], "method": "card_online", "source_token": "pm_card_visa_chargeDeclined"}
    payment = till.post(f"orders/{bill['id']}/card-payments", body).json()
    assert payment["attempt_state"] == "cancel_pending"
    rig.finish()
    paid = till.get(f"payments/{payment['id']}").json()
    assert (paid["state"], paid["failure_class"]) == ("failed", "declined")
    assert rig.audit() == 0
