"""Stripe's model and our overlay, driven through Stripe's own library."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import stripe

from tests.peers.faults import FaultyProxy
from tests.peers.localstripe import Localstripe
from tests.peers.loopback import LoopbackServer, Received, Sent
from tests.peers.stripe import StripeWorld, sign

SECRET = "whsec_test"


class Sink(LoopbackServer):
    """Receives webhooks, as the application would."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        super().__init__()

    def respond(self, request: Received) -> Sent:
        self.received.append(request)
        return Sent(self.status)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def client(stripe_world: StripeWorld) -> Any:
    return stripe_client(stripe_world.url)


def stripe_client(url: str) -> Any:
    return stripe.StripeClient("sk_test_x", base_addresses={"api": url}, max_network_retries=0).v1


def pay(client: Any, amount: int = 1000, **given: Any) -> Any:
    options = {name: given.pop(name) for name in ("stripe_account", "idempotency_key") if name in given}
    asked = {"amount": amount, "currency": "gbp", "payment_method_types": ["card"], "confirm": True}
    return client.payment_intents.create({**asked, "payment_method": "pm_card_visa", **given}, options)


def connect(world: StripeWorld, client: Any) -> str:
    """An account of a restaurant that may take payments."""
    account_id = str(client.accounts.create({"type": "express", "country": "GB"}).id)
    world.onboard(account_id)
    return account_id


def arm(client: Any, amount: int = 2000, **given: Any) -> tuple[Any, str]:
    """A PaymentIntent that waits on a reader for a card, and the reader."""
    place = client.terminal.locations.create(
        {
            "display_name": "The Copper Pot",
            "address": {"line1": "1 High St", "city": "London", "country": "GB"},
        }
    )
    reader = client.terminal.readers.create(
        {"registration_code": "simulated-wpe", "label": "Bar", "location": place.id}
    )
    asked = {"amount": amount, "currency": "gbp", "payment_method_types": ["card_present"], **given}
    intent = client.payment_intents.create(asked)
    client.terminal.readers.process_payment_intent(reader.id, {"payment_intent": intent.id})
    return intent, str(reader.id)


def test_a_payment_its_fee_and_its_refund(stripe_world: StripeWorld, client: Any) -> None:
    paid = pay(client, metadata={"attempt": "a1"}, expand=["latest_charge.balance_transaction"])
    assert (paid.status, paid.latest_charge.balance_transaction.amount) == ("succeeded", 1000)
    assert paid.latest_charge.balance_transaction.fee > 0
    client.refunds.create({"payment_intent": paid.id, "amount": 400})
    with pytest.raises(stripe.InvalidRequestError):
        client.refunds.create({"payment_intent": paid.id, "amount": 601})
    assert stripe_world.taken(attempt="a1") == 600
    assert [refund["amount"] for refund in stripe_world.refunds()] == [400]


@pytest.mark.parametrize(
    ("card", "code", "why"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ],
)
def test_cards_are_declined_by_name(client: Any, card: str, code: str, why: str | None) -> None:
    with pytest.raises(stripe.CardError) as error:
        pay(client, payment_method=card)
    assert (error.value.code, error.value.error.decline_code) == (code, why)  # type: ignore[union-attr]


def test_a_key_answers_once_even_to_eight_at_a_time(
    stripe_world: StripeWorld,
    client: Any,
) -> None:
    once = uuid.uuid4().hex

    def attempt(_: int) -> str:
        try:
            return str(pay(client, idempotency_key=once, application_fee_amount=10).id)
        except stripe.StripeError as error:
            return f"{error.http_status}"

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(attempt, range(8)))
    assert len(answers - {"409"}) == 1
    assert len(stripe_world.charges()) == 1
    with pytest.raises(stripe.IdempotencyError):  # the fee is the overlay's: so must be its check
        pay(client, idempotency_key=once, application_fee_amount=11)


