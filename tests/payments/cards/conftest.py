"""The restaurant's accounts with each vendor's peer, and a till that takes cards."""

import dataclasses
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings

from fynlo.tenancy.scope import restaurant_scope
from payments.models import Terminal
from payments.services import accounts
from restaurants.models import Restaurant
from tests.payments.cards.house import Card, SquareHouse, StripeHouse, SumupHouse


@pytest.fixture
def point_at(settings) -> Callable[..., None]:
    """Send what is asked of the vendors to other addresses: point_at(square_base_url=url)."""

    def point(**bases: str) -> None:
        payments = dataclasses.replace(settings.ENV.payments, **bases)
        settings.ENV = dataclasses.replace(django_settings.ENV, payments=payments)

    return point


@pytest.fixture
def square(restaurant: Restaurant, square_sim, point_at) -> SquareHouse:
    point_at(square_base_url=square_sim.url)
    token = f"sandbox-{restaurant.pk}"
    square_sim.add_device(token, "device-1", "Bar reader")
    with restaurant_scope(restaurant.pk):
        account = accounts.add_account(
            provider="square",
            secrets={"access_token": token, "webhook_signature_keys": ["square-key"]},
            external_account_id=square_sim.seller(token).merchant_id,
            location_id=square_sim.seller(token).location_id,
        )
        terminal = Terminal.objects.create(account=account, reader_id="device-1", label="Bar reader")
    return SquareHouse(restaurant, account, terminal, square_sim)


@pytest.fixture
def sumup(restaurant: Restaurant, sumup_sim, point_at) -> SumupHouse:
    point_at(sumup_base_url=sumup_sim.url)
    key = f"sup_sk_test_{restaurant.pk}"
    reader_id = sumup_sim.add_reader(key, "Bar reader")
    with restaurant_scope(restaurant.pk):
        account = accounts.add_account(
            provider="sumup",
            secrets={
                "api_key": key,
                "affiliate_key": "sup_afk_test",
                "app_id": "com.fynlo.test",
                "webhook_secrets": ["sumup-secret"],
            },
            external_account_id="MPOT1",
        )
        terminal = Terminal.objects.create(account=account, reader_id=reader_id, label="Bar reader")
    return SumupHouse(restaurant, account, terminal, sumup_sim)


@pytest.fixture
def stripe(restaurant: Restaurant, stripe_world, point_at) -> StripeHouse:
    point_at(stripe_api_base=stripe_world.url)
    with restaurant_scope(restaurant.pk):
        account = accounts.add_account(
            provider="stripe",
            secrets={
                "secret_key": "sk_test_fynlo",
                "publishable_key": "pk_test_fynlo",
                "webhook_secrets": ["whsec_test"],
            },
        )
    return StripeHouse.with_reader(restaurant, account, stripe_world)


@pytest.fixture(params=["stripe", "square", "sumup"])
def house(request) -> Card:
    """A restaurant that takes cards, at each of the vendors in turn."""
    found: Card = request.getfixturevalue(request.param)
    return found
