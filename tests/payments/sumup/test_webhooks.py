"""SumUp's webhooks: signed events, and callbacks that anybody could have sent."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sumup._events import verify_event_signature

from payments.providers.base import Account, ChargeRequest
from payments.providers.errors import BadSignature, StaleWebhook
from payments.providers.sumup import CHECKOUT, CLIENT, SumUpProvider
from tests.peers import needs_specs
from tests.peers.sumup import SIGNATURE_HEADER, SPEC, SumupSimulator, sign_event

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CHECKOUT_ID = "3f0a9e0e-6d0b-4f57-8a53-0a86b4d9f6a1"


@pytest.fixture
def url(account: Account) -> str:
    return f"https://pos.example/webhooks/sumup/{account.public_id}"


def signed(body: bytes, by: str = "now", at: datetime = NOW) -> dict[str, str]:
    return {SIGNATURE_HEADER: sign_event(body, by, at.timestamp())}


def event_body(**changes: object) -> bytes:
    about = {"id": CHECKOUT_ID, "type": "checkout", "url": "https://api.sumup.com/v0.1/checkouts/x"}
    event = {"id": "ev-1", "type": "checkouts.paid", "created_at": NOW.isoformat(), "object": about}
    return json.dumps({**event, **changes}).encode()


def test_a_signed_event_names_the_page_to_ask_about(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge, url: str
) -> None:
    page = sumup.execute(account, "", charge())
    body = simulator.event("checkouts.paid", page.provider_ref.removeprefix(CHECKOUT), event_id="ev-9")
    for secret in ("now", "before"):
        event = sumup.parse_webhook(account, signed(body, secret), body, url, NOW)
        assert (event.event_id, event.kind, event.object_ref) == ("ev-9", "checkouts.paid", page.provider_ref)


def test_a_signed_event_may_be_about_something_else(sumup: SumUpProvider, account: Account, url: str) -> None:
    about = {"id": "rdr_1", "type": "reader", "url": "https://api.sumup.com/x"}
    body = event_body(type="readers.created", object=about)
    assert sumup.parse_webhook(account, signed(body), body, url, NOW).object_ref == "rdr_1"


def test_our_check_is_the_librarys(sumup: SumUpProvider, account: Account, url: str) -> None:
    body, now = event_body(), datetime.now(UTC)
    header = signed(body, at=now)[SIGNATURE_HEADER]
    verify_event_signature("now", body, header)
    assert sumup.parse_webhook(account, {SIGNATURE_HEADER.lower(): header}, body, url, now).event_id == "ev-1"


@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400])
def test_a_signature_of_another_time_is_stale(
    sumup: SumUpProvider, account: Account, url: str, seconds: int
) -> None:
    body = event_body()
    headers = signed(body, at=NOW + timedelta(seconds=seconds))
    with pytest.raises(StaleWebhook):
        sumup.parse_webhook(account, headers, body, url, NOW)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_five_minutes_either_way_are_fine(
    sumup: SumUpProvider, account: Account, url: str, seconds: int
) -> None:
    body = event_body()
    headers = signed(body, at=NOW + timedelta(seconds=seconds))
    assert sumup.parse_webhook(account, headers, body, url, NOW).event_id == "ev-1"


def test_a_wrong_signature_does_not_pass_for_none(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, url: str
) -> None:
    body, callback = event_body(), simulator.checkout_callback(CHECKOUT_ID)
    good = signed(body)[SIGNATURE_HEADER]
    for header, raw in [
        (signed(body, "stolen")[SIGNATURE_HEADER], body),
        (good, body + b" "),
        (good.replace("v1=", "v0="), body),
        (good.replace("t=", "t=1"), body),
        (f"{good},v1={'0' * 64}", body),
        ("", body),
        ("nönsense", body),
        (good, callback),
        ("", callback),
    ]:
        with pytest.raises(BadSignature):
            sumup.parse_webhook(account, {SIGNATURE_HEADER: header}, raw, url, NOW)


@pytest.mark.parametrize("changes", [{"id": 5}, {"type": None}, {"object": "checkout"}])
def test_a_signed_body_that_is_no_event_is_not_taken(
    sumup: SumUpProvider, account: Account, url: str, changes: dict
) -> None:
    body = event_body(**changes)
    with pytest.raises(BadSignature):
        sumup.parse_webhook(account, signed(body), body, url, NOW)


def test_a_callback_is_a_hint_and_its_address_names_the_attempt(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge, url: str
) -> None:
    request = at_reader(webhook_url=url)
    armed = sumup.execute(account, "", request)
    client = armed.provider_ref.split(":")[-1]
    [asked] = simulator.called("POST", "/v0.1/merchants/{merchant_code}/readers/{reader_id}/checkout")
    body = simulator.reader_callback(client)
    event = sumup.parse_webhook(account, {}, body, asked.body["return_url"], NOW)
    assert (event.kind, event.object_ref) == ("solo.transaction.updated", f"{CLIENT}{client}")
    assert event.attempt_id == request.attempt_id
    assert sumup.fetch(account, request, event.object_ref).next_action["type"] == "tap"


def test_the_same_notice_is_one_event_and_a_later_one_another(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, url: str
) -> None:
    body = simulator.checkout_callback(CHECKOUT_ID)
    seen = [
        sumup.parse_webhook(account, {}, body, url, NOW + timedelta(seconds=seconds))
        for seconds in (0, 9, 10)
    ]
    assert [event.object_ref for event in seen] == [f"{CHECKOUT}{CHECKOUT_ID}"] * 3
    assert (seen[0].event_id == seen[1].event_id, seen[0].event_id == seen[2].event_id) == (True, False)
    other = simulator.checkout_callback(str(uuid.uuid4()))
    assert sumup.parse_webhook(account, {}, other, url, NOW).event_id != seen[0].event_id


def test_a_callback_cannot_take_a_signed_events_id(sumup: SumUpProvider, account: Account, url: str) -> None:
    payload = {"client_transaction_id": CHECKOUT_ID, "merchant_code": "M", "status": "successful"}
    body = json.dumps({"id": "ev-1", "event_type": "solo.transaction.updated", "payload": payload}).encode()
    assert sumup.parse_webhook(account, {}, body, url, NOW).event_id.startswith("unsigned:")


def test_the_other_shape_of_a_pages_callback(sumup: SumUpProvider, account: Account, url: str) -> None:
    payload = {"checkout_id": CHECKOUT_ID, "reference": "r", "status": "FAILED"}
    body = json.dumps({"id": "1", "event_type": "checkout.status.updated", "payload": payload}).encode()
    event = sumup.parse_webhook(account, {}, body, f"{url}?attempt=nonsense", NOW)
    assert (event.object_ref, event.attempt_id) == (f"{CHECKOUT}{CHECKOUT_ID}", None)


def test_an_unsigned_callback_counts_at_the_accounts_own_address_only(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account
) -> None:
    body = simulator.checkout_callback(CHECKOUT_ID)
    for url in (
        "https://pos.example/webhooks/sumup",
        f"https://pos.example/webhooks/sumup/{uuid.uuid4()}",
        f"https://pos.example/webhooks/sumup?x={account.public_id}",
    ):
        with pytest.raises(BadSignature):
            sumup.parse_webhook(account, {}, body, url, NOW)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b"{", b"{}", b"\xff"),
        b'{"event_type": "CHECKOUT_STATUS_CHANGED"}',
        b'{"event_type": "CHECKOUT_STATUS_CHANGED", "id": "../../v0.1/me"}',
        b'{"event_type": "solo.transaction.updated", "payload": []}',
        b'{"event_type": ["solo.transaction.updated"], "payload": {}}',
        b'{"event_type": "something.new", "id": "3f0a9e0e-6d0b-4f57-8a53-0a86b4d9f6a1"}',
    ],
)
def test_a_callback_of_no_known_shape_is_not_taken(
    sumup: SumUpProvider, account: Account, url: str, body: bytes
) -> None:
    with pytest.raises(BadSignature):
        sumup.parse_webhook(account, {}, body, url, NOW)
