"""Our Square adapter, driven over HTTP through Square's own library against the simulator."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fynlo.tenancy.fields import uuid7
from payments.providers import transport
from payments.providers.base import Account, ChargeRequest, RefundRequest
from payments.providers.square import SquareProvider
from tests.peers.square import OK, SquareSimulator

TOKEN = "copper-pot"
READER = "DEV1"


@pytest.fixture(autouse=True)
def _invariants_hold() -> None:
    """Nothing is booked here."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that a test can wait for."""
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.6)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.6)


@pytest.fixture
def simulator() -> Iterator[SquareSimulator]:
    """Whatever a test does, neither side ever leaves Square's own API document."""
    with SquareSimulator() as simulator:
        simulator.faults.slow_seconds = 1.2
        simulator.add_device(TOKEN, READER, "Bar")
        yield simulator
        assert simulator.violations == []


@pytest.fixture
def square() -> SquareProvider:
    return SquareProvider()


@pytest.fixture
def account(simulator: SquareSimulator) -> Account:
    seller = simulator.seller(TOKEN)
    return Account(
        id=uuid7(),
        restaurant_id=1,
        provider="square",
        kind="square_oauth",
        mode="test",
        external_account_id=seller.merchant_id,
        location_id=seller.location_id,
        public_id=uuid.uuid4(),
        currency="GBP",
        secrets={"access_token": TOKEN, "webhook_signature_keys": ["now", "before"]},
        base_url=simulator.url,
    )


@pytest.fixture
def stranger(account: Account) -> Account:
    """Another restaurant's account."""
    return replace(account, secrets={"access_token": "stranger"}, location_id="")


@pytest.fixture
def charge() -> Callable[..., ChargeRequest]:
    """A request to take £10.00, by a card's token unless told otherwise."""

    def make(**given: Any) -> ChargeRequest:
        attempt_id = given.pop("attempt_id", None) or uuid7()
        given = {"method": "card_online", "idem_key": f"fy{attempt_id.hex}", **given}
        if given["method"] == "card_online":
            given.setdefault("source_token", OK)
        if given["method"] == "card_present":
            given.setdefault("reader_id", READER)
        amounts = {"amount_minor": 1000, "tip_minor": 0, "currency": "GBP"}
        return ChargeRequest(attempt_id=attempt_id, **{**amounts, **given})

    return make


@pytest.fixture
def giving_back() -> Callable[..., RefundRequest]:
    """A request to give £4.00 back of a charge."""

    def make(payment_ref: str, amount_minor: int = 400, **given: Any) -> RefundRequest:
        refund_id = uuid7()
        given = {"attempt_id": uuid7(), "currency": "GBP", "idem_key": f"fyr{refund_id.hex}", **given}
        return RefundRequest(refund_id=refund_id, payment_ref=payment_ref, amount_minor=amount_minor, **given)

    return make
