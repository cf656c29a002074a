"""Mistakes put in on purpose: each is caught by the vendor's own books, our invariants or the database."""

import dataclasses
import uuid

import pytest
from django.db import IntegrityError

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.invariants import broken_invariants
from payments.models import PaymentIntent
from payments.providers.base import Outcome, Snapshot
from payments.services import cards, refunds, settling
from tests.client import ApiClient
from tests.payments.bills import open_bill


@pytest.fixture(autouse=True)
def _invariants_hold():
    """A mutant breaks them: each test looks for itself."""


@pytest.fixture
def bill(till, scene):
    return open_bill(till, scene.takeaway(scene.burger()))


def online(till, bill):
    body = {"id": str(uuid7()), "method": "card_online", "source_token": "cnon:card-nonce-ok"}
    return till.post(f"orders/{bill['id']}/card-payments", body).json()


def ours(house):
    """What our rows say the vendor holds for us."""
    with restaurant_scope(house.restaurant.pk):
        return sum(
            p.captured_minor + p.tip_captured_minor - p.refunded_minor - p.tip_refunded_minor
            for p in PaymentIntent.objects.all()
        )


def agrees(house):
    """The audit: the vendor's books and ours, and all that must hold of ours."""
    with restaurant_scope(house.restaurant.pk):
        problems = broken_invariants()
    return house.taken() == ours(house) and problems == []


def check(till, payment):
    return till.post(f"payments/{payment['id']}/check").json()


def lose_the_answer(house, path):
    house.peer.faults.next("drop_after", path=path)


def test_without_a_mutant_all_of_it_agrees(square, till, bill, owner):
    lose_the_answer(square, "/v2/payments")
    payment = online(till, bill)
    assert payment["attempt_state"] == "unknown"
    assert check(till, payment)["state"] == "paid"
    lose_the_answer(square, "/v2/refunds")
    boss = ApiClient(owner)
    refund = boss.post(f"payments/{payment['id']}/refunds", {"id": str(uuid7()), "reason": "Cold"}).json()
    square.peer.settle_refunds()
    with bind_restaurant(square.restaurant.pk):
        refunds.check_refund(uuid.UUID(refund["id"]))
    assert square.taken() == 0
    assert agrees(square)


def test_a_time_out_taken_for_a_no(square, till, bill, monkeypatch):
    monkeypatch.setattr(settling, "record_unknown", settling.record_failure)
    lose_the_answer(square, "/v2/payments")
    payment = online(till, bill)
    assert payment["state"] == "failed"
    assert square.taken() == 1250
    assert not agrees(square)


def test_a_fresh_key_on_retry(square, till, bill, monkeypatch):
    """What looks unknown is sent once more under a new key, as tills do that make keys at call time."""
    provider = cards.PROVIDERS["square"]
    ask = provider.execute

    def twice(account, ref, request):
        try:
            return ask(account, ref, request)
        except cards.UnknownOutcome:
            return ask(account, ref, dataclasses.replace(request, idem_key=uuid.uuid4().hex))

    monkeypatch.setattr(provider, "execute", twice)
    lose_the_answer(square, "/v2/payments")
    assert online(till, bill)["state"] == "paid"
    assert square.taken() == 2500
    assert not agrees(square)


def test_nothing_set_aside(square, till, bill, monkeypatch):
    monkeypatch.setattr(cards.money, "reserve", lambda *args, **kwargs: None)
    square.begin(till, bill)
    assert not agrees(square)


def test_settled_twice(square, till, bill, monkeypatch):
    """The books themselves refuse the second one."""
    payment = square.begin(till, bill).json()
    square.tap(payment)
    check(till, payment)
    monkeypatch.setattr(settling, "SETTLE", settling.SETTLE.replace("AND state <> 'captured'", ""))
    with restaurant_scope(square.restaurant.pk), pytest.raises(IntegrityError):
        attempt = settling.lock_attempt(square.attempt(payment).pk)
        taken = Snapshot(Outcome.SUCCEEDED, 1250, provider_ref=attempt.provider_ref)
        settling.settle(attempt, taken, at=attempt.created_at, actor=settling.THE_SYSTEM)
    assert agrees(square)


def test_given_up_without_asking(square, till, bill, monkeypatch):
    def give_up(attempt_id, ref=""):
        with restaurant_scope(square.restaurant.pk):
            settling.record(attempt_id, Snapshot(Outcome.CANCELED))

    monkeypatch.setattr(cards, "cancel_at_provider", give_up)
    payment = square.begin(till, bill).json()
    assert till.post(f"payments/{payment['id']}/cancel").json()["state"] == "canceled"
    square.tap(payment)
    assert square.taken() == 1250
    assert not agrees(square)


def test_a_refund_with_a_fresh_key(square, till, bill, owner, monkeypatch):
    payment = online(till, bill)
    provider = refunds.PROVIDERS["square"]
    ask = provider.refund

    def twice(account, request):
        try:
            return ask(account, request)
        except refunds.UnknownOutcome:
            return ask(account, dataclasses.replace(request, idem_key=uuid.uuid4().hex))

    monkeypatch.setattr(provider, "refund", twice)
    lose_the_answer(square, "/v2/refunds")
    body = {"id": str(uuid7()), "reason": "Cold", "amount_minor": 500}
    refund = ApiClient(owner).post(f"payments/{payment['id']}/refunds", body).json()
    square.peer.settle_refunds()
    with bind_restaurant(square.restaurant.pk):
        refunds.check_refund(uuid.UUID(refund["id"]))
    assert square.taken() == 250
    assert not agrees(square)
