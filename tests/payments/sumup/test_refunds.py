"""Money that goes back by SumUp, which has no keys and keeps no id of ours."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import pytest

from payments.providers.base import Account, ChargeRequest, RefundOutcome, RefundRequest
from payments.providers.errors import Declined, InvalidRequest, UnknownOutcome
from payments.providers.sumup import CHECKOUT, SumUpProvider
from tests.peers import needs_specs
from tests.peers.sumup import SPEC, SumupSimulator

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
GivingBack = Callable[..., RefundRequest]
REFUND = "/v1.0/merchants/{merchant_code}/payments/{transaction_id}/refunds"


@dataclass(frozen=True, slots=True)
class Informed(RefundRequest):
    """A request that says which of the charge's refunds are known to be others'."""

    known_refs: tuple[str, ...] = ()


def informed(request: RefundRequest, *known_refs: str) -> Informed:
    values = {field.name: getattr(request, field.name) for field in fields(RefundRequest)}
    return Informed(**{**values, "known_refs": known_refs})


@dataclass
class Paid:
    """A charge of £10.00 and a tip of £1.00: how it was asked for, its page and its settled reference."""

    request: ChargeRequest
    page: str
    ref: str


@pytest.fixture
def paid(sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge) -> Paid:
    request = charge(tip_minor=100)
    page = sumup.execute(account, "", request).provider_ref
    simulator.pay_checkout(page.removeprefix(CHECKOUT))
    return Paid(request, page, sumup.fetch(account, request, page).provider_ref)


@pytest.mark.parametrize("status", [201, 204])
def test_a_refund_succeeds_however_it_is_answered(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    giving_back: GivingBack,
    paid: Paid,
    status: int,
) -> None:
    simulator.refund_status = status
    asked = giving_back(paid.ref)
    refund = sumup.refund(account, asked)
    assert (refund.outcome, refund.amount_minor) == (RefundOutcome.SUCCEEDED, 400)
    for ref in (refund.provider_ref, ""):
        assert sumup.fetch_refund(account, asked, ref) == refund
    seen = sumup.fetch(account, paid.request, paid.ref)
    assert (seen.captured_minor, seen.tip_minor, seen.refunded_minor) == (1000, 100, 400)
    assert seen.refunds == (refund,)
    assert simulator.taken(str(paid.request.attempt_id)) == 700


def test_all_of_it_goes_back_by_the_pages_reference(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, giving_back: GivingBack, paid: Paid
) -> None:
    assert sumup.refund(account, giving_back(paid.page, 1100)).outcome is RefundOutcome.SUCCEEDED
    seen = sumup.fetch(account, paid.request, paid.ref)
    assert (seen.captured_minor + seen.tip_minor, seen.refunded_minor) == (1100, 1100)
    assert simulator.taken(str(paid.request.attempt_id)) == 0


def test_more_than_is_left_does_not_go_back(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, giving_back: GivingBack, paid: Paid
) -> None:
    sumup.refund(account, giving_back(paid.ref, 700))
    with pytest.raises(Declined) as error:
        sumup.refund(account, giving_back(paid.ref, 401))
    assert error.value.status == 409
    assert simulator.taken(str(paid.request.attempt_id)) == 400


@pytest.mark.parametrize("fault", ["drop_after", "500_after", "garbage_after", "slow_after"])
def test_a_lost_answer_is_seen_at_the_transaction_and_not_repeated(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    giving_back: GivingBack,
    paid: Paid,
    fault: str,
) -> None:
    asked = giving_back(paid.ref)
    assert sumup.fetch_refund(account, asked).outcome is RefundOutcome.NOT_FOUND
    simulator.faults.next(fault, path="*/refunds")
    with pytest.raises(UnknownOutcome):
        sumup.refund(account, asked)
    found = sumup.fetch_refund(account, asked)
    assert found.outcome is RefundOutcome.SUCCEEDED
    assert sumup.refund(account, asked) == found
    assert len(simulator.called("POST", REFUND)) == 1
    assert simulator.taken(str(paid.request.attempt_id)) == 700


def test_a_refund_that_was_accepted_and_cannot_be_seen_is_pending(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, giving_back: GivingBack, paid: Paid
) -> None:
    asked = giving_back(paid.ref)
    # The first look comes through (twice, which harms nothing); the one after the refund does not.
    simulator.faults.next("dup", "drop_before", method="GET", path="*/transactions")
    refund = sumup.refund(account, asked)
    assert (refund.outcome, refund.provider_ref) == (RefundOutcome.PENDING, "")
    assert sumup.fetch_refund(account, asked).outcome is RefundOutcome.SUCCEEDED


def test_two_equal_refunds_are_told_apart_by_what_is_known(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, giving_back: GivingBack, paid: Paid
) -> None:
    first = sumup.refund(account, giving_back(paid.ref))
    asked = informed(giving_back(paid.ref), first.provider_ref)
    assert sumup.fetch_refund(account, asked).outcome is RefundOutcome.NOT_FOUND
    second = sumup.refund(account, asked)
    assert second.provider_ref != first.provider_ref
    assert sumup.refund(account, asked) == second
    assert simulator.taken(str(paid.request.attempt_id)) == 300


def test_without_that_knowledge_too_little_goes_back_rather_than_too_much(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, giving_back: GivingBack, paid: Paid
) -> None:
    first = sumup.refund(account, giving_back(paid.ref))
    assert sumup.refund(account, giving_back(paid.ref)) == first
    assert simulator.taken(str(paid.request.attempt_id)) == 700


@pytest.mark.parametrize(
    ("status", "outcome"), [("FAILED", RefundOutcome.FAILED), ("PENDING", RefundOutcome.PENDING)]
)
def test_a_refund_that_did_not_get_through(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    giving_back: GivingBack,
    paid: Paid,
    status: str,
    outcome: RefundOutcome,
) -> None:
    asked = giving_back(paid.ref)
    refund = sumup.refund(account, asked)
    row = next(row for a in simulator.accounts.values() for row in a.transactions.values())
    row["events"][0]["status"] = status
    assert sumup.fetch_refund(account, asked, refund.provider_ref).outcome is outcome
    assert sumup.fetch(account, paid.request, paid.ref).refunded_minor == 0
    row["events"][0]["status"] = "REFUNDED"


def test_the_stranger_gives_nothing_back(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    stranger: Account,
    giving_back: GivingBack,
    paid: Paid,
) -> None:
    with pytest.raises(InvalidRequest):
        sumup.refund(stranger, giving_back(paid.ref))
    assert sumup.fetch_refund(stranger, giving_back(paid.ref)).outcome is RefundOutcome.NOT_FOUND
    assert simulator.taken(str(paid.request.attempt_id)) == 1100


def test_what_nobody_paid_is_not_given_back(
    sumup: SumUpProvider, account: Account, charge: Charge, giving_back: GivingBack
) -> None:
    page = sumup.execute(account, "", charge())
    with pytest.raises(InvalidRequest):
        sumup.refund(account, giving_back(page.provider_ref))


def test_a_chargeback_is_a_lost_dispute(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, paid: Paid
) -> None:
    row = next(row for a in simulator.accounts.values() for row in a.transactions.values())
    row["events"].append({"id": 900, "type": "CHARGE_BACK", "status": "SUCCESSFUL", "amount": 11.0})
    [dispute] = sumup.fetch(account, paid.request, paid.ref).disputes
    assert (dispute.provider_ref, dispute.amount_minor, dispute.status) == ("chargeback:900", 1100, "lost")
