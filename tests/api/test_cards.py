"""Card numbers are refused in whatever field of whatever request they come, and no log keeps one."""

import io
import json
import logging

import pytest

from fynlo.api.cards import holds_card_number, redact_card_numbers
from fynlo.logs import ContextFilter, JsonFormatter
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from tests.client import ApiClient
from tests.orders.scene import look_at

VISA = "4242424242424242"
CARDS = [
    VISA,
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "4242.4242.4242.4242",
    "4242\u00a04242\u00a04242\u00a04242",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "30569309025904",
    "6011111111111117",
    "4222222222222",
    "card 4000 0566 5566 5556 exp 12/34",
]
NOT_CARDS = [
    "4242424242424241",  # fails the check digit
    "01a20cbe-09a1-7512-8123-123456789012",
    "2026-11-24T08:48:30.464150Z",
    "+44 20 7946 0958",
    "+4915112345678",
    "1234567890123",
    "Table 12, no onions, 2 x burger",
    "4" * 30,
]


@pytest.mark.parametrize("text", CARDS)
def test_it_knows_a_card(text):
    assert holds_card_number(text)
    assert VISA not in redact_card_numbers(text)
    assert not holds_card_number(redact_card_numbers(text))


@pytest.mark.parametrize("text", NOT_CARDS)
def test_it_knows_what_is_none(text):
    assert not holds_card_number(text)
    assert redact_card_numbers(text) == text


@pytest.fixture
def till(waiter):
    return ApiClient(waiter)


@pytest.mark.parametrize("card", [VISA, "4242 4242 4242 4242"])
@pytest.mark.parametrize(
    ("place", "field"),
    [
        (lambda order, card: order.update(note=card), "note"),
        (lambda order, card: order.update(customer_name=f"Bob {card}"), "customer_name"),
        (lambda order, card: order["items"][0].update(note=card), "items.0.note"),
        (lambda order, card: order.update({card: 1}), None),
        (lambda order, card: order.update(surprise=[{"deep": card}]), "surprise.0.deep"),
    ],
)
def test_no_field_of_an_order_takes_one(till, restaurant, place, field, card):
    order = look_at(restaurant).takeaway(look_at(restaurant).line("Fries"))
    place(order, card)
    refused = till.post("orders", order)
    assert (refused.status_code, refused.json()["code"]) == (422, "card_number_refused")
    assert VISA not in refused.content.decode().replace(" ", "")
    if field:
        assert refused.json()["errors"][0]["field"] == field
    with restaurant_scope(restaurant.pk):
        assert Order.objects.count() == 0


def test_neither_as_a_number_nor_escaped(till, restaurant):
    order = look_at(restaurant).takeaway(look_at(restaurant).line("Fries"))
    as_number = till.post("orders", {**order, "covers": int(VISA)})
    assert (as_number.status_code, as_number.json()["code"]) == (422, "card_number_refused")
    escaped = json.dumps({**order, "note": "@"}).replace("@", "".join(f"\\u00{ord(c):x}" for c in VISA))
    refused = till.request("POST", "orders", escaped)
    assert (refused.status_code, refused.json()["code"]) == (422, "card_number_refused")


def test_nor_in_an_address_or_a_payment(till, restaurant):
    assert till.get(f"orders?cursor={VISA}").json()["code"] == "card_number_refused"
    body = {"id": str(uuid7()), "method": "external", "reference": VISA}
    answer = till.post(f"orders/{uuid7()}/payments", body)
    assert answer.json()["code"] == "card_number_refused"


def test_nor_in_a_form(client):
    page = client.post("/admin/login/", {"username": VISA, "password": "x"})
    assert page.status_code == 422
    assert "No card numbers" in page.content.decode()


def test_logs_keep_none():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(ContextFilter())
    logger = logging.getLogger("tests.cards")
    logger.addHandler(handler)
    try:
        logger.error("A guest typed %s here", "4242 4242 4242 4242")
        try:
            raise ValueError(f"bad {VISA}")
        except ValueError:
            logger.exception("Failed")
    finally:
        logger.removeHandler(handler)
    written = stream.getvalue()
    assert "4242" not in written
    assert written.count("[card number]") >= 2
