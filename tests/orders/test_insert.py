"""The one statement that writes a new order does what the plain way does."""

import datetime
import uuid
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Membership
from fynlo.tenancy.scope import restaurant_scope
from orders.models import KitchenTicket, Order, OrderItem
from orders.pricing import percents_on
from orders.services.insert import insert_order
from orders.services.menu import read_menu
from orders.services.rows import columns_of, new_row
from restaurants.models import KitchenStation, Restaurant, Table, TaxRate
from restaurants.services import tax_percents

MADE = {
    "id",
    "order_id",
    "order_number",
    "number",
    "version",
    "ticket_id",
    "opened_at",
    "added_at",
    "sent_at",
}


def timeless(document: Any) -> Any:
    """Without ids, numbers, versions and times, which differ by nature."""
    if isinstance(document, dict):
        return {key: timeless(value) for key, value in document.items() if key not in MADE}
    return [timeless(value) for value in document] if isinstance(document, list) else document


def rows(scene, order_id: str) -> list[dict]:
    skipped = {
        "id",
        "order_id",
        "ticket_id",
        "number",
        "version",
        "request_hash",
        "opened_at",
        "added_at",
        "sent_at",
    }
    with restaurant_scope(scene.restaurant.pk):
        found = [
            *Order.objects.filter(pk=order_id).values(),
            *OrderItem.objects.filter(order=order_id).order_by("position").values(),
            *KitchenTicket.objects.filter(order=order_id).order_by("number").values(),
        ]
    return [{name: value for name, value in row.items() if name not in skipped} for row in found]


def test_one_request_and_three_leave_the_same_behind(scene, till):
    def lines() -> list[dict]:
        return [
            scene.burger(2, "Bacon", note="no onion", seat=1, course=2),
            scene.line("Cake"),
            scene.line("Lager", 3, seat=2),
            scene.line("Fries"),
        ]

    details = {"note": "birthday", "customer_name": "Zoë", "covers": 3}
    fast = till.post("orders", scene.order(*lines(), **details, send=True)).json()
    fast_events = scene.events()

    plain = till.post("orders", scene.order(**details)).json()
    till.post(f"orders/{plain['id']}/items", {"items": lines()})
    plain = till.post(f"orders/{plain['id']}/send").json()
    plain_events = scene.events(fast_events[-1].seq)

    assert timeless(fast) == timeless(plain)
    assert rows(scene, fast["id"]) == rows(scene, plain["id"])
    assert [item["ticket_id"] == fast["items"][0]["ticket_id"] for item in fast["items"]] == [
        item["ticket_id"] == plain["items"][0]["ticket_id"] for item in plain["items"]
    ]
    assert [e.kind for e in fast_events] == ["order.opened", "ticket.created", "ticket.created"]
    assert [e.kind for e in plain_events] == [
        "order.opened",
        "order.items_added",
        "order.sent",
        "ticket.created",
        "ticket.created",
    ]
    assert [timeless(e.payload) for e in fast_events] == [timeless(e.payload) for e in plain_events[2:]]
    assert [e.actor for e in fast_events] == [e.actor for e in plain_events[2:]]
    assert (fast["number"], plain["number"]) == (1, 2)


def test_every_column_arrives_as_the_orm_would_have_written_it(scene, waiter):
    """An order with every column filled, by the statement and by `Order.objects.create`."""
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
    with restaurant_scope(scene.restaurant.pk):
        member = Membership.objects.get(pk=waiter.membership_id)
        table = Table.objects.get(name="T1")

        def filled(order_id: uuid.UUID) -> dict[str, Any]:
            return {
                "id": order_id,
                "restaurant_id": scene.restaurant.pk,
                "request_hash": "f" * 64,
                "kind": "dine_in",
                "status": "voided",
                "version": 7,
                "table_id": table.pk,
                "covers": 3,
                "customer_name": 'Zoë "Quote"',
                "note": "a\nb\\",
                "currency": "GBP",
                "business_date": now.date(),
                "total_minor": 2**53 + 1,
                "tax_minor": 2**53 - 1,
                "tax_lines": [{"percent": "12.5", "gross_minor": 2**53 + 1}],
                "reserved_minor": 1,
                "captured_minor": 2,
                "refunded_minor": 3,
                "opened_by_id": member.pk,
                "opened_at": now,
                "closed_at": now,
                "voided_by_id": member.pk,
                "voided_at": now,
                "void_reason": "x",
            }

        one, two = uuid.UUID(int=uuid.uuid4().int), uuid.UUID(int=uuid.uuid4().int)
        related = {"table": table, "opened_by": member, "voided_by": member}
        fast = new_row(Order, number=0, related=related, **filled(one))
        assert set(columns_of(fast)) == {field.column for field in Order._meta.concrete_fields}
        fast.lines = []
        assert insert_order(fast, [], by=waiter) is True
        Order.objects.create(number=2, **filled(two))
        rows = [dict(Order.objects.filter(pk=pk).values().get()) for pk in (one, two)]
    assert [row.pop("id") for row in rows] == [one, two]
    assert [row.pop("number") for row in rows] == [1, 2]
    assert rows[0] == rows[1]


