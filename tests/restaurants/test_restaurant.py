"""A restaurant's own details, and how one is made."""

import datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Membership
from fynlo.events.models import Event
from fynlo.tenancy.scope import restaurant_scope
from restaurants.directory import restaurant_by_slug
from restaurants.models import Counter, Restaurant, TaxClass, TaxRate
from restaurants.services import create_restaurant, next_number, tax_percents
from tests import factories
from tests.databases import database_role


def row(restaurant):
    with restaurant_scope(restaurant.pk):
        return Restaurant.objects.values().get()


def test_the_details_are_read_by_all_and_changed_by_managers(restaurant, manager, waiter, api):
    details = {
        "id": restaurant.pk,
        "name": "The Copper Pot",
        "slug": restaurant.slug,
        "currency": "GBP",
        "timezone": "Europe/London",
        "business_day_cutoff": "04:00:00",
        "vat_number": "",
        "address": "",
        "phone": "",
        "warn_after_seconds": 360,
        "late_after_seconds": 600,
    }
    assert api(waiter).get("restaurant").json() == details
    changes = {
        "name": " The “Copper” Pot 🍲 ",
        "address": "1 Example Street\nLondon",
        "vat_number": "GB 123 4567 89",
        "phone": "+44 20 7946 0000",
        "timezone": "Europe/Paris",
        "business_day_cutoff": "05:30:00",
        "currency": "EUR",
        "warn_after_seconds": 300,
        "late_after_seconds": 900,
    }
    changed = api(manager).patch("restaurant", changes)
    assert (changed.status_code, changed.json()) == (200, {**details, **changes})
    assert api(waiter).get("restaurant").json() == {**details, **changes}
    with restaurant_scope(restaurant.pk):
        event = Event.objects.latest("seq")
    assert (event.kind, event.subject_id) == ("restaurant.changed", restaurant.public_id)
    assert {**event.payload, "changed": set(event.payload["changed"])} == {
        **details,
        **changes,
        "changed": set(changes),
    }

    assert api(manager).patch("restaurant", {"phone": changes["phone"]}).status_code == 200
    with restaurant_scope(restaurant.pk):
        assert Event.objects.latest("seq").pk == event.pk


def test_others_may_not_change_them(restaurant, waiter, cook, stranger, api):
    before = row(restaurant)
    for caller in (waiter, cook, factories.device(restaurant)):
        assert api(caller).patch("restaurant", {"name": "Mine"}).status_code == 403
    assert api(stranger, restaurant_id=restaurant.pk).get("restaurant").status_code == 403
    assert api(stranger, restaurant_id=restaurant.pk).patch("restaurant", {"name": "Mine"}).status_code == 403
    assert row(restaurant) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", None),
        ("name", 7),
        ("name", "x" * 121),
        ("name", "a\x00b"),
        ("currency", "XXX"),
        ("currency", "gbp"),
        ("timezone", "Europe/Atlantis"),
        ("timezone", "../../etc/passwd"),
        ("timezone", ""),
        ("business_day_cutoff", "25:00"),
        ("business_day_cutoff", None),
        ("vat_number", "1" * 21),
        ("address", ["x"]),
        ("late_after_seconds", -1),
        ("late_after_seconds", "600"),
        ("status", "active"),
        ("menu_version", 1),
    ],
)
def test_wrong_details_name_the_field(restaurant, owner, api, field, value):
    before = row(restaurant)
    response = api(owner).patch("restaurant", {"phone": "1", field: value})
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert row(restaurant) == before


def test_the_first_order_fixes_the_currency(restaurant, owner, api):
    with restaurant_scope(restaurant.pk):
        next_number("order")
    before = row(restaurant)
    refused = api(owner).patch("restaurant", {"currency": "EUR", "name": "Le Pot"})
    assert (refused.status_code, refused.json()["code"]) == (409, "currency_is_fixed")
    assert refused.json()["errors"][0]["field"] == "currency"
    assert row(restaurant) == before
    assert api(owner).patch("restaurant", {"currency": "GBP", "name": "Le Pot"}).status_code == 200


# Making one


def test_a_new_restaurant_has_its_numbers_and_its_owner():
    owner = factories.make_user("Olive")
    with database_role("platform"):
        made = create_restaurant(name="New", slug=f"new-{owner.pk}", owner=owner, currency="EUR")
    with restaurant_scope(made.pk):
        assert dict(Counter.objects.values_list("name", "value")) == {"order": 0, "receipt": 0}
        assert list(Membership.objects.values_list("user", "name", "role")) == [(owner.pk, "Olive", "owner")]
        assert Event.objects.count() == 0
    assert restaurant_by_slug(f"new-{owner.pk}") == made.pk
    assert restaurant_by_slug("no-such-slug") is None


def test_a_long_name_of_an_owner_is_cut_to_what_a_ticket_holds():
    owner = factories.make_user("O" * 100)
    with database_role("platform"):
        made = create_restaurant(name="New", slug=f"new-{owner.pk}", owner=owner)
    with restaurant_scope(made.pk):
        assert Membership.objects.get().name == "O" * 60


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("slug", "not a slug"),
        ("slug", "taken"),
        ("currency", "XXX"),
        ("timezone", "Nowhere/Special"),
        ("vat_number", "1" * 21),
    ],
)
def test_a_wrong_restaurant_is_not_made(restaurant, field, value):
    fields = {"name": "New", "slug": "new-and-free", field: restaurant.slug if value == "taken" else value}
    with database_role("platform"):
        before = Restaurant.objects.count()
        with pytest.raises(ValidationError) as refused:
            create_restaurant(owner=factories.make_user(), **fields)
        assert list(refused.value.message_dict) == [field]
        assert Restaurant.objects.count() == before


# Numbers and taxes


def test_numbers_run_without_gaps(in_restaurant):
    assert [next_number("order"), next_number("order"), next_number("receipt")] == [1, 2, 1]
    with pytest.raises(LookupError):
        next_number("tickets")


def test_the_newest_rate_wins_and_the_special_one_on_its_day(in_restaurant):
    """Hospitality in the United Kingdom: VAT Notice 709/1."""
    TaxRate.objects.all().delete()
    hot = TaxClass.objects.get(name="Standard")
    untaxed = TaxClass.objects.get(name="Cold food")
    for valid_from, mode, percent in [
        ("2011-01-04", "any", "20"),
        ("2020-07-15", "any", "5"),
        ("2021-10-01", "dine_in", "12.5"),
        ("2021-10-01", "any", "13"),
        ("2022-04-01", "any", "20"),
    ]:
        TaxRate.objects.create(tax_class=hot, valid_from=valid_from, dining_mode=mode, percent=percent)

    def percents(day, mode):
        return tax_percents(datetime.date.fromisoformat(day), mode)

    assert percents("2011-01-03", "dine_in") == {}
    assert percents("2011-01-04", "dine_in") == {hot.pk: Decimal(20)}
    assert percents("2020-07-14", "takeaway") == {hot.pk: Decimal(20)}
    assert percents("2020-07-15", "takeaway") == {hot.pk: Decimal(5)}
    assert percents("2021-10-01", "dine_in") == {hot.pk: Decimal("12.5")}
    assert percents("2021-10-01", "takeaway") == {hot.pk: Decimal(13)}
    assert percents("2022-04-01", "dine_in") == {hot.pk: Decimal(20)}
    assert untaxed.pk not in percents("2026-11-24", "dine_in")
