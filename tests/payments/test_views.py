"""The payment endpoints: what they answer, whom they serve and what they refuse."""

import json

import pytest

from accounts.models import Device
from fynlo.tenancy.fields import uuid7
from tests import factories
from tests.client import ApiClient

from .bills import close, everything, kinds_of_events, open_bill, paid_and_closed, pay


@pytest.fixture
def bill(till, scene):
    """A burger and a lager at T1: 18.60."""
    return open_bill(till, scene.order(scene.burger(), scene.line("Lager")))


def test_a_payment_is_answered_in_full(restaurant, waiter, till, bill):
    payment_id = str(uuid7())
    answer = pay(till, bill, id=payment_id, amount_minor=1000, tendered_minor=2000, tip_minor=150)
    assert answer.status_code == 201
    taken = answer.json()
    assert taken.pop("created_at") == taken.pop("settled_at")
    assert taken == {
        "id": payment_id,
        "order_id": bill["id"],
        "order_number": 1,
        "method": "cash",
        "state": "paid",
        "currency": "GBP",
        "amount_minor": 1000,
        "tip_minor": 150,
        "captured_minor": 1000,
        "tip_captured_minor": 150,
        "refunded_minor": 0,
        "tip_refunded_minor": 0,
        "refundable_minor": 1000,
        "tip_refundable_minor": 150,
        "reference": "",
        "part_id": None,
        "provider": "cash",
        "account_id": None,
        "terminal_id": None,
        "attempt": 1,
        "attempt_state": "captured",
        "failure_class": "",
        "failure_code": "",
        "card_brand": "",
        "card_last4": "",
        "tendered_minor": 2000,
        "change_minor": 850,
        "balance_due_minor": 860,
        "business_date": bill["business_date"],
        "taken_by_id": str(waiter.membership_id),
        "taken_by": waiter.name,
        "device_id": None,
        "taken_offline_at": None,
    }
    order = till.get(f"orders/{bill['id']}").json()
    assert (order["captured_minor"], order["balance_due_minor"]) == (1000, 860)
    assert order["version"] == bill["version"] + 2


def test_a_payment_is_read_and_listed(till, scene, bill):
    first = pay(till, bill, amount_minor=1000).json()
    second = pay(till, bill).json()
    other = open_bill(till, scene.takeaway(scene.line("Fries")))
    third = pay(till, other).json()
    first["balance_due_minor"] = 0  # as its order is now

    assert till.get(f"payments/{first['id']}").json() == {**first, "next_action": None}
    assert till.get(f"orders/{bill['id']}/payments").json() == {"results": [first, second]}
    page = till.get("payments?page_size=2").json()
    assert page["results"] == [third, second]
    assert page["previous"] is None
    rest = till.get(page["next"].removeprefix("http://testserver")).json()
    assert (rest["results"], rest["next"]) == ([first], None)
    day = bill["business_date"]
    assert till.get(f"payments?business_date={day}").json()["results"] == [third, second, first]
    assert till.get("payments?business_date=2015-01-01").json()["results"] == []


def test_lists_cost_the_same_however_long(till, bill, django_assert_num_queries):
    # BEGIN, who calls, and the payments; for an order's also whether it is here.
    lists = [("payments", 4), (f"orders/{bill['id']}/payments", 5)]
    for payments in (1, 3):
        while len(till.get("payments").json()["results"]) < payments:
            pay(till, bill, amount_minor=100)
        for path, queries in lists:
            with django_assert_num_queries(queries):
                assert len(till.get(path).json()["results"]) == payments


def test_a_repeated_request_takes_nothing_more(restaurant, till, bill):
    body = {"id": str(uuid7()), "method": "cash", "tendered_minor": 2000}
    path = f"orders/{bill['id']}/payments"
    first = till.post(path, body, Idempotency_Key="tap-1")
    after = everything(restaurant)
    replayed = till.post(path, body, Idempotency_Key="tap-1")  # the same request: its own answer
    assert (replayed.status_code, replayed["Idempotency-Replayed"]) == (201, "true")
    again = till.post(path, body)  # a till that restarted and forgot the key
    assert again.status_code == 200
    assert first.json() == replayed.json() == again.json()
    other = till.post(path, {**body, "tip_minor": 1})
    assert (other.status_code, other.json()["code"]) == (422, "payment_id_reused")
    assert [error["field"] for error in other.json()["errors"]] == ["id"]
    assert everything(restaurant) == after


