"""The process dies at each point of taking, capturing, cancelling and refunding: a sweep finishes it (T1)."""

import contextlib
import threading
from collections.abc import Callable

import pytest

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import WebhookEvent
from payments.providers import PROVIDERS
from payments.services import cards, inbox, refunds, settling
from tests.payments.bills import all_at_once, open_bill, pay
from tests.payments.torture.rig import Killed, Rig

CHARGE_POINTS = ("after_reserve", "after_prepare", "after_submitted", "after_execute", "in_settle")
CANCEL_POINTS = ("before_cancel", "after_cancel", "in_settle")
CAPTURE_POINTS = ("before_capture", "after_capture", "in_settle")
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
        "before_capture": (provider, "capture", "before"),
        "after_capture": (provider, "capture", "after"),
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


# Those that hold money without taking it; SumUp takes it at once.
HOLDS = pytest.mark.parametrize("house", ["stripe", "square"], indirect=True)
CARD = {"stripe": "pm_card_visa", "square": "cnon:card-nonce-ok"}
ON_THE_WIRE = {"stripe": "/capture", "square": "/complete"}


@pytest.fixture
def held(rig, till, bill) -> str:
    """£12.50 held on a guest's card."""
    body = {
        "id": str(uuid7()),
        "method": "card_online",
        "source_token": CARD[rig.house.name],
        "capture": False,
    }
    payment = till.post(f"orders/{bill['id']}/card-payments", body).json()
    assert payment["attempt_state"] == "authorized"
    return str(payment["id"])


@pytest.fixture
def captures(rig) -> list[str]:
    """The captures that reach the vendor."""
    seen: list[str] = []
    usual = rig.peer.faults.take

    def take(method, path):
        if path.endswith(ON_THE_WIRE[rig.house.name]):
            seen.append(path)
        return usual(method, path)

    rig.peer.faults.take = take
    return seen


def capture(till, payment_id, **body):
    return till.post(f"payments/{payment_id}/capture", body)


@HOLDS
@pytest.mark.parametrize("point", CAPTURE_POINTS)
def test_a_capture_that_dies(rig, till, bill, held, kill, captures, point):
    """Captured or not, both books say the same; what is held still can be captured, even another amount."""
    kill(point)
    assert capture(till, held, amount_minor=1000).json()["attempt_state"] == "authorized"
    other = capture(till, held, amount_minor=900)
    assert (other.status_code, other.json()["code"]) == (409, "capture_under_way")
    assert capture(till, held, amount_minor=1000).json()["attempt_state"] == "authorized"
    assert len(captures) == (0 if point == "before_capture" else 1)
    rig.sweep()
    taken = 1000
    if point == "before_capture":
        assert rig.house.attempt({"id": held}).state == "authorized"
        taken = 900
        assert capture(till, held, amount_minor=900).json()["state"] == "paid"
    paid = rig.payment(held)
    assert (paid.state, paid.captured_minor) == ("paid", taken)
    assert len(captures) == 1
    assert rig.issues() == []
    assert rig.audit() == taken
    again = capture(till, held, amount_minor=1000)
    assert (again.status_code, again.json()["code"]) == (409, "payment_not_authorized")
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == 1250 - taken


@HOLDS
@pytest.mark.parametrize("amounts", [(1250, 1250), (1250, 700)])
def test_of_two_captures_at_once_one_reaches_the_vendor(rig, till, held, captures, amounts, monkeypatch):
    """The first is held up until a second one had the time to come as far."""
    both = threading.Barrier(2)
    provider = type(PROVIDERS[rig.house.name])
    usual = provider.capture

    def slow(*args):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=1.5)
        return usual(*args)

    monkeypatch.setattr(provider, "capture", slow)
    answers = all_at_once(2, lambda n: capture(till, held, amount_minor=amounts[n]))
    assert len(captures) == 1
    refused = [answer.json()["code"] for answer in answers if answer.status_code != 200]
    assert refused == ([] if amounts[0] == amounts[1] else ["capture_under_way"])
    paid = rig.payment(held)
    assert paid.state == "paid"
    assert paid.captured_minor in amounts
    assert rig.issues() == []
    assert rig.audit() == paid.captured_minor


@HOLDS
def test_a_capture_whose_answer_is_lost_is_asked_about(rig, till, held, captures):
    rig.peer.faults.next("drop_after", path=f"*{ON_THE_WIRE[rig.house.name]}")
    assert capture(till, held).json()["attempt_state"] == "unknown"
    rig.sweep()
    assert rig.payment(held).state == "paid"
    assert len(captures) == 1
    assert rig.audit() == 1250


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
