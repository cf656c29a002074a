"""86: sold out, and back."""

import pytest

from accounts.models import Device
from fynlo.events.models import Event
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import MenuItem, Modifier, Restaurant
from tests import factories

KINDS = [("items", "item", MenuItem, "Burger"), ("modifiers", "modifier", Modifier, "Bacon")]


def state(restaurant):
    with restaurant_scope(restaurant.pk):
        return (
            list(MenuItem.objects.order_by("pk").values("name", "is_sold_out")),
            list(Modifier.objects.order_by("pk").values("name", "is_sold_out")),
            Restaurant.objects.get().menu_version,
            list(Event.objects.order_by("seq").values("kind", "payload")),
        )


def find(restaurant, model, name):
    with restaurant_scope(restaurant.pk):
        return model.objects.get(name=name)


@pytest.mark.parametrize(("path", "what", "model", "name"), KINDS)
def test_it_sells_out_and_comes_back(restaurant, waiter, api, path, what, model, name):
    row = find(restaurant, model, name)
    url = f"{path}/{row.pk}/sold-out"
    for is_sold_out, kind in ((True, f"{what}.sold_out"), (False, f"{what}.back")):
        version = state(restaurant)[2]
        answer = api(waiter).post(url, {"is_sold_out": is_sold_out})
        document = {"id": str(row.pk), "name": name, "is_sold_out": is_sold_out}
        assert (answer.status_code, answer.json()) == (200, document)
        assert find(restaurant, model, name).is_sold_out is is_sold_out
        with restaurant_scope(restaurant.pk):
            event = Event.objects.latest("seq")
        assert (event.kind, event.subject_id) == (kind, row.pk)
        assert event.payload == {**document, "menu_version": version + 1}
        assert event.actor["name"] == waiter.name

        # Said again it changes nothing: no event, no new version.
        before = state(restaurant)
        assert api(waiter).post(url, {"is_sold_out": is_sold_out}).json() == document
        assert state(restaurant) == before


@pytest.mark.parametrize(("path", "what", "model", "name"), KINDS)
def test_who_may(restaurant, owner, manager, waiter, cook, stranger, api, path, what, model, name):
    row = find(restaurant, model, name)
    url = f"{path}/{row.pk}/sold-out"
    screen = factories.device(restaurant, Device.Kind.KITCHEN)
    for n, caller in enumerate((owner, manager, waiter, cook, screen)):
        assert api(caller).post(url, {"is_sold_out": n % 2 == 0}).status_code == 200
    before = state(restaurant)
    assert api(factories.device(restaurant)).post(url, {"is_sold_out": False}).status_code == 403
    assert api(restaurant_id=restaurant.pk).post(url, {"is_sold_out": False}).status_code == 401
    assert api(stranger, restaurant_id=restaurant.pk).post(url, {"is_sold_out": False}).status_code == 403
    assert api(stranger).post(url, {"is_sold_out": False}).json()["code"] == "not_found"
    assert state(restaurant) == before


@pytest.mark.parametrize(
    "body", [{}, {"is_sold_out": None}, {"is_sold_out": "yes"}, {"is_sold_out": 1}, {"is_sold_out": []}]
)
def test_wrong_input_names_the_field(restaurant, waiter, api, body):
    row = find(restaurant, MenuItem, "Burger")
    before = state(restaurant)
    response = api(waiter).post(f"items/{row.pk}/sold-out", body)
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == ["is_sold_out"]
    assert state(restaurant) == before
