"""Changing, voiding, closing, listing bills; the floor."""

import datetime
import uuid

import pytest
from django.utils import timezone

from accounts.models import StaffSession
from accounts.staff import Staff
from fynlo.errors import DomainError
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from orders.services import ordering
from restaurants.models import Table, TaxRate
from tests import factories
from tests.orders.scene import look_at, new_id, refused


@pytest.fixture
def bill(scene, till) -> dict:
    """T1's order: a cake, 5.95, sent, and a lager, 6.10, not sent."""
    order = till.post("orders", scene.order(scene.line("Cake"), send=True)).json()
    return till.post(f"orders/{order['id']}/items", {"items": [scene.line("Lager")]}).json()


def seen(order: dict) -> dict[str, str]:
    return {"If_Match": f'"{order["version"]}"'}


# Changing


def test_a_party_moves_to_another_table_and_the_kitchen_is_told(scene, till, waiter, bill):
    last_event = scene.events()[-1].seq
    change = {"table_id": scene.tables["T2"], "covers": 4, "customer_name": "Zoë", "note": "by the window"}
    response = till.patch(f"orders/{bill['id']}", change, **seen(bill))
    answer = response.json()
    assert (response.status_code, response["ETag"]) == (200, '"3"')
    assert answer == {**bill, **change, "table": "T2", "version": 3}
    assert scene.stored(bill["id"]) == answer
    changed, ticket = scene.events(last_event)
    assert (changed.kind, changed.payload, changed.actor["name"]) == ("order.changed", answer, waiter.name)
    assert (ticket.kind, str(ticket.subject_id)) == ("ticket.changed", bill["items"][0]["ticket_id"])
    assert [
        ticket.payload[name] for name in ("version", "table", "covers", "customer_name", "order_note")
    ] == [
        2,
        "T2",
        4,
        "Zoë",
        "by the window",
    ]


def test_taking_away_after_all_taxes_every_line_anew(scene, till, office, bill):
    response = till.patch(f"orders/{bill['id']}", {"kind": "takeaway"}, **seen(bill))
    answer = response.json()
    assert response.status_code == 200, answer
    assert (answer["kind"], answer["table_id"], answer["table"]) == ("takeaway", None, None)
    assert [item["tax_percent"] for item in answer["items"]] == ["0", "20"]
    assert answer["tax_lines"] == [
        {"percent": "20", "gross_minor": 610, "net_minor": 508, "tax_minor": 102},
        {"percent": "0", "gross_minor": 595, "net_minor": 595, "tax_minor": 0},
    ]
    assert (answer["total_minor"], answer["tax_minor"]) == (bill["total_minor"], 102)
    assert scene.stored(bill["id"]) == answer

    change = {"kind": "dine_in", "table_id": scene.tables["T1"]}
    back = till.patch(f"orders/{bill['id']}", change, **seen(answer)).json()
    assert back == {**bill, "version": 4}


def test_switching_uses_the_rates_of_the_orders_own_day(scene, owner, api):
    with restaurant_scope(scene.restaurant.pk):
        cold = TaxRate.objects.get(dining_mode="takeaway").tax_class
        TaxRate.objects.create(
            tax_class=cold, percent="5", dining_mode="takeaway", valid_from=datetime.date(2020, 7, 15)
        )
        TaxRate.objects.create(
            tax_class=cold, percent="12.5", dining_mode="takeaway", valid_from=datetime.date(2021, 10, 1)
        )
    boss = api(owner)
    body = scene.order(scene.line("Cake"), opened_at="2021-01-01T20:00:00Z")
    order = boss.post("orders", body).json()
    answer = boss.patch(f"orders/{order['id']}", {"kind": "takeaway"}, **seen(order)).json()
    assert (order["items"][0]["tax_percent"], answer["items"][0]["tax_percent"]) == ("20", "5")


def test_a_change_that_changes_nothing_leaves_the_version(scene, till, bill):
    with scene.nothing_changes():
        for nothing in ({}, {"covers": 2}, {"kind": "dine_in", "table_id": scene.tables["T1"]}):
            response = till.patch(f"orders/{bill['id']}", nothing, **seen(bill))
            assert (response.status_code, response.json()) == (200, bill)


def test_refused_changes_leave_the_order_alone(scene, till, bill, other_restaurant):
    theirs = look_at(other_restaurant).tables["T2"]
    takeaway = till.post("orders", scene.takeaway()).json()
    with restaurant_scope(scene.restaurant.pk):
        Table.objects.filter(name="T3").update(is_active=False)
        TaxRate.objects.filter(dining_mode="takeaway").delete()
    with scene.nothing_changes():
        for order, change, status, code, field in (
            (bill, {"table_id": None}, 422, "table_missing", "table_id"),
            (bill, {"table_id": theirs}, 422, "unknown_table", "table_id"),
            (bill, {"table_id": scene.tables["T3"]}, 422, "unknown_table", "table_id"),
            (bill, {"kind": "takeaway", "table_id": scene.tables["T2"]}, 422, "table_not_taken", "table_id"),
            (bill, {"kind": "takeaway"}, 409, "no_tax_rate", "kind"),
            (takeaway, {"kind": "dine_in"}, 422, "table_missing", "table_id"),
            (takeaway, {"table_id": scene.tables["T2"]}, 422, "table_not_taken", "table_id"),
            (bill, {"kind": "delivery"}, 400, "invalid", "kind"),
            (bill, {"covers": 0}, 400, "invalid", "covers"),
            (bill, {"total_minor": 1}, 400, "invalid", "total_minor"),
        ):
            refused(till.patch(f"orders/{order['id']}", change, **seen(order)), status, code, field)
        refused(till.patch(f"orders/{bill['id']}", {"covers": 3}), 428, "version_required")
        stale = {"If_Match": '"1"'}
        problem = refused(till.patch(f"orders/{bill['id']}", {"covers": 3}, **stale), 412, "version_changed")
        assert problem["current"] == bill


