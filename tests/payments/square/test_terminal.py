"""The Square Terminal and the payment link: what a guest pays without our hands on it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from payments.providers.base import Account, ChargeRequest, Outcome, Snapshot
from payments.providers.errors import Misconfigured, UnknownOutcome
from payments.providers.square import SquareProvider
from payments.providers.square_objects import CHECKOUT, LINK
from tests.peers import needs_specs
from tests.peers.square import SPEC, SquareSimulator

from .conftest import READER, TOKEN

pytestmark = needs_specs(SPEC)
Charge = Callable[..., ChargeRequest]


def checkout_id(armed: Snapshot) -> str:
    assert armed.provider_ref.startswith(CHECKOUT)
    return armed.provider_ref.removeprefix(CHECKOUT)


def link_id(link: Snapshot) -> str:
    assert link.provider_ref.startswith(LINK)
    return link.provider_ref.removeprefix(LINK).split(":")[0]


def test_the_terminal_is_tapped_with_a_tip(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(method="card_present", tip_on_reader=True, application_fee_minor=30, description="T4")
    armed = square.execute(account, "", request)
    assert (armed.outcome, armed.next_action) == (
        Outcome.REQUIRES_ACTION,
        {"type": "tap", "reader_id": READER},
    )
    row = simulator.checkout(checkout_id(armed))
    assert (row["reference_id"], row["note"]) == (str(request.attempt_id), "T4")
    assert row["device_options"]["tip_settings"]["allow_tipping"] is True
    simulator.pick_up(checkout_id(armed))
    assert square.fetch(account, request, armed.provider_ref) == armed
    simulator.tap(checkout_id(armed), decline=True)
    assert square.fetch(account, request, armed.provider_ref) == armed  # another card may follow
    payment_id = simulator.tap(checkout_id(armed), tip=250)
    simulator.charge_fees(basis_points=175)
    taken = square.fetch(account, request, armed.provider_ref)
    assert (taken.outcome, taken.captured_minor, taken.tip_minor) == (Outcome.SUCCEEDED, 1000, 250)
    assert (taken.provider_ref, taken.fee_minor) == (payment_id, 22)
    for ref in ("", taken.provider_ref):
        assert square.fetch(account, request, ref) == taken
    assert simulator.taken(str(request.attempt_id)) == 1250


def test_a_tip_that_was_agreed_before_is_not_asked_for_again(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(method="card_present", tip_on_reader=True, tip_minor=130)
    armed = square.execute(account, "", request)
    assert "tip_settings" not in simulator.checkout(checkout_id(armed))["device_options"]
    simulator.tap(checkout_id(armed))
    taken = square.fetch(account, request, armed.provider_ref)
    assert (taken.captured_minor, taken.tip_minor) == (1000, 130)


def test_a_lost_answer_of_the_terminal_is_found_by_our_own_id(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    square.execute(account, "", charge(method="card_present"))
    request = charge(method="card_present")
    simulator.faults.next("drop_after")
    with pytest.raises(UnknownOutcome):
        square.execute(account, "", request)
    found = square.fetch(account, request)
    assert found.outcome is Outcome.REQUIRES_ACTION
    assert square.execute(account, "", request).provider_ref == found.provider_ref
    assert len(simulator.seller(TOKEN).checkouts) == 2
    assert square.fetch(account, charge(method="card_present")).outcome is Outcome.NOT_FOUND
    assert square.fetch(account, request, f"{CHECKOUT}term_nothing").outcome is Outcome.NOT_FOUND


@pytest.mark.parametrize("by_our_id", [False, True])
def test_letting_go_is_pending_until_the_terminal_did(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge, by_our_id: bool
) -> None:
    request = charge(method="card_present")
    armed = square.execute(account, "", request)
    ref = "" if by_our_id else armed.provider_ref
    for _ in range(2):  # asked for again, it is still on its way
        assert square.cancel(account, ref, request).outcome is Outcome.PENDING
    assert simulator.tap(checkout_id(armed)) is None
    gone = square.cancel(account, ref, request)
    assert (gone.outcome, gone.code) == (Outcome.CANCELED, "SELLER_CANCELED")
    assert square.cancel(account, "", charge(method="card_present")).outcome is Outcome.NOT_FOUND


def test_the_tap_may_be_faster_than_the_cancellation(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(method="card_present")
    armed = square.execute(account, "", request)
    assert square.cancel(account, armed.provider_ref, request).outcome is Outcome.PENDING
    simulator.tap(checkout_id(armed), ahead_of_cancel=True)
    for seen in (
        square.fetch(account, request, armed.provider_ref),
        square.cancel(account, armed.provider_ref, request),
    ):
        assert (seen.outcome, seen.captured_minor) == (Outcome.SUCCEEDED, 1000)
    assert simulator.taken(str(request.attempt_id)) == 1000


def test_nobody_taps(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(method="card_present")
    armed = square.execute(account, "", request)
    simulator.let_go(checkout_id(armed), "TIMED_OUT")
    seen = square.fetch(account, request, armed.provider_ref)
    assert (seen.outcome, seen.code, seen.provider_ref) == (
        Outcome.CANCELED,
        "TIMED_OUT",
        armed.provider_ref,
    )


@pytest.mark.parametrize("takes", [True, False])
def test_a_card_is_held_at_the_terminal(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge, takes: bool
) -> None:
    request = charge(method="card_present", capture=False)
    armed = square.execute(account, "", request)
    simulator.tap(checkout_id(armed))
    assert square.fetch(account, request, armed.provider_ref).outcome is Outcome.AUTHORIZED
    if takes:
        taken = square.capture(account, armed.provider_ref, request, 1000)
        assert (taken.outcome, taken.captured_minor) == (Outcome.SUCCEEDED, 1000)
    else:
        held = square.fetch(account, request, armed.provider_ref)
        assert square.cancel(account, held.provider_ref, request).outcome is Outcome.CANCELED
    assert simulator.taken(str(request.attempt_id)) == (1000 if takes else 0)


def test_a_held_card_is_let_go_by_the_checkouts_reference(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(method="card_present", capture=False)
    armed = square.execute(account, "", request)
    simulator.tap(checkout_id(armed))
    assert square.cancel(account, armed.provider_ref, request).outcome is Outcome.CANCELED
    assert simulator.taken(str(request.attempt_id)) == 0


def test_a_link_is_opened_and_paid(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(
        method="link",
        tip_minor=120,
        application_fee_minor=10,
        description="Table 4",
        return_url="https://pos.example/back",
    )
    link = square.execute(account, "", request)
    assert (link.outcome, link.next_action) == (
        Outcome.REQUIRES_ACTION,
        {"type": "open", "url": f"https://square.link/u/{link_id(link)}"},
    )
    assert square.execute(account, "", request) == link
    assert square.fetch(account, request, link.provider_ref) == link
    assert square.fetch(account, request).outcome is Outcome.NOT_FOUND  # nobody paid, nor is there a list
    payment_id = simulator.pay_link(link_id(link))
    taken = square.fetch(account, request, link.provider_ref)
    assert (taken.outcome, taken.captured_minor, taken.tip_minor) == (Outcome.SUCCEEDED, 1000, 120)
    assert taken.provider_ref == payment_id
    for ref in ("", payment_id):
        assert square.fetch(account, request, ref) == taken


@pytest.mark.parametrize("by_key", [False, True])
def test_a_withdrawn_link_is_gone(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge, by_key: bool
) -> None:
    request = charge(method="link")
    link = square.execute(account, "", request)
    for _ in range(2):
        gone = square.cancel(account, "" if by_key else link.provider_ref, request)
        assert (gone.outcome, gone.provider_ref) == (Outcome.CANCELED, link.provider_ref)
    assert simulator.seller(TOKEN).links == {}


def test_withdrawing_a_link_that_was_paid_answers_that_it_was(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    request = charge(method="link")
    link = square.execute(account, "", request)
    simulator.pay_link(link_id(link))
    seen = square.cancel(account, link.provider_ref, request)
    assert (seen.outcome, seen.captured_minor) == (Outcome.SUCCEEDED, 1000)


def test_a_link_needs_a_place_that_sells(
    square: SquareProvider, simulator: SquareSimulator, account: Account, charge: Charge
) -> None:
    with pytest.raises(Misconfigured):
        square.execute(replace(account, location_id=""), "", charge(method="link"))
    assert simulator.calls == []
