"""Cards online: made, paid, refused, captured, found again and given up."""

import pytest
import stripe

from payments.providers.base import Outcome
from payments.providers.errors import Declined, InvalidRequest, UnknownOutcome
from tests.payments.stripe.till import RETURN_URL, Till, charge
from tests.peers.stripe import StripeWorld


def test_making_the_charge_moves_nothing_and_paying_it_tells_all(till: Till) -> None:
    request = charge(tip_minor=150)
    made = till.stripe.prepare(till.account, request)
    assert (made.outcome, made.captured_minor) == (Outcome.PAYABLE, 0)
    assert made.provider_ref.startswith("pi_")
    assert made.request_id
    assert till.world.charges() == []
    paid = till.execute(made.provider_ref, request)
    assert (paid.outcome, paid.provider_ref) == (Outcome.SUCCEEDED, made.provider_ref)
    assert (paid.captured_minor, paid.tip_minor, paid.refunded_minor) == (1000, 150, 0)
    assert (paid.card_brand, paid.card_last4) == ("visa", "4242")
    [taken] = till.world.charges()
    [movement] = till.world.list_all("platform", "/v1/balance_transactions")
    assert (taken["amount"], movement["fee"]) == (1150, paid.fee_minor)
    assert till.fetch(request, made.provider_ref).captured_minor == 1000


def test_stripe_is_told_whose_charge_it_is(till: Till) -> None:
    request = charge(tip_minor=150)
    ref = till.prepare(request)
    [intent] = till.world.payment_intents()
    assert intent["id"] == ref
    assert intent["description"] == "Table 4"
    assert intent["metadata"] == {"order": "A17", "attempt": str(request.attempt_id), "tip": "150"}
    assert (intent["currency"], intent["capture_method"]) == ("gbp", "automatic")


def test_a_repeat_is_the_same_charge(till: Till) -> None:
    request = charge()
    ref = till.prepare(request)
    assert till.prepare(request) == ref
    first, again = till.execute(ref, request), till.execute(ref, request)
    assert (first.outcome, again.outcome) == (Outcome.SUCCEEDED, Outcome.SUCCEEDED)
    assert len(till.world.charges()) == 1
    assert len(till.world.payment_intents()) == 1


def test_another_body_under_the_same_key_is_unknown(till: Till) -> None:
    request = charge()
    till.prepare(request)
    with pytest.raises(UnknownOutcome):
        till.prepare(charge(attempt_id=request.attempt_id, amount_minor=999))
    assert len(till.world.payment_intents()) == 1


@pytest.mark.parametrize(
    ("card", "code", "is_soft"),
    [
        ("pm_card_chargeDeclined", "generic_decline", False),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds", True),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", False),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", True),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", True),
    ],
)
def test_a_card_is_declined(till: Till, card: str, code: str, is_soft: bool) -> None:
    request = charge(source_token=card)
    ref = till.prepare(request)
    for _ in range(2):  # the repeat is answered from Stripe's memory
        with pytest.raises(Declined) as declined:
            till.execute(ref, request)
        assert (declined.value.code, declined.value.is_soft, declined.value.status) == (code, is_soft, 402)
        assert declined.value.request_id
    seen = till.fetch(request, ref)
    assert (seen.outcome, seen.code, seen.captured_minor) == (Outcome.DECLINED, code, 0)
    assert till.cancel(request, ref).outcome == Outcome.CANCELED
    assert till.world.taken() == 0


def test_the_guest_confirms_on_the_page(till: Till) -> None:
    request = charge(source_token=None)
    ref = till.prepare(request)
    asked = till.execute(ref, request)
    assert asked.outcome == Outcome.REQUIRES_ACTION
    assert asked.next_action["type"] == "confirm"
    assert asked.next_action["client_secret"].startswith(ref)
    assert asked.next_action["publishable_key"] == "pk_test_restaurant"
    till.library.payment_intents.confirm(ref, {"payment_method": "pm_card_visa"})
    assert till.fetch(request, ref).outcome == Outcome.SUCCEEDED


def test_the_page_may_try_another_card_after_a_decline(till: Till) -> None:
    request = charge(source_token=None)
    ref = till.prepare(request)
    with pytest.raises(stripe.CardError):
        till.library.payment_intents.confirm(ref, {"payment_method": "pm_card_chargeDeclined"})
    waits = till.fetch(request, ref)
    assert (waits.outcome, waits.code) == (Outcome.REQUIRES_ACTION, "generic_decline")


