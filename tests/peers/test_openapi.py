"""What a vendor's document refuses, on a document small enough to read."""

from typing import Any

import pytest

from tests.peers.openapi import FORM, Document, nest, parse

MONEY = {
    "type": "object",
    "required": ["amount"],
    "properties": {"amount": {"type": "integer"}, "currency": {"type": "string"}},
}
PAYMENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "money": {"$ref": "#/components/schemas/Money", "nullable": True},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Money"}},
    },
}
SHOWN = {"allOf": [{"$ref": "#/components/schemas/Payment"}, {"properties": {"paid": {"type": "boolean"}}}]}


def answer(schema: Any) -> Any:
    return {"200": {"content": {"application/json": {"schema": schema}}}}


DOCUMENT = Document(
    {
        "info": {"version": "1"},
        "components": {"schemas": {"Money": MONEY, "Payment": PAYMENT}},
        "paths": {
            "/payments/{id}": {"get": {"responses": answer(SHOWN)}},
            "/payments/cancel": {"get": {"responses": {"204": {"description": "done"}}}},
            "/payments": {
                "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
                "get": {
                    "parameters": [
                        {"name": "states[]", "in": "query", "schema": {"type": "array", "items": {}}},
                        {"name": "since", "in": "query", "required": True, "schema": {"type": "string"}},
                    ],
                    "responses": answer({"type": "array", "items": SHOWN}),
                },
                "post": {
                    "requestBody": {
                        "required": True,
                        "content": {
                            kind: {"schema": {"$ref": "#/components/schemas/Payment"}}
                            for kind in ("application/json", FORM)
                        },
                    },
                    "responses": answer(SHOWN),
                },
            },
        },
    }
)


def test_a_path_without_parameters_is_itself() -> None:
    found = [DOCUMENT.find("GET", path) for path in ("/payments/cancel", "/payments/p1", "/other")]
    assert [match and (match[0].name, match[1]) for match in found] == [
        ("GET /payments/cancel", {}),
        ("GET /payments/{id}", {"id": "p1"}),
        None,
    ]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"money": None, "tags": {"any": "thing"}, "lines": [{"amount": 1}]}, []),
        ({"money": {"amount": "1"}}, ["money/amount: '1' is not of type 'integer'"]),
        ({"money": {"amount": 1, "pence": 2}}, ["unknown field /money/pence"]),
        ({"lines": [{"amount": 1}, {"amount": 1, "a": 2}]}, ["unknown field /lines[]/a"]),
        ({"paid": True}, ["unknown field /paid"]),
        (None, ["POST /payments needs a body"]),
    ],
)
def test_bodies(body: Any, errors: list[str]) -> None:
    assert DOCUMENT.operation("POST", "/payments").body_errors(body) == errors


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("since=x&limit=3&states[]=a&states[]=b", []),
        ("since=x&limit=three", ["parameter limit: : 'three' is not of type 'integer'"]),
        ("since=x&colour=red", ["unknown parameter colour"]),
        ("limit=3", ["missing parameter since"]),
    ],
)
def test_queries(query: str, errors: list[str]) -> None:
    assert DOCUMENT.operation("GET", "/payments").query_errors(parse(query)) == errors


def test_answers() -> None:
    get, cancel = DOCUMENT.operation("GET", "/payments/{id}"), DOCUMENT.operation("GET", "/payments/cancel")
    assert get.response_errors(200, {"id": "p1", "paid": True}, closed=True) == []
    assert get.response_errors(200, {"id": 1}) == ["id: 1 is not of type 'string'"]
    assert get.response_errors(200, {"red": 1}, closed=True) == ["unknown field /red"]
    assert get.response_errors(201, {}) == ["status 201 is not described"]
    assert get.response_errors(404, {"anything": 1}) == []
    assert cancel.response_errors(204, None) == []
    assert cancel.response_errors(204, {}) == ["status 204 carries no body"]


def test_forms_are_nested_and_typed() -> None:
    pairs = parse("money[amount]=12&lines[0][amount]=1&lines[1][amount]=x&tags[table]=4")
    assert nest(pairs)["lines"] == [{"amount": "1"}, {"amount": "x"}]
    assert DOCUMENT.operation("POST", "/payments").form(pairs) == {
        "money": {"amount": 12},
        "lines": [{"amount": 1}, {"amount": "x"}],
        "tags": {"table": "4"},
    }
    assert nest(parse("expand[]=a&expand[]=b")) == {"expand": ["a", "b"]}
