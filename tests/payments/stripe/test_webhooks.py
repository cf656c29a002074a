"""Whose signature holds, for how long, and what an event is about."""

import datetime
import json
from collections.abc import Mapping
from typing import Any

import pytest

from payments.providers.base import Account, VerifiedEvent
from payments.providers.errors import BadSignature, StaleWebhook
from payments.providers.stripe import StripeProvider
from tests.payments.stripe.till import SECRETS, Till, charge, own_account, refund_of
from tests.peers.stripe import sign

NOW = datetime.datetime(2026, 11, 24, 19, 30, tzinfo=datetime.UTC)
SIGNED_AT = NOW.timestamp()
CURRENT = "whsec_now"
ATTEMPT = "01936f0e-7a3c-7000-8000-000000000001"
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "livemode": False,
    "account": "acct_ours",
    "data": {"object": {"object": "payment_intent", "id": "pi_1", "metadata": {"attempt": ATTEMPT}}},
}
RAW = json.dumps(EVENT).encode()


def parse(raw: bytes, headers: Mapping[str, str], account: Account | None = None) -> VerifiedEvent:
    account = account or own_account("http://127.0.0.1:1")
    return StripeProvider().parse_webhook(account, headers, raw, "https://pos.example/hook", NOW)


def signed(raw: bytes = RAW, secret: str = CURRENT, at: float = SIGNED_AT) -> dict[str, str]:
    return {"Stripe-Signature": sign(raw, secret, at)}


def test_a_good_event() -> None:
    event = parse(RAW, signed())
    assert (event.event_id, event.kind, event.object_ref) == ("evt_1", "payment_intent.succeeded", "pi_1")
    assert (event.livemode, str(event.attempt_id), event.account_ref) == (False, ATTEMPT, "acct_ours")


def test_headers_in_any_case() -> None:
    assert parse(RAW, {"stripe-signature": sign(RAW, "whsec_now", SIGNED_AT)}).event_id == "evt_1"


def test_the_secret_before_holds_while_it_is_rolled() -> None:
    assert parse(RAW, signed(secret="whsec_before")).event_id == "evt_1"


def test_two_signatures_while_stripe_rolls_the_secret() -> None:
    stamp, good = sign(RAW, "whsec_now", SIGNED_AT).split(",")
    other = sign(RAW, "whsec_next", SIGNED_AT).split(",")[1]
    assert parse(RAW, {"Stripe-Signature": f"{stamp},{other},{good}"}).event_id == "evt_1"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "nonsense"},
        {"Stripe-Signature": "t=abc,v1=00"},
        {"Stripe-Signature": f"t={int(SIGNED_AT)},v1=\u00e9"},
        {"Stripe-Signature": sign(RAW, "whsec_now", SIGNED_AT).replace("v1=", "v0=")},
        {"Stripe-Signature": sign(RAW, "whsec_nobodys", SIGNED_AT)},
        {"Stripe-Signature": sign(RAW, "whsec_now", SIGNED_AT).replace(f"t={int(SIGNED_AT)}", "t=1")},
        {"Stripe-Signature": sign(RAW, "", SIGNED_AT)},
    ],
    ids=[
        "none",
        "empty",
        "nonsense",
        "no-time",
        "no-hex",
        "v0-only",
        "wrong-secret",
        "other-time",
        "no-secret",
    ],
)
def test_a_signature_that_does_not_hold(headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        parse(RAW, headers)


def test_a_body_that_was_changed() -> None:
    for tampered in (RAW + b" ", RAW.replace(b"pi_1", b"pi_2"), b"\xff" + RAW):
        with pytest.raises(BadSignature):
            parse(tampered, signed())


def test_an_account_without_secrets_believes_nobody() -> None:
    for secrets in ({"secret_key": "x"}, {**SECRETS, "webhook_secrets": ["", ""]}):
        with pytest.raises(BadSignature):
            parse(RAW, signed(secret=""), own_account("http://127.0.0.1:1", secrets=secrets))


@pytest.mark.parametrize("seconds", [-301, 301, -3 * 24 * 3600])
def test_an_old_or_a_future_event_is_stale(seconds: int) -> None:
    with pytest.raises(StaleWebhook):
        parse(RAW, signed(at=SIGNED_AT + seconds))


@pytest.mark.parametrize("seconds", [-300, 300])
def test_clocks_may_differ_by_five_minutes(seconds: int) -> None:
    assert parse(RAW, signed(at=SIGNED_AT + seconds)).event_id == "evt_1"


@pytest.mark.parametrize("raw", [b"[]", b"{}", b"not json", b'{"id": "evt_1", "type": "x", "data": 1}'])
def test_signed_but_no_event(raw: bytes) -> None:
    with pytest.raises(BadSignature):
        parse(raw, signed(raw))


@pytest.mark.parametrize(
    ("subject", "reference"),
    [
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, "pi_1"),
        ({"object": "charge", "id": "ch_1", "payment_intent": None}, "ch_1"),
        ({"object": "refund", "id": "re_1", "payment_intent": "pi_1", "charge": "ch_1"}, "pi_1"),
        ({"object": "refund", "id": "re_1", "payment_intent": None, "charge": "ch_1"}, "ch_1"),
        ({"object": "dispute", "id": "dp_1", "payment_intent": "pi_1", "charge": "ch_1"}, "pi_1"),
        ({"object": "checkout.session", "id": "cs_1", "payment_intent": "pi_1"}, "cs_1"),
        ({"object": "terminal.reader", "id": "tmr_1", "action": None}, ""),
        (
            {
                "object": "terminal.reader",
                "id": "tmr_1",
                "action": {
                    "type": "process_payment_intent",
                    "process_payment_intent": {"payment_intent": "pi_1"},
                },
            },
            "pi_1",
        ),
        ({"object": "payout", "id": "po_1"}, "po_1"),
        ({"object": "account", "id": "acct_1"}, "acct_1"),
        ({"object": "balance"}, ""),
    ],
)
def test_what_an_event_is_about(subject: dict[str, Any], reference: str) -> None:
    raw = json.dumps({**EVENT, "data": {"object": subject}}).encode()
    event = parse(raw, signed(raw))
    assert (event.object_ref, event.attempt_id) == (reference, None)


def test_the_events_of_a_real_evening(till: Till) -> None:
    """As the model makes them: each leads to the charge, and most name our attempt."""
    request = charge()
    ref = till.pay(request).provider_ref
    till.refund(refund_of(request, ref, 100))
    reader = till.new_reader()
    tapped = charge(method="card_present", reader_id=reader, source_token=None)
    tapped_ref = till.prepare(tapped)
    till.execute(tapped_ref, tapped)
    till.present_card(reader)
    told: dict[str, set[str]] = {}
    for event in till.world.events():
        raw = json.dumps(event).encode()
        parsed = parse(raw, signed(raw))
        told.setdefault(parsed.kind, set()).add(parsed.object_ref)
        if parsed.object_ref == ref:
            assert parsed.attempt_id == request.attempt_id
    assert told["payment_intent.succeeded"] == {ref, tapped_ref}
    assert told["charge.succeeded"] == {ref, tapped_ref}
    assert told["charge.refunded"] == {ref}
    assert told["terminal.reader.action_succeeded"] == {tapped_ref}