@pytest.mark.parametrize(
    ("mode", "taken"),
    [
        ("drop_before", 0),
        ("500_before", 0),
        ("429", 0),
        ("drop_after", 900),
        ("500_after", 900),
        ("dup", 900),
    ],
)
def test_a_broken_call_is_repeated_with_its_key_and_pays_once(
    stripe_world: StripeWorld, client: Any, faulty: Callable[..., FaultyProxy], mode: str, taken: int
) -> None:
    intent = client.payment_intents.create(
        {"amount": 900, "currency": "gbp", "payment_method_types": ["card"]}
    )
    proxy = faulty(stripe_world.url)
    proxy.next(mode, path="*/confirm")
    broken, once = stripe_client(proxy.url).payment_intents, {"idempotency_key": "once"}
    card = {"payment_method": "pm_card_visa"}
    if mode == "dup":
        assert broken.confirm(intent.id, card, once).status == "succeeded"
    else:
        with pytest.raises(stripe.StripeError):
            broken.confirm(intent.id, card, once)
    assert stripe_world.taken() == taken
    assert broken.confirm(intent.id, card, once).status == "succeeded"
    assert (stripe_world.taken(), proxy.faults.counts[mode]) == (900, 1)


def test_an_account_keeps_its_payments_fee_and_world_to_itself(
    stripe_world: StripeWorld,
    client: Any,
) -> None:
    ours, other = connect(stripe_world, client), connect(stripe_world, client)
    paid = pay(client, stripe_account=ours, application_fee_amount=25, expand=["latest_charge"])
    assert (paid.application_fee_amount, paid.latest_charge.application_fee_amount) == (25, 25)
    found = client.payment_intents.retrieve(paid.id, {}, {"stripe_account": ours})
    assert (found.id, found.application_fee_amount) == (paid.id, 25)
    for stranger in ({"stripe_account": other}, {}):
        with pytest.raises(stripe.InvalidRequestError) as error:
            client.payment_intents.retrieve(paid.id, {}, stranger)
        assert (error.value.http_status, error.value.code) == (404, "resource_missing")


def test_a_restaurant_is_onboarded_and_may_leave(stripe_world: StripeWorld, client: Any) -> None:
    account = client.accounts.create(
        {"type": "express", "country": "GB", "capabilities": {"card_payments": {"requested": True}}}
    )
    link = client.account_links.create(
        {
            "account": account.id,
            "type": "account_onboarding",
            "refresh_url": "https://pos.example/again",
            "return_url": "https://pos.example/done",
        }
    )
    assert account.id in link.url
    assert client.accounts.retrieve(account.id).charges_enabled is False
    stripe_world.onboard(account.id, complete=False)
    assert client.accounts.retrieve(account.id).requirements.currently_due
    stripe_world.onboard(account.id)
    done = client.accounts.retrieve(account.id)
    assert (done.charges_enabled, done.capabilities.card_payments) == (True, "active")
    stripe_world.disconnect(account.id)
    with pytest.raises(stripe.PermissionError):
        pay(client, stripe_account=account.id)
    kinds = [event["type"] for event in stripe_world.events(account.id)]
    assert kinds == ["account.updated", "account.updated", "account.application.deauthorized"]


def test_a_card_and_a_tip_are_presented_at_the_reader(
    stripe_world: StripeWorld,
    client: Any,
) -> None:
    intent, reader = arm(client, metadata={"attempt": "a1"})
    with pytest.raises(stripe.InvalidRequestError) as error:
        client.terminal.readers.process_payment_intent(reader, {"payment_intent": intent.id})
    assert error.value.code == "terminal_reader_busy"
    helper = client.test_helpers.terminal.readers
    helper.present_payment_method(reader, {"amount_tip": 300})
    assert client.terminal.readers.retrieve(reader).action.status == "succeeded"
    paid = client.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert (paid.status, paid.amount_received, paid.amount_details.tip.amount) == ("succeeded", 2300, 300)
    assert paid.latest_charge.payment_method_details.card_present.last4 == "4242"
    assert stripe_world.taken(attempt="a1") == 2300


def test_a_reader_declines_and_the_amount_is_as_before(client: Any) -> None:
    intent, reader = arm(client)
    asked = {"amount_tip": 300, "card_present": {"number": "4000000000009995"}, "type": "card_present"}
    client.test_helpers.terminal.readers.present_payment_method(reader, asked)
    action = client.terminal.readers.retrieve(reader).action
    assert (action.status, action.failure_code) == ("failed", "card_declined")
    left = client.payment_intents.retrieve(intent.id)
    assert (left.status, left.amount) == ("requires_payment_method", 2000)


