"""Input that cannot be right: a problem that names the field, and nothing half saved."""

import json
from typing import Any

from tests.orders.scene import new_id, refused

NOT_TEXT: list[Any] = [None, 5, True, [], {}, "a\0b"]
NOT_A_NUMBER: list[Any] = ["2", 2.0, 1.5, True, None, [], {}, 0, -1, 1000, 10**30]
NOT_AN_ID: list[Any] = [None, 5, True, [], {}, "", "x", "T1", "\0"]


WRONG_IN_AN_ORDER: dict[str, list[Any]] = {
    "id": [*NOT_AN_ID, "3f2504e0-4f89-41d3-9a0c-0305e82c3301"],
    "table_id": [wrong for wrong in NOT_AN_ID if wrong is not None],
    "kind": [None, 5, True, [], {}, "", "DINE_IN", "delivery"],
    "covers": ["2", 2.0, True, None, 0, -1, 501, 10**30],
    "customer_name": [*NOT_TEXT, "x" * 81],
    "note": [*NOT_TEXT, "x" * 301],
    "items": [None, 5, "x", {}, True],
    "send": [None, "true", 1, 0, [], {}],
    "opened_at": [None, 5, "yesterday", "2026-13-01T00:00:00Z", [], {}, True],
    **{unknown: [1] for unknown in ("price_minor", "total_minor", "restaurant_id", "number", "status", "\0")},
}
WRONG_IN_A_LINE: dict[str, list[Any]] = {
    "id": [*NOT_AN_ID, "3f2504e0-4f89-41d3-9a0c-0305e82c3301"],
    "menu_item_id": NOT_AN_ID,
    "quantity": NOT_A_NUMBER,
    "modifiers": [None, 5, "x", {}, [None], [5], ["x"], [[]], [new_id()] * 51],
    "note": [*NOT_TEXT, "x" * 201],
    "seat": ["1", 1.0, True, 0, -1, 501],
    "course": ["1", 1.0, True, None, 0, -1, 21],
    **{unknown: [1] for unknown in ("price", "price_minor", "unit_price_minor", "tax_percent", "name")},
}


def test_every_field_of_an_order_is_checked(scene, till):
    with scene.nothing_changes():
        for field, values in WRONG_IN_AN_ORDER.items():
            for wrong in values:
                response = till.post("orders", scene.order(scene.line("Fries")) | {field: wrong})
                refused(response, 400, "invalid", field)


def test_every_field_of_a_line_is_checked(scene, till):
    order = till.post("orders", scene.order()).json()
    with scene.nothing_changes():
        for field, values in WRONG_IN_A_LINE.items():
            for wrong in values:
                line = scene.line("Fries") | {field: wrong}
                for path, body in (
                    ("orders", scene.order(scene.line("Cake"), line)),
                    (f"orders/{order['id']}/items", {"items": [scene.line("Cake"), line]}),
                ):
                    problem = refused(till.post(path, body), 400, "invalid")
                    (error,) = problem["errors"]
                    assert error["field"].removesuffix(".0") == f"items.1.{field}", problem


def test_every_field_of_a_change_is_checked(scene, till):
    order = till.post("orders", scene.order(scene.line("Fries"))).json()
    path = f"orders/{order['id']}"
    with scene.nothing_changes():
        for field in ("quantity", "modifiers", "note", "seat", "course", "price_minor"):
            for wrong in WRONG_IN_A_LINE[field]:
                line = f"{path}/items/{order['items'][0]['id']}"
                response = till.patch(line, {field: wrong}, If_Match='"1"')
                (error,) = refused(response, 400, "invalid")["errors"]
                assert error["field"].removesuffix(".0") == field
        for field in ("table_id", "kind", "covers", "customer_name", "note", "status"):
            for wrong in WRONG_IN_AN_ORDER[field]:
                refused(till.patch(path, {field: wrong}, If_Match='"1"'), 400, "invalid", field)


def test_what_must_be_said_is_asked_for(scene, till):
    def without(field: str, body: dict) -> dict:
        return {name: value for name, value in body.items() if name != field}

    with scene.nothing_changes():
        for field in ("id", "kind"):
            refused(till.post("orders", without(field, scene.order())), 400, "invalid", field)
        for field in ("id", "menu_item_id"):
            body = scene.order(without(field, scene.line("Fries")))
            refused(till.post("orders", body), 400, "invalid", f"items.0.{field}")


def test_a_body_that_is_no_object_is_refused(scene, till):
    order = till.post("orders", scene.order(scene.line("Fries"))).json()
    with scene.nothing_changes():
        for body in (
            b"{",
            b"null",
            b"[]",
            b'"x"',
            b"5",
            b"\xff\xfe",
            b'{"id": "\xed\xa0\x80"}',
            b'{"id": NaN}',
        ):
            for method, path in (
                ("POST", "orders"),
                ("POST", f"orders/{order['id']}/items"),
                ("POST", f"orders/{order['id']}/send"),
                ("POST", f"orders/{order['id']}/void"),
                ("PATCH", f"orders/{order['id']}"),
                ("PATCH", f"orders/{order['id']}/items/{order['items'][0]['id']}"),
            ):
                response = till.request(method, path, body, If_Match='"1"')
                assert response.status_code == 400, (method, path, body, response.content)
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
    response = till.post("orders", body)
    assert response.status_code == 201
    assert scene.stored(body["id"]) == response.json()
