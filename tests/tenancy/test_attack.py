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
    ids: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)


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
    for model in tenant_models():
        table = model._meta.db_table
        found = dba.execute(
            f'SELECT id::text FROM "{table}" WHERE restaurant_id = %s LIMIT 1', [theirs.pk]
        ).fetchone()
        if found:
            world.ids.append(found[0])
    return world


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


def concrete(pattern: str, restaurant_id: int, value: str) -> str:
    """A URL of the pattern with the restaurant and, everywhere else, the value."""

    def fill(match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        if name == "restaurant_id":
            return str(restaurant_id)
        if kind == "int" or name == "content_type_id":
            return "1"
        return {"format": "json", "app_label": "orders"}.get(name, value)

    url = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda m: value, pattern)
    url = re.sub(r"<(?:(\w+):)?(\w+)>", fill, url)
    return "/" + re.sub(r"[\^$\\]|\\Z", "", url).replace("/?", "/")


def body_of(world: World, value: str) -> dict[str, Any]:
    """A body that names the victim's rows under every name a field may have."""
    names = {
        field.name
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if getattr(field, "concrete", False)
    }
    body: dict[str, Any] = {name: value for name in names}
    body |= {f"{name}_id": value for name in names}
    body |= {"restaurant": world.victim.restaurant_id, "restaurant_id": world.victim.restaurant_id}
    body |= {"items": [{"id": str(uuid7()), "menu_item_id": value, "quantity": 1}], "modifiers": [value]}
    return body


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
        if CANARY.encode() in content:
            self.leaks.append((method, url, response.status_code))
        if response.status_code >= 500:
            self.failures.append((method, url, response.status_code))
        return response


def _form(data: Any) -> str:
    from urllib.parse import urlencode

    return urlencode(data or {})


def attack_api(world: World) -> Attack:
    attack = Attack(
        world,
        Client(raise_request_exception=False),
        {"Authorization": f"Bearer {factories.token_of(world.attacker)}"},
    )
    patterns = [p for p in all_patterns() if p.startswith("api/v1/")]
    for pattern in patterns:
        has_ids = len(re.findall(r"<", pattern)) > 1
        for value in world.ids if has_ids else world.ids[:1]:
            for method in METHODS:
                data = body_of(world, value) if method in ("POST", "PUT", "PATCH") else None
                attack.go(method, concrete(pattern, world.attacker.restaurant_id, value), data)
                if "restaurant_id" in pattern:
                    url = concrete(pattern, world.victim.restaurant_id, value)
                    response = attack.go(method, url, data)
                    if response.status_code < 400:
                        attack.admitted.append((method, url, response.status_code))
    return attack


def attack_back_office(world: World) -> Attack:
    client = Client(raise_request_exception=False)
    with restaurant_scope(world.attacker.restaurant_id):
        user = Membership.objects.select_related("user").get(pk=world.attacker.membership_id).user
    client.force_login(user)
    client.get("/admin/", follow=True)
    attack = Attack(world, client, {})
    for pattern in [p for p in all_patterns() if p.startswith("admin/") and "logout" not in p]:
        for value in world.ids if "<" in pattern or "(?P" in pattern else world.ids[:1]:
            url = concrete(pattern, world.attacker.restaurant_id, value)
            for method in ("GET", "HEAD", "OPTIONS"):
                attack.go(method, url)
            form = {k: v for k, v in body_of(world, value).items() if isinstance(v, str | int)}
            form |= {"action": "delete_selected", "_selected_action": value, "post": "yes"}
            attack.go("POST", url, form, content_type="application/x-www-form-urlencoded")
    for query in _admin_queries(world):
        attack.go("GET", query)
    return attack


def _admin_queries(world: World) -> Iterator[str]:
    for model in tenant_models():
        page = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield f"{page}?q={CANARY}"
        yield f"{page}?all=&o=1"
        for related in (f.name for f in model._meta.fields if f.is_relation):
            yield f"{page}?{related}__id__exact={world.ids[0]}"
            yield (
                f"/admin/autocomplete/?app_label={model._meta.app_label}"
                f"&model_name={model._meta.model_name}&field_name={related}&term={CANARY[:3]}"
            )


@pytest.mark.timeout(300)
def test_nothing_of_another_restaurant_leaks_or_changes_over_the_api(world, dba):
    before = fingerprint(dba, world.victim.restaurant_id)
    attack = attack_api(world)
    assert attack.requests > 500
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
@pytest.mark.parametrize("table", ["orders_order", "restaurants_menuitem"])
def test_the_attack_notices_an_open_fence(world, dba, table):
    before = fingerprint(dba, world.victim.restaurant_id)
    dba.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    try:
        attack = attack_api(world)
        after = fingerprint(dba, world.victim.restaurant_id)
    finally:
        dba.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    assert attack.leaks or after != before
