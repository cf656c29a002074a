"""What providers tell us: believed only as a hint, in whatever order and however often it comes."""

import json
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import PaymentIntent, ProviderAccount, WebhookEvent
from payments.services import inbox
from tests import factories
from tests.client import ApiClient
from tests.payments.bills import open_bill
from tests.peers.square import sign_webhook
from tests.peers.stripe import sign
from tests.peers.sumup import SIGNATURE_HEADER, sign_event

http = Client(raise_request_exception=False)


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch):
    """The tests work webhooks off themselves, when they choose to."""
    monkeypatch.setattr("payments.views.webhooks.sweep_soon", lambda restaurant_id: None)


@pytest.fixture
def bill(till, scene):
    return open_bill(till, scene.takeaway(scene.burger()))


def path_of(house):
    return f"/webhooks/{house.name}/{house.restaurant.pk}/{house.account.public_id}"


def message(house, payment, *, event_id=None):
    """What the vendor says of a payment on the reader: body and headers, signed as it signs."""
    attempt = house.attempt(payment)
    if house.name == "stripe":
        intent = house.peer.peer("platform", "GET", f"/v1/payment_intents/{attempt.provider_ref}").json()
        event = {
            "id": event_id or f"evt_{uuid7().hex}",
            "object": "event",
            "type": "payment_intent.succeeded",
            "livemode": False,
            "created": int(time.time()),
            "data": {"object": intent},
        }
        body = json.dumps(event).encode()
        return body, {"Stripe-Signature": sign(body, "whsec_test")}
    if house.name == "square":
        body = house.peer.event("terminal.checkout.updated", house.reader_ref(payment), event_id=event_id)
        url = settings.BASE_URL + path_of(house)
        return body, {"x-square-hmacsha256-signature": sign_webhook(body, url, "square-key")}
    return house.peer.reader_callback(house.reader_ref(payment)), {}


def deliver(house, body, headers, path=None):
    path = path or path_of(house)
    if house.name == "sumup":  # the address it was given for this payment
        path += f"?attempt={house.last_attempt_id()}"
    return http.generic("POST", path, body, content_type="application/json", headers=headers)


def work_off(restaurant):
    with bind_restaurant(restaurant.pk):
        return inbox.work_off()


def events(restaurant):
    with restaurant_scope(restaurant.pk):
        return list(WebhookEvent.objects.order_by("received_at"))


def state_of(till, payment):
    return till.get(f"payments/{payment['id']}").json()["state"]


@pytest.fixture
def tapped(house, till, bill):
    """A payment that the guest has paid, and that the till does not know of yet."""
    payment = house.begin(till, bill).json()
    house.tap(payment)
    return payment


def test_a_hint_makes_us_ask(house, till, tapped, restaurant):
    body, headers = message(house, tapped)
    assert deliver(house, body, headers).status_code == 200
    assert state_of(till, tapped) == "open"
    (event,) = events(restaurant)
    assert (event.state, bytes(event.raw)) == ("new", body)
    assert work_off(restaurant) == 1
    assert state_of(till, tapped) == "paid"
    assert events(restaurant)[0].state == "done"
    assert house.taken() == 1250


def test_a_hundred_repeats_are_one(house, till, tapped, restaurant, monkeypatch):
    monkeypatch.setattr("payments.providers.sumup.SAME_NOTICE_SECONDS", 10**10)  # no period ends meanwhile
    body, headers = message(house, tapped)
    assert {deliver(house, body, headers).status_code for _ in range(20)} == {200}
    (event,) = events(restaurant)
    assert event.repeats == 19
    work_off(restaurant)
    assert deliver(house, body, headers).status_code == 200
    assert work_off(restaurant) == 0
    assert state_of(till, tapped) == "paid"
    with restaurant_scope(restaurant.pk):
        assert PaymentIntent.objects.get(pk=tapped["id"]).captured_minor == 1250


