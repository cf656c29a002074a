"""Changing the menu and the floor over the API."""

import datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Device, Role
from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order, OrderItem
from restaurants.models import (
    Floor,
    KitchenStation,
    MenuCategory,
    MenuItem,
    Modifier,
    ModifierGroup,
    Restaurant,
    Table,
    TaxClass,
    TaxRate,
)
from tests import factories

KINDS = {
    "categories": MenuCategory,
    "items": MenuItem,
    "modifier-groups": ModifierGroup,
    "tax-classes": TaxClass,
    "stations": KitchenStation,
    "floors": Floor,
    "tables": Table,
}
NASTY = ' Ça\'fé "Ø" 🍔 <b>& '


def row(restaurant, model, **where):
    with restaurant_scope(restaurant.pk):
        return model.objects.get(**where)


def last_event(restaurant):
    with restaurant_scope(restaurant.pk):
        return Event.objects.order_by("-seq").first()


def snapshot(restaurant):
    """Everything that a refusal must leave as it is."""
    with restaurant_scope(restaurant.pk):
        models = [*KINDS.values(), Modifier, TaxRate, Restaurant, Event]
        return [list(model.objects.order_by("pk").values()) for model in models]


def new_body(restaurant, kind, name):
    """A body that makes one more of a kind."""
    body = {"name": name}
    if kind == "tables":
        body["floor_id"] = str(row(restaurant, Floor, name="Main room").pk)
    if kind == "items":
        burger = row(restaurant, MenuItem, code="BURGER")
        body |= {
            "price_minor": 995,
            "category_id": str(burger.category_id),
            "tax_class_id": str(burger.tax_class_id),
            "station_id": str(burger.station_id),
        }
    return body


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_made_read_changed_and_deleted(restaurant, manager, api, kind):
    client = api(manager)
    made = client.post(kind, new_body(restaurant, kind, NASTY))
    assert made.status_code == 201
    document = made.json()
    assert document["name"] == NASTY
    one = f"{kind}/{document['id']}"
    event = last_event(restaurant)
    assert (event.kind, str(event.subject_id)) == (
        "floor.changed" if kind in ("floors", "tables") else "menu.changed",
        document["id"],
    )
    assert (event.payload["change"], event.payload["row"]) == ("created", document)
    assert event.actor == {"membership": str(manager.membership_id), "name": manager.name, "device": None}

    assert client.get(one).json() == document
    changed = client.patch(one, {"name": "Plain"})
    assert (changed.status_code, changed.json()) == (200, {**document, "name": "Plain"})
    event = last_event(restaurant)
    assert (event.payload["change"], event.payload["changed"]) == ("changed", ["name"])

    before = last_event(restaurant).seq
    assert client.patch(one, {"name": "Plain"}).status_code == 200
    assert client.patch(one, {}).json() == {**document, "name": "Plain"}
    assert last_event(restaurant).seq == before

    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404
    event = last_event(restaurant)
    assert (event.payload["change"], event.payload["row"]["name"]) == ("deleted", "Plain")


def test_the_same_body_can_be_sent_back(restaurant, manager, api):
    """What is read only is not an error, so that a form may send all that it was given."""
    burger = row(restaurant, MenuItem, code="BURGER")
    document = api(manager).get(f"items/{burger.pk}").json()
    before = last_event(restaurant).seq if last_event(restaurant) else 0
    assert api(manager).patch(f"items/{burger.pk}", document).json() == document
    assert (last_event(restaurant).seq if last_event(restaurant) else 0) == before


