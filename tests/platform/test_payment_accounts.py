"""Who takes cards, as the platform's owner sees it; and what the platform keeps of it."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, connection

from fynlo.tenancy.scope import restaurant_scope
from payments.models import ProviderAccount
from payments.services import accounts
from tests.databases import database_role

PAGE = "/payments/provideraccount/"


@pytest.fixture(params=[("stripe", "stripe_connect"), ("square", "square_oauth")])
def connected(request, restaurant):
    provider, kind = request.param
    with restaurant_scope(restaurant.pk):
        return ProviderAccount.objects.create(
            provider=provider, kind=kind, mode="test", external_account_id=f"acct_{restaurant.pk}"
        )


@pytest.fixture
def own(restaurant):
    with restaurant_scope(restaurant.pk):
        return accounts.add_account(provider="square", secrets={"access_token": "sandbox-hidden-8q7z"})


def test_the_fee_is_set_here_and_nothing_else(console, connected, restaurant, text):
    place = f"{PAGE}{connected.pk}/change/"
    assert "The platform keeps, percent" in text(console.get(place))
    fields = {"application_fee_percent": "1.25", "status": "disconnected", "provider": "sumup"}
    assert console.post(place, fields).status_code == 302
    with restaurant_scope(restaurant.pk):
        row = ProviderAccount.objects.get(pk=connected.pk)
    assert (row.application_fee_percent, row.status) == (Decimal("1.25"), "active")
    assert row.provider == connected.provider
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


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments_provideraccount SET application_fee_percent = 0",
        "UPDATE payments_provideraccount SET status = 'active', application_fee_percent = 9",
        "INSERT INTO payments_provideraccount SELECT (jsonb_populate_record(a, jsonb_build_object("
        "'id', gen_random_uuid(), 'public_id', gen_random_uuid(), 'external_account_id', 'other'))).*"
        " FROM payments_provideraccount a",
    ],
)
def test_what_the_platform_keeps_no_restaurants_process_may_set(restaurant, connected, dba, statement):
    dba.execute(
        "UPDATE payments_provideraccount SET application_fee_percent = 2 WHERE id = %s", [connected.pk]
    )
    with (
        database_role("app"),
        pytest.raises(DatabaseError, match=r"permission denied|row-level security"),
        restaurant_scope(restaurant.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    with restaurant_scope(restaurant.pk):
        assert [str(row.application_fee_percent) for row in ProviderAccount.objects.all()] == ["2.000"]


def test_every_other_column_is_the_restaurants_own(dba):
    """A column that is added later needs a grant of its own."""
    names = [field.column for field in ProviderAccount._meta.concrete_fields]
    asked = "SELECT has_column_privilege('fynlo_app', 'payments_provideraccount', %s, 'UPDATE')"
    refused = {name for name in names if not dba.execute(asked, [name]).fetchone()[0]}
    assert refused == {"id", "restaurant_id", "application_fee_percent"}
