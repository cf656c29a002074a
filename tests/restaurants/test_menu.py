"""The menu in one document: what is in it, its version, its ETag and its cached copy."""

import datetime
import gzip
import time
from decimal import Decimal
from unittest import mock

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext, override_settings

from accounts.models import Device, Role
from fynlo.events.models import StreamHead
from fynlo.tenancy.scope import restaurant_scope
from restaurants import menu
from restaurants.models import (
    KitchenStation,
    MenuCategory,
    MenuItem,
    MenuItemModifierGroup,
    Modifier,
    ModifierGroup,
    Restaurant,
    Table,
    TaxClass,
    TaxRate,
)
from restaurants.services import tax_percents
from tests import factories
from tests.databases import role_url


def version(restaurant):
    with restaurant_scope(restaurant.pk):
        return Restaurant.objects.values_list("menu_version", flat=True).get()


def items(document):
    return {item["name"]: item for category in document["categories"] for item in category["items"]}


def test_the_whole_menu_is_one_document(restaurant, waiter, api):
    with restaurant_scope(restaurant.pk):
        burger = MenuItem.objects.get(code="BURGER")
        lager = MenuItem.objects.get(code="LAGER")
        lager.is_sold_out = True
        lager.save()
        ids = {
            m.name: str(m.pk)
            for model in (ModifierGroup, Modifier, MenuCategory)
            for m in model.objects.all()
        }
        MenuItem.objects.filter(code="FRIES").update(is_active=False)
        MenuCategory.objects.create(name="Nothing here yet")
        today = Restaurant.objects.get().business_date(datetime.datetime.now(datetime.UTC))

    response = api(waiter).get("menu")

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    document = response.json()
    assert {**document, "categories": [c["name"] for c in document["categories"]]} == {
        "version": version(restaurant),
        "business_date": today.isoformat(),
        "currency": "GBP",
        "categories": ["Mains", "Drinks"],
    }
    assert [item["name"] for item in document["categories"][0]["items"]] == ["Burger", "Cake"]
    assert document["categories"][0]["id"] == ids["Mains"]
    assert items(document)["Burger"] == {
        "id": str(burger.pk),
        "code": "BURGER",
        "name": "Burger",
        "description": "",
        "photo_url": None,
        "price_minor": 1250,
        "tax_percents": {"dine_in": "20", "takeaway": "20"},
        "station_id": str(burger.station_id),
        "station": "Grill",
        "is_sold_out": False,
        "modifier_groups": [
            {
                "id": ids["Doneness"],
                "name": "Doneness",
                "min_select": 1,
                "max_select": 1,
                "modifiers": [
                    {"id": ids["Rare"], "name": "Rare", "price_minor": 0, "is_sold_out": False},
                    {"id": ids["Well done"], "name": "Well done", "price_minor": 0, "is_sold_out": False},
                ],
            },
            {
                "id": ids["Extras"],
                "name": "Extras",
                "min_select": 0,
                "max_select": 2,
                "modifiers": [
                    {"id": ids["Bacon"], "name": "Bacon", "price_minor": 150, "is_sold_out": False},
                    {"id": ids["Cheese"], "name": "Cheese", "price_minor": 100, "is_sold_out": False},
                ],
            },
        ],
    }
    assert items(document)["Cake"]["tax_percents"] == {"dine_in": "20", "takeaway": "0"}
    assert items(document)["Lager"]["is_sold_out"] is True


def test_a_device_reads_it_too_and_strangers_do_not(restaurant, stranger, api):
    screen = factories.device(restaurant, Device.Kind.KITCHEN)
    assert api(screen).get("menu").status_code == 200
    assert api(restaurant_id=restaurant.pk).get("menu").status_code == 401
    assert api(stranger, restaurant_id=restaurant.pk).get("menu").json()["code"] == "wrong_restaurant"


def test_it_answers_304_without_reading_the_menu(restaurant, waiter, api):
    client = api(waiter)
    first = client.get("menu")
    with restaurant_scope(restaurant.pk):
        epoch = StreamHead.objects.get().epoch
    edition = f"{version(restaurant)}-{first.json()['business_date']}-{epoch.hex[:8]}"
    assert first["ETag"] == f'W/"{edition}"'
    assert first["Cache-Control"] == "private, no-cache"

    for seen in (first["ETag"], f'"other", {first["ETag"].removeprefix("W/")}', "*"):
        with CaptureQueriesContext(connection) as queries:
            again = client.get("menu", If_None_Match=seen)
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
        assert "restaurants_menuitem" not in str(queries.captured_queries)

    changed = client.get("menu", If_None_Match='W/"0-2026-01-01"')
    assert (changed.status_code, changed.content) == (200, first.content)