@pytest.mark.parametrize("kind", KINDS)
def test_who_may(restaurant, owner, waiter, cook, stranger, api, kind):
    one = f"{kind}/{row(restaurant, KINDS[kind], **first_of(kind)).pk}"
    till = factories.device(restaurant, Device.Kind.TILL)
    for caller in (waiter, cook, till):
        assert api(caller).get(kind).status_code == 200
        assert api(caller).get(one).status_code == 200
    before = snapshot(restaurant)
    for caller in (waiter, cook, till):
        for refused in (
            api(caller).post(kind, new_body(restaurant, kind, "Sneaky")),
            api(caller).patch(one, {"name": "Sneaky"}),
            api(caller).delete(one),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    nobody = api(restaurant_id=restaurant.pk)
    assert [nobody.get(kind).status_code, nobody.post(kind, {}).status_code] == [401, 401]
    # A stranger finds nothing of ours, neither here nor under the stranger's own restaurant.
    elsewhere = api(stranger, restaurant_id=restaurant.pk)
    assert [elsewhere.get(one).status_code, elsewhere.delete(one).status_code] == [403, 403]
    for refused in (
        api(stranger).get(one),
        api(stranger).patch(one, {"name": "Sneaky"}),
        api(stranger).delete(one),
    ):
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert snapshot(restaurant) == before
    assert api(owner).patch(one, {"name": "Renamed"}).status_code == 200


def first_of(kind):
    names = {
        "categories": "Mains",
        "items": "Burger",
        "modifier-groups": "Extras",
        "tax-classes": "Standard",
        "stations": "Grill",
        "floors": "Main room",
        "tables": "T1",
    }
    return {"name": names[kind]}


@pytest.mark.parametrize("kind", KINDS)
def test_lists_cost_the_same_queries_whatever_their_length(api, kind):
    """A bare list, with one and with three of everything that hangs from its rows."""
    counts = []
    for size in (1, 3):
        place = factories.make_restaurant("Sized", menu=False)
        fill(place, size)
        client = api(factories.staff(place, Role.WAITER))
        with CaptureQueriesContext(connection) as queries:
            page = client.get(kind).json()
        assert len(page["results"]) == size
        counts.append(len(queries.captured_queries))
    has_parts = kind in ("items", "modifier-groups", "tax-classes")
    assert counts == [4, 4] if has_parts else [3, 3]


def fill(restaurant, size):
    with restaurant_scope(restaurant.pk):
        for n in range(size):
            Table.objects.create(floor=Floor.objects.create(name=f"Floor {n}"), name=f"T{n}")
            tax_class = TaxClass.objects.create(name=f"Class {n}")
            groups = [ModifierGroup.objects.create(name=f"Group {n}")]
            for m in range(size):
                TaxRate.objects.create(
                    tax_class=tax_class, percent=m, valid_from=datetime.date(2020, 1, m + 1)
                )
                Modifier.objects.create(group=groups[0], name=f"Modifier {m}")
            item = MenuItem.objects.create(
                name=f"Item {n}",
                price_minor=100,
                category=MenuCategory.objects.create(name=f"Category {n}"),
                station=KitchenStation.objects.create(name=f"Station {n}"),
                tax_class=tax_class,
            )
            item.group_links.create(group=groups[0])


def test_lists_come_in_pages(restaurant, waiter, api):
    first = api(waiter).get("items?page_size=3").json()
    rest = api(waiter).get(first["next"].removeprefix("http://testserver")).json()
    assert [item["name"] for item in first["results"]] == ["Lager", "Cake", "Fries"]
    assert [item["name"] for item in rest["results"]] == ["Burger"]
    assert rest["next"] is None


# Names and codes


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_unique_in_its_restaurant_only(restaurant, other_restaurant, manager, api, kind):
    client = api(manager)
    taken = row(other_restaurant, KINDS[kind], **first_of(kind)).name
    before = snapshot(restaurant)
    refused = client.post(kind, new_body(restaurant, kind, taken))
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["errors"][0]["field"]) == ("taken", "name")
    assert snapshot(restaurant) == before

    made = client.post(kind, new_body(restaurant, kind, "Free"))
    refused = client.patch(f"{kind}/{made.json()['id']}", {"name": taken})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, "name")
    assert client.get(f"{kind}/{made.json()['id']}").json()["name"] == "Free"