def test_the_bank_asks_the_guest_for_more(till: Till) -> None:
    request = charge(source_token="pm_card_authenticationRequired")
    ref = till.prepare(request)
    asked = till.execute(ref, request)
    assert (asked.outcome, asked.captured_minor) == (Outcome.REQUIRES_ACTION, 0)
    assert set(asked.next_action) == {"type", "client_secret", "publishable_key"}
    [confirmed] = till.world.called("POST", "/v1/payment_intents/{intent}/confirm")
    assert confirmed.form["return_url"] == RETURN_URL
    assert till.fetch(request, ref).outcome == Outcome.REQUIRES_ACTION
    assert till.cancel(request, ref).outcome == Outcome.CANCELED


def test_all_that_was_authorised_is_captured(till: Till) -> None:
    request = charge(capture=False, tip_minor=150)
    held = till.pay(request)
    assert (held.outcome, held.captured_minor, held.tip_minor) == (Outcome.AUTHORIZED, 0, 0)
    ref = held.provider_ref
    taken = till.capture(ref, request, 1150)
    assert (taken.outcome, taken.captured_minor, taken.tip_minor) == (Outcome.SUCCEEDED, 1000, 150)
    assert till.capture(ref, request, 1150).captured_minor == 1000
    assert till.world.taken() == 1150


def test_less_than_was_authorised_is_captured_bill_before_tip(till: Till) -> None:
    request = charge(capture=False, tip_minor=150)
    ref = till.pay(request).provider_ref
    taken = till.capture(ref, request, 1040)
    assert (taken.captured_minor, taken.tip_minor) == (1000, 40)
    assert till.fetch(request, ref).tip_minor == 40
    again = till.capture(ref, request, 1150)  # another amount is another key: Stripe refuses, and we look
    assert (again.outcome, again.captured_minor, again.tip_minor) == (Outcome.SUCCEEDED, 1000, 40)
    assert till.world.taken() == 1040


def test_more_than_was_authorised_is_refused(till: Till) -> None:
    request = charge(capture=False)
    ref = till.pay(request).provider_ref
    with pytest.raises(InvalidRequest):
        till.capture(ref, request, 1001)
    assert till.status(ref) == "requires_capture"
    assert till.cancel(request, ref).outcome == Outcome.CANCELED
    assert till.world.taken() == 0


def test_a_charge_is_found_by_our_own_id(till: Till) -> None:
    wanted, other = charge(), charge()
    ref = till.pay(wanted).provider_ref
    till.pay(other)
    found = till.fetch(wanted)
    assert (found.outcome, found.provider_ref, found.captured_minor) == (Outcome.SUCCEEDED, ref, 1000)
    assert till.fetch(charge()).outcome == Outcome.NOT_FOUND
    assert till.fetch(wanted, "pi_nobodys").outcome == Outcome.NOT_FOUND
    assert till.cancel(charge()).outcome == Outcome.NOT_FOUND


def test_it_is_found_beyond_the_first_page(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.providers.stripe_client.PAGE_SIZE", 1)
    wanted = charge()
    ref = till.prepare(wanted)
    for _ in range(2):
        till.prepare(charge())
    assert till.fetch(wanted).provider_ref == ref
    monkeypatch.setattr("payments.providers.stripe_client.MAX_PAGES", 2)
    with pytest.raises(UnknownOutcome) as unknown:  # not looked at is not absent
        till.fetch(wanted)
    assert unknown.value.code == "too_many_pages"


def test_a_cancelled_charge_cannot_be_paid(till: Till) -> None:
    request = charge()
    ref = till.prepare(request)
    assert till.fetch(request, ref).outcome == Outcome.PAYABLE
    assert till.cancel(request).outcome == Outcome.CANCELED
    assert till.cancel(request, ref).outcome == Outcome.CANCELED
    assert till.execute(ref, request).outcome == Outcome.CANCELED
    assert till.world.charges() == []


def test_a_charge_that_was_paid_meanwhile_cannot_be_cancelled(till: Till) -> None:
    request = charge()
    ref = till.pay(request).provider_ref
    late = till.cancel(request, ref)
    assert (late.outcome, late.captured_minor) == (Outcome.SUCCEEDED, 1000)
    assert till.world.taken() == 1000


def test_a_currency_that_stripe_counts_in_hundredths(till: Till) -> None:
    request = charge(currency="ISK", amount_minor=2500)
    assert till.pay(request).captured_minor == 2500
    [taken] = till.world.charges()
    assert taken["amount"] == 250000


def test_harmless_questions(till: Till, stripe_world: StripeWorld) -> None:
    till.stripe.check(till.account)
    assert [call.path for call in stripe_world.calls] == ["/v1/balance"]