# Voiding


def test_voiding_a_bill_voids_its_lines_and_tickets(scene, till, office, manager, bill):
    last_event = scene.events()[-1].seq
    response = office.post(f"orders/{bill['id']}/void", {"reason": "guests left"})
    answer = response.json()
    assert (response.status_code, response["ETag"]) == (200, '"3"')
    voided = {"voided_by": manager.name, "void_reason": "guests left"}
    assert answer == {
        **bill,
        **voided,
        "status": "voided",
        "version": 3,
        "voided_at": answer["voided_at"],
        "total_minor": 0,
        "tax_minor": 0,
        "tax_lines": [],
        "balance_due_minor": 0,
        "items": [
            {**item, **voided, "status": "voided", "voided_at": answer["items"][0]["voided_at"]}
            for item in bill["items"]
        ],
    }
    assert scene.stored(bill["id"]) == answer
    order, ticket = scene.events(last_event)
    assert (order.kind, order.payload, order.actor["name"]) == ("order.voided", answer, manager.name)
    assert (ticket.kind, ticket.payload["status"], ticket.payload["version"]) == (
        "ticket.voided",
        "voided",
        2,
    )
    assert [item["status"] for item in ticket.payload["items"]] == ["voided"]
    assert [len(table["orders"]) for table in till.get("floor").json()["tables"]] == [0, 0, 0]


def test_a_waiter_voids_only_what_the_kitchen_has_not(scene, till, office, bill):
    with scene.nothing_changes():
        refused(till.post(f"orders/{bill['id']}/void", {"reason": "x"}), 403, "not_allowed")
    unsent = till.post("orders", scene.order(scene.line("Cake"))).json()
    answer = till.post(f"orders/{unsent['id']}/void", {"reason": "tapped twice"}).json()
    assert (answer["status"], answer["items"][0]["status"]) == ("voided", "voided")
    assert scene.kinds()[-1] == "order.voided"


@pytest.mark.parametrize("money", [{"captured_minor": 1}, {"reserved_minor": 1}])
def test_a_bill_with_money_on_it_is_not_voided(scene, office, bill, money):
    with restaurant_scope(scene.restaurant.pk):
        Order.objects.filter(pk=bill["id"]).update(**money)
    with scene.nothing_changes():
        refused(office.post(f"orders/{bill['id']}/void", {"reason": "x"}), 409, "money_taken")
    with restaurant_scope(scene.restaurant.pk):
        Order.objects.filter(pk=bill["id"]).update(captured_minor=1, reserved_minor=0, refunded_minor=1)
    assert office.post(f"orders/{bill['id']}/void", {"reason": "x"}).status_code == 200


# Closing (payments has the endpoint)


def close(scene, order: dict, by: Staff, **options) -> str:
    """The status afterwards, or the code of the refusal."""
    try:
        with restaurant_scope(scene.restaurant.pk):
            return ordering.close_order(uuid.UUID(order["id"]), by=by, **options).status
    except DomainError as error:
        return error.code


def pay(scene, order: dict, **money: int) -> None:
    with restaurant_scope(scene.restaurant.pk):
        Order.objects.filter(pk=order["id"]).update(**money)


def test_a_settled_bill_is_closed(scene, till, waiter, bill):
    till.post(f"orders/{bill['id']}/send")
    pay(scene, bill, captured_minor=1205)
    last_event, before = scene.events()[-1].seq, timezone.now()
    assert close(scene, bill, waiter) == "closed"
    stored = scene.stored(bill["id"])
    assert (stored["status"], stored["version"]) == ("closed", 4)
    assert before <= datetime.datetime.fromisoformat(stored["closed_at"]) <= timezone.now()
    (event,) = scene.events(last_event)
    assert (event.kind, event.payload, event.actor["name"]) == ("order.closed", stored, waiter.name)
    with scene.nothing_changes():
        assert close(scene, bill, waiter) == "order_not_open"