def test_an_items_code_is_unique_unless_it_is_empty(restaurant, manager, api):
    client = api(manager)
    refused = client.post("items", {**new_body(restaurant, "items", "Another"), "code": "CAKE"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, "code")
    for name in ("No code", "None either"):
        made = client.post("items", {**new_body(restaurant, "items", name), "code": ""})
        assert (made.status_code, made.json()["code"]) == (201, "")


# What is wrong


WRONG_NAMES = [None, 5, True, ["x"], {"x": 1}, "", "   ", "a\x00b"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_name_is_named(restaurant, manager, api, kind):
    before = snapshot(restaurant)
    for name in [*WRONG_NAMES, "x" * 121]:
        response = api(manager).post(kind, {**new_body(restaurant, kind, "x"), "name": name})
        assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json"), name
        assert [error["field"] for error in response.json()["errors"]] == ["name"]
    missing = new_body(restaurant, kind, "x")
    del missing["name"]
    response = api(manager).post(kind, missing)
    assert [(e["field"], e["code"]) for e in response.json()["errors"]] == [("name", "required")]
    assert snapshot(restaurant) == before


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "price_minor": [-1, 100_000_001, "1250", "12.50", 12.5, True, None, [], 10**30],
        "position": [-1, 32_768, "1", None],
        "is_active": ["yes", 1, None],
        "code": [5, "x" * 41, None],
        "description": ["x" * 1001, 5, None],
        "category_id": ["x", 5, None, str(uuid7())],
        "tax_class_id": ["x", None, str(uuid7())],
        "station_id": ["x", None, str(uuid7())],
        "price": [1250],
    }.items(),
)
def test_a_wrong_item_names_the_field(restaurant, manager, api, field, values):
    before = snapshot(restaurant)
    for value in values:
        made = api(manager).post("items", {**new_body(restaurant, "items", "New"), field: value})
        burger = row(restaurant, MenuItem, code="BURGER")
        changed = api(manager).patch(f"items/{burger.pk}", {"name": "Changed", field: value})
        for response in (made, changed):
            assert response.status_code == 400, value
            assert [error["field"] for error in response.json()["errors"]] == [field]
    assert snapshot(restaurant) == before


@pytest.mark.parametrize(
    ("field", "model", "where"),
    [
        ("category_id", MenuCategory, {"name": "Mains"}),
        ("tax_class_id", TaxClass, {"name": "Standard"}),
        ("station_id", KitchenStation, {"name": "Grill"}),
    ],
)
def test_a_strangers_row_does_not_exist(restaurant, other_restaurant, manager, api, field, model, where):
    theirs = str(row(other_restaurant, model, **where).pk)
    before = snapshot(restaurant)
    refused = api(manager).post("items", {**new_body(restaurant, "items", "New"), field: theirs})
    assert refused.status_code == 400
    assert refused.json()["errors"] == [
        {"field": field, "code": "does_not_exist", "detail": "This does not exist."}
    ]
    assert snapshot(restaurant) == before


def test_a_strangers_group_and_floor_do_not_exist_either(restaurant, other_restaurant, manager, api):
    group = str(row(other_restaurant, ModifierGroup, name="Extras").pk)
    body = {**new_body(restaurant, "items", "New"), "modifier_group_ids": [group]}
    refused = api(manager).post("items", body)
    assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [
        ("modifier_group_ids.0", "does_not_exist")
    ]
    floor = str(row(other_restaurant, Floor, name="Main room").pk)
    refused = api(manager).post("tables", {"name": "T9", "floor_id": floor})
    assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [("floor_id", "does_not_exist")]


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"x"', b"\xff", b'{"name": "\\ud800"}'])
def test_a_broken_body_is_refused(restaurant, manager, api, body):
    response = api(manager).post("categories", body)
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")


# An item's modifier groups


def test_an_items_groups_are_set_as_a_list(restaurant, manager, api):
    client = api(manager)
    doneness, extras = (str(row(restaurant, ModifierGroup, name=n).pk) for n in ("Doneness", "Extras"))
    burger = f"items/{row(restaurant, MenuItem, code='BURGER').pk}"
    assert client.get(burger).json()["modifier_group_ids"] == [doneness, extras]
    assert client.patch(burger, {"price_minor": 1300}).json()["modifier_group_ids"] == [doneness, extras]
    turned = client.patch(burger, {"modifier_group_ids": [extras, doneness]})
    assert turned.json()["modifier_group_ids"] == [extras, doneness]
    assert last_event(restaurant).payload["changed"] == ["modifier_group_ids"]
    twice = client.patch(burger, {"modifier_group_ids": [extras, extras]})
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "modifier_group_ids.1")
    assert client.get(burger).json()["modifier_group_ids"] == [extras, doneness]
    assert client.patch(burger, {"modifier_group_ids": []}).json()["modifier_group_ids"] == []


# A group's modifiers


