"""The SumUp simulator, driven through SumUp's own library."""

import datetime
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sumup import APIError, Sumup
from sumup.errors import (
    APITimeoutError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)
from sumup.events import CheckoutPaidEvent, EventSignatureError

from tests.peers import needs_specs
from tests.peers.sumup import SPEC, SumupSimulator, sign_event

pytestmark = needs_specs(SPEC)
OURS = "sup_sk_copper_pot"
MERCHANT = "MCOPPER1"


@pytest.fixture
def simulator() -> Iterator[SumupSimulator]:
    with SumupSimulator() as simulator:
        yield simulator


def client(simulator: SumupSimulator, key: str = OURS) -> Sumup:
    return Sumup(api_key=key, base_url=simulator.url, timeout=5)


def reference() -> str:
    return f"attempt-{uuid.uuid4().hex[:12]}"


def create(sumup: Sumup, ours: str, amount: float = 12.34, **given: Any) -> Any:
    return sumup.checkouts.create(
        amount=amount, currency="GBP", checkout_reference=ours, merchant_code=MERCHANT, **given
    )


def arm(sumup: Sumup, reader: str, ours: str, value: int = 1234, **given: Any) -> str:
    made = sumup.readers.create_checkout(
        MERCHANT,
        reader,
        total_amount={"value": value, "currency": "GBP", "minor_unit": 2},
        affiliate={"app_id": "fynlo", "key": "affiliate", "foreign_transaction_id": ours},
        **given,
    )
    return str(made.data.client_transaction_id)


def paid(simulator: SumupSimulator, sumup: Sumup, amount: float = 10.0) -> tuple[str, str]:
    """A paid online checkout: our reference and SumUp's id of its transaction."""
    ours = reference()
    transaction_id = simulator.pay_checkout(create(sumup, ours, amount).id)
    return ours, transaction_id or ""


def test_a_reference_is_taken_once_and_finds_its_checkout(simulator: SumupSimulator) -> None:
    sumup, ours = client(simulator), reference()
    made = create(sumup, ours, return_url="https://pos.example/w", description="Table 4")
    assert (made.status, made.amount) == ("PENDING", 12.34)
    with pytest.raises(ConflictError):
        create(sumup, ours)
    assert [found.id for found in sumup.checkouts.list(checkout_reference=ours)] == [made.id]
    assert sumup.checkouts.list(checkout_reference="other") == []
    assert simulator.violations == []


def test_the_hosted_page_declines_then_pays(simulator: SumupSimulator) -> None:
    sumup, ours = client(simulator), reference()
    made = create(sumup, ours, hosted_checkout={"enabled": True})
    assert made.hosted_checkout_url == f"https://checkout.sumup.com/pay/{made.id}"
    simulator.pay_checkout(made.id, decline=True)
    assert sumup.checkouts.get(made.id).status == "FAILED"
    transaction_id = simulator.pay_checkout(made.id)
    done = sumup.checkouts.get(made.id)
    assert (done.status, done.transaction_id) == ("PAID", transaction_id)
    assert [one.status for one in done.transactions or []] == ["FAILED", "SUCCESSFUL"]
    assert simulator.pay_checkout(made.id) is None
    assert simulator.taken(ours) == 1234
    assert simulator.violations == []


def test_a_deactivated_or_expired_checkout_is_not_paid(simulator: SumupSimulator) -> None:
    sumup = client(simulator)
    gone, late = create(sumup, reference()), create(sumup, reference(), valid_until="2020-01-01T00:00:00Z")
    assert sumup.checkouts.deactivate(gone.id).status == "EXPIRED"
    assert sumup.checkouts.get(late.id).status == "EXPIRED"
    assert [simulator.pay_checkout(one.id) for one in (gone, late)] == [None, None]
    done = create(sumup, reference())
    simulator.pay_checkout(done.id)
    with pytest.raises(ConflictError):
        sumup.checkouts.deactivate(done.id)
    assert simulator.violations == []


def test_a_solo_is_tapped_with_a_tip_and_found_by_our_own_id(simulator: SumupSimulator) -> None:
    sumup, ours = client(simulator), reference()
    reader = simulator.add_reader(OURS, "Bar")
    armed = arm(sumup, reader, ours, tip_rates=[0.1, 0.15], return_url="https://pos.example/w")
    assert sumup.readers.get_status(MERCHANT, reader).data.state == "WAITING_FOR_CARD"
    assert sumup.transactions.get(MERCHANT, client_transaction_id=armed).status == "PENDING"
    assert simulator.tap(armed, tip=123)
    found = sumup.transactions.get(MERCHANT, foreign_transaction_id=ours)
    assert (found.status, found.amount, found.tip_amount) == ("SUCCESSFUL", 13.57, 1.23)
    assert sumup.transactions.get(MERCHANT, id=found.id or "").client_transaction_id == armed
    assert sumup.readers.get_status(MERCHANT, reader).data.state == "IDLE"
    assert not simulator.tap(armed)
    assert simulator.taken(ours) == 1357
    with pytest.raises(NotFoundError):
        sumup.transactions.get(MERCHANT, foreign_transaction_id="nobody")
    assert simulator.violations == []


