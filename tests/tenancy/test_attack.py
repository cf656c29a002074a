"""As the owner of one restaurant, throw every id of another at every URL, with every method.

Nothing of the other restaurant may appear in any answer, and not one byte of its rows may change.
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import get_resolver

from accounts.models import Membership, Role
from accounts.staff import Staff
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.models import tenant_models
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import MenuItem, Modifier, Restaurant, Table
from tests import factories
from tests.client import ApiClient

CANARY = "CANARY-7f3a"
METHODS = ("GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT", "PATCH")
# Rows that say only how far the database has come, not what a restaurant did.
NOT_FINGERPRINTED = {"accounts_staffsession"}


@dataclass
class World:
    attacker: Staff
    victim: Staff
    theirs: dict[str, str] = field(default_factory=dict)  # the victim's ids, one of each table
    mine: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def world(dba: Any) -> World:
    """A victim whose every kind of row exists, named by a canary, and an attacker with a like restaurant."""
    mine = factories.make_restaurant("Attacker's Arms")
    theirs = factories.make_restaurant(f"{CANARY} Inn")
    world = World(factories.staff(mine, Role.OWNER), factories.staff(theirs, Role.OWNER, f"{CANARY} Owner"))
    with restaurant_scope(theirs.pk):
        for model in (MenuItem, Modifier, Table):
            for row in model.objects.all():
                model.objects.filter(pk=row.pk).update(name=f"{CANARY} {row.name}"[:20])
    factories.device(theirs)
    _trade(theirs, world.victim)
    _trade(mine, world.attacker)
    world.theirs = _ids(dba, theirs.pk)
    world.mine = _ids(dba, mine.pk)
    assert {"orders_order", "payments_receipt", "orders_kitchenticket"} <= set(world.theirs)
    return world


def _ids(dba: Any, restaurant_id: int) -> dict[str, str]:
    """One id of every kind of row that the restaurant has."""
    ids = {}
    for table in (model._meta.db_table for model in tenant_models()):
        query = f'SELECT id::text FROM "{table}" WHERE restaurant_id = %s LIMIT 1'
        if found := dba.execute(query, [restaurant_id]).fetchone():
            ids[table] = found[0]
    return ids


def _trade(restaurant: Restaurant, owner: Staff) -> None:
    """One order sent and paid, and one still open."""
    client = ApiClient(owner)
    with restaurant_scope(restaurant.pk):
        burger = MenuItem.objects.get(code="BURGER")
        fries = MenuItem.objects.get(code="FRIES")
        rare = Modifier.objects.get(name__endswith="Rare")
        table = Table.objects.first()
    for paid in (True, False):
        order_id = str(uuid7())
        items = [
            {
                "id": str(uuid7()),
                "menu_item_id": str(burger.pk),
                "quantity": 1,
                "modifiers": [str(rare.pk)],
                "note": f"{CANARY} note" if CANARY in restaurant.name else "",
            },
            {"id": str(uuid7()), "menu_item_id": str(fries.pk), "quantity": 2},
        ]
        body = {
            "id": order_id,
            "kind": "dine_in",
            "table_id": str(table.pk),
            "covers": 2,
            "note": f"of {restaurant.name}",
            "items": items,
            "send": True,
        }
        assert client.post("orders", body).status_code == 201
        if paid:
            payment = {"id": str(uuid7()), "method": "cash", "tendered_minor": 5000}
            assert client.post(f"orders/{order_id}/payments", payment).status_code == 201
            assert client.post(f"orders/{order_id}/close").status_code in (200, 201)


def fingerprint(dba: Any, restaurant_id: int) -> dict[str, Any]:
    """The victim's rows, table by table, as one hash each."""
    prints = {}
    for model in tenant_models():
        table = model._meta.db_table
        if table not in NOT_FINGERPRINTED:
            prints[table] = dba.execute(
                f"SELECT count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY id), '-'))"
                f' FROM "{table}" t WHERE restaurant_id = %s',
                [restaurant_id],
            ).fetchone()
    prints["restaurant"] = dba.execute(
        "SELECT 1, md5(t::text) FROM restaurants_restaurant t WHERE id = %s", [restaurant_id]
    ).fetchone()
    return prints


def all_patterns() -> list[str]:
    """Every URL pattern, whole, such as api/v1/restaurants/<restaurant_id:restaurant_id>/orders."""
    found: list[str] = []

    def walk(resolver: Any, prefix: str) -> None:
        for pattern in resolver.url_patterns:
            whole = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                walk(pattern, whole)
            else:
                found.append(whole)

    walk(get_resolver(), "")
    return found


