"""Stripe's adapter, against Stripe's model over HTTP: no row is written here."""

import pytest

from payments.providers.base import Account
from tests.payments.stripe.till import Till, own_account
from tests.peers.stripe import StripeWorld


@pytest.fixture(autouse=True)
def _invariants_hold() -> None:
    """There are no books here to be right."""


@pytest.fixture
def account(stripe_world: StripeWorld) -> Account:
    """The restaurant's own keys."""
    return own_account(stripe_world.url)


@pytest.fixture
def till(stripe_world: StripeWorld, account: Account) -> Till:
    return Till(stripe_world, account)
