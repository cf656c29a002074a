"""What others keep of a payment: the provider, the platform, a guest's bank; and that it is in the books."""

import datetime
import json
import time

import pytest
import stripe as stripe_sdk
from django.test import Client
from django.utils import timezone

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import Dispute, LedgerEntry, PaymentAttempt, ProviderAccount
from payments.providers.base import Outcome, Snapshot
from payments.services import inbox, reconciling, settling
from tests.client import ApiClient
from tests.payments.bills import close, open_bill
from tests.peers.stripe import sign


@pytest.fixture
def bill(till, scene):
    return open_bill(till, scene.takeaway(scene.burger()))


@pytest.fixture
def boss(owner):
    return ApiClient(owner)


def take(house, till, bill):
    payment = house.begin(till, bill).json()
    house.tap(payment)
    payment = till.post(f"payments/{payment['id']}/check").json()
    assert payment["state"] == "paid"
    return payment


def booked(restaurant, account, event=""):
    """What the books hold on an account, of one kind of event."""
    with restaurant_scope(restaurant.pk):
        entries = LedgerEntry.objects.filter(account=account, transaction__key__startswith=event)
        return sum(entries.values_list("amount_minor", flat=True))


def clearing(house):
    return booked(house.restaurant, f"clearing:{house.account.pk}")


def reconcile(restaurant):
    (run,) = reconciling.reconcile_restaurant(restaurant.pk)
    assert run.error == ""
    return run.counts


def test_a_fee_may_change_its_mind_as_often_as_it_likes(square, till, bill, restaurant):
    attempt = square.attempt(take(square, till, bill))
    for fee in (22, 30, 22, 30, 0, 22, 22, 0):
        with restaurant_scope(restaurant.pk):
            said = Snapshot(Outcome.SUCCEEDED, 1250, 0, attempt.provider_ref, fee_minor=fee)
            settling.record(attempt.pk, said)
            assert PaymentAttempt.objects.get(pk=attempt.pk).fee_minor == fee
        assert booked(restaurant, "fees") == fee
        assert clearing(square) == 1250 - fee


# The platform's own fee.


def keep_share(dba, restaurant, percent="2"):
    dba.execute(
        "UPDATE payments_provideraccount SET application_fee_percent = %s WHERE restaurant_id = %s",
        [percent, restaurant.pk],
    )


def test_what_the_platform_keeps_is_in_the_books_at_square(square, till, boss, bill, restaurant, dba):
    keep_share(dba, restaurant)
    payment = take(square, till, bill)
    assert booked(restaurant, "fees", "application_fee:") == 25
    assert clearing(square) == 1250 - 25
    close(till, bill)
    body = {"id": str(uuid7()), "reason": "Cold soup", "amount_minor": 500}
    assert boss.post(f"payments/{payment['id']}/refunds", body).status_code in (201, 202)
    square.peer.settle_refunds()
    square.peer.charge_fees()
    paid_out = square.peer.pay_out(f"sandbox-{restaurant.pk}")
    assert paid_out["amount_money"]["amount"] == 1250 - 22 - 25 - 500 + 10
    for _ in range(2):
        assert reconcile(restaurant)["clearing_minor"] == 0
    assert booked(restaurant, "fees", "application_fee:") == 15
    assert booked(restaurant, "fees") == 22 + 15


def test_reconciling_alone_books_what_the_platform_keeps(square, till, bill, restaurant, dba, monkeypatch):
    """Nothing said so when the payment was taken."""
    keep_share(dba, restaurant)
    monkeypatch.setattr("payments.services.settling.books.book_application_fee", lambda *a, **k: None)
    take(square, till, bill)
    monkeypatch.undo()
    assert booked(restaurant, "fees") == 0
    for _ in range(2):
        reconcile(restaurant)
        assert booked(restaurant, "fees", "application_fee:") == 25


@pytest.fixture
def connected(restaurant, stripe_world, boss, point_at):
    """A restaurant whose account at Stripe the platform opened."""
    point_at(stripe_secret_key="sk_test_platform", stripe_api_base=stripe_world.url)
    begun = boss.post("payment-accounts/connect-stripe", {"country": "GB", "email": "o@example.com"}).json()
    stripe_world.onboard(begun["account"]["external_account_id"])
    assert boss.post(f"payment-accounts/{begun['account']['id']}/check").json()["account_status"] == "active"
    with restaurant_scope(restaurant.pk):
        return ProviderAccount.objects.get()


def test_what_the_platform_keeps_is_in_the_books_at_stripe(
    connected, stripe_world, till, boss, bill, restaurant, dba
):
    keep_share(dba, restaurant)
    body = {"id": bill["id"], "method": "card_online", "source_token": "pm_card_visa"}
    payment = till.post(f"orders/{bill['id']}/card-payments", body).json()
    assert payment["state"] == "paid"
    assert booked(restaurant, "fees", "application_fee:") == 25
    close(till, bill)
    back = {"id": str(uuid7()), "reason": "Cold soup", "amount_minor": 500}
    assert boss.post(f"payments/{payment['id']}/refunds", back).status_code == 201
    paid_out = stripe_world.pay_out(connected.external_account_id)
    for _ in range(2):
        counts = reconcile(restaurant)
        assert (counts["payouts"], counts["clearing_minor"]) == (1, 0)
    assert booked(restaurant, "fees", "application_fee:") == 25 - 10
    assert paid_out["amount"] == 1250 - 500 - booked(restaurant, "fees")


