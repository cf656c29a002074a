"""The process dies at each point of taking, cancelling and refunding: a sweep alone finishes it (T1)."""

import contextlib
from collections.abc import Callable

import pytest

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import WebhookEvent
from payments.providers import PROVIDERS
from payments.services import cards, inbox, refunds, settling
from tests.payments.bills import open_bill, pay
from tests.payments.torture.rig import Killed, Rig

CHARGE_POINTS = ("after_reserve", "after_prepare", "after_submitted", "after_execute", "in_settle")
CANCEL_POINTS = ("before_cancel", "after_cancel", "in_settle")
REFUND_POINTS = ("before_refund", "after_refund", "in_settle_refund")


@pytest.fixture
def bill(till, scene):
    """A burger for £12.50."""
    return open_bill(till, scene.takeaway(scene.burger()))


@pytest.fixture
def kill(monkeypatch, rig) -> Callable[[str], None]:
    """Let whoever comes to a point die there, once."""
    provider = type(PROVIDERS[rig.house.name])
    points = {
        "after_reserve": (cards, "drive_and_wait", "before"),
        "after_prepare": (settling, "record_submitted", "before"),
        "after_submitted": (cards, "_carry", "before"),
        "after_execute": (provider, "execute", "after"),
        "in_settle": (settling, "record", "after"),
        "before_cancel": (provider, "cancel", "before"),
        "after_cancel": (provider, "cancel", "after"),
        "before_refund": (provider, "refund", "before"),
        "after_refund": (provider, "refund", "after"),
        "in_settle_refund": (refunds, "settle_refund", "after"),
        "after_inbox": (inbox, "_work_off_one", "before"),
        "after_webhook_looked": (cards, "check", "after"),
    }

    def arrange(point: str) -> None:
        owner, name, when = points[point]
        usual = getattr(owner, name)

        def dying(*args, **kwargs):
            monkeypatch.setattr(owner, name, usual)
            if when == "after":
                usual(*args, **kwargs)
            raise Killed(point)

        monkeypatch.setattr(owner, name, dying)

    return arrange


@pytest.fixture(autouse=True)
def _threads_die_alone(monkeypatch):
    """Whoever waits for a driver learns nothing of its death; the thread that dies takes nobody along."""
    usual = cards.wait_for

    def wait_for(work):
        def mortal():
            try:
                work()
            except Killed:
                return

        usual(mortal)

    monkeypatch.setattr(cards, "wait_for", wait_for)
    monkeypatch.setattr(refunds, "wait_for", wait_for)


def begin(rig: Rig, till, bill) -> str:
    payment_id = str(uuid7())
    with contextlib.suppress(Killed):
        rig.house.begin(till, bill, id=payment_id)
    return payment_id


@pytest.mark.parametrize("guest_taps", [True, False])
@pytest.mark.parametrize("point", CHARGE_POINTS)
def test_a_charge_that_dies(rig, till, bill, kill, point, guest_taps):
    """Taken or not, both books say the same, and the bill can be paid."""
    kill(point)
    payment_id = begin(rig, till, bill)
    if guest_taps and point in ("after_execute", "in_settle"):
        ref = rig.house.attempt({"id": payment_id}).provider_ref
        if ref or rig.house.name == "stripe":
            rig.house.tap({"id": payment_id})
    rig.finish()
    held = rig.audit()
    assert held in (0, 1250)
    assert rig.payment(payment_id).state == ("paid" if held else "canceled")
    assert pay(till, bill).status_code == (409 if held else 201)
    assert rig.audit() == held


@pytest.mark.parametrize("point", CANCEL_POINTS)
def test_a_cancellation_that_dies(rig, till, bill, kill, point):
    payment = rig.house.begin(till, bill).json()
    kill(point)
    till.post(f"payments/{payment['id']}/cancel")
    rig.finish()
    assert rig.payment(payment["id"]).state == "canceled"
    assert rig.audit() == 0
    assert pay(till, bill).status_code == 201


@pytest.mark.parametrize("point", REFUND_POINTS)
def test_a_refund_that_dies(rig, till, bill, kill, point):
    """The money goes back once."""
    payment = rig.paid(till, bill)
    kill(point)
    answer = till.post(
        f"payments/{payment['id']}/refunds", {"id": str(uuid7()), "amount_minor": 500, "reason": "Cold"}
    )
    assert answer.status_code in (201, 202), answer.content
    rig.finish()
    assert till.get(f"refunds/{answer.json()['id']}").json()["state"] == "succeeded"
    assert rig.audit() == 750


@pytest.mark.parametrize("point", ["after_inbox", "in_settle", "after_webhook_looked"])
def test_a_worker_that_dies_with_a_webhook(rig, till, bill, kill, point):
    """Another one takes it up a minute later."""
    payment = rig.house.begin(till, bill).json()
    rig.house.tap(payment)
    attempt = rig.house.attempt(payment)
    with restaurant_scope(rig.restaurant_id):
        WebhookEvent.objects.create(
            account=rig.house.account,
            provider=rig.house.name,
            event_id="evt_1",
            kind="paid",
            object_ref=attempt.provider_ref,
            attempt_hint=attempt.pk,
            raw=b"{}",
            next_try_at=attempt.created_at,
            received_at=attempt.created_at,
        )
    kill(point)
    with bind_restaurant(rig.restaurant_id), pytest.raises(Killed):
        inbox.work_off()
    with restaurant_scope(rig.restaurant_id):
        assert WebhookEvent.objects.get().state == "new"
    rig.sweep()
    with restaurant_scope(rig.restaurant_id):
        assert WebhookEvent.objects.get().state == "done"
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == 1250
