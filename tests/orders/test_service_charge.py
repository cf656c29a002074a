"""The service charge: when it applies, what it comes to, who may change it, and how it is taxed."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fynlo.tenancy.scope import restaurant_scope
from orders.pricing import included_tax, service_charge, tax_lines
from restaurants.models import Restaurant
from tests.orders.scene import refused


def charge(scene, kind: str, percent: str = "12.5", min_covers: int = 1) -> None:
    """Have the restaurant charge it from now on."""
    with restaurant_scope(scene.restaurant.pk):
        Restaurant.objects.filter(pk=scene.restaurant.pk).update(
            service_charge_kind=kind, service_charge_percent=percent, service_charge_min_covers=min_covers
        )


def charged(order: dict) -> tuple[str, str, int, int]:
    """Kind, percentage, amount and total."""
    return (
        order["service_charge_kind"],
        order["service_charge_percent"],
        order["service_charge_minor"],
        order["total_minor"],
    )


def version_of(order: dict) -> str:
    return f'"{order["version"]}"'


def change(client, order: dict, **body: Any):
    return client.patch(f"orders/{order['id']}/service-charge", body, If_Match=version_of(order))


# Pricing


@pytest.mark.parametrize(
    ("items", "percent", "expected"),
    [
        (1000, "12.5", 125),
        (1004, "12.5", 126),
        (1003, "12.5", 125),
        (3, "50", 2),
        (0, "10", 0),
        (999, "0", 0),
    ],
)
def test_half_a_penny_is_rounded_up_once(items, percent, expected):
    assert service_charge(items, Decimal(percent)) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from(["0", "5", "12.5", "20"]).map(Decimal), st.integers(0, 10**7)), max_size=30
    ),
    st.integers(0, 5000).map(lambda n: Decimal(n) / 100),
)
def test_a_compulsory_charge_is_within_the_tax_lines_to_the_penny(lines, percent):
    items = sum(total for _, total in lines)
    amount = service_charge(items, percent)
    plain, taxed = tax_lines(lines), tax_lines(lines, charge_minor=amount)
    assert sum(line["gross_minor"] for line in taxed) == items + amount
    assert [line["percent"] for line in taxed] == [line["percent"] for line in plain]
    for before, after in zip(plain, taxed, strict=True):
        assert after["gross_minor"] >= before["gross_minor"]
        exact = amount * before["gross_minor"]
        assert abs((after["gross_minor"] - before["gross_minor"]) * max(items, 1) - exact) < max(items, 1)
        assert after["net_minor"] + after["tax_minor"] == after["gross_minor"]
        assert after["tax_minor"] == included_tax(after["gross_minor"], Decimal(after["percent"]))


# When it applies


def test_an_optional_one_is_in_the_total_and_bears_no_tax(scene, till):
    charge(scene, "optional")
    order = till.post("orders", scene.order(scene.burger(2))).json()
    assert charged(order) == ("optional", "12.5", 313, 2813)  # 12.5 % of 25.00 is 3.125
    assert order["tax_lines"] == [{"percent": "20", "gross_minor": 2500, "net_minor": 2083, "tax_minor": 417}]
    assert order["balance_due_minor"] == 2813
    assert scene.stored(order["id"]) == order
    assert scene.events()[-1].payload == order


def test_a_compulsory_one_is_taxed_as_the_meal(scene, till):
    charge(scene, "compulsory", "10")
    order = till.post("orders", scene.order(scene.burger(2))).json()
    assert charged(order) == ("compulsory", "10", 250, 2750)
    assert order["tax_lines"] == [{"percent": "20", "gross_minor": 2750, "net_minor": 2292, "tax_minor": 458}]


def test_it_is_frozen_when_the_order_is_opened_and_follows_its_items(scene, till):
    charge(scene, "optional", "10")
    order = till.post("orders", scene.order(scene.burger())).json()
    charge(scene, "compulsory", "50")
    order = till.post(f"orders/{order['id']}/items", {"items": [scene.line("Lager")]}).json()
    assert charged(order) == ("optional", "10", 186, 2046)


def test_small_tables_takeaways_and_past_orders_bear_none(scene, till, owner, api):
    charge(scene, "optional", "10", min_covers=6)
    none = ("none", "0", 0, 1250)
    assert charged(till.post("orders", scene.order(scene.burger(), covers=5)).json()) == none
    assert charged(till.post("orders", scene.takeaway(scene.burger(), covers=8)).json()) == none
    at_six = till.post("orders", scene.order(scene.burger(), covers=6)).json()
    assert charged(at_six) == ("optional", "10", 125, 1375)
    past = scene.order(scene.burger(), covers=6, opened_at="2026-01-02T19:00:00Z")
    assert charged(api(owner).post("orders", past).json()) == none


def test_it_comes_and_goes_with_covers_and_kind_while_nothing_is_paid(scene, till):
    charge(scene, "optional", "10", min_covers=6)
    order = till.post("orders", scene.order(scene.burger(), covers=2)).json()

    def edit(**changes: Any) -> dict:
        return till.patch(f"orders/{order['id']}", changes, If_Match=version_of(order)).json()

    order = edit(covers=6)
    assert charged(order) == ("optional", "10", 125, 1375)
    order = edit(kind="takeaway")
    assert charged(order) == ("none", "0", 0, 1250)
    order = edit(kind="dine_in", table_id=scene.tables["T1"])
    assert charged(order) == ("optional", "10", 125, 1375)
    order = change(till, order, is_removed=True).json()
    order = edit(covers=7)
    assert charged(order) == ("optional", "0", 0, 1250)  # declined stays declined
    order = edit(covers=2)
    assert charged(order) == ("none", "0", 0, 1250)
    paid = till.post(
        f"orders/{order['id']}/payments", {"id": scene.order()["id"], "method": "cash", "amount_minor": 100}
    )
    assert paid.status_code == 201
    order = till.get(f"orders/{order['id']}").json()
    assert charged(edit(covers=6)) == ("none", "0", 0, 1250)


# Who changes it


def test_a_guest_declines_an_optional_one_and_takes_it_back(scene, till):
    charge(scene, "optional")
    order = till.post("orders", scene.order(scene.burger(2))).json()
    declined = change(till, order, is_removed=True)
    assert declined.status_code == 200
    assert declined["ETag"] == '"2"'
    assert charged(declined.json()) == ("optional", "0", 0, 2500)
    assert scene.stored(order["id"]) == declined.json()
    event = scene.events()[-1]
    assert (event.kind, event.payload) == ("order.service_charge_changed", declined.json())
    with scene.nothing_changes():
        assert change(till, declined.json(), is_removed=True).json() == declined.json()
    less = change(till, declined.json(), percent="5").json()
    assert charged(less) == ("optional", "5", 125, 2625)
    back = change(till, less, is_removed=False).json()
    assert charged(back) == ("optional", "12.5", 313, 2813)


def test_more_than_the_restaurants_own_is_for_managers(scene, till, office):
    charge(scene, "optional")
    order = till.post("orders", scene.order(scene.burger(2))).json()
    with scene.nothing_changes():
        refused(change(till, order, percent="12.51"), 403, "not_allowed")
    assert charged(change(office, order, percent="15").json()) == ("optional", "15", 375, 2875)


def test_one_where_there_was_none_is_for_managers_and_optional(scene, till, office):
    order = till.post("orders", scene.order(scene.burger(2))).json()
    with scene.nothing_changes():
        refused(change(till, order, percent="10"), 403, "not_allowed")
        assert change(till, order, is_removed=True).json() == order
    assert charged(change(office, order, percent="10").json()) == ("optional", "10", 250, 2750)


def test_only_a_manager_takes_a_compulsory_one_off(scene, till, office):
    charge(scene, "compulsory", "10")
    order = till.post("orders", scene.order(scene.burger(2))).json()
    with scene.nothing_changes():
        refused(change(till, order, is_removed=True), 403, "not_allowed")
    removed = change(office, order, is_removed=True).json()
    assert charged(removed) == ("compulsory", "0", 0, 2500)
    assert removed["tax_lines"] == [
        {"percent": "20", "gross_minor": 2500, "net_minor": 2083, "tax_minor": 417}
    ]
    with scene.nothing_changes():
        refused(change(till, removed, is_removed=False), 403, "not_allowed")


def test_what_was_paid_cannot_be_declined(scene, till):
    charge(scene, "optional", "10")
    order = till.post("orders", scene.order(scene.burger())).json()
    till.post(f"orders/{order['id']}/payments", {"id": scene.order()["id"], "method": "cash"})
    order = till.get(f"orders/{order['id']}").json()
    assert order["captured_minor"] == 1375
    with scene.nothing_changes():
        refused(change(till, order, is_removed=True), 409, "less_than_paid")


def test_what_is_no_change_or_no_answer_to_what_was_seen_is_refused(scene, till):
    charge(scene, "optional")
    order = till.post("orders", scene.order(scene.burger())).json()
    path = f"orders/{order['id']}/service-charge"
    with scene.nothing_changes():
        for body in ({}, {"is_removed": True, "percent": "5"}):
            assert till.patch(path, body, If_Match='"1"').status_code == 400
        for percent in ("-1", "50.01", "1.234", "x", None):
            refused(till.patch(path, {"percent": percent}, If_Match='"1"'), 400, "invalid", "percent")
        refused(till.patch(path, {"is_removed": True}), 428, "version_required")
        refused(till.patch(path, {"is_removed": True}, If_Match='"7"'), 412, "version_changed")
        till_void = till.post(f"orders/{scene.order()['id']}/void", {"reason": "x"})
        refused(till_void, 404, "no_such_order")