def test_a_reader_is_busy_offline_declined_and_terminated(simulator: SumupSimulator) -> None:
    sumup = client(simulator)
    reader = simulator.add_reader(OURS, "Bar")
    first = arm(sumup, reader, "a1")
    with pytest.raises(UnprocessableEntityError):
        arm(sumup, reader, "a2")
    assert simulator.fail(first)
    second = arm(sumup, reader, "a3")
    sumup.readers.terminate_checkout(MERCHANT, reader)
    assert sumup.transactions.get(MERCHANT, client_transaction_id=second).status == "PENDING"
    assert simulator.let_go(second)
    assert not simulator.tap(second)
    third = arm(sumup, reader, "a4")
    sumup.readers.terminate_checkout(MERCHANT, reader)
    assert simulator.tap(third)  # the guest was faster
    simulator.set_online(reader, False)
    with pytest.raises(UnprocessableEntityError):
        arm(sumup, reader, "a5")
    states = [
        sumup.transactions.get(MERCHANT, client_transaction_id=t).status for t in (first, second, third)
    ]
    assert states == ["FAILED", "CANCELLED", "SUCCESSFUL"]
    assert simulator.violations == []


def test_a_reader_is_let_go_after_a_minute(simulator: SumupSimulator) -> None:
    sumup, now = client(simulator), datetime.datetime.now(datetime.UTC)
    reader = simulator.add_reader(OURS, "Bar")
    first = arm(sumup, reader, "a1")
    simulator.clock = lambda: now + datetime.timedelta(seconds=61)
    arm(sumup, reader, "a2")
    assert simulator.transaction(first)["status"] == "CANCELLED"


def test_readers_are_paired_listed_and_removed(simulator: SumupSimulator) -> None:
    sumup = client(simulator)
    made = sumup.readers.create(MERCHANT, pairing_code="4WLFDSBF", name="Door")
    checkout = sumup.readers.create_checkout(
        MERCHANT, made.id, total_amount={"value": 100, "currency": "GBP", "minor_unit": 2}
    )
    assert (
        sumup.readers.get_checkout(MERCHANT, made.id, checkout.data.checkout_id or "").data.status
        == "pending"
    )
    assert [reader.name for reader in sumup.readers.list(MERCHANT).items] == ["Door"]
    sumup.readers.delete(MERCHANT, made.id)
    with pytest.raises(NotFoundError):
        sumup.readers.get(MERCHANT, made.id)
    assert simulator.violations == []


def test_refunds_add_up_to_the_payment_and_no_further(simulator: SumupSimulator) -> None:
    sumup = client(simulator)
    ours, transaction_id = paid(simulator, sumup)
    sumup.transactions.refund(MERCHANT, transaction_id, amount=4.0)
    with pytest.raises(ConflictError):
        sumup.transactions.refund(MERCHANT, transaction_id, amount=6.01)
    assert simulator.taken(ours) == 600
    sumup.transactions.refund(MERCHANT, transaction_id)
    found = sumup.transactions.get(MERCHANT, id=transaction_id)
    assert found.status == "REFUNDED"
    assert [(event.type, event.amount) for event in found.events or []] == [("REFUND", 4.0), ("REFUND", 6.0)]
    assert simulator.taken(ours) == 0
    assert simulator.violations == []


def test_a_refund_answered_without_a_body_was_carried_out(simulator: SumupSimulator) -> None:
    """The library takes 204 for an error: the caller has to look, not to repeat."""
    sumup = client(simulator)
    ours, transaction_id = paid(simulator, sumup)
    simulator.refund_status = 204
    with pytest.raises(APIError):
        sumup.transactions.refund(MERCHANT, transaction_id, amount=4.0)
    assert simulator.taken(ours) == 600
    assert simulator.violations == []


def test_the_history_shows_payments_and_refunds_in_pages(simulator: SumupSimulator) -> None:
    sumup = client(simulator)
    ids = [paid(simulator, sumup)[1] for _ in range(3)]
    sumup.transactions.refund(MERCHANT, ids[0], amount=1.0)
    payments = sumup.transactions.list(MERCHANT, types=["PAYMENT"], limit=2)
    assert [item.id for item in payments.items or []] == ids[:2]
    [link] = payments.links or []
    headers = {"authorization": f"Bearer {OURS}"}
    rest = httpx.get(
        f"{simulator.url}/v2.1/merchants/{MERCHANT}/transactions/history?{link.href}", headers=headers
    ).json()
    everything = sumup.transactions.list(MERCHANT, statuses=["REFUNDED"], order="descending").items or []
    assert [item.amount for item in everything] == [1.0]
    assert (rest["links"], [item["id"] for item in rest["items"]]) == ([], ids[2:])
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert sumup.transactions.list(MERCHANT, oldest_time=tomorrow).items == []
    assert simulator.violations == []


