"""What Square lists: movements, payouts, Terminals; and whether it knows us."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from payments.providers import square as adapter
from payments.providers.base import Account, ChargeRequest, RefundRequest
from payments.providers.errors import Misconfigured, UnknownOutcome
from payments.providers.square import SquareProvider
from payments.providers.square_objects import CHECKOUT
from tests.peers import needs_specs
from tests.peers.square import SPEC, SquareSimulator

from .conftest import READER, TOKEN

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
HOUR = timedelta(hours=1)


def today() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - HOUR, now + HOUR


def test_payments_and_refunds_are_listed_as_they_are_booked(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    giving_back: Callable[..., RefundRequest],
) -> None:
    online, tapped = charge(tip_minor=50), charge(method="card_present")
    paid = square.execute(account, "", online)
    armed = square.execute(account, "", tapped)
    tap = simulator.tap(armed.provider_ref.removeprefix(CHECKOUT))
    asked = giving_back(paid.provider_ref)
    refund = square.refund(account, asked)
    simulator.settle_refunds()
    simulator.charge_fees(basis_points=200)
    listed = list(square.list_transactions(account, *today()))
    assert {
        (
            t.provider_ref,
            t.kind,
            t.amount_minor,
            t.tip_minor,
            t.fee_minor,
            t.status,
            t.reference,
            t.payment_ref,
        )
        for t in listed
    } == {
        (paid.provider_ref, "charge", 1050, 50, 21, "succeeded", str(online.attempt_id), ""),
        (tap, "charge", 1000, 0, 20, "succeeded", str(tapped.attempt_id), ""),
        (refund.provider_ref, "refund", 400, 0, None, "succeeded", str(asked.refund_id), paid.provider_ref),
    }
    later = datetime.now(UTC) + HOUR
    assert list(square.list_transactions(account, later, later + HOUR)) == []


def test_other_places_of_the_seller_are_not_ours(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    terrace = replace(account, location_id=simulator.add_location(TOKEN, "Terrace"))
    square.execute(account, "", charge())
    theirs = charge()
    square.execute(terrace, "", theirs)
    [listed] = square.list_transactions(terrace, *today())
    assert listed.reference == str(theirs.attempt_id)
    assert square.fetch(terrace, theirs).captured_minor == 1000


def test_a_list_is_read_to_its_end_and_no_further_than_it_may(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "PAGE", 2)
    for _ in range(5):
        square.execute(account, "", charge())
    assert len(list(square.list_transactions(account, *today()))) == 5
    monkeypatch.setattr(adapter, "PAGES", 2)
    with pytest.raises(UnknownOutcome):
        list(square.list_transactions(account, *today()))
    with pytest.raises(UnknownOutcome):  # "not found" would be a lie
        square.fetch(account, charge())
    for _ in range(5):
        square.execute(account, "", charge(method="card_present"))
    with pytest.raises(UnknownOutcome):
        square.fetch(account, charge(method="card_present"))


def test_a_payout_adds_up_to_its_lines(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    giving_back: Callable[..., RefundRequest],
) -> None:
    paid = square.execute(account, "", charge(application_fee_minor=20))
    simulator.charge_fees(basis_points=175)
    square.refund(account, giving_back(paid.provider_ref))
    simulator.settle_refunds()
    made = simulator.pay_out(TOKEN)
    [payout] = square.list_payouts(account, *today())
    assert (payout.provider_ref, payout.currency, payout.status) == (made["id"], "GBP", "paid")
    assert payout.arrives_on == datetime.now(UTC).date()
    assert [(line.provider_ref, line.kind, line.amount_minor, line.fee_minor) for line in payout.lines] == [
        (paid.provider_ref, "charge", 1000, 18),
        (paid.provider_ref, "application_fee", -20, 0),
        (paid.provider_ref, "refund", -400, 0),
    ]
    assert payout.amount_minor == sum(line.amount_minor - line.fee_minor for line in payout.lines) == 562


def test_the_terminals_are_named_as_a_checkout_wants_them(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    simulator.add_device(TOKEN, "DEV2", "Terrace", status="OFFLINE")
    readers = square.list_readers(account)
    assert [(r.reader_id, r.label, r.is_online, r.device_type) for r in readers] == [
        (READER, "Bar", True, "T2"),
        ("DEV2", "Terrace", False, "T2"),
    ]


def test_an_account_is_checked_for_its_place_and_its_currency(
    square: SquareProvider, simulator: SquareSimulator, account: Account
) -> None:
    square.check(account)
    square.check(replace(account, location_id=""))
    wrong = [
        replace(account, location_id="LNOWHERE"),
        replace(account, currency="EUR"),
        replace(account, secrets={"access_token": ""}),
    ]
    for other in wrong:
        with pytest.raises(Misconfigured):
            square.check(other)
    simulator.revoked.add(TOKEN)
    with pytest.raises(Misconfigured) as error:
        square.check(account)
    assert (error.value.code, error.value.status) == ("ACCESS_TOKEN_REVOKED", 401)
