"""Payment links: Stripe's own page, open until it is paid, expired or taken back."""

import datetime

from fynlo.tenancy.fields import uuid7
from payments.providers.base import ChargeRequest, Outcome, RefundOutcome
from payments.providers.stripe_charges import LINK_LIFE, made_at_of
from tests.payments.stripe.till import RETURN_URL, Till, charge, refund_of


def link(**given: object) -> ChargeRequest:
    return charge(method="link", source_token=None, **given)


def test_a_link_is_paid(till: Till) -> None:
    request = link(tip_minor=150)
    made = till.stripe.prepare(till.account, request)
    ref = made.provider_ref
    assert (made.outcome, ref.startswith("cs_")) == (Outcome.PAYABLE, True)
    opened = till.execute(ref, request)
    assert (opened.outcome, opened.next_action) == (Outcome.REQUIRES_ACTION, made.next_action)
    assert opened.next_action["type"] == "open"
    assert opened.next_action["url"].startswith("https://checkout.stripe.com/")
    intent = till.world.complete_checkout(ref)
    paid = till.fetch(request, ref)
    assert (paid.outcome, paid.provider_ref) == (Outcome.SUCCEEDED, ref)
    assert (paid.captured_minor, paid.tip_minor, paid.card_last4) == (1000, 150, "4242")
    assert paid.next_action == {}
    assert till.fetch(request).provider_ref == ref  # found by our id alone
    assert till.fetch(request, intent or "").captured_minor == 1000
    assert till.stripe.attempt_of(till.account, intent or "") == request.attempt_id
    assert till.stripe.attempt_of(till.account, ref) is None


def test_what_stripe_is_told_of_a_link(till: Till) -> None:
    request = link(tip_minor=150, capture=False)
    ref = till.prepare(request)
    [call] = till.world.called("POST", "/v1/checkout/sessions")
    lines = [
        (i["price_data"]["product_data"]["name"], i["price_data"]["unit_amount"])
        for i in call.form["line_items"]
    ]
    assert lines == [("Table 4", 1000), ("Tip", 150)]
    assert (call.form["success_url"], call.form["cancel_url"]) == (RETURN_URL, RETURN_URL)
    assert call.form["payment_intent_data"]["metadata"]["attempt"] == str(request.attempt_id)
    assert call.form["payment_intent_data"]["capture_method"] == "manual"
    made_at = made_at_of(request.attempt_id)
    assert made_at is not None
    assert call.form["expires_at"] == int((made_at + LINK_LIFE).timestamp())
    assert till.prepare(request) == ref


def test_a_declined_card_leaves_the_link_open(till: Till) -> None:
    request = link()
    ref = till.prepare(request)
    assert till.world.complete_checkout(ref, card="4000000000000002") is None
    assert till.fetch(request, ref).outcome == Outcome.REQUIRES_ACTION
    assert till.world.complete_checkout(ref)
    assert till.fetch(request, ref).outcome == Outcome.SUCCEEDED


def test_a_link_is_taken_back(till: Till) -> None:
    request = link()
    ref = till.prepare(request)
    assert till.cancel(request).outcome == Outcome.CANCELED
    assert till.cancel(request, ref).outcome == Outcome.CANCELED
    assert till.world.charges() == []


def test_a_link_expires(till: Till) -> None:
    request = link()
    ref = till.prepare(request)
    till.world.expire_checkout(ref)
    assert till.fetch(request, ref).outcome == Outcome.CANCELED


def test_a_link_that_was_paid_cannot_be_taken_back(till: Till) -> None:
    request = link()
    ref = till.prepare(request)
    till.world.complete_checkout(ref)
    late = till.cancel(request, ref)
    assert (late.outcome, late.provider_ref, late.captured_minor) == (Outcome.SUCCEEDED, ref, 1000)


def test_what_a_link_authorised_is_captured_or_let_go(till: Till) -> None:
    kept, dropped = link(capture=False), link(capture=False)
    kept_ref, dropped_ref = till.prepare(kept), till.prepare(dropped)
    till.world.complete_checkout(kept_ref)
    till.world.complete_checkout(dropped_ref)
    assert till.fetch(kept, kept_ref).outcome == Outcome.AUTHORIZED
    taken = till.capture(kept_ref, kept, 900)
    assert (taken.outcome, taken.provider_ref, taken.captured_minor) == (Outcome.SUCCEEDED, kept_ref, 900)
    let_go = till.cancel(dropped, dropped_ref)
    assert (let_go.outcome, let_go.provider_ref) == (Outcome.CANCELED, dropped_ref)
    assert till.world.taken() == 900


def test_a_link_is_refunded_by_its_session(till: Till) -> None:
    request = link()
    ref = till.prepare(request)
    till.world.complete_checkout(ref)
    asked = refund_of(request, ref, 400)
    given = till.refund(asked)
    assert (given.outcome, given.amount_minor) == (RefundOutcome.SUCCEEDED, 400)
    assert till.stripe.fetch_refund(till.account, asked).provider_ref == given.provider_ref
    assert till.fetch(request, ref).refunded_minor == 400


def test_when_an_attempt_was_made() -> None:
    made_at = made_at_of(uuid7())
    assert made_at is not None
    assert abs(made_at - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