def test_a_group_comes_with_its_modifiers(restaurant, manager, api):
    client = api(manager)
    made = client.post(
        "modifier-groups",
        {
            "name": "Sauce",
            "min_select": 1,
            "max_select": 2,
            "modifiers": [
                {"name": "Mayo"},
                {"name": NASTY, "price_minor": 50},
                {"name": "None", "price_minor": -20},
            ],
        },
    )
    assert made.status_code == 201
    mayo, nasty, none = made.json()["modifiers"]
    assert [mayo["name"], nasty["name"], none["name"]] == ["Mayo", NASTY, "None"]
    assert [mayo["price_minor"], nasty["price_minor"], none["price_minor"]] == [0, 50, -20]
    sauce = f"modifier-groups/{made.json()['id']}"

    # Renamed by id, kept by name, one gone, one new, in a new order.
    changed = client.patch(
        sauce,
        {
            "modifiers": [
                {"name": "None", "price_minor": -20},
                {"name": "Ketchup"},
                {"id": mayo["id"], "name": "Mayonnaise", "price_minor": 10},
            ]
        },
    ).json()["modifiers"]
    assert [(m["name"], m["price_minor"]) for m in changed] == [
        ("None", -20),
        ("Ketchup", 0),
        ("Mayonnaise", 10),
    ]
    assert (changed[0]["id"], changed[2]["id"]) == (none["id"], mayo["id"])
    assert [m["id"] for m in client.get(sauce).json()["modifiers"]] == [m["id"] for m in changed]
    assert client.patch(sauce, {"max_select": 3}).json()["modifiers"] == changed


def test_a_changed_price_leaves_a_modifier_sold_out(restaurant, manager, api):
    with restaurant_scope(restaurant.pk):
        Modifier.objects.filter(name="Bacon").update(is_sold_out=True)
    extras = row(restaurant, ModifierGroup, name="Extras")
    body = {"modifiers": [{"name": "Bacon", "price_minor": 175}, {"name": "Cheese", "price_minor": 100}]}
    changed = api(manager).patch(f"modifier-groups/{extras.pk}", body).json()["modifiers"]
    assert [(m["price_minor"], m["is_sold_out"]) for m in changed] == [(175, True), (100, False)]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"min_select": 3, "max_select": 2}, 422, "max_select"),
        ({"max_select": 0}, 400, "max_select"),
        ({"min_select": -1}, 400, "min_select"),
        ({"min_select": 2, "max_select": 2, "modifiers": [{"name": "One"}]}, 422, "modifiers"),
        ({"modifiers": [{"name": "A"}, {"name": "A"}]}, 422, "modifiers.1.name"),
        ({"modifiers": [{"price_minor": 5}]}, 400, "modifiers.0.name"),
        ({"modifiers": [{"name": "A", "price_minor": "5"}]}, 400, "modifiers.0.price_minor"),
        ({"modifiers": [{"name": "A", "price_minor": 10**9}]}, 400, "modifiers.0.price_minor"),
        ({"modifiers": [{"name": "A", "price": 5}]}, 400, "modifiers.0.price"),
        ({"modifiers": [{"name": "A", "id": str(uuid7())}]}, 422, "modifiers.0.id"),
        ({"modifiers": "A"}, 400, "modifiers"),
        ({"modifiers": ["A"]}, 400, "modifiers.0"),
        ({"modifiers": None}, 400, "modifiers"),
    ],
)
def test_a_wrong_group_names_the_field(restaurant, manager, api, body, status, field):
    extras = row(restaurant, ModifierGroup, name="Extras")
    before = snapshot(restaurant)
    for response in (
        api(manager).post("modifier-groups", {"name": "New", **body}),
        api(manager).patch(f"modifier-groups/{extras.pk}", body),
    ):
        assert response.status_code == status
        assert [error["field"] for error in response.json()["errors"]] == [field]
    assert snapshot(restaurant) == before


def test_a_strangers_modifier_cannot_be_taken_over(restaurant, other_restaurant, manager, api):
    theirs = row(other_restaurant, Modifier, name="Bacon")
    extras = row(restaurant, ModifierGroup, name="Extras")
    body = {"modifiers": [{"id": str(theirs.pk), "name": "Mine", "price_minor": 0}]}
    refused = api(manager).patch(f"modifier-groups/{extras.pk}", body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "modifiers.0.id")
    assert row(other_restaurant, Modifier, pk=theirs.pk).name == "Bacon"


# A tax class's rates