def test_an_unsettled_bill_is_not_closed(scene, till, waiter, bill):
    pay(scene, bill, captured_minor=1205)
    with scene.nothing_changes():
        assert close(scene, bill, waiter) == "items_not_sent"
    till.post(f"orders/{bill['id']}/send")
    for money in (
        {"captured_minor": 1204},
        {"captured_minor": 1206},
        {"captured_minor": 1205, "reserved_minor": 1},
        {"captured_minor": 1205, "reserved_minor": 0, "refunded_minor": 5},
    ):
        pay(scene, bill, **money)
        with scene.nothing_changes():
            assert close(scene, bill, waiter) == "balance_not_zero"
    with scene.nothing_changes():
        assert close(scene, {"id": new_id()}, waiter) == "no_such_order"


def test_an_owner_closes_an_imported_order_in_the_past(scene, owner, manager, api):
    body = scene.takeaway(opened_at="2026-01-01T12:00:00Z")
    order = api(owner).post("orders", body).json()
    at = datetime.datetime(2026, 1, 1, 12, 30, tzinfo=datetime.UTC)
    minute = datetime.timedelta(minutes=1)
    with restaurant_scope(scene.restaurant.pk):
        till = factories.device(scene.restaurant)
        StaffSession.objects.filter(pk=owner.session_id).update(device=till.device_id)
    at_till = Staff(owner.restaurant_id, owner.membership_id, owner.name, owner.role, None, till.device_id)
    with scene.nothing_changes():
        assert close(scene, order, manager, at=at) == "not_allowed"
        assert close(scene, order, at_till, at=at) == "not_allowed"
        assert close(scene, order, owner, at=at - 31 * minute) == "invalid"
        assert close(scene, order, owner, at=timezone.now() + minute) == "invalid"
    assert close(scene, order, owner, at=at) == "closed"
    assert scene.stored(order["id"])["closed_at"] == "2026-01-01T12:30:00Z"


# Reading


def test_an_order_is_read_as_it_is(scene, till, office, bill):
    response = office.get(f"orders/{bill['id']}")
    assert (response.status_code, response.json(), response["ETag"]) == (200, bill, '"2"')


def test_orders_are_listed_newest_first_in_pages(scene, till, office, bill):
    voided = till.post("orders", scene.takeaway()).json()
    voided = till.post(f"orders/{voided['id']}/void", {"reason": "x"}).json()
    latest = till.post("orders", scene.order(table_id=scene.tables["T2"])).json()

    def listed(query: str) -> list[int]:
        response = till.get(f"orders?{query}")
        assert response.status_code == 200, response.content
        return [order["number"] for order in response.json()["results"]]

    assert till.get("orders").json() == {"next": None, "previous": None, "results": [latest, voided, bill]}
    assert listed("status=open") == [3, 1]
    assert listed("status=voided") == [2]
    assert listed("status=closed") == []
    assert listed(f"table={scene.tables['T1']}") == [1]
    assert listed(f"status=open&business_date={bill['business_date']}") == [3, 1]
    assert listed("business_date=2020-01-01") == []
    first = till.get("orders?page_size=2").json()
    assert [order["number"] for order in first["results"]] == [3, 2]
    second = till.get(first["next"].removeprefix("http://testserver")).json()
    assert [order["number"] for order in second["results"]] == [1]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=paid", "status"),
        ("table=1", "table"),
        ("business_date=yesterday", "business_date"),
        ("page_size=0", "page_size"),
        ("page_size=x", "page_size"),
        ("restaurant_id=2", "restaurant_id"),
        ("status=%00", "status"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(till, query, field):
    refused(till.get(f"orders?{query}"), 400, "invalid", field)


@pytest.mark.parametrize("cursor", ["x", "cD14", "cD0lMDA=", "%00", "cj0xJnA9MQ=="])
def test_a_cursor_that_makes_no_sense_is_refused(scene, till, bill, cursor):
    assert till.get(f"orders?cursor={cursor}").status_code in (400, 404)


def test_the_floor_shows_tables_with_their_open_orders(scene, till, bill):
    second = till.post("orders", scene.order(scene.line("Fries"), covers=5)).json()
    till.post("orders", scene.takeaway())
    with restaurant_scope(scene.restaurant.pk):
        Table.objects.filter(name="T2").update(is_active=False)
        Order.objects.filter(pk=second["id"]).update(captured_minor=100)
    assert till.get("floor").json() == {
        "currency": "GBP",
        "tables": [
            {
                "id": scene.tables["T1"],
                "name": "T1",
                "floor": "Main room",
                "seats": 4,
                "orders": [
                    {
                        "id": bill["id"],
                        "number": 1,
                        "covers": 2,
                        "total_minor": 1205,
                        "balance_due_minor": 1205,
                        "opened_at": bill["opened_at"],
                    },
                    {
                        "id": second["id"],
                        "number": 2,
                        "covers": 5,
                        "total_minor": 425,
                        "balance_due_minor": 325,
                        "opened_at": second["opened_at"],
                    },
                ],
            },
            {"id": scene.tables["T3"], "name": "T3", "floor": "Main room", "seats": 4, "orders": []},
        ],
    }


def test_a_table_out_of_use_is_shown_while_guests_sit_at_it(scene, till, bill):
    with restaurant_scope(scene.restaurant.pk):
        Table.objects.update(is_active=False)
    assert [table["name"] for table in till.get("floor").json()["tables"]] == ["T1"]
