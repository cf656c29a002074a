"""What SumUp lists: movements, payouts, readers; and whether it knows us."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from payments.providers import sumup as adapter
from payments.providers.base import Account, ChargeRequest, RefundRequest
from payments.providers.errors import Misconfigured, UnknownOutcome
from payments.providers.sumup import CHECKOUT, SumUpProvider
from tests.peers import needs_specs
from tests.peers.sumup import SPEC, SumupSimulator

from .conftest import KEY

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
HOUR = timedelta(hours=1)


def today() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - HOUR, now + HOUR


@pytest.fixture
def pay(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge
) -> Callable[..., str]:
    """Take a charge on the page; returns its settled reference."""

    def take(**given: object) -> str:
        request = charge(**given)
        page = sumup.execute(account, "", request).provider_ref
        simulator.pay_checkout(page.removeprefix(CHECKOUT))
        return sumup.fetch(account, request, page).provider_ref

    return take


def test_payments_and_refunds_are_listed_by_their_settled_references(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    at_reader: Charge,
    pay: Callable[..., str],
    giving_back: Callable[..., RefundRequest],
) -> None:
    paid = pay(tip_minor=50)
    armed = sumup.execute(account, "", at_reader())
    client = armed.provider_ref.split(":")[-1]
    simulator.fail(client)
    failed = simulator.transaction(client)["transaction_code"]
    refund = sumup.refund(account, giving_back(paid))
    listed = list(sumup.list_transactions(account, *today()))
    assert {
        (t.provider_ref, t.kind, t.amount_minor, t.currency, t.status, t.payment_ref) for t in listed
    } == {
        (paid, "charge", 1050, "GBP", "succeeded", ""),
        (failed, "charge", 1000, "GBP", "failed", ""),
        (refund.provider_ref, "refund", 400, "GBP", "succeeded", paid),
    }
    later = datetime.now(UTC) + HOUR
    assert list(sumup.list_transactions(account, later, later + HOUR)) == []


def test_a_list_is_read_to_its_end_and_no_further_than_it_may(
    sumup: SumUpProvider, account: Account, pay: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "PAGE", 2)
    paid = [pay() for _ in range(5)]
    assert [t.provider_ref for t in sumup.list_transactions(account, *today())] == paid
    monkeypatch.setattr(adapter, "PAGES", 2)
    with pytest.raises(UnknownOutcome):
        list(sumup.list_transactions(account, *today()))


def test_payouts_add_up_to_their_lines(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    pay: Callable[..., str],
    giving_back: Callable[..., RefundRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paid = pay()
    simulator.charge_fees(basis_points=169)
    sumup.refund(account, giving_back(paid))
    simulator.pay_out(KEY)
    for record in simulator.account(KEY).payouts:
        record["reference"] = "PO1"
    other = dict(simulator.account(KEY).payouts[0], id=99, reference="PO2", status="FAILED")
    simulator.account(KEY).payouts.append(other)
    first, second = sumup.list_payouts(account, *today())
    assert (first.provider_ref, first.currency, first.status) == ("PO1", "GBP", "paid")
    assert first.arrives_on == datetime.now(UTC).date()
    assert [(line.provider_ref, line.kind, line.amount_minor, line.fee_minor) for line in first.lines] == [
        (paid, "charge", 1000, 17),
        (paid, "refund", -400, 0),
    ]
    assert first.amount_minor == 583
    assert (second.provider_ref, second.status, second.amount_minor) == ("PO2", "failed", 983)
    monkeypatch.setattr(adapter, "PAYOUT_LIMIT", 3)
    with pytest.raises(UnknownOutcome):
        list(sumup.list_payouts(account, *today()))


def test_the_readers_are_listed_with_whether_they_are_there(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, reader_id: str
) -> None:
    away = simulator.add_reader(KEY, "Terrace", online=False)
    gone = simulator.add_reader(KEY, "Old one")
    simulator.account(KEY).readers[gone]["status"] = "expired"
    pairing = simulator.add_reader(KEY, "New one")
    simulator.account(KEY).readers[pairing]["status"] = "processing"
    readers = sumup.list_readers(account)
    assert [(r.reader_id, r.label, r.is_online, r.device_type) for r in readers] == [
        (reader_id, "Bar", True, "solo"),
        (away, "Terrace", False, "solo"),
        (pairing, "New one", False, "solo"),
    ]


def test_an_account_is_checked_for_its_key_and_its_currency(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account
) -> None:
    sumup.check(account)
    for other in (
        replace(account, currency="EUR"),
        replace(account, external_account_id=""),
        replace(account, external_account_id="MOTHER"),
        replace(account, secrets={}),
        replace(account, secrets={"api_key": "two words"}),
    ):
        with pytest.raises(Misconfigured):
            sumup.check(other)
    simulator.revoked.add(KEY)
    with pytest.raises(Misconfigured) as error:
        sumup.check(account)
    assert error.value.status == 401
