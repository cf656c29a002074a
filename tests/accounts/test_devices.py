"""Joining a till or a screen by a code, and no longer trusting it."""

import datetime
import threading
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Device
from accounts.services.devices import JOIN_CODE_LETTERS
from accounts.tokens import hash_token
from fynlo.tenancy.scope import restaurant_scope
from tests import factories
from tests.client import ApiClient

from .conftest import PIN, give_pin, row, suspend


def create(caller, name="Bar till", kind="till"):
    return ApiClient(caller).post("devices", {"name": name, "kind": kind})


def join(restaurant_id, code):
    return ApiClient(restaurant_id=restaurant_id).post("devices/join", {"code": code})


def with_token(restaurant_id, token, path="me"):
    return ApiClient(restaurant_id=restaurant_id).get(path, Authorization=f"Bearer {token}")


def devices(restaurant):
    with restaurant_scope(restaurant.pk):
        return list(Device.objects.order_by("pk").values())


def test_a_manager_makes_a_device_with_a_code_that_lapses(restaurant, manager, events):
    before = timezone.now()
    response = create(manager)
    assert response.status_code == 201
    body = response.json()
    with restaurant_scope(restaurant.pk):
        device = Device.objects.get(pk=body["device"]["id"])
    assert len(body["join_code"]) == 8
    assert set(body["join_code"]) <= set(JOIN_CODE_LETTERS)
    assert not set(JOIN_CODE_LETTERS) & set("01OIL")
    assert device.join_code_hash == hash_token(body["join_code"])
    life = device.join_code_expires_at - before
    assert datetime.timedelta(minutes=10) <= life < datetime.timedelta(minutes=11)
    assert body["device"] == {
        "id": str(device.pk),
        "name": "Bar till",
        "kind": "till",
        "created_at": device.created_at.isoformat().replace("+00:00", "Z"),
        "joined_at": None,
        "last_seen_at": None,
        "revoked_at": None,
    }
    assert body["expires_at"] == device.join_code_expires_at.isoformat().replace("+00:00", "Z")
    (event,) = events()
    assert (event.kind, event.subject_id, event.payload) == (
        "device.created",
        device.pk,
        {"id": str(device.pk), "name": "Bar till", "kind": "till", "joined_at": None},
    )


def test_no_stored_answer_holds_the_code(restaurant, manager, dba):
    create(manager)
    stored = dba.execute(
        "SELECT count(*) FROM api_idempotencykey WHERE restaurant_id = %s", [restaurant.pk]
    ).fetchone()
    assert stored == (0,)


def test_a_device_joins_by_its_code_once(restaurant, manager, events):
    code = create(manager, "Pass", "kitchen").json()["join_code"]
    response = join(restaurant.pk, code)
    assert response.status_code == 200
    body = response.json()
    assert body == {
        "token": body["token"],
        "device": {"id": body["device"]["id"], "name": "Pass", "kind": "kitchen"},
        "restaurant": {"id": restaurant.pk, "name": "The Copper Pot"},
    }
    me = with_token(restaurant.pk, body["token"]).json()
    assert (me["staff"], me["device"]) == (None, body["device"])
    with restaurant_scope(restaurant.pk):
        device = Device.objects.get(pk=body["device"]["id"])
    assert (device.token_hash, device.join_code_hash, device.join_code_expires_at) == (
        hash_token(body["token"]),
        "",
        None,
    )
    assert device.joined_at is not None
    joined = events()[1]
    assert (joined.kind, joined.actor) == (
        "device.joined",
        {"membership": None, "name": "Pass", "device": str(device.pk)},
    )
    again = join(restaurant.pk, code)
    assert (again.status_code, again.json()["code"]) == (422, "wrong_code")
    assert with_token(restaurant.pk, body["token"]).status_code == 200


@pytest.mark.parametrize("write", [str.lower, lambda c: f" {c[:4]}-{c[4:]} ", lambda c: f"{c[:2]} {c[2:]}"])
def test_a_code_may_be_typed_as_people_type(restaurant, manager, write):
    assert join(restaurant.pk, write(create(manager).json()["join_code"])).status_code == 200


@pytest.mark.parametrize("case", ["lapsed", "wrong", "of another restaurant", "revoked"])
def test_a_code_that_does_not_count_says_no_more_than_that(restaurant, other_restaurant, manager, case):
    made = create(manager).json()
    code, where = made["join_code"], restaurant.pk
    if case == "lapsed":
        with restaurant_scope(restaurant.pk):
            Device.objects.update(join_code_expires_at=timezone.now())
    elif case == "wrong":
        code = "ABCD2345"
    elif case == "of another restaurant":
        where = other_restaurant.pk
    else:
        ApiClient(manager).post(f"devices/{made['device']['id']}/revoke")
    before = devices(restaurant)
    response = join(where, code)
    body = response.json()
    assert (response.status_code, body["code"], body["errors"]) == (
        422,
        "wrong_code",
        [
            {
                "field": "code",
                "code": "wrong_code",
                "detail": "This code is wrong, used or out of date. Ask a manager for a new one.",
            }
        ],
    )
    assert devices(restaurant) == before