# What the ids in a URL are of, by their name or by the part of the path before them.
TABLES = {
    "membership_id": "accounts_membership",
    "device_id": "accounts_device",
    "order_id": "orders_order",
    "ticket_id": "orders_kitchenticket",
    "payment_id": "payments_paymentintent",
    "item_id": "orders_orderitem",
    "categories": "restaurants_menucategory",
    "items": "restaurants_menuitem",
    "modifiers": "restaurants_modifier",
    "modifier-groups": "restaurants_modifiergroup",
    "tax-classes": "restaurants_taxclass",
    "stations": "restaurants_kitchenstation",
    "floors": "restaurants_floor",
    "tables": "restaurants_table",
}
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def urls(world: World, pattern: str, restaurant_id: int) -> list[str]:
    """The pattern with the victim's ids; where it has two, also with the attacker's own before it."""
    pattern = pattern.replace("<restaurant_id:restaurant_id>", str(restaurant_id))
    pattern = re.sub(r"\(\?P<app_label>[^)]*\)", "orders", pattern)
    pattern = re.sub(r"\(\?P<\w+>[^)]*\)", "x", pattern)
    names = PARAMETER.findall(pattern)
    choices = [[world.theirs] * len(names)]
    if len(names) > 1:
        choices.append([world.mine] * (len(names) - 1) + [world.theirs])
    return ["/" + _filled(pattern, ids) for ids in choices]


def _filled(pattern: str, ids: list[dict[str, str]]) -> str:
    for chosen in ids:
        match = PARAMETER.search(pattern)
        assert match
        before = pattern[: match.start()].strip("/").split("/")
        table = TABLES.get(match[1]) or TABLES.get(before[-1]) or "_".join(before[-2:])
        value = chosen.get(table, chosen["orders_order"])
        pattern = pattern[: match.start()] + value + pattern[match.end() :]
    return re.sub(r"[\^$]", "", pattern)


def body_of(world: World) -> dict[str, Any]:
    """A body that names the victim's rows in every field that may name a row, and its restaurant."""
    body: dict[str, Any] = {}
    for model in apps.get_models():
        for f in model._meta.get_fields():
            if not getattr(f, "concrete", False):
                continue
            target = f.related_model._meta.db_table if f.is_relation else ""
            value = world.theirs.get(target, world.theirs["orders_order"])
            body |= {f.name: value, f"{f.name}_id": value}
    item = {"id": str(uuid7()), "menu_item_id": world.theirs["restaurants_menuitem"], "quantity": 1}
    body |= {"restaurant": world.victim.restaurant_id, "restaurant_id": world.victim.restaurant_id}
    body |= {"items": [item], "modifiers": [world.theirs["restaurants_modifier"]]}
    return body


def minimal_bodies(world: World) -> dict[str, dict[str, Any]]:
    """Well-formed bodies whose only fault is another restaurant's row in them."""
    theirs = world.theirs
    item = {"id": str(uuid7()), "menu_item_id": theirs["restaurants_menuitem"], "quantity": 1}
    dish = {
        "name": "Trojan horse",
        "price_minor": 100,
        "category_id": theirs["restaurants_menucategory"],
        "tax_class_id": theirs["restaurants_taxclass"],
        "station_id": theirs["restaurants_kitchenstation"],
    }
    order = {"id": str(uuid7()), "kind": "dine_in", "table_id": theirs["restaurants_table"], "covers": 2}
    return {
        "orders": {**order, "items": []},
        f"orders/{world.mine['orders_order']}/items": {"items": [item]},
        "items": dish,
        "tables": {"name": "T99", "floor_id": theirs["restaurants_floor"], "seats": 2},
    }


class Attack:
    def __init__(self, world: World, client: Client, headers: dict[str, str]) -> None:
        self.world = world
        self.client = client
        self.headers = headers
        self.requests = 0
        self.leaks: list[tuple[str, str, int]] = []
        self.failures: list[tuple[str, str, int]] = []
        self.admitted: list[tuple[str, str, int]] = []

    def go(self, method: str, url: str, data: Any = None, content_type: str = "application/json") -> Any:
        self.requests += 1
        headers = {**self.headers, "Idempotency-Key": str(uuid.uuid4()), "If-Match": '"1"'}
        body = json.dumps(data) if content_type == "application/json" and data is not None else data
        response = self.client.generic(
            method,
            url,
            body if isinstance(body, str) else _form(body),
            content_type=content_type,
            headers=headers,
        )
        content = b"".join(response.streaming_content) if response.streaming else response.content
        sent = f"{url}{body}".encode()  # a search box shows again what was typed
        if CANARY.encode() in content and CANARY.encode() not in sent:
            self.leaks.append((method, url, response.status_code))
        if response.status_code >= 500:
            self.failures.append((method, url, response.status_code))
        return response


