"""Square's webhooks: only what it signed for this very address, and what each is about."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from payments.providers.base import Account, ChargeRequest, RefundRequest
from payments.providers.errors import BadSignature
from payments.providers.square import SIGNATURE_HEADER, SquareProvider
from payments.providers.square_objects import CHECKOUT
from tests.peers import needs_specs
from tests.peers.square import SPEC, SquareSimulator, sign_webhook, webhook_event

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
URL = "https://pos.example/webhooks/square"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def signed(body: bytes, key: str = "now", url: str = URL) -> dict[str, str]:
    return {"X-Square-HmacSha256-Signature": sign_webhook(body, url, key)}


def test_each_family_names_the_charge_to_ask_about(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    giving_back: Callable[..., RefundRequest],
) -> None:
    request, tapped = charge(), charge(method="card_present")
    paid = square.execute(account, "", request)
    refund = square.refund(account, giving_back(paid.provider_ref))
    armed = square.execute(account, "", tapped)
    dispute = simulator.open_dispute(paid.provider_ref)
    checkout_id = armed.provider_ref.removeprefix(CHECKOUT)
    cases = [
        ("payment.updated", paid.provider_ref, paid.provider_ref, request.attempt_id),
        ("refund.updated", refund.provider_ref, paid.provider_ref, None),
        ("terminal.checkout.updated", checkout_id, armed.provider_ref, tapped.attempt_id),
        ("dispute.created", dispute["id"], paid.provider_ref, None),
    ]
    for kind, object_id, ref, attempt_id in cases:
        body = simulator.event(kind, object_id, event_id=f"ev-{kind}")
        event = square.parse_webhook(account, signed(body), body, URL, NOW)
        assert (event.event_id, event.kind, event.object_ref, event.attempt_id) == (
            f"ev-{kind}",
            kind,
            ref,
            attempt_id,
        )
        assert (event.account_ref, event.livemode) == (account.external_account_id, None)


def test_a_links_payment_is_known_by_its_note(
    square: SquareProvider, account: Account, charge: Charge
) -> None:
    request = charge(method="link")
    contents = {"payment": {"id": "pay1", "note": str(request.attempt_id)}}
    body = webhook_event("payment.created", "pay1", contents, merchant_id="M", at=NOW.isoformat())
    event = square.parse_webhook(account, signed(body), body, URL, NOW)
    assert (event.object_ref, event.attempt_id) == ("pay1", request.attempt_id)


def test_the_key_before_still_counts_and_no_other(square: SquareProvider, account: Account) -> None:
    body = webhook_event("payment.updated", "p", {"payment": {"id": "p"}}, merchant_id="M", at="")
    assert square.parse_webhook(account, signed(body, "before"), body, URL, NOW).object_ref == "p"
    for headers, raw, url in [
        (signed(body, "stolen"), body, URL),
        (signed(body), body + b" ", URL),
        (signed(body), body, f"{URL}/"),
        (signed(body, url="https://elsewhere.example"), body, URL),
        ({SIGNATURE_HEADER: "nönsense"}, body, URL),
        ({SIGNATURE_HEADER: ""}, body, URL),
        ({}, body, URL),
    ]:
        with pytest.raises(BadSignature):
            square.parse_webhook(account, headers, raw, url, NOW)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"{}", b"\xff", json.dumps({"type": "payment.updated"}).encode()]
)
def test_a_signed_body_that_is_no_event_is_not_taken(
    square: SquareProvider, account: Account, body: bytes
) -> None:
    with pytest.raises(BadSignature):
        square.parse_webhook(account, signed(body), body, URL, NOW)