# Disputes.


@pytest.fixture
def dispute_at_square(square, till, bill, monkeypatch):
    """The guest's bank asks for the money back, weeks later."""
    monkeypatch.setattr("payments.providers.square.UNDISPUTED", datetime.timedelta(0))
    payment = take(square, till, bill)
    return square.peer.open_dispute(square.attempt(payment).provider_ref)


def test_a_dispute_that_no_webhook_told_of_is_found(square, dispute_at_square, restaurant):
    for state, held, status in [
        ("EVIDENCE_REQUIRED", 1250, "open"),
        ("PROCESSING", 1250, "open"),
        ("WON", 0, "won"),
    ]:
        dispute_at_square["state"] = state
        for _ in range(2):
            reconcile(restaurant)
            assert booked(restaurant, "disputes") == held
            assert clearing(square) == 1250 - held
        with restaurant_scope(restaurant.pk):
            assert Dispute.objects.get().status == status


def test_an_open_dispute_is_asked_about_however_old_it_is(square, dispute_at_square, restaurant):
    reconcile(restaurant)
    dispute_at_square["state"] = "LOST"
    later = timezone.now() + datetime.timedelta(days=60)
    reconciling.reconcile_restaurant(restaurant.pk, since=later, until=later)
    with restaurant_scope(restaurant.pk):
        assert Dispute.objects.get().status == "lost"
    assert booked(restaurant, "disputes") == 1250


def test_a_banks_inquiry_takes_no_money(square, dispute_at_square, restaurant):
    dispute_at_square["state"] = "INQUIRY_EVIDENCE_REQUIRED"
    reconcile(restaurant)
    assert booked(restaurant, "disputes") == 0
    with restaurant_scope(restaurant.pk):
        assert Dispute.objects.get().status == "open"


@pytest.fixture
def dispute_at_stripe(stripe, till, bill):
    """Of a card that Stripe disputes at once. Answers the payment."""
    body = {"id": bill["id"], "method": "card_online", "source_token": "pm_card_createDispute"}
    payment = till.post(f"orders/{bill['id']}/card-payments", body).json()
    assert payment["state"] == "paid"
    return payment


def deliver(stripe, kind, subject):
    event = {"id": f"evt_{uuid7().hex}", "object": "event", "type": kind, "livemode": False}
    body = json.dumps({**event, "created": int(time.time()), "data": {"object": subject}}).encode()
    path = f"/webhooks/stripe/{stripe.restaurant.pk}/{stripe.account.public_id}"
    headers = {"Stripe-Signature": sign(body, "whsec_test")}
    sent = Client().generic("POST", path, body, content_type="application/json", headers=headers)
    assert sent.status_code == 200
    with bind_restaurant(stripe.restaurant.pk):
        assert inbox.work_off() == 1


def test_a_dispute_and_its_fee_are_booked_as_stripe_moves_the_money(
    stripe, dispute_at_stripe, restaurant, monkeypatch
):
    """The model moves no money for a dispute: what Stripe's document says it would is put in its place."""
    monkeypatch.setattr("payments.views.webhooks.sweep_soon", lambda restaurant_id: None)
    api = stripe_sdk.StripeClient("sk_test_boss", base_addresses={"api": stripe.peer.url}).v1
    (dispute,) = api.disputes.list().to_dict()["data"]
    movements: list[dict] = []
    seen = {"status": "needs_response"}
    show = stripe.peer._show

    def with_movements(value):
        shown = show(value)
        if isinstance(shown, dict) and shown.get("object") == "dispute":
            shown |= {"balance_transactions": list(movements), **seen}
        return shown

    monkeypatch.setattr(stripe.peer, "_show", with_movements)
    fee = stripe.attempt(dispute_at_stripe).fee_minor

    def moved(amount, dispute_fee):
        (charge,) = api.balance_transactions.list({"type": "charge"}).to_dict()["data"]
        return {
            **charge,
            **{"id": f"txn_{uuid7().hex}", "type": "adjustment", "amount": amount, "fee": dispute_fee},
            **{"net": amount - dispute_fee, "fee_details": [], "source": dispute["id"]},
        }

    deliver(stripe, "charge.dispute.created", dispute)
    assert (booked(restaurant, "disputes"), booked(restaurant, "fees")) == (0, fee)
    movements.append(moved(-1250, 2000))
    for _ in range(2):
        deliver(stripe, "charge.dispute.funds_withdrawn", dispute)
        assert (booked(restaurant, "disputes"), booked(restaurant, "fees")) == (1250, fee + 2000)
        assert clearing(stripe) == -fee - 2000
    movements.append(moved(1250, -2000))
    seen["status"] = "won"
    for _ in range(2):
        reconcile(restaurant)
        assert (booked(restaurant, "disputes"), booked(restaurant, "fees")) == (0, fee)
        assert clearing(stripe) == 1250 - fee
    with restaurant_scope(restaurant.pk):
        assert Dispute.objects.get().status == "won"