def test_a_tax_class_comes_with_its_rates(restaurant, manager, api):
    client = api(manager)
    rates = [
        {"dining_mode": "any", "percent": "12.5", "valid_from": "2021-10-01"},
        {"dining_mode": "any", "percent": "5", "valid_from": "2020-07-15"},
    ]
    made = client.post("tax-classes", {"name": "Hospitality", "rates": list(reversed(rates))})
    assert (made.status_code, made.json()["rates"]) == (201, rates)
    one = f"tax-classes/{made.json()['id']}"
    more = [{"dining_mode": "takeaway", "percent": "0", "valid_from": "2022-04-01"}, *rates]
    assert client.patch(one, {"rates": more}).json()["rates"] == more
    before = last_event(restaurant).seq
    assert client.patch(one, {"rates": more}).json()["rates"] == more
    assert last_event(restaurant).seq == before
    assert client.patch(one, {"rates": []}).json()["rates"] == []


@pytest.mark.parametrize(
    ("rate", "field"),
    [
        ({"percent": "-1"}, "rates.0.percent"),
        ({"percent": "100.001"}, "rates.0.percent"),
        ({"percent": "1.0001"}, "rates.0.percent"),
        ({"percent": "twenty"}, "rates.0.percent"),
        ({"percent": "NaN"}, "rates.0.percent"),
        ({"percent": None}, "rates.0.percent"),
        ({"dining_mode": "delivery"}, "rates.0.dining_mode"),
        ({"valid_from": "2026-02-30"}, "rates.0.valid_from"),
        ({"valid_from": None}, "rates.0.valid_from"),
    ],
)
def test_a_wrong_rate_names_the_field(restaurant, manager, api, rate, field):
    good = {"percent": "20", "dining_mode": "any", "valid_from": "2026-01-01"}
    before = snapshot(restaurant)
    refused = api(manager).post("tax-classes", {"name": "New", "rates": [{**good, **rate}]})
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    twice = api(manager).post("tax-classes", {"name": "New", "rates": [good, {**good, "percent": "5"}]})
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "rates.1.valid_from")
    assert snapshot(restaurant) == before


# Deleting


@pytest.mark.parametrize(
    ("kind", "name", "users"),
    [
        ("categories", "Mains", "menu items"),
        ("stations", "Bar", "menu items"),
        ("tax-classes", "Cold food", "menu items"),
        ("floors", "Main room", "tables"),
        ("modifier-groups", "Extras", "menu item modifier groups"),
    ],
)
def test_what_is_used_cannot_be_deleted(restaurant, manager, api, kind, name, users):
    used = row(restaurant, KINDS[kind], name=name)
    before = snapshot(restaurant)
    refused = api(manager).delete(f"{kind}/{used.pk}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert refused.json()["detail"] == f"This cannot be deleted: it is used by {users}."
    assert snapshot(restaurant) == before


def test_what_orders_name_is_taken_off_instead(restaurant, manager, waiter, api):
    burger, table = row(restaurant, MenuItem, code="BURGER"), row(restaurant, Table, name="T1")
    with restaurant_scope(restaurant.pk):
        now = datetime.datetime.now(datetime.UTC)
        order = Order.objects.create(
            number=1,
            kind="dine_in",
            table=table,
            currency="GBP",
            business_date=now.date(),
            opened_by_id=waiter.membership_id,
            opened_at=now,
        )
        OrderItem.objects.create(
            order=order,
            menu_item=burger,
            station_id=burger.station_id,
            name="Burger",
            quantity=1,
            unit_price_minor=1250,
            total_minor=1250,
            tax_percent=Decimal(20),
            position=1,
            added_by_id=waiter.membership_id,
            added_at=now,
        )
    for one in (f"items/{burger.pk}", f"tables/{table.pk}"):
        answer = api(manager).delete(one)
        assert (answer.status_code, answer.json()["is_active"]) == (200, False)
        assert api(manager).get(one).json() == answer.json()
        assert last_event(restaurant).payload["changed"] == ["is_active"]
        assert api(manager).patch(one, {"is_active": True}).json()["is_active"] is True
    menu = api(waiter).get("menu").json()
    assert "Burger" in [item["name"] for item in menu["categories"][0]["items"]]


def test_an_unused_item_goes_with_its_links_and_not_its_groups(restaurant, manager, api):
    burger = row(restaurant, MenuItem, code="BURGER")
    assert api(manager).delete(f"items/{burger.pk}").status_code == 204
    with restaurant_scope(restaurant.pk):
        assert not MenuItem.objects.filter(pk=burger.pk).exists()
        assert ModifierGroup.objects.count() == 2
    assert api(manager).delete(f"items/{burger.pk}").status_code == 404
