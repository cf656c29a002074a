"""Cards online, and what is found out of a charge whose answer was lost."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments.providers import square as square_module
from payments.providers import transport
from payments.providers.base import Account, ChargeRequest, Outcome, RefundOutcome, Snapshot
from payments.providers.errors import Declined, InvalidRequest, UnknownOutcome
from payments.providers.square import SquareProvider
from payments.providers.square_codes import SOFT_CODES
from tests.peers import needs_specs
from tests.peers.square import DECLINES, SPEC, SquareSimulator

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]


def test_a_charge_is_taken_with_its_tip_fee_and_our_id(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(tip_minor=150, application_fee_minor=20, description="Table 4")
    taken = square.execute(account, "", request)
    assert (taken.outcome, taken.captured_minor, taken.tip_minor) == (Outcome.SUCCEEDED, 1000, 150)
    assert (taken.card_brand, taken.card_last4, taken.fee_minor) == ("visa", "1111", None)
    row = simulator.payment(taken.provider_ref)
    assert (row["reference_id"], row["note"]) == (str(request.attempt_id), "Table 4")
    assert row["app_fee_money"] == {"amount": 20, "currency": "GBP"}
    assert row["location_id"] == account.location_id
    assert simulator.taken(str(request.attempt_id)) == 1150


def test_a_repeat_of_the_key_is_the_same_charge(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge()
    first = square.execute(account, "", request)
    assert square.execute(account, "", request) == first
    assert simulator.taken(str(request.attempt_id)) == 1000


def test_a_key_that_was_used_for_something_else_tells_nothing(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge()
    square.execute(account, "", request)
    with pytest.raises(UnknownOutcome) as error:
        square.execute(account, "", replace(request, amount_minor=999))
    assert (error.value.code, error.value.status) == ("IDEMPOTENCY_KEY_REUSED", 400)
    assert simulator.taken(str(request.attempt_id)) == 1000


@pytest.mark.parametrize("nonce", DECLINES)
def test_a_declined_card_is_a_definite_no(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge, nonce: str
) -> None:
    request = charge(source_token=nonce)
    with pytest.raises(Declined) as error:
        square.execute(account, "", request)
    assert (error.value.code, error.value.status) == (DECLINES[nonce], 400)
    assert error.value.is_soft == (DECLINES[nonce] in SOFT_CODES)
    seen = square.fetch(account, request)
    assert (seen.outcome, seen.code, seen.captured_minor) == (Outcome.DECLINED, "FAILED", 0)
    assert simulator.taken(str(request.attempt_id)) == 0


@pytest.mark.parametrize(
    "wrong", [{"source_token": None}, {"idem_key": "k" * 46}, {"idem_key": ""}, {"method": "card_present"}]
)
def test_what_cannot_be_asked_is_not_sent(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge, wrong: dict
) -> None:
    request = replace(charge(), reader_id=None, **wrong)
    with pytest.raises(InvalidRequest):
        square.execute(account, "", request)
    with pytest.raises(InvalidRequest):
        square.prepare(account, request)
    assert simulator.calls == []


def test_a_lost_answer_is_found_by_our_own_id(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    for other in range(3):
        square.execute(account, "", charge(amount_minor=100 + other))
    request = charge()
    simulator.faults.next("drop_after")
    with pytest.raises(UnknownOutcome):
        square.execute(account, "", request)
    found = square.fetch(account, request)
    assert (found.outcome, found.captured_minor) == (Outcome.SUCCEEDED, 1000)
    assert square.fetch(account, request, found.provider_ref) == found
    assert square.fetch(account, charge()).outcome is Outcome.NOT_FOUND
    assert square.fetch(account, request, "nothing-like-it").outcome is Outcome.NOT_FOUND


def test_the_stranger_finds_nothing(
    square: SquareProvider, account: Account, stranger: Account, charge: Charge
) -> None:
    request = charge()
    taken = square.execute(account, "", request)
    assert square.fetch(stranger, request, taken.provider_ref).outcome is Outcome.NOT_FOUND
    assert square.fetch(stranger, request).outcome is Outcome.NOT_FOUND


def test_what_is_found_when_it_is_to_be_cancelled_was_taken(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge()
    simulator.faults.next("slow_after")
    with pytest.raises(UnknownOutcome):
        square.execute(account, "", request)
    assert square.cancel(account, "", request).outcome is Outcome.SUCCEEDED
    assert simulator.taken(str(request.attempt_id)) == 1000


def test_nothing_is_undone_by_its_key_while_an_answer_may_call_it_paid(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Square's list lags behind: the first look does not find it."""
    request = charge()
    square.execute(account, "", request)
    find = square_module._payment_by_our_id
    looks: list[str] = []

    def lagging(*asked: Any) -> Any:
        looks.append("look")
        return None if len(looks) == 1 else find(*asked)

    monkeypatch.setattr(square_module, "_payment_by_our_id", lagging)
    assert square.cancel(account, "", request) == Snapshot(Outcome.CANCELED)
    assert simulator.taken(str(request.attempt_id)) == 1000

    monkeypatch.setattr(transport, "IN_FLIGHT_SECONDS", 0)
    looks.clear()
    undone = square.cancel(account, "", request)
    assert (undone.outcome, undone.provider_ref != "") == (Outcome.CANCELED, True)
    assert square.cancel(account, "", charge()) == Snapshot(Outcome.CANCELED)
    assert simulator.taken(str(request.attempt_id)) == 0


