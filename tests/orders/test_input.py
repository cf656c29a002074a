"""Input that cannot be right: a problem that names the field, and nothing half saved."""

import json
from decimal import Decimal
from typing import Any

import pytest

from orders.models import OrderItem
from tests.orders.scene import new_id, refused

NOT_TEXT: list[Any] = [None, 5, True, [], {}, "a\0b"]
NOT_A_NUMBER: list[Any] = ["2", 2.0, 1.5, True, None, [], {}, 0, -1, 1000, 10**30]
NOT_AN_ID: list[Any] = [None, 5, True, [], {}, "", "x", "T1", "\0"]


@pytest.mark.parametrize("quantity", NOT_A_NUMBER)
def test_a_quantity_is_a_whole_number_from_1_to_999(scene, till, quantity):
    order = till.post("orders", scene.order(scene.line("Fries"))).json()
    path, line = f"orders/{order['id']}/items", scene.line("Cake", quantity=quantity)
    with scene.nothing_changes():
        body = scene.order(scene.line("Fries"), line)
        refused(till.post("orders", body), 400, "invalid", "items.1.quantity")
        refused(till.post(path, {"items": [line]}), 400, "invalid", "items.0.quantity")
        item = f"{path}/{order['items'][0]['id']}"
        refused(till.patch(item, {"quantity": quantity}, If_Match='"1"'), 400, "invalid", "quantity")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("id", wrong) for wrong in [*NOT_AN_ID, "3f2504e0-4f89-41d3-9a0c-0305e82c3301"]]
    + [("table_id", wrong) for wrong in NOT_AN_ID if wrong is not None]
    + [("kind", wrong) for wrong in [None, 5, True, [], {}, "", "DINE_IN", "delivery"]]
    + [("covers", wrong) for wrong in ["2", 2.0, True, None, 0, -1, 501, 10**30]]
    + [("customer_name", wrong) for wrong in [*NOT_TEXT, "x" * 81]]
    + [("note", wrong) for wrong in [*NOT_TEXT, "x" * 301]]
    + [("items", wrong) for wrong in [None, 5, "x", {}, True]]
    + [("send", wrong) for wrong in [None, "true", 1, 0, [], {}]]
    + [("opened_at", wrong) for wrong in [None, 5, "yesterday", "2026-13-01T00:00:00Z", [], {}, True]]
    + [(unknown, 1) for unknown in ("price_minor", "total_minor", "restaurant_id", "number", "status", "\0")],
)
def test_every_field_of_an_order_is_checked(scene, till, field, wrong):
    with scene.nothing_changes():
        response = till.post("orders", scene.order(scene.line("Fries")) | {field: wrong})
        refused(response, 400, "invalid", field)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("id", wrong) for wrong in [*NOT_AN_ID, "3f2504e0-4f89-41d3-9a0c-0305e82c3301"]]
    + [("menu_item_id", wrong) for wrong in NOT_AN_ID]
    + [("modifiers", wrong) for wrong in [None, 5, "x", {}, [None], [5], ["x"], [[]], [new_id()] * 51]]
    + [("note", wrong) for wrong in [*NOT_TEXT, "x" * 201]]
    + [("seat", wrong) for wrong in ["1", 1.0, True, 0, -1, 501]]
    + [("course", wrong) for wrong in ["1", 1.0, True, None, 0, -1, 21]]
    + [(unknown, 1) for unknown in ("price", "price_minor", "unit_price_minor", "tax_percent", "name")],
)
def test_every_field_of_a_line_is_checked(scene, till, field, wrong):
    order = till.post("orders", scene.order()).json()
    line = scene.line("Fries") | {field: wrong}
    with scene.nothing_changes():
        for path, body in (("orders", scene.order(line)), (f"orders/{order['id']}/items", {"items": [line]})):
            problem = refused(till.post(path, body), 400, "invalid")
            (error,) = problem["errors"]
            assert error["field"].removesuffix(".0") == f"items.0.{field}", problem


