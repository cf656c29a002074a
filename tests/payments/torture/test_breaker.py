"""A vendor that is away: nothing is begun, nothing lost, and what is under way is asked about (T8, T12)."""

import time

import httpx
import pytest
import redis

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import PaymentIntent
from payments.providers import breaker
from payments.services import cards
from tests.client import ApiClient
from tests.payments.bills import everything, open_bill, pay
from tests.processes import web_server


@pytest.fixture
def bill(till, scene):
    """A burger for £12.50."""
    return open_bill(till, scene.takeaway(scene.burger()))


@pytest.fixture
def another(till, scene):
    return open_bill(till, scene.takeaway(scene.line("Fries")))


def go_away(rig) -> None:
    rig.peer.faults.modes, rig.peer.faults.rate = ("500_before",), 1


def away_for_long(rig, till, bill) -> dict:
    """A payment on the reader, and then five looks in a row that fail."""
    payment: dict = rig.house.begin(till, bill).json()
    go_away(rig)
    for _ in range(breaker.FAILURES_IN_A_ROW):
        till.post(f"payments/{payment['id']}/check")
    return payment


def test_after_five_unknowns_nothing_is_begun(rig, till, bill, another):
    payment = away_for_long(rig, till, bill)
    calls = sum(rig.peer.faults.counts.values())
    before = everything(rig.house.restaurant)
    refused = rig.house.begin(till, another)
    assert (refused.status_code, refused.json()["code"]) == (503, "provider_unavailable")
    assert everything(rig.house.restaurant) == before
    assert sum(rig.peer.faults.counts.values()) == calls  # nor was it asked
    rig.peer.faults.clear()
    rig.house.tap(payment)
    rig.sweep()  # what is under way is asked about all the same
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == 1250


def test_over_http_the_till_is_told_when_to_ask_again(
    rig_of, square, till, waiter, bill, another, test_database
):
    """What one process learned of a vendor another knows, too; a vendor that is busy is asked again."""
    rig = rig_of(square)
    with web_server(test_database, SQUARE_BASE_URL=square.peer.url) as url:
        rig.fail("execute", "429", "429")
        begun, _ = ask(url, waiter, square, bill)
        assert begun == 202
        payment = rig_payment(rig)
        rig.sweep("0 seconds")
        assert square.attempt(payment).state == "requires_action"
        go_away(rig)
        for _ in range(breaker.FAILURES_IN_A_ROW):
            till.post(f"payments/{payment['id']}/check")
        refused, headers = ask(url, waiter, square, another)
        assert (refused, headers["Retry-After"]) == (503, "30")
    rig.peer.faults.clear()
    square.tap(payment)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == 1250


def ask(url, waiter, square, bill):
    """A card payment on the reader, over HTTP. Answers the status and the headers."""
    body = {"id": str(uuid7()), "method": "card_present", "terminal_id": str(square.terminal.pk)}
    answer = httpx.post(
        f"{url}/api/v1/restaurants/{waiter.restaurant_id}/orders/{bill['id']}/card-payments",
        json=body,
        headers={**ApiClient(waiter).headers, "Idempotency-Key": body["id"]},
        timeout=30,
    )
    return answer.status_code, answer.headers


def rig_payment(rig) -> dict:
    with restaurant_scope(rig.restaurant_id):
        return {"id": str(PaymentIntent.objects.get().pk)}


def test_the_probe_moves_no_money(rig, till, bill, another, monkeypatch):
    """Half open, a GET decides: the first fails, the second lets the payment through."""
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 5)
    payment = away_for_long(rig, till, bill)
    seen = []
    usual = rig.peer.faults.take
    monkeypatch.setattr(rig.peer.faults, "take", lambda m, p: (seen.append(m), usual(m, p))[1])
    time.sleep(6.1)
    assert rig.house.begin(till, another).status_code == 503
    assert seen == ["GET"]
    assert rig.house.begin(till, another).status_code == 503  # it is open again
    assert seen == ["GET"]
    rig.peer.faults.clear()
    rig.house.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    seen.clear()
    time.sleep(6.1)
    begun = rig.house.begin(till, another)
    assert begun.status_code == 202, begun.content
    rig.house.tap(begun.json())
    rig.finish()
    assert rig.audit() == 1250 + 425


def test_an_hour_of_errors_then_a_day(rig, till, bill, manager):
    """It stays set aside and is asked about; after a day a person is called; then the vendor says it."""
    rig.fail("execute", "500_after")
    payment = rig.house.begin(till, bill).json()
    go_away(rig)
    for _ in range(6):
        rig.sweep("10 minutes")
    assert rig.house.attempt(payment).state in ("unknown", "cancel_pending")
    assert pay(till, bill).json()["code"] == "amount_not_due"
    assert rig.issues() == []
    rig.sweep("24 hours")
    assert rig.issues() == ["unknown_too_long"]
    rig.peer.faults.clear()
    rig.finish()
    assert rig.payment(payment["id"]).state == "canceled"
    assert rig.issues() == []
    assert rig.audit() == 0
    assert pay(till, bill).status_code == 201


def test_asked_too_often_it_waits_and_asks_again(rig, till, bill):
    """Two answers of 429 with Retry-After are no refusal."""
    rig.fail("execute", "429", "429")
    payment = rig.house.begin(till, bill).json()
    rig.house.tap(payment)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == 1250


def test_asked_too_often_for_good_it_failed_and_may_be_tried_again(rig, till, bill):
    rig.fail("execute", *["429"] * cards.RATE_LIMIT_TRIES)
    payment = rig.house.begin(till, bill).json()
    assert (payment["state"], payment["failure_class"]) == ("failed", "retryable")
    again = till.post(f"payments/{payment['id']}/retry", {"terminal_id": str(rig.house.terminal.pk)})
    assert again.status_code == 202, again.content
    rig.house.tap(payment)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == 1250


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_without_redis_money_is_taken_all_the_same(rig, till, bill, monkeypatch, when):
    """Each process counts for itself until it is back."""
    nowhere = redis.ConnectionPool(host="127.0.0.1", port=1, socket_connect_timeout=0.2)
    gone = redis.Redis(connection_pool=nowhere)
    if when == "before":
        monkeypatch.setattr(breaker, "get_redis_connection", lambda alias: gone)
    else:
        storage = breaker._shared(rig.house.name, rig.house.account.pk)._state_storage
        monkeypatch.setattr(storage, "_redis", gone)
    payment = rig.paid(till, bill)
    body = {"id": payment["id"], "amount_minor": 300, "reason": "Cold"}
    assert till.post(f"payments/{payment['id']}/refunds", body).status_code in (201, 202)
    rig.finish()
    assert rig.audit() == 950


def test_a_hold_outlasts_a_moment_of_too_many_requests(rig_of, stripe, till, bill):
    """Capturing it is refused for now; the money is held still, and captured later."""
    rig = rig_of(stripe)
    body = {"id": bill["id"], "method": "card_online", "source_token": "pm_card_visa", "capture": False}
    payment = till.post(f"orders/{bill['id']}/card-payments", body).json()
    assert payment["attempt_state"] == "authorized"
    rig.peer.faults.next("429", path="*/capture")
    assert till.post(f"payments/{payment['id']}/capture").json()["attempt_state"] == "authorized"
    assert till.post(f"payments/{payment['id']}/capture").json()["state"] == "paid"
    assert rig.audit() == 1250
