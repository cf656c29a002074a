"""Cards on Stripe's readers: woken, tapped, refused, given up."""

import pytest

from payments.providers.base import ChargeRequest, Outcome, Reader
from payments.providers.errors import InvalidRequest, Retryable
from tests.payments.stripe.till import Till, charge


def on(reader_id: str, **given: object) -> ChargeRequest:
    return charge(method="card_present", reader_id=reader_id, source_token=None, **given)


def test_a_card_is_tapped(till: Till) -> None:
    reader = till.new_reader("Bar")
    request = on(reader)
    ref = till.prepare(request)
    assert till.fetch(request, ref).outcome == Outcome.PAYABLE
    armed = till.execute(ref, request)
    assert (armed.outcome, armed.provider_ref) == (Outcome.REQUIRES_ACTION, ref)
    assert armed.next_action == {"type": "tap", "reader_id": reader, "label": "Bar"}
    waiting = till.fetch(request, ref)
    assert (waiting.outcome, waiting.next_action) == (Outcome.REQUIRES_ACTION, armed.next_action)
    till.present_card(reader)
    paid = till.fetch(request, ref)
    assert (paid.outcome, paid.captured_minor, paid.tip_minor) == (Outcome.SUCCEEDED, 1000, 0)
    assert (paid.card_brand, paid.card_last4, paid.next_action) == ("visa", "4242", {})
    assert till.execute(ref, request).outcome == Outcome.SUCCEEDED  # a repeat finds it paid
    assert till.world.taken() == 1000


def test_the_guest_adds_a_tip_on_the_reader(till: Till) -> None:
    reader = till.new_reader()
    request = on(reader, tip_on_reader=True)
    ref = till.prepare(request)
    till.execute(ref, request)
    [asked] = till.world.called("POST", "/v1/terminal/readers/{reader}/process_payment_intent")
    assert asked.form["process_config"] == {"tipping": {"amount_eligible": 1000}}
    till.present_card(reader, tip=300)
    paid = till.fetch(request, ref)
    assert (paid.captured_minor, paid.tip_minor) == (1000, 300)
    assert till.world.taken() == 1300


def test_no_tip_is_asked_for_where_the_till_took_it(till: Till) -> None:
    reader = till.new_reader()
    request = on(reader, tip_minor=200)
    ref = till.prepare(request)
    till.execute(ref, request)
    [asked] = till.world.called("POST", "/v1/terminal/readers/{reader}/process_payment_intent")
    assert asked.form["process_config"] == {"skip_tipping": True}
    till.present_card(reader)
    paid = till.fetch(request, ref)
    assert (paid.captured_minor, paid.tip_minor) == (1000, 200)


def test_a_tip_on_the_reader_is_captured_later(till: Till) -> None:
    reader = till.new_reader()
    request = on(reader, tip_on_reader=True, capture=False)
    ref = till.prepare(request)
    till.execute(ref, request)
    till.present_card(reader, tip=300)
    assert till.fetch(request, ref).outcome == Outcome.AUTHORIZED
    taken = till.capture(ref, request, 1300)
    assert (taken.captured_minor, taken.tip_minor) == (1000, 300)


def test_a_card_is_refused_on_the_reader(till: Till) -> None:
    reader = till.new_reader()
    request = on(reader)
    ref = till.prepare(request)
    till.execute(ref, request)
    till.present_card(reader, "4000000000009995")
    refused = till.fetch(request, ref)
    assert (refused.outcome, refused.code) == (Outcome.DECLINED, "insufficient_funds")
    assert refused.captured_minor == 0
    assert till.cancel(request, ref).outcome == Outcome.CANCELED
    assert till.world.taken() == 0


def test_nobody_presents_a_card(till: Till) -> None:
    reader = till.new_reader()
    request = on(reader)
    ref = till.prepare(request)
    till.execute(ref, request)
    till.world.time_out(reader)
    given_up = till.fetch(request, ref)
    assert (given_up.outcome, given_up.code) == (Outcome.PAYABLE, "timeout")
    assert till.execute(ref, request).outcome == Outcome.REQUIRES_ACTION  # and is asked for again