def test_cancelling_what_can_no_longer_be_undone_answers_that_it_was_taken(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge, giving_back
) -> None:
    request = charge()
    taken = square.execute(account, "", request)
    square.refund(account, giving_back(taken.provider_ref))
    simulator.settle_refunds()
    for ref in ("", taken.provider_ref):
        seen = square.cancel(account, ref, request)
        assert (seen.outcome, seen.captured_minor, seen.refunded_minor) == (Outcome.SUCCEEDED, 1000, 400)
        assert [refund.outcome for refund in seen.refunds] == [RefundOutcome.SUCCEEDED]
    assert square.cancel(account, "nothing-like-it", request).outcome is Outcome.NOT_FOUND


def test_an_approved_payment_is_captured_whole_and_once(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(capture=False, tip_minor=100)
    held = square.execute(account, "", request)
    assert (held.outcome, held.captured_minor, held.tip_minor) == (Outcome.AUTHORIZED, 0, 0)
    for _ in range(2):
        taken = square.capture(account, held.provider_ref, request, 1100)
        assert (taken.outcome, taken.captured_minor, taken.tip_minor) == (Outcome.SUCCEEDED, 1000, 100)
    assert len(simulator.called("POST", "/v2/payments/{payment_id}/complete")) == 1


@pytest.mark.parametrize(("amount", "bill", "tip"), [(1050, 1000, 50), (1000, 1000, 0), (700, 700, 0)])
def test_less_than_was_approved_is_captured(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    amount: int,
    bill: int,
    tip: int,
) -> None:
    request = charge(capture=False, tip_minor=100)
    held = square.execute(account, "", request)
    taken = square.capture(account, held.provider_ref, request, amount)
    assert (taken.outcome, taken.captured_minor, taken.tip_minor) == (Outcome.SUCCEEDED, bill, tip)
    assert simulator.taken(str(request.attempt_id)) == amount


def test_an_approved_payment_is_let_go(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(capture=False)
    held = square.execute(account, "", request)
    assert square.cancel(account, held.provider_ref, request).outcome is Outcome.CANCELED
    assert square.cancel(account, held.provider_ref, request).outcome is Outcome.CANCELED
    assert square.capture(account, held.provider_ref, request, 1000).outcome is Outcome.CANCELED
    assert simulator.taken(str(request.attempt_id)) == 0


def test_a_dispute_shows_once_there_may_be_one(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge()
    simulator.clock = lambda: datetime.now(UTC) - timedelta(hours=2)
    taken = square.execute(account, "", request)
    other = square.execute(account, "", charge())
    dispute = simulator.open_dispute(taken.provider_ref)
    [seen] = square.fetch(account, request, taken.provider_ref).disputes
    assert (seen.provider_ref, seen.amount_minor, seen.status) == (dispute["id"], 1000, "open")
    assert square.fetch(account, request, other.provider_ref).disputes == ()
    assert seen.evidence_due_at is not None
    dispute["state"] = "PROCESSING"
    [answered] = square.fetch(account, request, taken.provider_ref).disputes
    assert (answered.status, answered.evidence_due_at, answered.taken_minor) == ("open", None, 1000)
    dispute["state"] = "LOST"
    assert square.fetch(account, request, taken.provider_ref).disputes[0].status == "lost"
