"""Who takes cards, as the platform's owner sees it; and what the platform keeps of it."""

import pytest

from fynlo.tenancy.scope import restaurant_scope
from payments.models import ProviderAccount
from payments.services import accounts

PAGE = "/payments/provideraccount/"


@pytest.fixture
def connected(restaurant):
    with restaurant_scope(restaurant.pk):
        return ProviderAccount.objects.create(
            provider="stripe", kind="stripe_connect", mode="test", external_account_id=f"acct_{restaurant.pk}"
        )


@pytest.fixture
def own(restaurant):
    with restaurant_scope(restaurant.pk):
        return accounts.add_account(provider="square", secrets={"access_token": "sandbox-hidden-8q7z"})


def test_the_fee_is_set_here_and_nothing_else(console, connected, restaurant, text):
    place = f"{PAGE}{connected.pk}/change/"
    assert "The platform keeps, percent" in text(console.get(place))
    fields = {"application_fee_percent": "1.25", "status": "disconnected", "provider": "square"}
    assert console.post(place, fields).status_code == 302
    with restaurant_scope(restaurant.pk):
        row = ProviderAccount.objects.get(pk=connected.pk)
    assert (str(row.application_fee_percent), row.status, row.provider) == ("1.250", "active", "stripe")
    for bad in ("-1", "21", "lots"):
        assert console.post(place, {"application_fee_percent": bad}).status_code == 200
    row.refresh_from_db()
    assert str(row.application_fee_percent) == "1.250"
    assert console.post(f"{PAGE}{connected.pk}/delete/", {"post": "yes"}).status_code == 403


def test_of_a_restaurants_own_account_nothing_is_set_and_no_key_is_seen(console, own, text):
    assert "sandbox-hidden" not in text(console.get(f"{PAGE}{own.pk}/change/"))
    assert "sandbox-hidden" not in text(console.get(PAGE))
    assert console.post(f"{PAGE}{own.pk}/change/", {"application_fee_percent": "1"}).status_code == 403
    assert console.post(f"{PAGE}add/", {"provider": "stripe"}).status_code == 403