def test_two_devices_with_one_code_at_once_join_once(restaurant, manager):
    code = create(manager).json()["join_code"]
    start = threading.Barrier(8)
    statuses = []

    def run():
        start.wait()
        try:
            statuses.append(join(restaurant.pk, code).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [422] * 7


def test_a_suspended_restaurant_joins_nothing(restaurant, manager):
    code = create(manager).json()["join_code"]
    suspend(restaurant)
    before = devices(restaurant)
    response = join(restaurant.pk, code)
    assert (response.status_code, response.json()["code"]) == (403, "restaurant_suspended")
    assert devices(restaurant) == before


def test_a_revoked_device_and_everybody_on_it_are_out(restaurant, manager, waiter, till, api, events):
    give_pin(waiter)
    signed_in = api(till).post("sign-in/pin", {"membership_id": str(waiter.membership_id), "pin": PIN}).json()
    response = api(manager).post(f"devices/{till.device_id}/revoke")
    assert response.status_code == 200
    assert response.json()["revoked_at"] == row(till).revoked_at.isoformat().replace("+00:00", "Z")
    assert (row(till).token_hash, row(till).join_code_hash) == ("", "")

    refused = api(till).get("me")
    assert (refused.status_code, refused.json()["code"]) == (401, "device_revoked")
    refused = with_token(restaurant.pk, signed_in["token"])
    assert (refused.status_code, refused.json()["code"]) == (401, "sign_in_again")
    assert api(waiter).get("me").status_code == 200  # signed in elsewhere, by password
    assert [(e.kind, e.subject_id) for e in events()[1:]] == [("device.revoked", till.device_id)]

    assert api(manager).post(f"devices/{till.device_id}/revoke").status_code == 200
    assert len(events()) == 2  # once


def test_a_new_code_replaces_the_tablet_and_revives_a_revoked_device(restaurant, manager, waiter, till, api):
    give_pin(waiter)
    signed_in = api(till).post("sign-in/pin", {"membership_id": str(waiter.membership_id), "pin": PIN}).json()
    code = api(manager).post(f"devices/{till.device_id}/code").json()["join_code"]
    assert api(till).get("me").status_code == 200  # until the code is used
    token = join(restaurant.pk, code).json()["token"]
    assert api(till).get("me").status_code == 401
    assert with_token(restaurant.pk, signed_in["token"]).status_code == 401
    assert with_token(restaurant.pk, token).json()["device"]["id"] == str(till.device_id)

    api(manager).post(f"devices/{till.device_id}/revoke")
    code = api(manager).post(f"devices/{till.device_id}/code").json()["join_code"]
    assert row(till).revoked_at is not None
    newest = join(restaurant.pk, code).json()["token"]
    assert with_token(restaurant.pk, newest).status_code == 200
    assert with_token(restaurant.pk, token).status_code == 401
    # Signed in before the revocation: ended for good.
    assert with_token(restaurant.pk, signed_in["token"]).status_code == 401


def test_a_new_code_takes_the_place_of_the_old(restaurant, manager, api):
    made = create(manager).json()
    renewed = api(manager).post(f"devices/{made['device']['id']}/code").json()
    assert join(restaurant.pk, made["join_code"]).status_code == 422
    assert join(restaurant.pk, renewed["join_code"]).status_code == 200


def test_a_device_is_renamed(manager, till, api, events):
    response = api(manager).patch(f"devices/{till.device_id}", {"name": 'The "old" till 🍺'})
    assert (response.status_code, response.json()["name"]) == (200, 'The "old" till 🍺')
    assert row(till).name == 'The "old" till 🍺'
    assert [(e.kind, e.payload["name"]) for e in events()] == [("device.changed", 'The "old" till 🍺')]
    assert api(manager).patch(f"devices/{till.device_id}", {"name": 'The "old" till 🍺'}).status_code == 200
    assert len(events()) == 1


def test_names_are_unique_in_a_restaurant(restaurant, manager, till, screen, events):
    before = devices(restaurant)
    for response in [
        create(manager, till.name),
        ApiClient(manager).patch(f"devices/{screen.device_id}", {"name": till.name}),
    ]:
        assert (response.status_code, response.json()["code"]) == (409, "name_taken")
        assert response.json()["errors"][0]["field"] == "name"
    assert devices(restaurant) == before
    assert events() == []


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_costs_three_statements_whatever_its_length(restaurant, manager, count):
    made = sorted(factories.device(restaurant).name for _ in range(count))
    client = ApiClient(manager)
    with CaptureQueriesContext(connection) as captured:
        listed = client.get("devices").json()["results"]
    assert [device["name"] for device in listed] == made
    assert set(listed[0]) == {"id", "name", "kind", "created_at", "joined_at", "last_seen_at", "revoked_at"}
    assert len(captured) == 3  # who is calling, the devices, commit


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"kind": "till"}, "name", "required"),
        ({"name": " ", "kind": "till"}, "name", "blank"),
        ({"name": "x" * 61, "kind": "till"}, "name", "max_length"),
        ({"name": True, "kind": "till"}, "name", "invalid"),
        ({"name": "Till"}, "kind", "required"),
        ({"name": "Till", "kind": "oven"}, "kind", "invalid_choice"),
    ],
)
def test_bad_input_names_the_field_and_makes_nothing(restaurant, manager, body, field, code):
    response = ApiClient(manager).post("devices", body)
    assert response.status_code == 400
    assert [(e["field"], e["code"]) for e in response.json()["errors"]] == [(field, code)]
    assert devices(restaurant) == []


@pytest.mark.parametrize("code", [None, "", "  ", 12345678, ["A"], "A" * 41])
def test_a_malformed_code_names_the_field(restaurant, code):
    response = join(restaurant.pk, code)
    assert response.status_code == 400
    assert [e["field"] for e in response.json()["errors"]] == ["code"]


def test_a_code_of_letters_nobody_has_is_just_wrong(restaurant):
    for code in ("----", "ÄÖÜ", "💥" * 8, str(uuid.uuid4())):
        assert join(restaurant.pk, code).json()["code"] == "wrong_code"
