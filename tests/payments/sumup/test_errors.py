"""Whatever breaks between SumUp and us, and whatever SumUp says: into which class it goes."""

import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fynlo.tenancy.scope import restaurant_scope
from payments.providers.base import Account, ChargeRequest, Outcome, RefundRequest
from payments.providers.errors import (
    CallInsideTransaction,
    InvalidRequest,
    Misconfigured,
    NotSent,
    ProviderError,
    Retryable,
    UnknownOutcome,
)
from payments.providers.sumup import SumUpProvider
from payments.providers.sumup_codes import class_of
from restaurants.models import Restaurant
from tests.peers import needs_specs
from tests.peers.sumup import SPEC, SumupSimulator

from .conftest import KEY

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
NOW = datetime(2026, 11, 24, tzinfo=UTC)

FAULTS = {
    "drop_before": (UnknownOutcome, 0),
    "500_before": (UnknownOutcome, 0),
    "429": (Retryable, 0),
    "drop_after": (UnknownOutcome, 1),
    "500_after": (UnknownOutcome, 1),
    "garbage_after": (UnknownOutcome, 1),
    "slow_after": (UnknownOutcome, 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_page_is_unknown_and_made_once(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge, fault: str
) -> None:
    request = charge()
    expected, made = FAULTS[fault]
    simulator.faults.next(fault)
    with pytest.raises(ProviderError) as error:
        sumup.execute(account, "", request)
    assert type(error.value) is expected
    assert simulator.faults.counts.total() == 1
    assert len(simulator.account(KEY).checkouts) == made
    assert sumup.execute(account, "", request).outcome is Outcome.REQUIRES_ACTION
    assert len(simulator.account(KEY).checkouts) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_reader_is_unknown_and_armed_once(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, at_reader: Charge, fault: str
) -> None:
    request = at_reader()
    expected, armed = FAULTS[fault]
    simulator.faults.next(fault, path="*/checkout")
    with pytest.raises(ProviderError) as error:
        sumup.execute(account, "", request)
    assert type(error.value) is expected
    assert len(simulator.account(KEY).transactions) == armed
    assert sumup.execute(account, "", request).outcome is Outcome.REQUIRES_ACTION
    assert len(simulator.account(KEY).transactions) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_says_so_when_it_breaks(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    charge: Charge,
    at_reader: Charge,
    giving_back: Callable[..., RefundRequest],
    fault: str,
) -> None:
    page, tap = charge(), at_reader()
    made, armed = sumup.execute(account, "", page), sumup.execute(account, "", tap)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("*", lambda: sumup.fetch(account, page, made.provider_ref)),
        ("*", lambda: sumup.fetch(account, page)),
        ("*", lambda: sumup.fetch(account, tap, armed.provider_ref)),
        ("*", lambda: sumup.refund(account, giving_back("TA1"))),
        ("*", lambda: sumup.fetch_refund(account, giving_back("TA1"))),
        ("*/terminate", lambda: sumup.cancel(account, armed.provider_ref, tap)),
        ("*/status", lambda: sumup.list_readers(account)),
        ("*", lambda: sumup.check(account)),
    ]
    if fault == "slow_after":
        calls = calls[5:6]  # each takes its time
    for path, call in calls:
        simulator.faults.next(fault, path=path)
        with pytest.raises(ProviderError) as error:
            call()
        assert type(error.value) is FAULTS[fault][0]
        assert simulator.faults.pending == 0


def test_nothing_was_sent_where_nobody_listens(
    sumup: SumUpProvider, account: Account, charge: Charge
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: refused
        gone = replace(account, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(NotSent):
            sumup.execute(gone, "", charge())
    with pytest.raises(NotSent):
        sumup.execute(replace(account, base_url="http://sumup.invalid"), "", charge())


def test_sumup_is_not_called_while_a_transaction_is_open(
    sumup: SumUpProvider,
    simulator: SumupSimulator,
    account: Account,
    charge: Charge,
    at_reader: Charge,
    giving_back: Callable[..., RefundRequest],
    restaurant: Restaurant,
) -> None:
    request = charge()
    calls: list[Callable[[], object]] = [
        lambda: sumup.execute(account, "", request),
        lambda: sumup.execute(account, "", at_reader()),
        lambda: sumup.fetch(account, request),
        lambda: sumup.cancel(account, "", request),
        lambda: sumup.refund(account, giving_back("TA1")),
        lambda: list(sumup.list_transactions(account, NOW, NOW)),
        lambda: sumup.check(account),
    ]
    with restaurant_scope(restaurant.pk):
        for call in calls:
            with pytest.raises(CallInsideTransaction):
                call()
    assert simulator.faults.counts.total() == 0
    assert sumup.execute(account, "", request).outcome is Outcome.REQUIRES_ACTION


def test_a_revoked_key_is_no_decline(
    sumup: SumUpProvider, simulator: SumupSimulator, account: Account, charge: Charge, at_reader: Charge
) -> None:
    simulator.revoked.add(KEY)
    for request in (charge(), at_reader()):
        with pytest.raises(Misconfigured) as error:
            sumup.execute(account, "", request)
        assert error.value.status == 401


def test_a_reader_that_was_unpaired_is_our_mistake(
    sumup: SumUpProvider, account: Account, at_reader: Charge
) -> None:
    request = at_reader(reader_id="rdr_00000000000000000000000000")
    with pytest.raises(InvalidRequest) as error:
        sumup.execute(account, "", request)
    assert error.value.status == 404
    assert sumup.cancel(account, "", request).outcome is Outcome.NOT_FOUND


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "INVALID", InvalidRequest),
        (401, "", Misconfigured),
        (403, "FORBIDDEN", Misconfigured),
        (404, "NOT_FOUND", InvalidRequest),
        (409, "DUPLICATED_CHECKOUT", UnknownOutcome),
        (422, "", InvalidRequest),
        (422, "READER_BUSY", Retryable),
        (422, "READER_OFFLINE", Retryable),
        (429, "", Retryable),
        (500, "", UnknownOutcome),
        (418, "", UnknownOutcome),
        (200, "", UnknownOutcome),
        (None, "", UnknownOutcome),
    ],
)
def test_what_is_not_certain_is_unknown(status: int | None, code: str, expected: type[ProviderError]) -> None:
    assert class_of(status, code) is expected