def test_it_is_gzipped_for_those_who_ask(restaurant, waiter, api):
    client = api(waiter)
    plain = client.get("menu")
    packed = client.get("menu", Accept_Encoding="deflate, gzip;q=0.5, br")
    assert "Content-Encoding" not in plain
    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert plain["Vary"] == packed["Vary"] == "Accept-Encoding, Authorization"
    assert plain["ETag"] == packed["ETag"]
    assert "Content-Encoding" not in client.get("menu", Accept_Encoding="br, gzip;q=0")


def test_the_second_reading_comes_from_the_cache(restaurant, waiter, api):
    client = api(waiter)
    first = client.get("menu")
    with CaptureQueriesContext(connection) as queries:
        second = client.get("menu")
    assert second.content == first.content
    assert "restaurants_menuitem" not in str(queries.captured_queries)
    assert len(queries.captured_queries) == 3  # who asks, which edition, COMMIT


def test_it_works_without_the_cache(restaurant, waiter, api):
    with_cache = api(waiter).get("menu")
    dead = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1"}}
    with override_settings(CACHES=dead):
        first, second = api(waiter).get("menu"), api(waiter).get("menu")
    assert (first.status_code, first.content, second.content) == (200, with_cache.content, with_cache.content)


def test_the_number_of_queries_does_not_depend_on_the_size():
    small = factories.make_restaurant("One of each", menu=False)
    grow_menu(small, 1)
    assert queries_of_a_reading(small) == 10
    grow_menu(small, 2, "more ")
    assert queries_of_a_reading(small) == 10


def queries_of_a_reading(restaurant):
    with restaurant_scope(restaurant.pk), CaptureQueriesContext(connection) as queries:
        menu.read_menu(menu.current_edition())
    return len(queries.captured_queries)


def grow_menu(restaurant, count, prefix=""):
    """`count` of everything: each category has an item, each item a group, each group a modifier."""
    with restaurant_scope(restaurant.pk):
        for n in range(count):
            name = f"{prefix}{n}"
            group = ModifierGroup.objects.create(name=name)
            Modifier.objects.create(group=group, name=name)
            tax_class = TaxClass.objects.create(name=name)
            TaxRate.objects.create(tax_class=tax_class, percent="20")
            item = MenuItem.objects.create(
                name=name,
                price_minor=100,
                category=MenuCategory.objects.create(name=name),
                station=KitchenStation.objects.create(name=name),
                tax_class=tax_class,
            )
            MenuItemModifierGroup.objects.create(item=item, group=group)


def test_a_thousand_items_come_from_the_cache_in_less_than_100_ms(api):
    big = factories.make_restaurant("A long menu")
    with restaurant_scope(big.pk):
        burger = MenuItem.objects.get(code="BURGER")
        groups = list(ModifierGroup.objects.all())
        dishes = MenuItem.objects.bulk_create(
            MenuItem(
                name=f"Dish {n} with a name of usual length",
                description="Slow-cooked, with seasonal vegetables and a jus of its own",
                price_minor=500 + n,
                category_id=burger.category_id,
                tax_class_id=burger.tax_class_id,
                station_id=burger.station_id,
            )
            for n in range(1000)
        )
        MenuItemModifierGroup.objects.bulk_create(
            MenuItemModifierGroup(item=dish, group=group) for dish in dishes for group in groups
        )
    client = api(factories.staff(big, Role.WAITER))
    assert len(items(client.get("menu").json())) == 1004
    client.get("menu", Accept_Encoding="gzip")

    times = []
    for _ in range(5):
        start = time.perf_counter()
        client.get("menu", Accept_Encoding="gzip")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1, times