def test_closing_answers_the_order_with_its_receipt(restaurant, till, bill):
    pay(till, bill)
    answer = close(till, bill)
    closed = answer.json()
    assert answer.status_code == 200
    assert answer["ETag"] == f'"{closed["version"]}"'
    assert (closed["status"], closed["balance_due_minor"]) == ("closed", 0)
    assert closed["receipt"]["number"] == 1
    assert till.get(f"orders/{bill['id']}/receipt").json() == closed["receipt"]
    del closed["receipt"]
    assert till.get(f"orders/{bill['id']}").json() == closed
    assert kinds_of_events(restaurant, "receipt.") == ["receipt.issued"]


def test_a_replayed_closing_is_the_same_receipt(restaurant, till, bill):
    pay(till, bill)
    first = till.post(f"orders/{bill['id']}/close", {}, Idempotency_Key="close")
    again = till.post(f"orders/{bill['id']}/close", {}, Idempotency_Key="close")
    assert first.json() == again.json()
    refused = close(till, bill)
    assert (refused.status_code, refused.json()["code"]) == (409, "order_not_open")
    assert kinds_of_events(restaurant, "receipt.") == ["receipt.issued"]


def test_refusals_say_what_is_wrong(restaurant, till, bill):
    pay(till, bill, amount_minor=860)
    before = everything(restaurant)
    too_much = pay(till, bill, amount_minor=1001)
    assert (too_much.status_code, too_much.json()["code"]) == (409, "amount_not_due")
    assert too_much.json()["balance_due_minor"] == 1000
    assert too_much.json()["errors"][0]["field"] == "amount_minor"
    too_little = pay(till, bill, tendered_minor=999)
    assert (too_little.status_code, too_little.json()["code"]) == (422, "tendered_too_little")
    assert too_little.json()["errors"] == [
        {"field": "tendered_minor", "code": "tendered_too_little", "detail": "This is less than £10.00."}
    ]
    not_paid = close(till, bill)
    assert (not_paid.status_code, not_paid.json()["code"]) == (409, "balance_not_zero")
    assert not_paid.json()["balance_due_minor"] == 1000
    for path in ("receipt", "receipt/print"):
        no_receipt = till.get(f"orders/{bill['id']}/{path}", Accept="*/*")
        assert (no_receipt.status_code, no_receipt.json()["code"]) == (404, "no_receipt")
        assert no_receipt["Content-Type"].startswith("application/problem+json")
    assert everything(restaurant) == before


WRONG_AMOUNTS = [-1, 1.0, 12.5, "500", "", True, None, [], {}, 10**12 + 1, 2**63, 10**30]


@pytest.mark.parametrize("wrong", WRONG_AMOUNTS, ids=str)
@pytest.mark.parametrize("field", ["amount_minor", "tendered_minor", "tip_minor"])
def test_a_wrong_amount_is_refused_by_name(restaurant, till, bill, field, wrong):
    before = everything(restaurant)
    answer = pay(till, bill, **{field: wrong})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert everything(restaurant) == before


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"amount_minor": 0}, ["amount_minor"]),
        ({"tendered_minor": 0}, ["tendered_minor"]),
        ({"id": "1"}, ["id"]),
        ({"id": None}, ["id"]),
        ({"id": "8af4ae5e-8226-4307-b125-4874ee0a07d7"}, ["id"]),
        ({"method": "card"}, ["method"]),
        ({"method": None}, ["method"]),
        ({"method": ["cash"]}, ["method"]),
        ({"paid_at": "yesterday"}, ["paid_at"]),
        ({"paid_at": 5}, ["paid_at"]),
        ({"price_minor": 1}, ["price_minor"]),
        ({"amount_minor": -1, "tip_minor": 0.5}, ["amount_minor", "tip_minor"]),
    ],
    ids=str,
)
def test_a_wrong_body_is_refused_by_name(restaurant, till, bill, body, fields):
    before = everything(restaurant)
    answer = pay(till, bill, **body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert everything(restaurant) == before


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "1", '{"amount_minor": NaN}', b"\xff"])
def test_a_body_that_is_no_document_is_refused(restaurant, till, bill, body):
    before = everything(restaurant)
    for path in ("payments", "close"):
        if (path, body) != ("close", ""):  # there is nothing to say about closing
            assert till.request("POST", f"orders/{bill['id']}/{path}", body).status_code == 400
    assert everything(restaurant) == before


