"""Who may not: another restaurant's owner, the kitchen, a device alone, nobody. At every endpoint."""

from typing import Any

import pytest

from orders.urls import urlpatterns
from tests import factories
from tests.orders.scene import look_at, new_id, refused


@pytest.fixture
def bill(scene, till) -> dict:
    order = till.post("orders", scene.order(scene.burger(), note="for Mr Bond", send=True)).json()
    return till.post(f"orders/{order['id']}/items", {"items": [scene.line("Lager")]}).json()


def every_request(scene, bill: dict) -> list[tuple[str, str, Any]]:
    """One request for each method of each endpoint, as a waiter of the restaurant would send it."""
    order = f"orders/{bill['id']}"
    sent, unsent = (f"{order}/items/{item['id']}" for item in bill["items"])
    return [
        ("GET", "orders", None),
        ("POST", "orders", scene.order(scene.line("Fries"))),
        ("GET", order, None),
        ("PATCH", order, {"covers": 9}),
        ("POST", f"{order}/items", {"items": [scene.line("Fries")]}),
        ("PATCH", unsent, {"quantity": 9}),
        ("DELETE", unsent, None),
        ("POST", f"{sent}/void", {"reason": "x"}),
        ("PATCH", f"{order}/service-charge", {"percent": "5"}),
        ("POST", f"{order}/split", {"kind": "even", "ways": 2}),
        ("DELETE", f"{order}/split", None),
        ("POST", f"{order}/send", {}),
        ("POST", f"{order}/void", {"reason": "x"}),
        ("GET", "floor", None),
    ]


def test_every_endpoint_is_asked(scene, bill):
    offered = 0
    for pattern in urlpatterns:
        view = getattr(pattern, "callback", None)
        if view and view.cls.__module__ == "orders.views":
            offered += len(set(getattr(view, "actions", ["get"])) - {"head"})
    assert len(every_request(scene, bill)) == offered


def test_another_restaurants_owner_reaches_nothing_here(scene, stranger, api, bill):
    client = api(stranger, restaurant_id=scene.restaurant.pk)
    with scene.nothing_changes():
        for method, path, body in every_request(scene, bill):
            response = client.request(method, path, body, If_Match='"2"')
            refused(response, 403, "wrong_restaurant")
            assert b"Bond" not in response.content


def test_another_restaurants_owner_finds_none_of_our_ids_at_home(
    scene, other_restaurant, stranger, api, bill
):
    theirs = look_at(other_restaurant)
    client = api(stranger)
    client.post("orders", theirs.order(theirs.line("Cake")))
    with scene.nothing_changes(), theirs.nothing_changes():
        for method, path, body in every_request(scene, bill):
            response = client.request(method, path, body, If_Match='"2"')
            assert b"Bond" not in response.content
            assert bill["id"].encode() not in response.content.replace(path.encode(), b"")
            if method == "GET" and path in ("orders", "floor"):
                assert response.status_code == 200
            elif (method, path) == ("POST", "orders"):
                refused(response, 422, "unknown_table", "table_id")
            else:
                refused(response, 404, "no_such_order")


def test_neither_the_kitchen_nor_a_device_alone_nor_nobody_takes_orders(scene, cook, api, bill):
    device = api(factories.device(scene.restaurant))
    nobody = api(restaurant_id=scene.restaurant.pk)
    with scene.nothing_changes():
        for method, path, body in every_request(scene, bill):
            refused(api(cook).request(method, path, body, If_Match='"2"'), 403, "permission_denied")
            refused(device.request(method, path, body, If_Match='"2"'), 403, "permission_denied")
            refused(nobody.request(method, path, body, If_Match='"2"'), 401, "not_authenticated")


def test_unknown_methods_and_paths(scene, till, bill):
    for method, path in (
        ("PUT", f"orders/{bill['id']}"),
        ("DELETE", "orders"),
        ("DELETE", f"orders/{bill['id']}"),
    ):
        refused(till.request(method, path, {}), 405, "method_not_allowed")
    for path in ("orders/1", f"orders/{new_id()}/nothing", "orders/x/items"):
        assert till.get(path).status_code == 404