def test_a_busy_reader_is_asked_again_when_it_is_free(till: Till) -> None:
    reader = till.new_reader()
    first, second = on(reader), on(reader)
    first_ref, second_ref = till.prepare(first), till.prepare(second)
    till.execute(first_ref, first)
    with pytest.raises(Retryable) as busy:
        till.execute(second_ref, second)
    assert busy.value.code == "terminal_reader_busy"
    assert till.fetch(second, second_ref).outcome == Outcome.PAYABLE
    till.present_card(reader)
    assert till.execute(second_ref, second).outcome == Outcome.REQUIRES_ACTION
    assert till.fetch(first, first_ref).outcome == Outcome.SUCCEEDED


def test_an_offline_reader_is_asked_again_when_it_is_back(till: Till) -> None:
    reader = till.new_reader()
    request = on(reader)
    ref = till.prepare(request)
    till.world.set_reader(reader, "offline")
    with pytest.raises(Retryable) as offline:
        till.execute(ref, request)
    assert offline.value.code == "terminal_reader_offline"
    till.world.set_reader(reader, "online")
    assert till.execute(ref, request).outcome == Outcome.REQUIRES_ACTION


def test_cancelling_frees_the_reader(till: Till) -> None:
    reader = till.new_reader()
    request = on(reader)
    ref = till.prepare(request)
    till.execute(ref, request)
    assert till.cancel(request, ref).outcome == Outcome.CANCELED
    assert till.world.reader(reader)["action"] is None
    assert till.status(ref) == "canceled"


def test_cancelling_leaves_a_reader_alone_that_serves_another(till: Till) -> None:
    reader = till.new_reader()
    old, current = on(reader), on(reader)
    old_ref, current_ref = till.prepare(old), till.prepare(current)
    till.execute(current_ref, current)
    assert till.cancel(old, old_ref).outcome == Outcome.CANCELED
    assert till.fetch(current, current_ref).outcome == Outcome.REQUIRES_ACTION
    till.present_card(reader)
    assert till.fetch(current, current_ref).outcome == Outcome.SUCCEEDED
    assert till.fetch(old, old_ref).outcome == Outcome.CANCELED


def test_cancelling_after_the_tap_finds_it_paid(till: Till) -> None:
    reader = till.new_reader()
    request = on(reader)
    ref = till.prepare(request)
    till.execute(ref, request)
    till.present_card(reader)
    late = till.cancel(request, ref)
    assert (late.outcome, late.captured_minor) == (Outcome.SUCCEEDED, 1000)


@pytest.mark.parametrize("trouble", ["busy", "offline", "gone"])
def test_cancelling_does_not_hang_on_the_reader(till: Till, trouble: str) -> None:
    reader = till.new_reader()
    request = on(reader)
    ref = till.prepare(request)
    till.execute(ref, request)
    if trouble == "busy":
        till.world.refuse_cancel(reader)
    elif trouble == "offline":
        till.world.set_reader(reader, "offline")
    else:
        del till.world._readers[reader]  # its answer to DELETE is not quite Stripe's
    assert till.cancel(request, ref).outcome == Outcome.CANCELED
    assert till.fetch(request, ref).outcome == Outcome.CANCELED
    assert till.world.taken() == 0


def test_a_reader_that_is_not_there(till: Till) -> None:
    nowhere, unnamed = on("tmr_nobodys"), on("")
    ref = till.prepare(nowhere)
    with pytest.raises(InvalidRequest):
        till.execute(ref, nowhere)
    assert till.fetch(nowhere, ref).outcome == Outcome.PAYABLE
    with pytest.raises(InvalidRequest):
        till.execute(till.prepare(unnamed), unnamed)


def test_readers_are_listed(till: Till) -> None:
    bar, door = till.new_reader("Bar"), till.new_reader("Door")
    till.world.set_reader(door, "offline")
    listed = till.stripe.list_readers(till.account)
    place = {reader: till.world.reader(reader)["location"] for reader in (bar, door)}
    assert sorted(listed, key=lambda reader: reader.label) == [
        Reader(bar, "Bar", True, place[bar], "simulated_wisepos_e"),
        Reader(door, "Door", False, place[door], "simulated_wisepos_e"),
    ]