def test_method_and_id_must_be_said(till, bill):
    answer = till.post(f"orders/{bill['id']}/payments", {})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["id", "method"]


def test_what_closing_does_not_know_is_refused(restaurant, till, bill):
    pay(till, bill)
    before = everything(restaurant)
    for body, field in [({"force": True}, "force"), ({"closed_at": "soon"}, "closed_at")]:
        answer = close(till, bill, **body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert everything(restaurant) == before


def test_a_wrong_filter_is_refused_by_name(till, bill):
    for query, field in [
        ("business_date=2026-13-01", "business_date"),
        ("business_date=", "business_date"),
        ("page_size=0", "page_size"),
        ("order=1", "order"),
    ]:
        answer = till.get(f"payments?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert till.get("payments?cursor=nonsense").status_code == 404


def test_every_post_needs_a_key(restaurant, till, bill):
    before = everything(restaurant)
    for path in ("payments", "close"):
        answer = till.http.generic(
            "POST", till.url(f"orders/{bill['id']}/{path}"), "{}", "application/json", headers=till.headers
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert everything(restaurant) == before


def every_request(bill: dict, payment: dict) -> list[tuple[str, str, dict | None]]:
    order = f"orders/{bill['id']}"
    return [
        ("GET", "payments", None),
        ("GET", f"payments/{payment['id']}", None),
        ("GET", f"{order}/payments", None),
        ("POST", f"{order}/payments", {"id": str(uuid7()), "method": "cash"}),
        ("POST", f"{order}/close", {}),
        ("GET", f"{order}/receipt", None),
        ("GET", f"{order}/receipt/print", None),
    ]


def test_strangers_find_nothing_here_and_are_kept_out_there(restaurant, stranger, till, scene, bill):
    payment = pay(till, bill).json()
    closed = paid_and_closed(till, scene.takeaway(scene.line("Fries")))
    before = everything(restaurant)
    at_home = ApiClient(stranger)
    intruder = ApiClient(stranger, restaurant_id=restaurant.pk)
    for document in (bill, closed):
        for method, path, body in every_request(document, payment):
            answer = at_home.request(method, path, body, Accept="*/*")
            if path == "payments":
                assert answer.json()["results"] == []
            else:
                assert answer.status_code == 404, path
            answer = intruder.request(method, path, body, Accept="*/*")
            assert (answer.status_code, answer.json()["code"]) == (403, "wrong_restaurant"), path
    assert everything(restaurant) == before


def test_the_kitchen_devices_and_passers_by_take_no_money(restaurant, cook, till, bill):
    payment = pay(till, bill).json()
    before = everything(restaurant)
    callers = [
        (ApiClient(cook), 403),
        (ApiClient(factories.device(restaurant, Device.Kind.KITCHEN)), 403),
        (ApiClient(factories.device(restaurant, Device.Kind.TILL)), 403),
        (ApiClient(restaurant_id=restaurant.pk), 401),
    ]
    for client, status in callers:
        for method, path, body in every_request(bill, payment):
            answer = client.request(method, path, body, Accept="*/*")
            assert answer.status_code == status, path
            assert answer["Content-Type"].startswith("application/problem+json")
    assert everything(restaurant) == before


@pytest.mark.parametrize("role", ["waiter", "manager", "owner"])
def test_who_serves_guests_takes_money_and_closes(request, scene, role):
    client = ApiClient(request.getfixturevalue(role))
    closed = paid_and_closed(client, scene.takeaway(scene.line("Fries")))
    assert closed["status"] == "closed"
    assert client.get(f"orders/{closed['id']}/receipt").status_code == 200
    assert client.get("payments").status_code == 200


def test_a_long_or_odd_name_stands_on_the_receipt_as_typed(till, scene):
    name = 'Zoë "O\'Brien" <b>🎃</b>'
    closed = paid_and_closed(till, scene.takeaway(scene.line("Fries"), customer_name=name))
    assert closed["receipt"]["order"]["customer_name"] == name
    page = till.get(f"orders/{closed['id']}/receipt/print", Accept="text/html").content.decode()
    assert "Zoë &quot;O&#x27;Brien&quot; &lt;b&gt;🎃&lt;/b&gt;" in page
    assert "<b>🎃" not in page
    assert json.loads(json.dumps(closed["receipt"])) == closed["receipt"]