@pytest.mark.parametrize("field", ["id", "kind"])
def test_an_order_must_say_which_and_of_what_kind(scene, till, field):
    body = scene.order()
    del body[field]
    with scene.nothing_changes():
        refused(till.post("orders", body), 400, "invalid", field)


@pytest.mark.parametrize("field", ["id", "menu_item_id"])
def test_a_line_must_say_which_and_what(scene, till, field):
    line = scene.line("Fries")
    del line[field]
    with scene.nothing_changes():
        refused(till.post("orders", scene.order(line)), 400, "invalid", f"items.0.{field}")


@pytest.mark.parametrize(
    "body", [b"{", b"", b"null", b"[]", b'"x"', b"5", b"\xff\xfe", b'{"id": "\xed\xa0\x80"}', b'{"id": NaN}']
)
def test_a_body_that_is_no_object_is_refused(scene, till, body):
    order = till.post("orders", scene.order(scene.line("Fries"))).json()
    with scene.nothing_changes():
        for method, path in (
            ("POST", "orders"),
            ("POST", f"orders/{order['id']}/items"),
            ("POST", f"orders/{order['id']}/void"),
            ("PATCH", f"orders/{order['id']}"),
            ("PATCH", f"orders/{order['id']}/items/{order['items'][0]['id']}"),
        ):
            response = till.request(method, path, body, If_Match='"1"')
            if method == "PATCH" and body == b"":
                assert response.json() == order  # nothing to change
            else:
                assert response.status_code == 400, (method, path, response.content)
                assert response["Content-Type"] == "application/problem+json"


def test_a_huge_body_is_refused(scene, till):
    body = json.dumps(scene.order(note="x" * 10_000_000))
    with scene.nothing_changes():
        refused(till.post("orders", body), 413, "too_large")


def test_an_unknown_field_in_the_shortest_body_is_refused(scene, till, office):
    order = till.post("orders", scene.order(scene.line("Fries"))).json()
    with scene.nothing_changes():
        refused(till.post(f"orders/{order['id']}/send", {"course": 1}), 400, "invalid", "course")
        void = {"reason": "x", "refund": True}
        refused(till.post(f"orders/{order['id']}/void", void), 400, "invalid", "refund")


def test_names_and_notes_are_kept_as_they_were_typed(scene, till):
    name = ' Zoë "O\'Neill" <b>&amp;</b> 👩‍🍳\u202e '
    note = "line one\nline two\t'; DROP TABLE orders_order; --"
    body = scene.takeaway(scene.line("Fries", note=note), customer_name=name, note=note, send=True)
    answer = till.post("orders", body).json()
    assert (answer["customer_name"], answer["note"], answer["items"][0]["note"]) == (name, note, note)
    assert scene.stored(body["id"]) == answer
    order, ticket = scene.events()
    assert order.payload == answer
    assert (ticket.payload["customer_name"], ticket.payload["items"][0]["note"]) == (name, note)


def test_a_post_needs_an_idempotency_key(scene, till):
    with scene.nothing_changes():
        response = till.http.generic(
            "POST", till.url("orders"), json.dumps(scene.order()), "application/json", headers=till.headers
        )
        refused(response, 400, "idempotency_key_missing")


def test_a_key_used_for_another_order_is_refused(scene, till):
    till.post("orders", scene.order(), Idempotency_Key="one")
    with scene.nothing_changes():
        refused(till.post("orders", scene.order(), Idempotency_Key="one"), 422, "idempotency_key_reused")


def test_the_columns_hold_whatever_the_checks_let_through(scene, till):
    line = scene.line("Fries", 999, note="é" * 200, seat=500, course=20)
    body = scene.order(line, covers=500, customer_name="é" * 80, note="é" * 300, send=True)
    assert till.post("orders", body).status_code == 201
    assert OrderItem._meta.get_field("tax_percent").to_python("20") == Decimal(20)