def test_fees_come_later_and_payouts_add_up(simulator: SumupSimulator) -> None:
    sumup = client(simulator)
    _, transaction_id = paid(simulator, sumup, 100.0)
    assert sumup.transactions.get(MERCHANT, id=transaction_id).fee_amount is None
    simulator.charge_fees(basis_points=169)
    assert sumup.transactions.get(MERCHANT, id=transaction_id).fee_amount == 1.69
    sumup.transactions.refund(MERCHANT, transaction_id, amount=10.0)
    simulator.pay_out(OURS)
    assert simulator.pay_out(OURS) == []
    today = datetime.datetime.now(datetime.UTC).date()
    listed = sumup.payouts.list(MERCHANT, start_date=today, end_date=today)
    assert [(p.type, p.amount, p.fee) for p in listed] == [
        ("PAYOUT", 98.31, 1.69),
        ("REFUND_DEDUCTION", -10.0, 0.0),
    ]
    assert simulator.violations == []


def test_the_stranger_finds_nothing(simulator: SumupSimulator) -> None:
    _, transaction_id = paid(simulator, client(simulator))
    with pytest.raises(NotFoundError):
        client(simulator, "sup_sk_stranger").transactions.get(MERCHANT, id=transaction_id)
    with pytest.raises(AuthenticationError):
        client(simulator).merchants.get("MOTHER")
    simulator.revoked.add(OURS)
    with pytest.raises(AuthenticationError):
        client(simulator).merchants.get(MERCHANT)


def test_signed_events_are_references_that_the_library_verifies(simulator: SumupSimulator) -> None:
    sumup = client(simulator)
    made = create(sumup, reference())
    simulator.pay_checkout(made.id)
    body = simulator.event("checkouts.paid", made.id, event_id="evt-1")
    event = sumup.parse_event_notification(body, sign_event(body, "whsec"), "whsec")
    assert isinstance(event, CheckoutPaidEvent)
    assert (event.id, event.fetch_object().status) == ("evt-1", "PAID")
    for changed, signature in (
        (body + b" ", sign_event(body, "whsec")),
        (body, sign_event(body, "other")),
        (body, sign_event(body, "whsec", at=1_000_000)),
    ):
        with pytest.raises(EventSignatureError):
            sumup.parse_event_notification(changed, signature, "whsec")


def test_callbacks_are_unsigned_and_name_what_changed(simulator: SumupSimulator) -> None:
    sumup = client(simulator)
    reader = simulator.add_reader(OURS, "Bar")
    armed = arm(sumup, reader, "a1")
    simulator.tap(armed)
    told = json.loads(simulator.reader_callback(armed))
    assert (told["event_type"], told["payload"]["client_transaction_id"], told["payload"]["status"]) == (
        "solo.transaction.updated",
        armed,
        "successful",
    )
    assert json.loads(simulator.checkout_callback("c1")) == {
        "event_type": "CHECKOUT_STATUS_CHANGED",
        "id": "c1",
    }


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"amout": 5}, "unknown field /amout"),
        ({"amount": "12.34"}, "'12.34' is not of type 'number'"),
        ({"currency": "XXX"}, "'XXX' is not one of"),
        ({"card": {"number": "4242424242424242"}}, "unknown field /card"),
    ],
)
def test_bugs_of_ours_are_caught(simulator: SumupSimulator, wrong: dict[str, Any], why: str) -> None:
    body = {"checkout_reference": "r", "amount": 1.0, "currency": "GBP", "merchant_code": MERCHANT, **wrong}
    answer = httpx.post(
        f"{simulator.url}/v0.1/checkouts", json=body, headers={"authorization": f"Bearer {OURS}"}
    )
    assert answer.status_code == 400
    [violation] = simulator.violations
    assert violation.side == "request"
    assert any(why in error for error in violation.errors)
    assert simulator.account(OURS).checkouts == {}


def test_a_lost_answer_is_found_again_by_our_own_id(simulator: SumupSimulator) -> None:
    """Solo has no idempotency key and tells its own id only in the answer."""
    sumup = Sumup(api_key=OURS, base_url=simulator.url, timeout=0.3)
    reader = simulator.add_reader(OURS, "Bar")
    simulator.faults.slow_seconds = 1
    simulator.faults.next("slow_after", path="*/checkout")
    with pytest.raises(APITimeoutError):
        arm(sumup, reader, "a1")
    assert sumup.transactions.get(MERCHANT, foreign_transaction_id="a1").status == "PENDING"
    assert simulator.faults.counts == {"slow_after": 1, "passed": 1}
