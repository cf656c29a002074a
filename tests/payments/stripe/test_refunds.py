"""Refunds and disputes, asked for here or made at Stripe."""

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from payments.providers.base import Outcome, RefundOutcome
from payments.providers.errors import Declined, InvalidRequest
from payments.providers.stripe_client import every
from tests.payments.stripe.till import Till, charge, refund_of


def test_a_part_and_the_rest_are_given_back(till: Till) -> None:
    request = charge(tip_minor=100)
    ref = till.pay(request).provider_ref
    first, rest = refund_of(request, ref, 300), refund_of(request, ref, 800)
    given = till.refund(first)
    assert (given.outcome, given.amount_minor, given.refund_id) == (
        RefundOutcome.SUCCEEDED,
        300,
        first.refund_id,
    )
    till.refund(rest)
    seen = till.fetch(request, ref)
    assert (seen.outcome, seen.captured_minor, seen.tip_minor) == (Outcome.SUCCEEDED, 1000, 100)
    assert seen.refunded_minor == 1100
    assert {r.refund_id: r.amount_minor for r in seen.refunds} == {first.refund_id: 300, rest.refund_id: 800}
    made = {row["metadata"]["refund"]: row for row in till.world.refunds()}[str(first.refund_id)]
    assert made["metadata"]["attempt"] == str(request.attempt_id)
    assert (made["metadata"]["reason"], made["reason"]) == ("Cold soup", "requested_by_customer")


def test_a_repeat_gives_nothing_more(till: Till) -> None:
    request = charge()
    asked = refund_of(request, till.pay(request).provider_ref, 400)
    first, again = till.refund(asked), till.refund(asked)
    assert first.provider_ref == again.provider_ref
    assert till.world.taken() == 600


def test_more_than_is_left_is_refused(till: Till) -> None:
    request = charge()
    ref = till.pay(request).provider_ref
    till.refund(refund_of(request, ref, 700))
    with pytest.raises(InvalidRequest):
        till.refund(refund_of(request, ref, 301))
    till.refund(refund_of(request, ref, 300))
    with pytest.raises(Declined) as refused:
        till.refund(refund_of(request, ref, 1))
    assert refused.value.code == "charge_already_refunded"
    assert till.world.taken() == 0


def test_a_refund_is_found_by_our_own_id(till: Till) -> None:
    request = charge()
    ref = till.pay(request).provider_ref
    asked, other, never = (refund_of(request, ref, amount) for amount in (100, 200, 300))
    made = till.refund(asked)
    till.refund(other)
    find = till.stripe.fetch_refund
    assert find(till.account, asked).provider_ref == made.provider_ref
    assert find(till.account, asked, made.provider_ref).amount_minor == 100
    assert find(till.account, never).outcome == RefundOutcome.NOT_FOUND
    assert find(till.account, asked, "re_nobodys").outcome == RefundOutcome.NOT_FOUND


def test_a_refund_that_takes_its_time(till: Till) -> None:
    request = charge(source_token="pm_card_pendingRefund")
    ref = till.pay(request).provider_ref
    given = till.refund(refund_of(request, ref, 400))
    assert given.outcome == RefundOutcome.PENDING
    seen = till.fetch(request, ref)
    assert seen.refunded_minor == 0
    assert [r.outcome for r in seen.refunds] == [RefundOutcome.PENDING]


def test_a_refund_made_in_stripes_dashboard_is_seen(till: Till) -> None:
    request = charge()
    ref = till.pay(request).provider_ref
    made = till.library.refunds.create({"payment_intent": ref, "amount": 250})
    seen = till.fetch(request, ref)
    assert seen.refunded_minor == 250
    assert [(r.provider_ref, r.refund_id) for r in seen.refunds] == [(made.id, None)]


def test_more_refunds_than_stripe_shows_with_the_charge(till: Till) -> None:
    request = charge()
    ref = till.pay(request).provider_ref
    for _ in range(12):
        till.library.refunds.create({"payment_intent": ref, "amount": 10})
    seen = till.fetch(request, ref)
    assert (seen.refunded_minor, len(seen.refunds)) == (120, 12)


def with_status(status: str) -> Callable[..., Iterator[Any]]:
    """Stripe's list of disputes, each in this status, which the model never comes to."""

    def listed(operation: Any, params: Any, opts: Any) -> Iterator[Any]:
        for found in every(operation, params, opts):
            yield {**found, "status": status}

    return listed


def test_a_disputed_payment(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    request = charge(source_token="pm_card_createDispute")
    ref = till.pay(request).provider_ref
    seen = till.fetch(request, ref)
    [dispute] = seen.disputes
    assert (dispute.amount_minor, dispute.status) == (1000, "open")
    assert dispute.provider_ref
    assert dispute.reason
    assert isinstance(dispute.evidence_due_at, datetime.datetime)
    with pytest.raises(Declined) as refused:
        till.refund(refund_of(request, ref, 100))
    assert refused.value.code == "charge_disputed"

    monkeypatch.setattr("payments.providers.stripe_charges.every", with_status("under_review"))
    [answered] = till.fetch(request, ref).disputes
    assert (answered.status, answered.evidence_due_at) == ("open", None)


def test_a_banks_inquiry_is_no_dispute_yet(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    request = charge(source_token="pm_card_createDispute")
    ref = till.pay(request).provider_ref

    monkeypatch.setattr("payments.providers.stripe_charges.every", with_status("warning_needs_response"))
    assert till.fetch(request, ref).disputes == ()
