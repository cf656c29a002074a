"""Our own house breaks: clocks, the database, the queue; and locks are kept short (T10, T11, T12, T19)."""

import datetime
import json
import time

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as QueueAway

from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments import tasks
from payments.models import PaymentIntent, WebhookEvent
from payments.providers import PROVIDERS
from payments.providers.errors import CallInsideTransaction
from payments.services import accounts, calling, cards, inbox, settling, sweeping
from tests.client import ApiClient
from tests.payments.bills import open_bill, pay
from tests.peers.stripe import sign

BURGER = 1250
usual_now = timezone.now


@pytest.fixture
def bill(till, scene):
    """A burger for £12.50."""
    return open_bill(till, scene.takeaway(scene.burger()))


@pytest.fixture(params=[-10, 10])
def wrong_clock(request, monkeypatch) -> datetime.timedelta:
    """The application's clock is ten minutes slow, or fast; the database's is right."""
    off = datetime.timedelta(minutes=request.param)
    monkeypatch.setattr(timezone, "now", lambda: usual_now() + off)
    return off


def test_a_lease_is_by_the_databases_clock(rig, till, bill, wrong_clock):
    """Two workers: what one has taken the other does not, whatever time it thinks it is."""
    rig.house.begin(till, bill)
    rig.age("1 second")
    with bind_restaurant(rig.restaurant_id):
        assert len(sweeping._take("payments_paymentattempt")) == 1
        assert sweeping._take("payments_paymentattempt") == []
    rig.dba.execute(
        "UPDATE payments_paymentattempt SET lease_until = now() - interval '1 second', next_check_at = now()"
        " WHERE restaurant_id = %s",
        [rig.restaurant_id],
    )
    with bind_restaurant(rig.restaurant_id):
        assert len(sweeping._take("payments_paymentattempt")) == 1


def test_a_payment_is_right_by_a_wrong_clock(rig, till, bill, wrong_clock):
    payment = rig.paid(till, bill)
    body = {"id": payment["id"], "amount_minor": 300, "reason": "Cold"}
    assert till.post(f"payments/{payment['id']}/refunds", body).status_code in (201, 202)
    rig.finish()
    assert rig.audit() == BURGER - 300


def test_an_unknown_one_is_found_by_a_wrong_clock(rig, till, bill, wrong_clock):
    """It is looked for by when its row was made: the vendor's clock and ours may differ."""
    rig.fail("execute", "drop_after")
    payment = rig.house.begin(till, bill).json()
    rig.finish(rounds=20)
    assert rig.payment(payment["id"]).state == "canceled"
    assert rig.audit() == 0
    assert pay(till, bill).status_code == 201


@pytest.mark.parametrize("step", ["record_submitted", "record"])
def test_the_database_fails_over_between_two_steps(rig, till, bill, monkeypatch, step):
    """What the vendor answered could not be written down: it is asked again (T11)."""
    usual = getattr(settling, step)

    def fail(*args, **kwargs):
        monkeypatch.setattr(settling, step, usual)
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(settling, step, fail)
    payment = rig.house.begin(till, bill).json()
    assert payment["state"] == "open"
    rig.finish()
    assert rig.payment(payment["id"]).state == "canceled"
    assert rig.audit() == 0
    assert pay(till, bill).status_code == 201


def test_the_database_fails_over_with_the_money_taken(rig_of, stripe, till, bill, monkeypatch):
    rig = rig_of(stripe)
    usual = settling.record

    def fail(*args, **kwargs):
        monkeypatch.setattr(settling, "record", usual)
        raise OperationalError("could not serialize access")

    monkeypatch.setattr(settling, "record", fail)
    body = {"id": bill["id"], "method": "card_online", "source_token": "pm_card_visa"}
    payment = till.post(f"orders/{bill['id']}/card-payments", body).json()
    assert (payment["state"], stripe.taken()) == ("open", BURGER)
    assert pay(till, bill).json()["code"] == "amount_not_due"
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == BURGER


def tell_of(stripe, attempt):
    """A signed webhook of Stripe's about an attempt, as the web process gets it."""
    event = {
        **{"id": f"evt_{attempt.pk.hex}", "type": "payment_intent.succeeded", "livemode": False},
        "data": {"object": {"id": attempt.provider_ref, "metadata": {"attempt": str(attempt.pk)}}},
    }
    raw = json.dumps({**event, "object": "event", "created": int(time.time())}).encode()
    path = f"/webhooks/stripe/{stripe.restaurant.pk}/{stripe.account.public_id}"
    return ApiClient().post(path, raw, Stripe_Signature=sign(raw, "whsec_test"))


def test_a_webhook_without_a_database_is_to_come_again(rig_of, stripe, till, bill, monkeypatch):
    rig = rig_of(stripe)
    payment = stripe.begin(till, bill).json()
    stripe.tap(payment)
    attempt = stripe.attempt(payment)
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_store", lambda *args: (_ for _ in ()).throw(OperationalError("away")))
        assert tell_of(stripe, attempt).status_code == 503
    with restaurant_scope(stripe.restaurant.pk):
        assert WebhookEvent.objects.count() == 0
    assert tell_of(stripe, attempt).status_code == 200
    rig.sweep("0 seconds")
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == BURGER


def test_without_a_queue_the_sweep_by_the_clock_does_it_all(rig_of, stripe, till, bill, monkeypatch):
    """Redis is gone and Celery with it: the webhook is stored, and sweeping by hand is enough (T12)."""
    rig = rig_of(stripe)

    def away(*args, **kwargs):
        raise QueueAway("no broker")

    monkeypatch.setattr(tasks.sweep_restaurant, "apply_async", away)
    payment = stripe.begin(till, bill).json()
    stripe.tap(payment)
    assert tell_of(stripe, stripe.attempt(payment)).status_code == 200
    assert rig.payment(payment["id"]).state == "open"
    assert stripe.restaurant.pk in sweeping.restaurants_due()
    sweeping.sweep_restaurant(stripe.restaurant.pk)
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == BURGER


def test_nobody_is_called_inside_a_transaction(rig, till, bill):
    """T19: neither by our own door nor by a vendor's library behind it; nothing leaves."""
    rig.house.begin(till, bill)
    with restaurant_scope(rig.restaurant_id):
        account = accounts.load_account(rig.house.account.pk)
    provider = PROVIDERS[rig.house.name]
    sent = sum(rig.peer.faults.counts.values())
    with transaction.atomic(), pytest.raises(CallInsideTransaction):
        calling.call("check", provider.check, account)
    with transaction.atomic(), pytest.raises(CallInsideTransaction):
        provider.check(account)
    attempt_id = rig.house.attempt(rig_payment(rig)).pk
    with restaurant_scope(rig.restaurant_id), pytest.raises(CallInsideTransaction):
        cards.cancel_at_provider(attempt_id)
    assert sum(rig.peer.faults.counts.values()) == sent


def rig_payment(rig) -> dict:
    with restaurant_scope(rig.restaurant_id):
        return {"id": str(PaymentIntent.objects.get().pk)}