def test_a_row_is_what_the_model_would_have_made(scene):
    given_ = {"id": uuid.uuid4(), "restaurant_id": scene.restaurant.pk, "name": "Pass"}
    plain, quick = KitchenStation(**given_), new_row(KitchenStation, **given_)
    assert columns_of(quick) == columns_of(plain)
    assert (quick, quick.pk, str(quick), quick._state.adding) == (plain, plain.pk, "Pass", True)


# The menu, read in one statement


def test_the_statement_reads_what_the_orm_would(scene):
    with restaurant_scope(scene.restaurant.pk):
        menu = read_menu([uuid.UUID(scene.items[name]) for name in ("Burger", "Lager")])
        restaurant = Restaurant.objects.get(pk=scene.restaurant.pk)
        assert (menu.restaurant.timezone, menu.restaurant.business_day_cutoff, menu.restaurant.currency) == (
            restaurant.timezone,
            restaurant.business_day_cutoff,
            restaurant.currency,
        )
        assert [station.name for station in menu.stations] == ["Grill", "Bar"]
        assert menu.stations == list(KitchenStation.objects.all())
        for mode in ("dine_in", "takeaway"):
            percents = tax_percents(datetime.date(2026, 1, 1), mode)
            assert percents_on(menu.rates, datetime.date(2026, 1, 1), mode) == {
                str(tax_class): percent for tax_class, percent in percents.items()
            }
    assert set(menu.items) == {scene.items["Burger"], scene.items["Lager"]}
    burger, lager = menu.items[scene.items["Burger"]], menu.items[scene.items["Lager"]]
    assert (lager["name"], lager["price_minor"], lager["groups"]) == ("Lager", 610, [])
    assert lager["station_id"] == scene.stations["Bar"]
    doneness, extras = burger["groups"]
    assert (doneness["name"], doneness["min_select"], doneness["max_select"]) == ("Doneness", 1, 1)
    assert (extras["name"], extras["min_select"], extras["max_select"]) == ("Extras", 0, 2)
    assert extras["modifiers"] == [
        {"id": scene.modifiers["Bacon"], "name": "Bacon", "price_minor": 150, "is_sold_out": False},
        {"id": scene.modifiers["Cheese"], "name": "Cheese", "price_minor": 100, "is_sold_out": False},
    ]
    assert (menu.table, menu.request_hash, menu.taken_ids) == (None, None, [])


def test_a_restaurant_with_nothing_in_it_has_an_empty_menu(other_restaurant):
    from tests.factories import make_restaurant

    empty = make_restaurant("Nothing yet", menu=False)
    with restaurant_scope(empty.pk):
        menu = read_menu([uuid.uuid4()])
    assert (menu.items, menu.rates, menu.stations) == ({}, [], [])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["any", "dine_in", "takeaway"]),
            st.dates(datetime.date(2020, 1, 1), datetime.date(2020, 1, 6)),
            st.integers(0, 100),
        ),
        max_size=6,
        unique_by=lambda rate: rate[:2],
    ),
    st.dates(datetime.date(2019, 12, 31), datetime.date(2020, 1, 7)),
    st.sampled_from(["dine_in", "takeaway"]),
)
def test_rates_are_chosen_as_the_restaurant_chooses_them(scene, rates, on, mode):
    with restaurant_scope(scene.restaurant.pk):
        TaxRate.objects.all().delete()
        tax_class_id = read_menu([uuid.UUID(scene.items["Cake"])]).items[scene.items["Cake"]]["tax_class_id"]
        for dining_mode, valid_from, percent in rates:
            TaxRate.objects.create(
                tax_class_id=tax_class_id, dining_mode=dining_mode, valid_from=valid_from, percent=percent
            )
        expected = {str(pk): percent for pk, percent in tax_percents(on, mode).items()}
        assert percents_on(read_menu([]).rates, on, mode) == expected
