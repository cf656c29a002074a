"""Our SumUp adapter, driven over HTTP through SumUp's own library against the simulator."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fynlo.tenancy.fields import uuid7
from payments.providers import transport
from payments.providers.base import Account, ChargeRequest, RefundRequest
from payments.providers.sumup import SumUpProvider
from tests.peers.sumup import SumupSimulator

KEY = "sup_sk_copper_pot"
MERCHANT = "MCOPPER1"


@pytest.fixture(autouse=True)
def _invariants_hold() -> None:
    """Nothing is booked here."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that a test can wait for."""
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.6)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.6)


@pytest.fixture
def simulator() -> Iterator[SumupSimulator]:
    """Whatever a test does, neither side ever leaves SumUp's own API document."""
    with SumupSimulator() as simulator:
        simulator.faults.slow_seconds = 1.2
        yield simulator
        assert simulator.violations == []


@pytest.fixture
def reader_id(simulator: SumupSimulator) -> str:
    return simulator.add_reader(KEY, "Bar")


@pytest.fixture
def sumup() -> SumUpProvider:
    return SumUpProvider()


@pytest.fixture
def account(simulator: SumupSimulator) -> Account:
    return Account(
        id=uuid7(),
        restaurant_id=1,
        provider="sumup",
        kind="own_keys",
        mode="test",
        external_account_id=MERCHANT,
        location_id="",
        public_id=uuid.uuid4(),
        currency="GBP",
        secrets={
            "api_key": KEY,
            "affiliate_key": "ef7b684a-d6f4-4e93-9b1b-6acdd6564a8e",
            "app_id": "app.fynlo",
            "webhook_secrets": ["now", "before"],
        },
        base_url=simulator.url,
    )


@pytest.fixture
def stranger(account: Account) -> Account:
    """Another restaurant's account."""
    secrets = {**account.secrets, "api_key": "sup_sk_stranger"}
    return replace(account, secrets=secrets, external_account_id="MSTRANGE")


@pytest.fixture
def charge() -> Callable[..., ChargeRequest]:
    """A request to take £10.00, on the hosted page unless told otherwise."""

    def make(**given: Any) -> ChargeRequest:
        given = {"method": "card_online", "idem_key": "fy1", "attempt_id": uuid7(), **given}
        amounts = {"amount_minor": 1000, "tip_minor": 0, "currency": "GBP"}
        return ChargeRequest(**{**amounts, **given})

    return make


@pytest.fixture
def at_reader(charge: Callable[..., ChargeRequest], reader_id: str) -> Callable[..., ChargeRequest]:
    """A request to take £10.00 at the reader of the bar."""

    def make(**given: Any) -> ChargeRequest:
        return charge(**{"method": "card_present", "reader_id": reader_id, **given})

    return make


@pytest.fixture
def giving_back() -> Callable[..., RefundRequest]:
    """A request to give £4.00 back of a charge."""

    def make(payment_ref: str, amount_minor: int = 400, **given: Any) -> RefundRequest:
        given = {"refund_id": uuid7(), "attempt_id": uuid7(), "currency": "GBP", "idem_key": "fyr1", **given}
        return RefundRequest(payment_ref=payment_ref, amount_minor=amount_minor, **given)

    return make
