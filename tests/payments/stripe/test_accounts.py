"""Stripe Connect: each restaurant's account is its own, and the platform opens it."""

import dataclasses
from typing import Any

import pytest
from django.conf import settings

from payments.providers import connect
from payments.providers.base import Account, Outcome, RefundOutcome
from payments.providers.errors import Misconfigured
from tests.payments.stripe.till import RETURN_URL, Till, charge, own_account, refund_of
from tests.peers.stripe import StripeWorld


@pytest.fixture
def _platform(stripe_world: StripeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    payments = dataclasses.replace(
        settings.ENV.payments, stripe_secret_key="sk_test_platform", stripe_api_base=stripe_world.url
    )
    monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, payments=payments))


def open_account(key: str = "open-1") -> connect.ConnectedAccount:
    return connect.create_connected_account(
        country="gb",
        email="owner@copperpot.example",
        business_name="The Copper Pot",
        restaurant_id=7,
        idem_key=key,
    )


def connected(world: StripeWorld, key: str) -> Account:
    opened = open_account(key)
    world.onboard(opened.account_id)
    return own_account(world.url, kind="stripe_connect", external_account_id=opened.account_id)


@pytest.fixture
def ours(_platform: None, stripe_world: StripeWorld) -> Till:
    return Till(stripe_world, connected(stripe_world, "ours"))


@pytest.fixture
def theirs(_platform: None, stripe_world: StripeWorld) -> Till:
    return Till(stripe_world, connected(stripe_world, "theirs"))


@pytest.mark.usefixtures("_platform")
def test_an_account_is_opened_onboarded_and_ready(stripe_world: StripeWorld) -> None:
    opened = open_account()
    assert open_account() == opened  # the same key opens no second one
    assert (opened.charges_enabled, opened.is_ready, opened.country) == (False, False, "GB")
    assert opened.currently_due == ("external_account",)
    [call, _] = stripe_world.called("POST", "/v1/accounts")
    assert call.form["controller"]["fees"] == {"payer": "account"}
    assert call.form["metadata"] == {"restaurant": "7"}
    url = connect.onboarding_link(opened.account_id, RETURN_URL, "https://pos.example/again")
    assert url.startswith(f"https://connect.stripe.com/setup/e/{opened.account_id}/")
    stripe_world.onboard(opened.account_id, complete=False)
    assert connect.account_state(opened.account_id).is_ready is False
    stripe_world.onboard(opened.account_id)
    ready = connect.account_state(opened.account_id)
    assert (ready.is_ready, ready.payouts_enabled, ready.currently_due, ready.currency) == (
        True,
        True,
        (),
        "GBP",
    )
    stripe_world.disconnect(opened.account_id)
    with pytest.raises(Misconfigured):
        connect.account_state(opened.account_id)


def test_a_platform_without_credentials_opens_nothing() -> None:
    with pytest.raises(Misconfigured):
        open_account()


def test_another_accounts_charge_is_not_found(ours: Till, theirs: Till) -> None:
    request = charge()
    paid = ours.pay(request)
    ref = paid.provider_ref
    assert theirs.fetch(request, ref).outcome == Outcome.NOT_FOUND
    assert theirs.fetch(request).outcome == Outcome.NOT_FOUND
    assert theirs.cancel(request, ref).outcome == Outcome.NOT_FOUND
    asked = refund_of(request, ref, 100)
    ours.refund(asked)
    assert theirs.stripe.fetch_refund(theirs.account, asked).outcome == RefundOutcome.NOT_FOUND
    assert (ours.world.taken(ours.name), ours.world.taken(theirs.name)) == (900, 0)


def test_the_platform_keeps_its_fee_and_gives_it_back(ours: Till) -> None:
    request = charge(application_fee_minor=25)
    paid = ours.pay(request)
    [intent] = ours.world.payment_intents(ours.name)
    assert intent["application_fee_amount"] == 25
    asked = refund_of(request, paid.provider_ref, 400, refund_application_fee=True)
    assert ours.refund(asked).outcome == RefundOutcome.SUCCEEDED
    [call] = ours.world.called("POST", "/v1/refunds")
    assert (call.account, call.form["refund_application_fee"]) == (ours.name, True)


def test_the_fee_of_a_link(ours: Till) -> None:
    request = charge(method="link", source_token=None, application_fee_minor=25)
    ref = ours.prepare(request)
    ours.world.complete_checkout(ref, account=ours.name)
    assert ours.fetch(request, ref).captured_minor == 1000
    [intent] = ours.world.payment_intents(ours.name)
    assert intent["application_fee_amount"] == 25


def test_the_page_is_told_the_account(ours: Till) -> None:
    request = charge(source_token=None)
    asked = ours.execute(ours.prepare(request), request)
    assert asked.next_action["stripe_account"] == ours.name


def test_readers_are_the_accounts_own(ours: Till, theirs: Till) -> None:
    bar = ours.new_reader("Bar")
    assert [reader.reader_id for reader in ours.stripe.list_readers(ours.account)] == [bar]
    assert theirs.stripe.list_readers(theirs.account) == []


def test_an_account_that_left_is_misconfigured(ours: Till) -> None:
    ref = ours.prepare(charge())
    ours.world.disconnect(ours.name)
    for ask in (lambda: ours.stripe.check(ours.account), lambda: ours.fetch(charge(), ref)):
        with pytest.raises(Misconfigured) as left:
            ask()
        assert left.value.status == 403


@pytest.mark.parametrize(
    "given",
    [{"secrets": {}}, {"secrets": {"secret_key": ""}}, {"kind": "stripe_connect", "external_account_id": ""}],
)
def test_nothing_is_asked_for_half_an_account(stripe_world: StripeWorld, given: dict[str, Any]) -> None:
    half = Till(stripe_world, own_account(stripe_world.url, **given))
    with pytest.raises(Misconfigured):
        half.prepare(charge())
    assert stripe_world.calls == []