def _form(data: Any) -> str:
    from urllib.parse import urlencode

    return urlencode(data or {})


def attack_api(world: World, methods: tuple[str, ...] = METHODS) -> Attack:
    token = factories.token_of(world.attacker)
    attack = Attack(world, Client(raise_request_exception=False), {"Authorization": f"Bearer {token}"})
    body = body_of(world)
    # Signing out would end the attacker's own session, and all that follows would be a 401.
    for pattern in [p for p in all_patterns() if p.startswith("api/v1/") and "sign-out" not in p]:
        for method in methods:
            data = body if method in ("POST", "PUT", "PATCH") else None
            for url in urls(world, pattern, world.attacker.restaurant_id):
                attack.go(method, url, data)
            if "restaurant_id" in pattern:
                for url in urls(world, pattern, world.victim.restaurant_id):
                    response = attack.go(method, url, data)
                    if response.status_code < 400 and method != "OPTIONS":
                        attack.admitted.append((method, url, response.status_code))
    return attack


def attack_back_office(world: World) -> Attack:
    client = Client(raise_request_exception=False)
    with restaurant_scope(world.attacker.restaurant_id):
        user = Membership.objects.select_related("user").get(pk=world.attacker.membership_id).user
    client.force_login(user)
    assert client.get("/admin/", follow=True).status_code == 200
    attack = Attack(world, client, {})
    form = {name: value for name, value in body_of(world).items() if isinstance(value, str | int)}
    form |= {"action": "delete_selected", "post": "yes"}
    for pattern in [p for p in all_patterns() if p.startswith("admin/") and "logout" not in p]:
        for url in urls(world, pattern, world.attacker.restaurant_id):
            for method in ("GET", "HEAD"):
                attack.go(method, url)
            table = "_".join(url.strip("/").split("/")[1:3])
            selected = {"_selected_action": world.theirs.get(table, "")}
            attack.go("POST", url, {**form, **selected}, content_type="application/x-www-form-urlencoded")
    for query in _admin_queries(world):
        attack.go("GET", query)
    return attack


def _admin_queries(world: World) -> Iterator[str]:
    for model in tenant_models():
        label, name = model._meta.app_label, model._meta.model_name
        page = f"/admin/{label}/{name}/"
        yield f"{page}?q={CANARY}"
        for f in model._meta.fields:
            if f.is_relation:
                value = world.theirs.get(f.related_model._meta.db_table, "1")
                yield f"{page}?{f.name}__id__exact={value}"
                yield f"/admin/autocomplete/?app_label={label}&model_name={name}&field_name={f.name}&term="


@pytest.mark.timeout(300)
def test_nothing_of_another_restaurant_leaks_or_changes_over_the_api(world, dba):
    before = fingerprint(dba, world.victim.restaurant_id)
    attack = attack_api(world)
    assert attack.requests > 500
    client = ApiClient(world.attacker)
    for path, data in minimal_bodies(world).items():
        assert client.post(path, data).status_code in (400, 404, 409, 422), path
    assert attack.leaks == []
    assert attack.failures == []
    assert attack.admitted == []
    assert fingerprint(dba, world.victim.restaurant_id) == before


@pytest.mark.timeout(300)
def test_nothing_of_another_restaurant_leaks_or_changes_in_the_back_office(world, dba):
    before = fingerprint(dba, world.victim.restaurant_id)
    attack = attack_back_office(world)
    assert attack.requests > 200
    assert attack.leaks == []
    assert attack.failures == []
    assert fingerprint(dba, world.victim.restaurant_id) == before


@pytest.mark.timeout(300)
@pytest.mark.parametrize("table", ["restaurants_table", "restaurants_menuitem"])
def test_the_attack_notices_an_open_fence(world, dba, table):
    before = fingerprint(dba, world.victim.restaurant_id)
    dba.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    try:
        attack = attack_api(world, methods=("GET",))
        after = fingerprint(dba, world.victim.restaurant_id)
    finally:
        dba.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    assert attack.leaks or after != before
