"""Money that goes back by Square: pending first, found again by our own id."""

from collections.abc import Callable

import pytest

from payments.providers.base import Account, ChargeRequest, RefundOutcome, RefundRequest
from payments.providers.errors import Declined, InvalidRequest, UnknownOutcome
from payments.providers.square import SquareProvider
from payments.providers.square_objects import CHECKOUT, LINK
from tests.peers import needs_specs
from tests.peers.square import SPEC, SquareSimulator

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
GivingBack = Callable[..., RefundRequest]


@pytest.fixture
def paid(square: SquareProvider, account: Account, charge: Charge) -> str:
    """A charge of £10.00."""
    return square.execute(account, "", charge()).provider_ref


def test_a_refund_pends_and_then_succeeds(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    giving_back: GivingBack,
) -> None:
    request = charge()
    paid = square.execute(account, "", request)
    asked = giving_back(paid.provider_ref, reason="Cold soup")
    refund = square.refund(account, asked)
    assert (refund.outcome, refund.amount_minor, refund.refund_id) == (
        RefundOutcome.PENDING,
        400,
        asked.refund_id,
    )
    assert simulator.refund(refund.provider_ref)["reason"] == f"Cold soup {asked.refund_id}"
    assert square.fetch(account, request, paid.provider_ref).refunded_minor == 0
    simulator.settle_refunds()
    for ref in (refund.provider_ref, ""):
        assert square.fetch_refund(account, asked, ref).outcome is RefundOutcome.SUCCEEDED
    seen = square.fetch(account, request, paid.provider_ref)
    assert (seen.captured_minor, seen.refunded_minor) == (1000, 400)
    assert [r.refund_id for r in seen.refunds] == [asked.refund_id]


def test_a_repeat_of_the_key_gives_nothing_more_back(
    square: SquareProvider, simulator: SquareSimulator, account: Account, giving_back: GivingBack, paid: str
) -> None:
    asked = giving_back(paid)
    assert square.refund(account, asked) == square.refund(account, asked)
    assert simulator.payment(paid)["refunded_money"]["amount"] == 400


def test_a_lost_answer_is_found_by_our_own_id(
    square: SquareProvider, simulator: SquareSimulator, account: Account, giving_back: GivingBack, paid: str
) -> None:
    first, second, never = giving_back(paid), giving_back(paid), giving_back(paid)
    square.refund(account, first)
    simulator.faults.next("drop_after", path="/v2/refunds")
    with pytest.raises(UnknownOutcome):
        square.refund(account, second)
    found = square.fetch_refund(account, second)
    assert (found.outcome, found.refund_id) == (RefundOutcome.PENDING, second.refund_id)
    assert square.fetch_refund(account, never).outcome is RefundOutcome.NOT_FOUND
    assert square.fetch_refund(account, never, "nothing-like-it").outcome is RefundOutcome.NOT_FOUND


def test_a_refund_is_found_though_the_payment_does_not_name_it_yet(
    square: SquareProvider, simulator: SquareSimulator, account: Account, giving_back: GivingBack, paid: str
) -> None:
    asked = giving_back(paid)
    refund = square.refund(account, asked)
    simulator.payment(paid)["refund_ids"].clear()
    assert square.fetch_refund(account, asked).provider_ref == refund.provider_ref


def test_more_than_was_taken_does_not_go_back(
    square: SquareProvider, simulator: SquareSimulator, account: Account, giving_back: GivingBack, paid: str
) -> None:
    square.refund(account, giving_back(paid, 700))
    with pytest.raises(Declined) as error:
        square.refund(account, giving_back(paid, 301))
    assert (error.value.code, error.value.status) == ("REFUND_AMOUNT_INVALID", 400)
    assert simulator.payment(paid)["refunded_money"]["amount"] == 700


@pytest.mark.parametrize("status", ["FAILED", "REJECTED"])
def test_a_bank_turns_a_refund_down(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    giving_back: GivingBack,
    paid: str,
    status: str,
) -> None:
    asked = giving_back(paid)
    refund = square.refund(account, asked)
    simulator.settle_refunds(status=status)
    seen = square.fetch_refund(account, asked, refund.provider_ref)
    assert (seen.outcome, seen.code) == (RefundOutcome.FAILED, status)


@pytest.mark.parametrize("method", ["card_present", "link"])
def test_what_was_paid_elsewhere_goes_back_by_either_reference(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    giving_back: GivingBack,
    method: str,
) -> None:
    request = charge(method=method)
    begun = square.execute(account, "", request)
    with pytest.raises(InvalidRequest):
        square.refund(account, giving_back(begun.provider_ref))
    if method == "link":
        simulator.pay_link(begun.provider_ref.removeprefix(LINK).split(":")[0])
    else:
        simulator.tap(begun.provider_ref.removeprefix(CHECKOUT))
    settled = square.fetch(account, request, begun.provider_ref)
    square.refund(account, giving_back(begun.provider_ref, 300))
    square.refund(account, giving_back(settled.provider_ref, 200))
    assert simulator.payment(settled.provider_ref)["refunded_money"]["amount"] == 500


@pytest.mark.parametrize(
    ("fee", "goes_back", "said"),
    [(50, True, None), (50, False, {"amount": 0, "currency": "GBP"}), (0, False, None)],
)
def test_the_platforms_fee_goes_back_in_proportion_or_stays(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    giving_back: GivingBack,
    fee: int,
    goes_back: bool,
    said: dict | None,
) -> None:
    paid = square.execute(account, "", charge(application_fee_minor=fee))
    square.refund(account, giving_back(paid.provider_ref, refund_application_fee=goes_back))
    [call] = simulator.called("POST", "/v2/refunds")
    assert call.body.get("app_fee_money") == said


def test_a_long_reason_still_ends_in_our_id(
    square: SquareProvider, simulator: SquareSimulator, account: Account, giving_back: GivingBack, paid: str
) -> None:
    asked = giving_back(paid, reason="x" * 200)
    refund = square.refund(account, asked)
    assert refund.refund_id == asked.refund_id
    assert len(simulator.refund(refund.provider_ref)["reason"]) == 192


def test_the_stranger_gives_nothing_back(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    stranger: Account,
    giving_back: GivingBack,
    paid: str,
) -> None:
    with pytest.raises(InvalidRequest):
        square.refund(stranger, giving_back(paid))
    asked = giving_back(paid)
    refund = square.refund(account, asked)
    assert square.fetch_refund(stranger, asked, refund.provider_ref).outcome is RefundOutcome.NOT_FOUND
    assert simulator.payment(paid)["refunded_money"]["amount"] == 400
