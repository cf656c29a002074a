"""Stripe's adapter, against Stripe's model over HTTP: no row is written here."""

import pytest

from payments.providers.base import Account
from tests.payments.stripe.till import Till, own_account
from tests.peers.fixtures import faulty, stripe_peer, stripe_world
from tests.peers.stripe import StripeWorld
from tests.peers.stripe_overlay import KEPT

__all__ = ["faulty", "stripe_peer", "stripe_world"]


@pytest.fixture(autouse=True)
def _invariants_hold() -> None:
    """There are no books here to be right."""


@pytest.fixture(autouse=True)
def _all_of_the_document_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model refuses these two, which Stripe's own document has; the overlay checks and keeps them."""
    kept = {*KEPT, "return_url", "refund_application_fee"}
    monkeypatch.setattr("tests.peers.stripe_overlay.KEPT", tuple(kept))


@pytest.fixture
def account(stripe_world: StripeWorld) -> Account:
    """The restaurant's own keys."""
    return own_account(stripe_world.url)


@pytest.fixture
def till(stripe_world: StripeWorld, account: Account) -> Till:
    return Till(stripe_world, account)
