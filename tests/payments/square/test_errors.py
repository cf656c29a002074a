"""Whatever breaks between Square and us, and whatever Square says: into which class it goes."""

import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from square.types.error_code import ErrorCode

from fynlo.tenancy.scope import restaurant_scope
from payments.providers.base import Account, ChargeRequest, Outcome, RefundRequest
from payments.providers.errors import (
    CallInsideTransaction,
    Declined,
    InvalidRequest,
    Misconfigured,
    NotSent,
    ProviderError,
    Retryable,
    UnknownOutcome,
)
from payments.providers.square import SquareProvider
from payments.providers.square_codes import CLASSES, class_of
from restaurants.models import Restaurant
from tests.peers import needs_specs, openapi, spec
from tests.peers.square import SPEC, SquareSimulator

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]
NOW = datetime(2026, 11, 24, tzinfo=UTC)

FAULTS = {
    "drop_before": (UnknownOutcome, 0),
    "500_before": (UnknownOutcome, 0),
    "429": (Retryable, 0),
    "drop_after": (UnknownOutcome, 1000),
    "500_after": (UnknownOutcome, 1000),
    "garbage_after": (UnknownOutcome, 1000),
    "slow_after": (UnknownOutcome, 1000),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_charge_is_unknown_and_asked_once(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge, fault: str
) -> None:
    request = charge()
    expected, taken = FAULTS[fault]
    simulator.faults.next(fault)
    with pytest.raises(ProviderError) as error:
        square.execute(account, "", request)
    assert type(error.value) is expected
    assert simulator.faults.counts.total() == 1  # the library did not try again by itself
    assert simulator.taken(str(request.attempt_id)) == taken
    assert square.execute(account, "", request).captured_minor == 1000
    assert simulator.taken(str(request.attempt_id)) == 1000


@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_says_so_when_it_breaks(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    giving_back: Callable[..., RefundRequest],
    fault: str,
) -> None:
    request = charge(capture=False)
    held = square.execute(account, "", request)
    calls: list[Callable[[], object]] = [
        lambda: square.fetch(account, request, held.provider_ref),
        lambda: square.fetch(account, request),
        lambda: square.fetch(account, charge(method="card_present")),
        lambda: square.capture(account, held.provider_ref, request, 1000),
        lambda: square.refund(account, giving_back(held.provider_ref, refund_application_fee=True)),
        lambda: square.fetch_refund(account, giving_back(held.provider_ref), "r1"),
        lambda: square.cancel(account, held.provider_ref, request),
        lambda: square.check(account),
    ]
    if fault == "slow_after":
        calls = calls[4:5]  # each takes its time
    for call in calls:
        simulator.faults.next(fault)
        with pytest.raises(ProviderError) as error:
            call()
        assert type(error.value) is FAULTS[fault][0]
        assert simulator.faults.pending == 0


def test_nothing_was_sent_where_nobody_listens(
    square: SquareProvider, account: Account, charge: Charge
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: refused
        gone = replace(account, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(NotSent):
            square.execute(gone, "", charge())
    with pytest.raises(NotSent):
        square.execute(replace(account, base_url="http://square.invalid"), "", charge())


def test_square_is_not_called_while_a_transaction_is_open(
    square: SquareProvider,
    simulator: SquareSimulator,
    account: Account,
    charge: Charge,
    giving_back: Callable[..., RefundRequest],
    restaurant: Restaurant,
) -> None:
    request = charge()
    calls: list[Callable[[], object]] = [
        lambda: square.execute(account, "", request),
        lambda: square.fetch(account, request),
        lambda: square.cancel(account, "", request),
        lambda: square.refund(account, giving_back("p")),
        lambda: list(square.list_transactions(account, NOW, NOW)),
        lambda: square.check(account),
    ]
    with restaurant_scope(restaurant.pk):
        for call in calls:
            with pytest.raises(CallInsideTransaction):
                call()
    assert simulator.faults.counts.total() == 0
    assert square.execute(account, "", request).outcome is Outcome.SUCCEEDED


def test_a_seller_who_is_revoked_is_no_decline(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    simulator.revoked.add(account.secrets["access_token"])
    with pytest.raises(Misconfigured) as error:
        square.execute(account, "", charge())
    assert (error.value.code, error.value.status) == ("ACCESS_TOKEN_REVOKED", 401)


def test_an_answer_to_wait_says_how_long(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    simulator.faults.next("429")
    with pytest.raises(Retryable) as error:
        square.execute(account, "", charge())
    assert (error.value.code, error.value.retry_after, error.value.status) == ("RATE_LIMITED", 1.0, 429)


def test_every_code_that_square_names_has_a_class() -> None:
    contents = openapi.load(spec(SPEC)).contents
    operations = [o for path in contents["paths"].values() for o in path.values() if isinstance(o, dict)]
    named = {e["error-code"] for o in operations for e in o.get("x-endpoint-errors", ())}
    named |= set(contents["info"]["x-square-generic-error-codes"])
    named |= set(contents["components"]["schemas"]["ErrorCode"]["enum"])
    library = {code for literal in get_args(ErrorCode) for code in get_args(literal)}
    assert len(named) > 150
    assert len(library) > 140
    assert (named | library) - set(CLASSES) == set()


def test_what_a_payment_method_is_refused_for_is_a_decline() -> None:
    schema = openapi.load(spec(SPEC)).contents["components"]["schemas"]["ErrorCode"]
    of_cards = {e["name"] for e in schema["x-enum-elements"] if e["error-category"] == "PAYMENT_METHOD_ERROR"}
    exceptions = {"CURRENCY_MISMATCH", "INVALID_FEES", "INVALID_LOCATION", "TEMPORARY_ERROR"}
    assert {code for code in of_cards if CLASSES[code] is not Declined} == exceptions


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("GENERIC_DECLINE", 400, Declined),
        ("GENERIC_DECLINE", 502, UnknownOutcome),
        ("GENERIC_DECLINE", None, UnknownOutcome),
        ("BAD_REQUEST", 400, InvalidRequest),
        ("BRAND_NEW", 400, UnknownOutcome),
        ("BRAND_NEW", 401, Misconfigured),
        ("BRAND_NEW", 403, Misconfigured),
        ("BRAND_NEW", 429, Retryable),
        ("BRAND_NEW", 409, UnknownOutcome),
        ("REQUEST_TIMEOUT", 408, UnknownOutcome),
        ("", 200, UnknownOutcome),
    ],
)
def test_what_is_not_certain_is_unknown(code: str, status: int | None, expected: type[ProviderError]) -> None:
    assert class_of(code, status) is expected
