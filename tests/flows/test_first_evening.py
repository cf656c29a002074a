"""A first evening: an order reaches the kitchen, is paid in cash, closed, receipted and counted."""

import datetime

from accounts.models import Device, Role
from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments.invariants import broken_invariants
from restaurants.models import MenuItem, Modifier, Table
from tests import factories
from tests.client import ApiClient


def line(restaurant, code, quantity=1, modifiers=(), **fields):
    with restaurant_scope(restaurant.pk):
        item = MenuItem.objects.get(code=code)
        modifier_ids = [str(Modifier.objects.get(name=name).pk) for name in modifiers]
    return {
        "id": str(uuid7()),
        "menu_item_id": str(item.pk),
        "quantity": quantity,
        "modifiers": modifier_ids,
        **fields,
    }


def test_the_whole_path(restaurant, waiter, manager, dba):
    till = ApiClient(waiter)
    kitchen = ApiClient(factories.device(restaurant, Device.Kind.KITCHEN))
    with restaurant_scope(restaurant.pk):
        table = Table.objects.get(name="T2")

    # Two burgers (one with bacon) and a lager: 12.50 + 14.00 + 6.10
    order_id = str(uuid7())
    opened = till.post(
        "orders", {"id": order_id, "kind": "dine_in", "table_id": str(table.pk), "covers": 2, "items": []}
    )
    assert opened.status_code == 201
    assert opened.json()["number"] == 1
    burgers = [
        line(restaurant, "BURGER", modifiers=["Rare"], seat=1),
        line(restaurant, "BURGER", modifiers=["Well done", "Bacon"], seat=2, note="NUT ALLERGY"),
    ]
    lager = line(restaurant, "LAGER", seat=1)
    added = till.post(f"orders/{order_id}/items", {"items": [*burgers, lager]})
    assert added.json()["total_minor"] == 1250 + 1400 + 610
    assert till.post(f"orders/{order_id}/send").status_code == 200

    # The grill sees two burgers, the bar a lager; both bump.
    tickets = kitchen.get("kitchen/tickets").json()["tickets"]
    shown = {
        t["station"]: [(i["quantity"], i["name"], i["modifiers"], i["note"]) for i in t["items"]]
        for t in tickets
    }
    assert shown == {
        "Grill": [(1, "Burger", ["Rare"], ""), (1, "Burger", ["Well done", "Bacon"], "NUT ALLERGY")],
        "Bar": [(1, "Lager", [], "")],
    }
    for ticket in tickets:
        assert kitchen.post(f"kitchen/tickets/{ticket['id']}/bump").json()["status"] == "bumped"
    assert kitchen.get("kitchen/tickets").json()["tickets"] == []

    # A bill that is not paid cannot be closed; part of it, then the rest with change.
    refused = till.post(f"orders/{order_id}/close")
    assert (refused.status_code, refused.json()["code"]) == (409, "balance_not_zero")
    half = till.post(
        f"orders/{order_id}/payments",
        {"id": str(uuid7()), "method": "cash", "amount_minor": 2000, "tendered_minor": 2000},
    )
    assert (half.status_code, half.json()["balance_due_minor"]) == (201, 1260)
    rest = till.post(
        f"orders/{order_id}/payments", {"id": str(uuid7()), "method": "cash", "tendered_minor": 2000}
    )
    assert (rest.json()["amount_minor"], rest.json()["change_minor"]) == (1260, 740)
    assert till.post(f"orders/{order_id}/close").status_code in (200, 201)

    receipt = till.get(f"orders/{order_id}/receipt").json()
    assert receipt["number"] == 1

    # 32.60 at 20 %: VAT 5.43
    with restaurant_scope(restaurant.pk):
        order = Order.objects.get(pk=order_id)
        assert (order.status, order.total_minor, order.tax_minor, order.captured_minor) == (
            "closed",
            3260,
            543,
            3260,
        )
        kinds = list(Event.objects.values_list("seq", "kind"))
        assert broken_invariants() == []
    assert [seq for seq, _ in kinds] == list(range(1, len(kinds) + 1))
    assert [kind for _, kind in kinds if kind.startswith("ticket.")] == [
        "ticket.created",
        "ticket.created",
        "ticket.bumped",
        "ticket.bumped",
    ]

    today = ApiClient(manager).get("reports/today").json()
    assert (today["closed_orders"], today["closed_minor"], today["closed_tax_minor"]) == (1, 3260, 543)


def test_a_stranger_sees_nothing_of_it(restaurant, waiter, stranger):
    order_id = str(uuid7())
    body = {"id": order_id, "kind": "takeaway", "items": [line(restaurant, "FRIES")], "send": True}
    assert ApiClient(waiter).post("orders", body).status_code == 201
    client = ApiClient(stranger)
    assert client.get(f"orders/{order_id}").status_code == 404
    assert client.get("orders").json()["results"] == []
    assert client.get("kitchen/tickets").json()["tickets"] == []
    trespasser = ApiClient(stranger, restaurant_id=restaurant.pk)
    answer = trespasser.get(f"orders/{order_id}")
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_restaurant")


def test_the_owner_may_enter_the_past_and_a_till_may_not(restaurant, owner, waiter):
    past = datetime.datetime(2015, 1, 2, 1, 30, tzinfo=datetime.UTC)
    body = {
        "id": str(uuid7()),
        "kind": "takeaway",
        "items": [line(restaurant, "FRIES")],
        "send": True,
        "opened_at": past.isoformat(),
    }
    refused = ApiClient(waiter).post("orders", body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "opened_at")
    opened = ApiClient(owner).post("orders", body)
    assert opened.status_code == 201
    assert opened.json()["business_date"] == "2015-01-01"  # before the cut-off at 04:00
    assert ApiClient(owner).get("kitchen/tickets").json()["tickets"] == []  # cooked long ago
    assert factories.staff(restaurant, Role.OWNER).role == Role.OWNER
