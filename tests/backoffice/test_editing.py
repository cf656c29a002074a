"""What managers change, and what nobody changes here."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.utils import timezone

from accounts.models import Device, Membership
from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import Payout, ReconciliationRun, WebhookEvent
from payments.services.accounts import add_account
from restaurants.models import Floor, MenuItem, ModifierGroup, Restaurant, TaxClass
from tests.client import ApiClient
from tests.orders.scene import look_at
from tests.payments.bills import paid_and_closed
from tests.payments.drawers import close_day_of, count, make_drawer, open_with, today_of


def make_rows(restaurant, owner):
    """A bill from its first item to its receipt, paid into a drawer, and the day closed."""
    client = ApiClient(owner)
    session = open_with(client, make_drawer(restaurant), 0).json()
    closed = paid_and_closed(client, look_at(restaurant).order(look_at(restaurant).burger()))
    payment = closed["receipt"]["payments"][0]["id"]
    client.post(f"payments/{payment}/refunds", {"id": str(uuid7()), "reason": "Cold", "amount_minor": 250})
    count(client, session, 1000)
    assert close_day_of(client, today_of(restaurant)).status_code == 201
    now = timezone.now()
    with restaurant_scope(restaurant.pk):
        account = add_account(provider="stripe", secrets={"secret_key": "sk_test_x"})
        ReconciliationRun.objects.create(account=account, since=now, until=now, started_at=now)
        Payout.objects.create(
            account=account,
            provider_ref="po_1",
            amount_minor=1,
            currency="GBP",
            status="paid",
            created_at=now,
        )
        WebhookEvent.objects.create(
            account=account, event_id="evt_1", kind="x", raw=b"{}", next_try_at=now, received_at=now
        )


READ_ONLY = sorted(
    (model._meta.app_label, model._meta.model_name)
    for model, page in admin.site._registry.items()
    if not page.can_change
)


def errors_of(answer):
    return [
        text
        for form in [answer.context["adminform"].form]
        for errors in form.errors.values()
        for text in errors
    ]


def menu_item(restaurant, name="Burger"):
    with restaurant_scope(restaurant.pk):
        return MenuItem.objects.get(name=name)


def item_form(item, **changes):
    return {
        **{"name": item.name, "code": item.code, "description": "", "price_minor": "12.50"},
        **{"category": item.category_id, "tax_class": item.tax_class_id, "station": item.station_id},
        **{"position": item.position, "is_active": "on"},
        **{"group_links-TOTAL_FORMS": "0", "group_links-INITIAL_FORMS": "0"},
        **changes,
    }


def events(restaurant, kind):
    with restaurant_scope(restaurant.pk):
        return list(Event.objects.filter(kind=kind).order_by("seq"))


def test_a_price_is_typed_as_people_write_it(restaurant, manager, office):
    item = menu_item(restaurant)
    client = office(manager)
    place = f"/admin/restaurants/menuitem/{item.pk}/change/"
    assert 'value="12.50"' in client.get(place).content.decode()
    assert client.post(place, item_form(item, price_minor="13.05")).status_code == 302
    assert menu_item(restaurant).price_minor == 1305
    (event,) = events(restaurant, "menu.changed")
    assert event.payload["row"]["price_minor"] == 1305
    assert event.actor["name"] == manager.name


@pytest.mark.parametrize("price", ["12.345", "lots", "", "-1", "1e3000", "NaN"])
def test_what_is_no_price_is_refused_at_the_field(restaurant, manager, office, price):
    item = menu_item(restaurant)
    place = f"/admin/restaurants/menuitem/{item.pk}/change/"
    answer = office(manager).post(place, item_form(item, price_minor=price))
    assert answer.status_code == 200
    assert "price_minor" in answer.context["adminform"].form.errors
    assert menu_item(restaurant).price_minor == 1250


@pytest.mark.parametrize(("field", "value"), [("name", "Fries"), ("code", "FRIES")])
def test_a_name_or_code_that_is_taken_is_refused_at_the_field(restaurant, manager, office, field, value):
    item = menu_item(restaurant)
    place = f"/admin/restaurants/menuitem/{item.pk}/change/"
    answer = office(manager).post(place, item_form(item, **{field: value}))
    assert answer.context["adminform"].form.errors == {field: [f"Another menu item here has this {field}."]}


def test_a_floor_is_made_with_its_tables(restaurant, manager, office):
    form = {
        **{"name": "Terrace", "position": "1", "tables-TOTAL_FORMS": "2", "tables-INITIAL_FORMS": "0"},
        **{
            "tables-0-name": "O1",
            "tables-0-seats": "4",
            "tables-0-position": "0",
            "tables-0-is_active": "on",
        },
        **{
            "tables-1-name": "O2",
            "tables-1-seats": "2",
            "tables-1-position": "1",
            "tables-1-is_active": "on",
        },
    }
    client = office(manager)
    twice = client.post("/admin/restaurants/floor/add/", {**form, "tables-1-name": "O1"})
    assert twice.status_code == 200
    taken = client.post("/admin/restaurants/floor/add/", {**form, "tables-1-name": "T1"})
    assert "Another table here has this name." in taken.content.decode()
    assert client.post("/admin/restaurants/floor/add/", form).status_code == 302
    with restaurant_scope(restaurant.pk):
        assert list(Floor.objects.get(name="Terrace").tables.values_list("name", "seats")) == [
            ("O1", 4),
            ("O2", 2),
        ]
    assert [event.payload["change"] for event in events(restaurant, "floor.changed")] == ["created"]


def test_a_group_with_its_modifiers_and_a_tax_class_with_its_rates(restaurant, manager, office):
    client = office(manager)
    group = {
        **{"name": "Sauces", "min_select": "0", "max_select": "1"},
        **{"modifiers-TOTAL_FORMS": "1", "modifiers-INITIAL_FORMS": "0", "modifiers-0-name": "Pepper"},
        **{"modifiers-0-price_minor": "0.80", "modifiers-0-position": "0"},
    }
    assert client.post("/admin/restaurants/modifiergroup/add/", group).status_code == 302
    rates = {
        **{"name": "Alcohol", "rates-TOTAL_FORMS": "1", "rates-INITIAL_FORMS": "0", "rates-0-percent": "20"},
        **{"rates-0-dining_mode": "any", "rates-0-valid_from": "2026-01-01"},
    }
    assert client.post("/admin/restaurants/taxclass/add/", rates).status_code == 302
    with restaurant_scope(restaurant.pk):
        sauces = ModifierGroup.objects.get(name="Sauces").modifiers.values_list("name", "price_minor")
        assert list(sauces) == [("Pepper", 80)]
        assert str(TaxClass.objects.get(name="Alcohol").rates.get()) == "20 %"


def test_the_restaurants_own_row(restaurant, owner, office):
    client = office(owner)
    place = f"/admin/restaurants/restaurant/{restaurant.pk}/change/"
    form = {
        **{"name": "The Copper Pan", "timezone": "Europe/London", "business_day_cutoff": "04:00"},
        **{"warn_after_seconds": "300", "late_after_seconds": "600", "vat_number": "GB123456789"},
        **{"service_charge_kind": "none", "service_charge_percent": "0", "service_charge_min_covers": "1"},
        **{"refund_limit_minor": "20.00", "currency": "JPY", "slug": "stolen", "status": "suspended"},
    }
    assert client.post(place, {**form, "timezone": "Mars/Base"}).status_code == 200
    assert client.post(place, form).status_code == 302
    with restaurant_scope(restaurant.pk):
        row = Restaurant.objects.get()
    assert (row.name, row.vat_number, row.warn_after_seconds) == ("The Copper Pan", "GB123456789", 300)
    assert (row.currency, row.slug, row.status) == ("GBP", restaurant.slug, "active")
    assert [event.payload["changed"] for event in events(restaurant, "restaurant.changed")] == [
        ["name", "vat_number", "warn_after_seconds"]
    ]


def test_the_team_is_changed_by_its_services(restaurant, owner, manager, office):
    client = office(manager)
    new = {"name": "Wanda", "role": "waiter", "email": "", "pin": "4711"}
    assert client.post("/admin/accounts/membership/add/", {**new, "pin": "1234"}).status_code == 200
    assert client.post("/admin/accounts/membership/add/", new).status_code == 302
    again = client.post("/admin/accounts/membership/add/", new)
    assert errors_of(again) == ["The name Wanda is taken in this restaurant."]
    boss = client.post("/admin/accounts/membership/add/", {**new, "name": "Bo", "role": "owner"})
    assert errors_of(boss) == ["Only an owner may make or change an owner."]
    with restaurant_scope(restaurant.pk):
        wanda = Membership.objects.get(name="Wanda")
        assert not Membership.objects.filter(name="Bo").exists()
    assert wanda.pin_hash
    place = f"/admin/accounts/membership/{wanda.pk}/change/"
    assert client.post(place, {"name": "Wanda", "role": "waiter", "pin": ""}).status_code == 302
    with restaurant_scope(restaurant.pk):
        assert not Membership.objects.get(pk=wanda.pk).is_active
    assert client.post(f"/admin/accounts/membership/{wanda.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_device_gets_a_code_once_and_is_revoked(restaurant, manager, office):
    client = office(manager)
    page = client.post("/admin/accounts/device/add/", {"name": "Bar till", "kind": "till"}, follow=True)
    (code,) = re.findall(r'class="join-code">([A-Z0-9]{8})<', page.content.decode())
    assert code not in client.get("/admin/accounts/device/").content.decode()
    taken = client.post("/admin/accounts/device/add/", {"name": "Bar till", "kind": "till"})
    assert errors_of(taken) == ["The name Bar till is taken in this restaurant."]
    with restaurant_scope(restaurant.pk):
        device = Device.objects.get(name="Bar till")
    form = {"action": "revoke", "_selected_action": [str(device.pk)]}
    assert client.post("/admin/accounts/device/", form).status_code == 302
    with restaurant_scope(restaurant.pk):
        assert Device.objects.get(pk=device.pk).revoked_at
    assert [event.kind for event in events(restaurant, "device.revoked")] == ["device.revoked"]


@pytest.mark.parametrize(("app", "model"), READ_ONLY)
def test_nobody_writes_what_is_only_to_look_at(restaurant, owner, office, app, model):
    make_rows(restaurant, owner)
    rows = apps.get_model(app, model)
    with restaurant_scope(restaurant.pk):
        before = list(rows.objects.order_by("pk").values())
    assert before
    client, place = office(owner), f"/admin/{app}/{model}/"
    key = before[0]["id"]
    assert client.get(f"{place}{key}/change/").status_code == 200
    answers = [
        client.post(f"{place}add/", {"name": "x"}),
        client.post(f"{place}{key}/change/", {"status": "voided", "state": "canceled"}),
        client.post(f"{place}{key}/delete/", {"post": "yes"}),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    client.post(place, {"action": "delete_selected", "_selected_action": [str(key)], "post": "yes"})
    with restaurant_scope(restaurant.pk):
        assert list(rows.objects.order_by("pk").values()) == before