def test_a_reader_is_cancelled_too_late_offline_or_in_time(
    stripe_world: StripeWorld,
    client: Any,
) -> None:
    _, reader = arm(client)
    stripe_world.refuse_cancel(reader)
    with pytest.raises(stripe.InvalidRequestError) as late:
        client.terminal.readers.cancel_action(reader)
    stripe_world.time_out(reader)
    assert client.terminal.readers.retrieve(reader).action.failure_code == "timeout"
    again = client.payment_intents.create(
        {"amount": 100, "currency": "gbp", "payment_method_types": ["card_present"]}
    )
    client.terminal.readers.process_payment_intent(reader, {"payment_intent": again.id})
    stripe_world.set_reader(reader, "offline")
    with pytest.raises(stripe.InvalidRequestError) as offline:
        client.terminal.readers.cancel_action(reader)
    stripe_world.set_reader(reader, "online")
    assert client.terminal.readers.cancel_action(reader).action is None
    with pytest.raises(stripe.InvalidRequestError):
        client.test_helpers.terminal.readers.present_payment_method(reader)
    assert (late.value.code, offline.value.code) == ("terminal_reader_busy", "terminal_reader_offline")


def test_readers_belong_to_their_account(stripe_world: StripeWorld, client: Any) -> None:
    _, reader = arm(client)
    assert [found.id for found in client.terminal.readers.list().data] == [reader]
    assert client.terminal.connection_tokens.create().secret.startswith("pst_test_")
    stranger = {"stripe_account": connect(stripe_world, client)}
    assert client.terminal.readers.list({}, stranger).data == []
    with pytest.raises(stripe.InvalidRequestError):
        client.terminal.readers.retrieve(reader, {}, stranger)


def test_a_checkout_session_is_declined_paid_or_expired(
    stripe_world: StripeWorld,
    client: Any,
) -> None:
    account = connect(stripe_world, client)
    item = {"price_data": {"currency": "gbp", "unit_amount": 600, "product_data": {"name": "Pie"}}}
    asked = {
        "mode": "payment",
        "success_url": "https://pos.example/paid",
        "line_items": [{**item, "quantity": 2}],
        "payment_intent_data": {"metadata": {"attempt": "a1"}, "application_fee_amount": 12},
    }
    ours = {"stripe_account": account}
    session = client.checkout.sessions.create(asked, {**ours, "idempotency_key": "once"})
    assert client.checkout.sessions.create(asked, {**ours, "idempotency_key": "once"}).id == session.id
    assert (session.status, session.amount_total, session.payment_intent) == ("open", 1200, None)
    assert stripe_world.complete_checkout(session.id, card="4000000000000002") is None
    intent = stripe_world.complete_checkout(session.id, account=account)
    expand = {"expand": ["payment_intent.latest_charge"]}
    done = client.checkout.sessions.retrieve(session.id, expand, ours)
    assert (done.status, done.payment_status, done.payment_intent.id) == ("complete", "paid", intent)
    assert done.payment_intent.latest_charge.application_fee_amount == 12
    assert stripe_world.taken(account, attempt="a1") == 1200
    other = client.checkout.sessions.create(asked, ours)
    assert client.checkout.sessions.expire(other.id, {}, ours).status == "expired"
    for one in (session, other):
        with pytest.raises(stripe.InvalidRequestError):
            client.checkout.sessions.expire(one.id, {}, ours)
    kinds = [event["type"] for event in stripe_world.events(account)]
    assert kinds.count("checkout.session.completed") == 1
    assert kinds.count("checkout.session.expired") == 1