CHANGES = {
    "a new category": lambda: MenuCategory.objects.create(name="New"),
    "a category": lambda: MenuCategory.objects.filter(name="Mains").update(name="Main courses"),
    "many items at once": lambda: MenuItem.objects.update(price_minor=1),
    "an item gone": lambda: MenuItem.objects.filter(code="LAGER").delete(),
    "items without groups": lambda: MenuItemModifierGroup.objects.all().delete(),
    "groups": lambda: ModifierGroup.objects.update(max_select=5),
    "a modifier": lambda: Modifier.objects.filter(name="Bacon").update(is_sold_out=True),
    "a station": lambda: KitchenStation.objects.filter(name="Bar").update(name="Cellar"),
    "a tax class": lambda: TaxClass.objects.create(name="Alcohol"),
    "a rate": lambda: TaxRate.objects.filter(percent=0).update(percent="5"),
    "the currency": lambda: Restaurant.objects.update(currency="EUR"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whoever_changes_the_menu_raises_its_version(restaurant, other_restaurant, change):
    before, others = version(restaurant), version(other_restaurant)
    with restaurant_scope(restaurant.pk):
        change()
    assert version(restaurant) == before + 1
    assert version(other_restaurant) == others


def test_what_is_not_of_the_menu_leaves_the_version_alone(restaurant):
    before = version(restaurant)
    with restaurant_scope(restaurant.pk):
        Table.objects.update(seats=8)
        Restaurant.objects.update(name="Renamed")
        MenuItem.objects.filter(name="No such dish").update(price_minor=1)
    assert version(restaurant) == before


def test_the_platform_raises_the_version_of_each_restaurant_it_touches(restaurant, other_restaurant, dba):
    before = [version(restaurant), version(other_restaurant)]
    dba.execute(
        "UPDATE restaurants_menuitem SET price_minor = price_minor + 1 WHERE restaurant_id = ANY(%s)",
        [[restaurant.pk, other_restaurant.pk]],
    )
    assert [version(restaurant), version(other_restaurant)] == [n + 1 for n in before]


def test_those_who_change_the_menu_take_turns(restaurant, dba, test_database):
    """Else two that change the same items in different order would wait for each other."""
    with psycopg.connect(role_url("app", test_database)) as other:
        other.execute("SELECT set_config('app.restaurant_id', %s, true)", [str(restaurant.pk)])
        other.execute("UPDATE restaurants_menuitem SET price_minor = 1 WHERE code = 'CAKE'")
        with restaurant_scope(restaurant.pk), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(OperationalError), transaction.atomic():
                MenuItem.objects.filter(code="LAGER").update(price_minor=1)
            Table.objects.update(seats=8)


def test_a_new_business_day_is_a_new_edition(restaurant, waiter, api):
    with restaurant_scope(restaurant.pk):
        cold = TaxClass.objects.get(name="Cold food")
        TaxRate.objects.create(
            tax_class=cold, dining_mode="takeaway", percent=Decimal("12.5"), valid_from="2027-03-29"
        )
    client = api(waiter)

    def read_at(moment, **headers):
        with mock.patch.object(menu.timezone, "now", return_value=datetime.datetime.fromisoformat(moment)):
            return client.get("menu", **headers)

    # Clocks went forward the night before; the day of the 28th ends at 04:00 summer time, 03:00 UTC.
    sunday = read_at("2027-03-29T02:59:59+00:00")
    assert sunday.json()["business_date"] == "2027-03-28"
    assert items(sunday.json())["Cake"]["tax_percents"] == {"dine_in": "20", "takeaway": "0"}

    monday = read_at("2027-03-29T03:00:00+00:00", If_None_Match=sunday["ETag"])
    assert monday.status_code == 200
    assert monday["ETag"] == sunday["ETag"].replace("2027-03-28", "2027-03-29")
    assert items(monday.json())["Cake"]["tax_percents"] == {"dine_in": "20", "takeaway": "12.5"}


def test_a_class_without_a_rate_says_so(restaurant, waiter, api):
    with restaurant_scope(restaurant.pk):
        TaxRate.objects.filter(dining_mode="takeaway").delete()
    cake = items(api(waiter).get("menu").json())["Cake"]
    assert cake["tax_percents"] == {"dine_in": "20", "takeaway": None}


def test_a_change_while_it_is_read_is_read_again(restaurant, dba):
    """A half-old menu under the new version would stay in the cache."""
    with restaurant_scope(restaurant.pk):
        before = menu.current_edition()
        changes = iter(["UPDATE restaurants_menuitem SET name = 'Hamburger' WHERE code = 'BURGER'"])

        def percents(*args):
            if change := next(changes, None):
                dba.execute(f"{change} AND restaurant_id = %s", [restaurant.pk])
            return tax_percents(*args)

        with mock.patch.object(menu, "tax_percents", percents):
            edition, document = menu.read_menu(before)

    assert edition.version == document["version"] == before.version + 1
    assert "Hamburger" in items(document)