def test_it_may_come_before_the_tap_and_again_after(house, till, bill, restaurant):
    payment = house.begin(till, bill).json()
    if house.name != "stripe":
        body, headers = message(house, payment)
        assert deliver(house, body, headers).status_code == 200
        work_off(restaurant)
        assert state_of(till, payment) == "open"
    house.tap(payment)
    body, headers = message(house, payment)
    if house.name == "sumup":  # its callbacks say no more than that something happened, ten seconds apart
        with restaurant_scope(restaurant.pk):
            WebhookEvent.objects.update(event_id="earlier")
    assert deliver(house, body, headers).status_code == 200
    work_off(restaurant)
    assert state_of(till, payment) == "paid"


def test_three_days_late_changes_nothing(house, till, tapped, restaurant):
    body, headers = message(house, tapped)
    till.post(f"payments/{tapped['id']}/check")
    before = till.get(f"payments/{tapped['id']}").json()
    deliver(house, body, headers)
    work_off(restaurant)
    assert till.get(f"payments/{tapped['id']}").json() == before


def test_of_an_unknown_payment_it_is_tried_ten_times_and_then_dead(stripe, till, restaurant):
    body = json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": "payment_intent.succeeded",
            "livemode": False,
            "created": int(time.time()),
            "data": {"object": {"id": "pi_elsewhere", "object": "payment_intent", "metadata": {}}},
        }
    ).encode()
    assert deliver(stripe, body, {"Stripe-Signature": sign(body, "whsec_test")}).status_code == 200
    for _ in range(12):
        with restaurant_scope(restaurant.pk):
            WebhookEvent.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
        work_off(restaurant)
    (event,) = events(restaurant)
    assert (event.state, event.tries) == ("dead", 10)
    with restaurant_scope(restaurant.pk):
        inbox.replay(event.pk)
    assert work_off(restaurant) == 1
    assert events(restaurant)[0].tries == 1


WRONG = [
    ("tampered", lambda body: body.replace(b"false", b"true ", 1), None, "whsec_test"),
    ("another secret", lambda body: body, None, "whsec_other"),
    ("old", lambda body: body, lambda: time.time() - 400, "whsec_test"),
    ("from the future", lambda body: body, lambda: time.time() + 400, "whsec_test"),
]


@pytest.mark.parametrize(("what", "change", "at", "secret"), WRONG, ids=[wrong[0] for wrong in WRONG])
def test_stripe_has_to_have_signed_it_just_now(stripe, till, bill, restaurant, what, change, at, secret):
    payment = stripe.begin(till, bill).json()
    stripe.tap(payment)
    body, _ = message(stripe, payment)
    headers = {"Stripe-Signature": sign(body, secret, at() if at else None)}
    assert deliver(stripe, change(body), headers).status_code == 400
    assert deliver(stripe, body, {}).status_code == 400
    assert events(restaurant) == []


def test_a_rolled_secret_holds_as_long_as_the_new_one(stripe, till, bill, restaurant):
    from payments.services import accounts

    with restaurant_scope(restaurant.pk):
        accounts.replace_credentials(
            stripe.account.pk, {"secret_key": "sk_test_fynlo", "webhook_secrets": ["whsec_new"]}
        )
    payment = stripe.begin(till, bill).json()
    stripe.tap(payment)
    for secret, event_id in [("whsec_test", "evt_old"), ("whsec_new", "evt_new")]:
        body, _ = message(stripe, payment, event_id=event_id)
        assert deliver(stripe, body, {"Stripe-Signature": sign(body, secret)}).status_code == 200
    assert len(events(restaurant)) == 2


def test_real_money_told_of_outside_production_is_ignored(stripe, till, bill, restaurant):
    payment = stripe.begin(till, bill).json()
    stripe.tap(payment)
    body, _ = message(stripe, payment)
    body = body.replace(b'"livemode": false', b'"livemode": true', 1)
    assert deliver(stripe, body, {"Stripe-Signature": sign(body, "whsec_test")}).status_code == 200
    assert [event.state for event in events(restaurant)] == ["ignored"]