def test_payouts_add_up_to_their_transactions(stripe_world: StripeWorld, client: Any) -> None:
    account = connect(stripe_world, client)
    ours = {"stripe_account": account}
    paid = pay(client, 10_000, stripe_account=account)
    client.refunds.create({"payment_intent": paid.id, "amount": 1000}, ours)
    payout = stripe_world.pay_out(account)
    [listed] = client.payouts.list({}, ours).data
    lines = client.balance_transactions.list({"payout": listed.id}, ours).data
    assert (listed.id, listed.status) == (payout["id"], "paid")
    assert [line.type for line in lines] == ["payout", "refund", "charge"]
    assert sum(line.net for line in lines) == 0
    assert client.payouts.retrieve(listed.id, {}, ours).amount == sum(line.net for line in lines[1:])
    assert client.payouts.list().data == []
    assert stripe_world.pay_out(account)["amount"] == 0


def test_events_are_pumped_signed_until_they_are_taken(
    stripe_world: StripeWorld,
    client: Any,
    sink: Sink,
) -> None:
    account = connect(stripe_world, client)
    paid = pay(client, stripe_account=account, application_fee_amount=25)
    sink.status = 500
    first = stripe_world.pump(sink.url, SECRET, account=account)
    sink.status = 200
    second = stripe_world.pump(sink.url, SECRET, account=account)
    assert [kind for kind, _ in first] == [kind for kind, _ in second]
    assert stripe_world.pump(sink.url, SECRET, account=account) == []
    events = [
        stripe.Webhook.construct_event(r.raw, r.headers["stripe-signature"], SECRET) for r in sink.received
    ]
    succeeded = [event for event in events if event.type == "payment_intent.succeeded"]
    assert {(event.account, event.data.object.id) for event in succeeded} == {(account, paid.id)}
    assert succeeded[0].data.object.application_fee_amount == 25


def test_a_signature_is_refused_for_another_body_secret_or_time() -> None:
    body = b'{"object": "event"}'
    for changed, header, secret in (
        (body + b" ", sign(body, SECRET), SECRET),
        (body, sign(body, SECRET), "whsec_other"),
        (body, sign(body, SECRET, at=time.time() - 400), SECRET),
    ):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(changed, header, secret)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"colour": "red"}, "unknown field /colour"),
        ({"amount": "12.34"}, "'12.34' is not of type 'integer'"),
        ({"automatic_payment_methods[allow]": "1"}, "unknown field /automatic_payment_methods/allow"),
        ({"capture_method": "later"}, "'later' is not one of"),
    ],
)
def test_bugs_of_ours_are_caught(
    stripe_world: StripeWorld,
    wrong: dict[str, str],
    why: str,
) -> None:
    form = {"amount": "100", "currency": "gbp", **wrong}
    answer = httpx.post(f"{stripe_world.url}/v1/payment_intents", data=form)
    assert answer.status_code == 400
    [violation] = stripe_world.violations
    assert (violation.operation, violation.side) == ("POST /v1/payment_intents", "request")
    assert any(why in error for error in violation.errors)
    assert stripe_world.payment_intents() == []
    stripe_world.violations.clear()


def test_a_world_begins_empty(stripe_world: StripeWorld) -> None:
    assert (stripe_world.payment_intents(), stripe_world.events()) == ([], [])


def test_localstripe_signs_what_it_delivers_and_ends_3d_secure(
    localstripe: Localstripe,
    sink: Sink,
) -> None:
    localstripe.deliver_to(sink.url, SECRET)
    client = stripe_client(localstripe.url)
    card = {"number": "4000002760003184", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    method = client.payment_methods.create({"type": "card", "card": card})
    asked = {"amount": 900, "currency": "gbp", "payment_method": method.id, "confirm": True}
    intent = client.payment_intents.create(asked)
    assert intent.status == "requires_action"
    localstripe.authenticate(intent.id, intent.client_secret)
    assert client.payment_intents.retrieve(intent.id).status == "succeeded"
    assert _wait_for(sink, "payment_intent.succeeded") == intent.id


def _wait_for(sink: Sink, kind: str, seconds: float = 10) -> str | None:
    pause = threading.Event()
    for _ in range(int(seconds * 20)):
        for request in list(sink.received):
            header = request.headers["stripe-signature"]
            stripe.Webhook.construct_event(request.raw, header, SECRET)
            event = json.loads(request.raw)
            if event["type"] == kind:
                return str(event["data"]["object"]["id"])
        pause.wait(0.05)
    return None
