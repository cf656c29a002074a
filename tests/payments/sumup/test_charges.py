"""The hosted page and the Solo reader, and what is found out of a charge whose answer was lost."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from payments.providers.base import Account, ChargeRequest, Outcome, Snapshot
from payments.providers.errors import InvalidRequest, Misconfigured, Retryable, UnknownOutcome
from payments.providers.sumup import CHECKOUT, CLIENT, READER, SumUpProvider
from tests.peers import needs_specs
from tests.peers.sumup import SPEC, SumupSimulator

from .conftest import KEY

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
CREATE = "/v0.1/merchants/{merchant_code}/readers/{reader_id}/checkout"
TERMINATE = "/v0.1/merchants/{merchant_code}/readers/{reader_id}/terminate"


def page_id(page: Snapshot) -> str:
    assert page.provider_ref.startswith(CHECKOUT)
    return page.provider_ref.removeprefix(CHECKOUT)


def client_id(armed: Snapshot) -> str:
    assert armed.provider_ref.startswith(READER)
    return armed.provider_ref.split(":")[-1]


@pytest.mark.parametrize("method", ["card_online", "link"])
def test_a_page_is_made_and_paid(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge, method: str
) -> None:
    request = charge(
        method=method,
        tip_minor=110,
        description="Table 4",
        return_url="https://pos.example/back",
        webhook_url="https://pos.example/webhooks/sumup/x",
    )
    page = sumup.execute(account, "", request)
    assert page.outcome is Outcome.REQUIRES_ACTION
    url = f"https://checkout.sumup.com/pay/{page_id(page)}"
    assert page.next_action == {"type": "open", "url": url}
    made = simulator.checkout(page_id(page))
    assert (made["checkout_reference"], made["amount"]) == (str(request.attempt_id), 11.1)
    assert made["return_url"] == f"{request.webhook_url}?attempt={request.attempt_id}"
    simulator.pay_checkout(page_id(page))
    simulator.charge_fees(basis_points=169)
    taken = sumup.fetch(account, request, page.provider_ref)
    assert (taken.outcome, taken.captured_minor, taken.tip_minor) == (Outcome.SUCCEEDED, 1000, 110)
    assert taken.fee_minor == 19
    assert taken.provider_ref.startswith("TA")
    assert sumup.fetch(account, request, taken.provider_ref) == taken
    assert sumup.fetch(account, request) == taken


def test_a_second_page_under_one_reference_is_the_first(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge
) -> None:
    request = charge()
    simulator.faults.next("drop_after")
    with pytest.raises(UnknownOutcome):
        sumup.execute(account, "", request)
    again = sumup.execute(account, "", request)
    assert again.outcome is Outcome.REQUIRES_ACTION
    assert sumup.fetch(account, request) == again
    assert len(simulator.account(KEY).checkouts) == 1
    assert sumup.fetch(account, charge()).outcome is Outcome.NOT_FOUND


def test_a_card_that_failed_leaves_the_page_open(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge
) -> None:
    request = charge()
    page = sumup.execute(account, "", request)
    simulator.pay_checkout(page_id(page), decline=True)
    seen = sumup.fetch(account, request, page.provider_ref)
    assert (seen.outcome, seen.code, seen.next_action) == (
        Outcome.REQUIRES_ACTION,
        "FAILED",
        page.next_action,
    )
    simulator.pay_checkout(page_id(page))
    assert sumup.fetch(account, request, page.provider_ref).captured_minor == 1000


def test_a_closed_page_cannot_be_paid(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge
) -> None:
    request = charge()
    page = sumup.execute(account, "", request)
    assert sumup.cancel(account, "", request).outcome is Outcome.CANCELED  # by our own id
    assert sumup.cancel(account, page.provider_ref, request).outcome is Outcome.CANCELED
    assert simulator.pay_checkout(page_id(page)) is None
    assert sumup.cancel(account, "", charge()).outcome is Outcome.NOT_FOUND


def test_closing_a_page_that_was_paid_meanwhile_answers_that_it_was_paid(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge
) -> None:
    request = charge()
    page = sumup.execute(account, "", request)
    simulator.pay_checkout(page_id(page))
    assert sumup.cancel(account, page.provider_ref, request).outcome is Outcome.SUCCEEDED
    assert simulator.taken(str(request.attempt_id)) == 1000


def test_the_stranger_finds_nothing(
    sumup: SumUpProvider, account: Account, stranger: Account, charge: Charge, at_reader: Charge
) -> None:
    for request in (charge(), at_reader()):
        made = sumup.execute(account, "", request)
        assert sumup.fetch(stranger, request).outcome is Outcome.NOT_FOUND
        assert sumup.fetch(stranger, request, made.provider_ref).outcome is Outcome.NOT_FOUND


def test_the_reader_is_tapped_with_a_tip(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    request = at_reader(amount_minor=1990, tip_on_reader=True, description="Table 4")
    armed = sumup.execute(account, "", request)
    tap = {"type": "tap", "reader_id": request.reader_id}
    assert (armed.outcome, armed.next_action) == (Outcome.REQUIRES_ACTION, tap)
    assert sumup.fetch(account, request, armed.provider_ref) == armed
    [asked] = simulator.called("POST", CREATE)
    assert asked.body["total_amount"] == {"value": 1990, "currency": "GBP", "minor_unit": 2}
    assert asked.body["affiliate"]["foreign_transaction_id"] == str(request.attempt_id)
    simulator.tap(client_id(armed), tip=199)
    taken = sumup.fetch(account, request, armed.provider_ref)
    assert (taken.outcome, taken.captured_minor, taken.tip_minor) == (Outcome.SUCCEEDED, 1990, 199)
    assert (taken.card_brand, taken.card_last4) == ("visa", "3436")
    for ref in ("", taken.provider_ref, f"{CLIENT}{client_id(armed)}"):
        assert sumup.fetch(account, request, ref) == taken


def test_a_tip_that_was_agreed_before_is_told_apart_again(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    request = at_reader(amount_minor=1000, tip_minor=130)
    armed = sumup.execute(account, "", request)
    simulator.tap(client_id(armed))
    taken = sumup.fetch(account, request, armed.provider_ref)
    assert (taken.captured_minor, taken.tip_minor) == (1000, 130)
    assert "tip_rates" not in simulator.called("POST", CREATE)[0].body


def test_a_lost_answer_of_the_reader_is_found_by_our_own_id(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    request = at_reader()
    simulator.faults.next("drop_after", path="*/checkout")
    with pytest.raises(UnknownOutcome):
        sumup.execute(account, "", request)
    seen = sumup.fetch(account, request)
    assert (seen.outcome, seen.next_action["type"]) == (Outcome.REQUIRES_ACTION, "tap")
    assert sumup.execute(account, "", request) == seen  # not armed a second time
    assert len(simulator.called("POST", CREATE)) == 1
    simulator.tap(seen.provider_ref.removeprefix(CLIENT))
    assert sumup.fetch(account, request, seen.provider_ref).captured_minor == 1000
    assert simulator.taken(str(request.attempt_id)) == 1000


def test_a_declined_card_at_the_reader(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    request = at_reader()
    armed = sumup.execute(account, "", request)
    simulator.fail(client_id(armed))
    seen = sumup.fetch(account, request, armed.provider_ref)
    assert (seen.outcome, seen.code, seen.captured_minor) == (Outcome.DECLINED, "FAILED", 0)
    assert sumup.cancel(account, armed.provider_ref, request) == seen
    assert simulator.called("POST", TERMINATE) == []


def test_letting_go_is_pending_until_the_transaction_says_so(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    request = at_reader()
    armed = sumup.execute(account, "", request)
    asked = sumup.cancel(account, armed.provider_ref, request)
    assert (asked.outcome, asked.provider_ref) == (Outcome.PENDING, armed.provider_ref)
    simulator.let_go(client_id(armed))
    assert sumup.fetch(account, request, armed.provider_ref).outcome is Outcome.CANCELED


def test_the_tap_may_be_faster_than_the_cancellation(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    request = at_reader()
    armed = sumup.execute(account, "", request)
    assert sumup.cancel(account, armed.provider_ref, request).outcome is Outcome.PENDING
    simulator.tap(client_id(armed))
    for seen in (sumup.fetch(account, request, armed.provider_ref), sumup.cancel(account, "", request)):
        assert (seen.outcome, seen.captured_minor) == (Outcome.SUCCEEDED, 1000)
    assert simulator.taken(str(request.attempt_id)) == 1000


def test_a_reader_that_is_busy_or_away_is_asked_later(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge, reader_id: str
) -> None:
    first, second = at_reader(), at_reader()
    armed = sumup.execute(account, "", first)
    with pytest.raises(Retryable) as error:
        sumup.execute(account, "", second)
    assert (error.value.code, error.value.status) == ("READER_BUSY", 422)
    simulator.set_online(reader_id, False)
    with pytest.raises(Retryable) as error:
        sumup.execute(account, "", second)
    assert error.value.code == "READER_OFFLINE"
    with pytest.raises(Retryable):  # a guest may still tap what is on it
        sumup.cancel(account, armed.provider_ref, first)
    assert sumup.cancel(account, "", second).outcome is Outcome.NOT_FOUND
    assert len(simulator.account(KEY).transactions) == 1


def test_what_a_reader_was_given_counts_before_there_is_a_transaction(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    request = at_reader()
    armed = sumup.execute(account, "", request)
    [(client, row)] = simulator.account(KEY).transactions.items()
    del simulator.account(KEY).transactions[client]
    assert sumup.fetch(account, request, armed.provider_ref).outcome is Outcome.PENDING
    [checkout] = simulator.account(KEY).reader_checkouts.values()
    checkout["status"] = "cancelled"
    assert sumup.fetch(account, request, armed.provider_ref).outcome is Outcome.CANCELED
    simulator.account(KEY).transactions[client] = row


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"capture": False}, InvalidRequest),
        ({"method": "card_present", "reader_id": None}, InvalidRequest),
        ({"method": "card_present", "currency": "HUF", "amount_minor": 1050}, InvalidRequest),
    ],
)
def test_what_cannot_be_asked_moves_nothing(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    at_reader: Charge,
    wrong: dict,
    expected: type[Exception],
) -> None:
    request = replace(at_reader(), **wrong)
    with pytest.raises(expected):
        sumup.execute(account, "", request)
    with pytest.raises(InvalidRequest):
        sumup.prepare(account, request)
    with pytest.raises(InvalidRequest):
        sumup.capture(account, "TA1", request, 1000)
    assert simulator.account(KEY).transactions == {}


def test_a_reader_is_not_armed_without_a_way_to_find_it_again(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    without = replace(account, secrets={"api_key": KEY})
    with pytest.raises(Misconfigured):
        sumup.execute(without, "", at_reader())
    with pytest.raises(Misconfigured):
        sumup.execute(replace(account, external_account_id=""), "", at_reader())
    assert simulator.account(KEY).transactions == {}


def test_an_amount_finer_than_a_penny_is_not_believed(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge
) -> None:
    request = at_reader()
    armed = sumup.execute(account, "", request)
    simulator.tap(client_id(armed))
    simulator.transaction(client_id(armed))["amount"] = 10.005
    with pytest.raises(UnknownOutcome):
        sumup.fetch(account, request, armed.provider_ref)