def test_square_signs_the_address_too(square, till, bill, restaurant):
    payment = square.begin(till, bill).json()
    body = square.peer.event("terminal.checkout.updated", square.reader_ref(payment))
    for url in [f"{settings.BASE_URL}/webhooks/square", "https://elsewhere.test" + path_of(square)]:
        headers = {"x-square-hmacsha256-signature": sign_webhook(body, url, "square-key")}
        assert deliver(square, body, headers).status_code == 400
    assert events(restaurant) == []


def test_a_forged_sumup_callback_moves_no_money(sumup, till, bill, restaurant):
    payment = sumup.begin(till, bill).json()
    body, headers = message(sumup, payment)  # unsigned, and says what it likes: nobody has tapped
    assert deliver(sumup, body, headers).status_code == 200
    work_off(restaurant)
    assert state_of(till, payment) == "open"
    signed = {SIGNATURE_HEADER: sign_event(body, "wrong-secret")}
    assert deliver(sumup, body, signed).status_code == 400


def test_whose_it_is_the_address_says(house, tapped, other_restaurant, restaurant):
    body, headers = message(house, tapped)
    for path in [
        f"/webhooks/{house.name}/{other_restaurant.pk}/{house.account.public_id}",
        f"/webhooks/{house.name}/{restaurant.pk}/{uuid7()}",
        f"/webhooks/nobody/{restaurant.pk}/{house.account.public_id}",
    ]:
        assert deliver(house, body, headers, path).status_code == 404
    assert events(other_restaurant) == []
    assert events(restaurant) == []
    stranger = ApiClient(factories.staff(other_restaurant, "owner"))
    assert stranger.get(f"payments/{tapped['id']}").status_code == 404


def test_what_is_too_large_or_no_post_is_refused(house, restaurant):
    assert deliver(house, b"x" * (256 * 1024 + 1), {}).status_code == 413
    assert http.get(path_of(house)).status_code == 405
    assert events(restaurant) == []


def test_nothing_is_acknowledged_that_was_not_committed(house, tapped, restaurant, monkeypatch):
    from django.db import OperationalError

    def away(*args, **kwargs):
        raise OperationalError("the server closed the connection unexpectedly")

    body, headers = message(house, tapped)
    monkeypatch.setattr(inbox, "_store", away)
    assert deliver(house, body, headers).status_code == 503
    monkeypatch.undo()
    monkeypatch.setattr("payments.views.webhooks.sweep_soon", lambda restaurant_id: None)
    assert deliver(house, body, headers).status_code == 200


def test_the_platforms_own_address_finds_the_restaurant(restaurant, stripe_world, settings, till, bill):
    """A connected account's events come to /webhooks/stripe and name the account."""
    import dataclasses

    payments = dataclasses.replace(
        settings.ENV.payments,
        stripe_secret_key="sk_test_platform",
        stripe_webhook_secrets=("whsec_platform",),
        stripe_api_base=stripe_world.url,
    )
    settings.ENV = dataclasses.replace(settings.ENV, payments=payments)
    account = f"acct_{uuid7().hex[:16]}"
    with restaurant_scope(restaurant.pk):
        ProviderAccount.objects.create(
            provider="stripe", kind="stripe_connect", mode="test", external_account_id=account
        )
    event = {
        "id": "evt_connect",
        "object": "event",
        "type": "payment_intent.succeeded",
        "account": account,
        "livemode": False,
        "created": int(time.time()),
        "data": {"object": {"id": "pi_x", "object": "payment_intent", "metadata": {}}},
    }
    body = json.dumps(event).encode()
    sent = {"Stripe-Signature": sign(body, "whsec_platform")}
    answer = http.generic("POST", "/webhooks/stripe", body, content_type="application/json", headers=sent)
    assert answer.status_code == 200
    assert [row.event_id for row in events(restaurant)] == ["evt_connect"]
    stranger = json.dumps({**event, "account": "acct_nobody"}).encode()
    sent = {"Stripe-Signature": sign(stranger, "whsec_platform")}
    answer = http.generic("POST", "/webhooks/stripe", stranger, content_type="application/json", headers=sent)
    assert answer.status_code == 404


