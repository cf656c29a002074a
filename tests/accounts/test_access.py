"""Every endpoint meets everybody: nobody, the stranger, and each role."""

import uuid

import pytest

from accounts.models import Device, Membership, StaffSession
from fynlo.events.models import Event
from fynlo.tenancy.scope import restaurant_scope
from tests.client import ApiClient

# Method, path, body, and the status for each caller of the restaurant itself.
ENDPOINTS = [
    ("GET", "me", None, {"till": 200, "cook": 200, "waiter": 200, "manager": 200, "owner": 200}),
    ("GET", "staff", None, {"till": 200, "cook": 200, "waiter": 200, "manager": 200, "owner": 200}),
    (
        "POST",
        "staff",
        {"name": "New", "role": "waiter"},
        {"till": 403, "cook": 403, "waiter": 403, "manager": 201, "owner": 201},
    ),
    (
        "PATCH",
        "staff/{member}",
        {"name": "Renamed"},
        {"till": 403, "cook": 403, "waiter": 403, "manager": 200, "owner": 200},
    ),
    (
        "PUT",
        "staff/{member}/pin",
        {"pin": "4711"},
        {"till": 403, "cook": 403, "waiter": 403, "manager": 204, "owner": 204},
    ),
    ("GET", "devices", None, {"till": 403, "cook": 403, "waiter": 403, "manager": 200, "owner": 200}),
    (
        "POST",
        "devices",
        {"name": "New", "kind": "till"},
        {"till": 403, "cook": 403, "waiter": 403, "manager": 201, "owner": 201},
    ),
    (
        "PATCH",
        "devices/{device}",
        {"name": "Renamed"},
        {"till": 403, "cook": 403, "waiter": 403, "manager": 200, "owner": 200},
    ),
    (
        "POST",
        "devices/{device}/code",
        {},
        {"till": 403, "cook": 403, "waiter": 403, "manager": 200, "owner": 200},
    ),
    (
        "POST",
        "devices/{device}/revoke",
        {},
        {"till": 403, "cook": 403, "waiter": 403, "manager": 200, "owner": 200},
    ),
    (
        "POST",
        "sign-in/pin",
        {"membership_id": "{member}", "pin": "4711"},
        {"till": 403, "cook": 403, "waiter": 403, "manager": 403, "owner": 403},  # a till gets wrong_pin
    ),
    ("POST", "sign-out", {}, {"till": 403, "cook": 204, "waiter": 204, "manager": 204, "owner": 204}),
]


def fill(value, **ids):
    if isinstance(value, dict):
        return {key: fill(part, **ids) for key, part in value.items()}
    return value.format(**ids) if isinstance(value, str) else value


def everything(restaurant_id):
    with restaurant_scope(restaurant_id):
        rows = (Membership, Device, StaffSession, Event)
        return [list(model.objects.order_by("pk").values()) for model in rows]


@pytest.fixture
def target(restaurant, screen):
    """A member and a device that nobody in the tests is."""
    with restaurant_scope(restaurant.pk):
        member = Membership.objects.create(name="Target", role="waiter")
    return {"member": str(member.pk), "device": str(screen.device_id)}


@pytest.mark.parametrize(("method", "path", "body", "statuses"), ENDPOINTS)
@pytest.mark.parametrize("role", ["till", "cook", "waiter", "manager", "owner"])
def test_each_role(request, target, method, path, body, statuses, role):
    caller = request.getfixturevalue(role)
    before = everything(caller.restaurant_id)
    response = ApiClient(caller).request(method, fill(path, **target), fill(body, **target))
    assert response.status_code == statuses[role], response.content
    if response.status_code == 403:
        assert response["Content-Type"] == "application/problem+json"
        assert everything(caller.restaurant_id) == before


@pytest.mark.parametrize(("method", "path", "body", "statuses"), ENDPOINTS)
def test_nobody_and_the_stranger(restaurant, stranger, target, method, path, body, statuses):
    before = everything(restaurant.pk)
    path, body = fill(path, **target), fill(body, **target)
    answers = {
        "nobody": ApiClient(restaurant_id=restaurant.pk).request(method, path, body),
        "stranger": ApiClient(stranger, restaurant_id=restaurant.pk).request(method, path, body),
    }
    assert {who: (a.status_code, a.json()["code"]) for who, a in answers.items()} == {
        "nobody": (401, "not_authenticated"),
        "stranger": (403, "wrong_restaurant"),
    }
    assert everything(restaurant.pk) == before


@pytest.mark.parametrize(("method", "path", "body", "statuses"), [e for e in ENDPOINTS if "{" in e[1]])
def test_the_strangers_own_urls_do_not_reach_here(restaurant, stranger, target, method, path, body, statuses):
    before = everything(restaurant.pk)
    for ids in (target, {"member": str(uuid.uuid4()), "device": str(uuid.uuid4())}):
        response = ApiClient(stranger).request(method, fill(path, **ids), body)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert everything(restaurant.pk) == before


@pytest.mark.parametrize("path", ["staff", "devices/{device}/revoke"])
def test_posts_need_an_idempotency_key(manager, target, path):
    response = ApiClient(manager).post(
        path.format(**target), {"name": "New", "role": "waiter"}, Idempotency_Key=""
    )
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_invalid")
