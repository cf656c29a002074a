"""The Square simulator, driven through Square's own library."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from square import Square
from square.core.api_error import ApiError
from square.utils.webhooks_helper import verify_signature

from tests.peers import needs_specs
from tests.peers.square import (
    APPLICATION_ID,
    APPLICATION_SECRET,
    DECLINES,
    OK,
    SPEC,
    SquareSimulator,
    sign_webhook,
)

pytestmark = needs_specs(SPEC)
OURS = "copper-pot"
ONCE: Any = {"max_retries": 0}


@pytest.fixture
def simulator() -> Iterator[SquareSimulator]:
    with SquareSimulator() as simulator:
        yield simulator


def client(simulator: SquareSimulator, token: str = OURS) -> Square:
    return Square(token=token, base_url=simulator.url, timeout=5)


def key() -> str:
    return uuid.uuid4().hex


def gbp(amount: int) -> Any:
    return {"amount": amount, "currency": "GBP"}


def pay(square: Square, amount: int = 1000, source: str = OK, **given: Any) -> Any:
    given.setdefault("idempotency_key", key())
    return square.payments.create(
        source_id=source, amount_money=gbp(amount), request_options=ONCE, **given
    ).payment


def refund(square: Square, payment_id: str, amount: int, **given: Any) -> Any:
    given.setdefault("idempotency_key", key())
    return square.refunds.refund_payment(
        payment_id=payment_id, amount_money=gbp(amount), request_options=ONCE, **given
    ).refund


def arm(square: Square, amount: int = 2610, **given: Any) -> Any:
    checkout: Any = {
        "amount_money": gbp(amount),
        "device_options": {"device_id": "DEV1", "tip_settings": {"allow_tipping": True}},
        "reference_id": "attempt-1",
        **given,
    }
    return square.terminal.checkouts.create(
        idempotency_key=key(), checkout=checkout, request_options=ONCE
    ).checkout


def code_of(error: pytest.ExceptionInfo[ApiError]) -> tuple[int | None, str, str]:
    first = error.value.errors[0]
    return error.value.status_code, str(first.category), str(first.code)


def test_a_payment_carries_its_tip_fee_and_reference(simulator: SquareSimulator) -> None:
    square = client(simulator)
    paid = pay(square, tip_money=gbp(100), app_fee_money=gbp(50), reference_id="attempt-1")
    found = square.payments.get(paid.id).payment
    assert found is not None
    assert (found.status, found.reference_id) == ("COMPLETED", "attempt-1")
    assert found.total_money.amount == 1100
    assert found.tip_money.amount == 100
    assert found.app_fee_money.amount == 50
    assert simulator.taken("attempt-1") == 1100
    assert simulator.violations == []


def test_a_key_answers_once_and_refuses_another_body(simulator: SquareSimulator) -> None:
    square, once = client(simulator), key()
    first = pay(square, idempotency_key=once)
    assert pay(square, idempotency_key=once).id == first.id
    with pytest.raises(ApiError) as error:
        pay(square, 2, idempotency_key=once)
    assert code_of(error) == (400, "INVALID_REQUEST_ERROR", "IDEMPOTENCY_KEY_REUSED")
    assert len(simulator.seller(OURS).payments) == 1
    assert simulator.violations == []


@pytest.mark.parametrize("nonce", DECLINES)
def test_documented_nonces_are_declined(simulator: SquareSimulator, nonce: str) -> None:
    with pytest.raises(ApiError) as error:
        pay(client(simulator), source=nonce, reference_id="attempt-1")
    assert code_of(error) == (400, "PAYMENT_METHOD_ERROR", DECLINES[nonce])
    assert simulator.taken("attempt-1") == 0
    assert simulator.violations == []


def test_a_lost_answer_is_had_again_by_its_key(simulator: SquareSimulator) -> None:
    square, once = client(simulator), key()
    simulator.faults.next("drop_after", method="POST", path="/v2/payments")
    with pytest.raises(httpx.RemoteProtocolError):  # the library lets it through as it is
        pay(square, idempotency_key=once)
    pay(square, idempotency_key=once)
    assert len(simulator.called("POST", "/v2/payments")) == 2
    assert len(simulator.seller(OURS).payments) == 1


def test_an_approved_payment_is_completed_or_cancelled_once(simulator: SquareSimulator) -> None:
    square = client(simulator)
    first, second = pay(square, autocomplete=False), pay(square, autocomplete=False)
    assert (first.status, second.status) == ("APPROVED", "APPROVED")
    assert square.payments.complete(first.id).payment.status == "COMPLETED"
    assert square.payments.cancel(second.id).payment.status == "CANCELED"
    for payment in (first, second):
        with pytest.raises(ApiError) as error:
            square.payments.cancel(payment.id, request_options=ONCE)
        assert code_of(error) == (400, "INVALID_REQUEST_ERROR", "BAD_REQUEST")
    assert simulator.violations == []


def test_cancelling_by_key_undoes_what_was_made_and_forgives_what_was_not(
    simulator: SquareSimulator,
) -> None:
    square, once = client(simulator), key()
    paid = pay(square, idempotency_key=once, reference_id="attempt-1")
    square.payments.cancel_by_idempotency_key(idempotency_key=once, request_options=ONCE)
    square.payments.cancel_by_idempotency_key(idempotency_key=key(), request_options=ONCE)
    assert simulator.payment(paid.id)["status"] == "CANCELED"
    assert simulator.taken("attempt-1") == 0
    assert simulator.violations == []


def test_payments_are_listed_in_pages_by_time_and_place(simulator: SquareSimulator) -> None:
    square = client(simulator)
    now = datetime.now(UTC)
    ids = []
    for hours in (5, 4, 3, 2, 1):
        simulator.clock = lambda hours=hours: now - timedelta(hours=hours)  # type: ignore[misc]
        ids.append(pay(square).id)
    listed = square.payments.list(
        begin_time=(now - timedelta(hours=4)).isoformat(timespec="milliseconds"),
        end_time=(now - timedelta(hours=1)).isoformat(timespec="milliseconds"),
        location_id=simulator.seller(OURS).location_id,
        limit=2,
    )
    assert [payment.id for payment in listed] == [ids[3], ids[2], ids[1]]
    assert len(simulator.called("GET", "/v2/payments")) == 2
    other = simulator.add_location(OURS, "Terrace")
    assert list(square.payments.list(location_id=other)) == []
    assert simulator.violations == []


def test_refunds_pend_settle_and_never_exceed_the_payment(simulator: SquareSimulator) -> None:
    square, once = client(simulator), key()
    paid = pay(square, reference_id="attempt-1")
    first = refund(square, paid.id, 600, idempotency_key=once, reason="Cold soup")
    assert (first.status, refund(square, paid.id, 600, idempotency_key=once, reason="Cold soup").id) == (
        "PENDING",
        first.id,
    )
    with pytest.raises(ApiError) as error:
        refund(square, paid.id, 401)
    assert code_of(error) == (400, "REFUND_ERROR", "REFUND_AMOUNT_INVALID")
    assert simulator.settle_refunds() == 1
    assert square.refunds.get(first.id).refund.status == "COMPLETED"
    assert simulator.taken("attempt-1") == 400
    assert [found.id for found in square.refunds.list()] == [first.id]
    simulator.bounce_refund(first.id)
    assert simulator.taken("attempt-1") == 1000
    assert simulator.violations == []


def test_a_terminal_checkout_is_tapped_with_a_tip(simulator: SquareSimulator) -> None:
    square = client(simulator)
    armed = arm(square)
    simulator.pick_up(armed.id)
    assert square.terminal.checkouts.get(armed.id).checkout.status == "IN_PROGRESS"
    assert simulator.tap(armed.id, decline=True) is not None
    payment_id = simulator.tap(armed.id, tip=300)
    done = square.terminal.checkouts.get(armed.id).checkout
    assert done is not None
    assert (armed.status, done.status, done.payment_ids) == ("PENDING", "COMPLETED", [payment_id])
    paid = square.payments.get(payment_id or "").payment
    assert paid is not None
    assert (paid.tip_money.amount, paid.total_money.amount) == (300, 2910)
    assert (paid.reference_id, paid.terminal_checkout_id) == ("attempt-1", armed.id)
    with pytest.raises(ApiError):
        square.terminal.checkouts.cancel(armed.id, request_options=ONCE)
    assert simulator.violations == []


def test_cancelling_a_checkout_only_asks_and_the_tap_may_win(simulator: SquareSimulator) -> None:
    square = client(simulator)
    gone, raced, timed_out = arm(square), arm(square), arm(square)
    for armed in (gone, raced):
        asked = square.terminal.checkouts.cancel(armed.id).checkout
        assert asked is not None
        assert asked.status == "CANCEL_REQUESTED"
    assert simulator.tap(gone.id) is None
    assert simulator.tap(raced.id, ahead_of_cancel=True) is not None
    simulator.let_go(timed_out.id, "TIMED_OUT")
    query: Any = {"filter": {"device_id": "DEV1"}}
    found = square.terminal.checkouts.search(query=query).checkouts or []
    assert {(c.id, c.status, c.cancel_reason) for c in found} == {
        (gone.id, "CANCELED", "SELLER_CANCELED"),
        (raced.id, "COMPLETED", None),
        (timed_out.id, "CANCELED", "TIMED_OUT"),
    }
    assert simulator.violations == []


def test_fees_come_later_and_payouts_add_up(simulator: SquareSimulator) -> None:
    square = client(simulator)
    paid = pay(square, 10_000, app_fee_money=gbp(100))
    assert square.payments.get(paid.id).payment.processing_fee is None
    assert simulator.charge_fees(basis_points=175) == 1
    assert square.payments.get(paid.id).payment.processing_fee[0].amount_money.amount == 175
    refund(square, paid.id, 1000)
    simulator.settle_refunds()
    payout = simulator.pay_out(OURS)
    assert [found.id for found in square.payouts.list()] == [payout["id"]]
    entries = list(square.payouts.list_entries(payout["id"]))
    assert [(e.type, e.net_amount_money.amount) for e in entries] == [
        ("CHARGE", 9825),
        ("THIRD_PARTY_FEE", -100),
        ("REFUND", -1000),
        ("THIRD_PARTY_FEE_REFUND", 10),
    ]
    assert payout["amount_money"]["amount"] == 8735
    assert simulator.pay_out(OURS)["amount_money"]["amount"] == 0
    assert simulator.violations == []


def test_the_account_and_its_devices_are_described(simulator: SquareSimulator) -> None:
    square = client(simulator)
    simulator.add_device(OURS, "DEV1", "Bar", status="OFFLINE")
    seller = simulator.seller(OURS)
    assert [m.id for m in square.merchants.list()] == [seller.merchant_id]
    assert [place.id for place in square.locations.list().locations or []] == [seller.location_id]
    device = next(iter(square.devices.list()))
    assert (device.attributes.name, device.status.category) == ("Bar", "OFFLINE")
    assert simulator.violations == []


def test_the_stranger_finds_nothing(simulator: SquareSimulator) -> None:
    paid = pay(client(simulator))
    with pytest.raises(ApiError) as error:
        client(simulator, "stranger").payments.get(paid.id, request_options=ONCE)
    assert code_of(error) == (404, "INVALID_REQUEST_ERROR", "NOT_FOUND")
    assert list(client(simulator, "stranger").payments.list()) == []


def test_oauth_opens_refreshes_and_revokes_an_account(simulator: SquareSimulator) -> None:
    platform = Square(token="none", base_url=simulator.url)
    given: Any = {"client_id": APPLICATION_ID, "client_secret": APPLICATION_SECRET}
    first = platform.o_auth.obtain_token(grant_type="authorization_code", code="sq0cgp-1", **given)
    again = platform.o_auth.obtain_token(
        grant_type="refresh_token", refresh_token=first.refresh_token, **given
    )
    paid = pay(client(simulator, first.access_token or ""))
    seen = client(simulator, again.access_token or "")
    assert seen.payments.get(paid.id).payment.id == paid.id
    assert (first.merchant_id, first.access_token != again.access_token) == (again.merchant_id, True)
    with pytest.raises(ApiError):  # a code is good once
        platform.o_auth.obtain_token(
            grant_type="authorization_code", code="sq0cgp-1", request_options=ONCE, **given
        )
    ours: Any = {**ONCE, "additional_headers": {"Authorization": f"Client {APPLICATION_SECRET}"}}
    platform.o_auth.revoke_token(access_token=again.access_token, request_options=ours)
    with pytest.raises(ApiError) as error:
        seen.payments.get(paid.id, request_options=ONCE)
    assert code_of(error) == (401, "AUTHENTICATION_ERROR", "ACCESS_TOKEN_REVOKED")
    assert simulator.violations == []


def test_a_payment_link_is_paid_on_the_hosted_page(simulator: SquareSimulator) -> None:
    square = client(simulator)
    place = simulator.seller(OURS).location_id
    quick: Any = {"name": "Table 4", "price_money": gbp(1200), "location_id": place}
    link = square.checkout.payment_links.create(
        idempotency_key=key(), quick_pay=quick, payment_note="attempt-1"
    ).payment_link
    assert link is not None
    paid = simulator.payment(simulator.pay_link(link.id or ""))
    assert (paid["order_id"], paid["note"], paid["total_money"]) == (link.order_id, "attempt-1", gbp(1200))
    assert simulator.violations == []


def test_webhooks_are_signed_as_the_library_verifies(simulator: SquareSimulator) -> None:
    paid = pay(client(simulator))
    url = "https://pos.example/webhooks/square"
    body = simulator.event("payment.updated", paid.id, event_id="ev-1")
    signature = sign_webhook(body, url, "signature-key")

    def verified(text: str, at: str) -> bool:
        return verify_signature(
            request_body=text, signature_header=signature, signature_key="signature-key", notification_url=at
        )

    assert verified(body.decode(), url)
    assert not verified(body.decode() + " ", url)
    assert not verified(body.decode(), url + "/")
    event = json.loads(body)
    assert (event["event_id"], event["type"], event["data"]["id"]) == ("ev-1", "payment.updated", paid.id)
    assert event["data"]["object"]["payment"]["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"amount": 5}, "unknown field /amount"),
        ({"amount_money": {"amount": "1.5", "currency": "GBP"}}, "'1.5' is not of type 'integer'"),
        (
            {"amount_money": {"amount": 100, "currency": "GBP", "pence": 1}},
            "unknown field /amount_money/pence",
        ),
        ({"idempotency_key": "k" * 46}, "is too long"),
    ],
)
def test_bugs_of_ours_are_caught(simulator: SquareSimulator, wrong: dict[str, Any], why: str) -> None:
    body = {"source_id": OK, "idempotency_key": key(), "amount_money": gbp(100), **wrong}
    answer = httpx.post(f"{simulator.url}/v2/payments", json=body, headers={"authorization": "Bearer t"})
    assert answer.status_code == 400
    [violation] = simulator.violations
    assert (violation.operation, violation.side) == ("POST /v2/payments", "request")
    assert any(why in error for error in violation.errors)
    assert simulator.seller("t").payments == {}


def test_unknown_parameters_and_operations_are_caught(simulator: SquareSimulator) -> None:
    headers = {"authorization": "Bearer t"}
    assert httpx.get(f"{simulator.url}/v2/payments?colour=1", headers=headers).status_code == 400
    assert httpx.get(f"{simulator.url}/v2/nothing", headers=headers).status_code == 404
    assert [violation.errors for violation in simulator.violations] == [
        ("unknown parameter colour",),
        ("no such operation",),
    ]
    simulator.reset()
    assert (simulator.violations, simulator.calls) == ([], [])


def test_its_own_answers_are_checked(simulator: SquareSimulator) -> None:
    square = client(simulator)
    paid = pay(square)
    simulator.payment(paid.id)["colour"] = "red"
    simulator.payment(paid.id)["status"] = 7
    httpx.get(f"{simulator.url}/v2/payments/{paid.id}", headers={"authorization": f"Bearer {OURS}"})
    [violation] = simulator.violations
    assert violation.side == "response"
    assert [error.split(":")[0] for error in violation.errors] == [
        "payment/status",
        "unknown field /payment/colour",
    ]