@pytest.fixture
def connected(restaurant, stripe_world, owner, point_at):
    """An account at Stripe that the platform opened for the restaurant, as far as our rows know it."""
    point_at(
        stripe_secret_key="sk_test_platform",
        stripe_webhook_secrets=("whsec_platform",),
        stripe_api_base=stripe_world.url,
    )
    begun = ApiClient(owner).post(
        "payment-accounts/connect-stripe", {"country": "GB", "email": "o@example.com"}
    )
    return begun.json()["account"]


def told_by_stripe(stripe_world, account_id, kind):
    """Deliver the account's last event of a kind to the platform's own address."""
    found = [event for event in stripe_world.events(account_id) if event["type"] == kind]
    body = json.dumps(found[-1]).encode()
    sent = {"Stripe-Signature": sign(body, "whsec_platform")}
    answer = http.generic("POST", "/webhooks/stripe", body, content_type="application/json", headers=sent)
    return answer.status_code


def standing(restaurant):
    with restaurant_scope(restaurant.pk):
        row = ProviderAccount.objects.get()
    return row.status, row.status_detail


def test_how_far_a_connected_account_is_stripe_says_by_itself(restaurant, connected, stripe_world):
    name = connected["external_account_id"]
    stripe_world.onboard(name, complete=False)
    missing = "Stripe still asks for: individual verification document."
    for complete, expected in [
        (False, ("pending", missing)),
        (True, ("active", "")),
        (False, ("degraded", missing)),
        (True, ("active", "")),
    ]:
        stripe_world.onboard(name, complete=complete)
        assert told_by_stripe(stripe_world, name, "account.updated") == 200
        assert work_off(restaurant) == 1
        assert standing(restaurant) == expected
    assert [event.state for event in events(restaurant)] == ["done"] * 4
    with restaurant_scope(restaurant.pk):
        changes = Event.objects.filter(kind="payment_account.changed").order_by("seq")
        said = [(event.payload["account_status"], event.actor["name"]) for event in changes]
    assert said == [
        ("active", "Fynlo"),
        ("degraded", "Fynlo"),
        ("active", "Fynlo"),
    ]


def test_the_event_is_a_hint_and_stripe_is_asked(restaurant, connected, stripe_world):
    """It says that the account may charge; by now it may not."""
    name = connected["external_account_id"]
    stripe_world.onboard(name)
    stripe_world._accounts[name]["charges_enabled"] = False
    assert told_by_stripe(stripe_world, name, "account.updated") == 200
    work_off(restaurant)
    assert standing(restaurant)[0] == "pending"


def test_a_restaurant_that_took_our_access_back_takes_no_more_cards(restaurant, connected, stripe_world):
    name = connected["external_account_id"]
    stripe_world.onboard(name)
    told_by_stripe(stripe_world, name, "account.updated")
    work_off(restaurant)
    assert standing(restaurant)[0] == "active"
    stripe_world.disconnect(name)
    [gone] = [e for e in stripe_world._own_events[name] if e["type"] == "account.application.deauthorized"]
    body = json.dumps({**gone, "account": name}).encode()
    sent = {"Stripe-Signature": sign(body, "whsec_platform")}
    http.generic("POST", "/webhooks/stripe", body, content_type="application/json", headers=sent)
    assert work_off(restaurant) == 1
    assert standing(restaurant)[0] == "degraded"
    assert events(restaurant)[-1].state == "done"
