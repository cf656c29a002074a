"""Bumping, recalling and ticking off, by HTTP."""

import uuid
import zlib

import pytest

from accounts.models import Device, Role
from fynlo.tenancy.scope import restaurant_scope
from orders.models import KitchenScreen, KitchenTicket, OrderItem
from tests import factories
from tests.client import ApiClient

from .conftest import events, head, send, tickets_of


def rows(restaurant, ticket):
    with restaurant_scope(restaurant.pk):
        row = KitchenTicket.objects.get(pk=ticket["id"])
        items = OrderItem.objects.filter(ticket=row).order_by("position")
        return row, list(items)


def void(manager, order, item):
    path = f"orders/{order['id']}/items/{item['id']}/void"
    assert ApiClient(manager).post(path, {"reason": "Wrong table"}).status_code == 200


def test_the_board_shows_tickets_by_station_oldest_first(till, scene, kitchen):
    first = send(till, scene, scene.burger(2, note="NUT ALLERGY", seat=1), scene.line("Lager"), covers=4)
    second = send(till, scene, scene.line("Fries"))
    document = kitchen.get("kitchen/tickets").json()
    assert [(t["order_number"], t["station"]) for t in document["tickets"]] == [
        (first["number"], "Grill"),
        (first["number"], "Bar"),
        (second["number"], "Grill"),
    ]
    (bar,) = kitchen.get(f"kitchen/tickets?station={scene.stations['Bar']}").json()["tickets"]
    assert [item["name"] for item in bar["items"]] == ["Lager"]
    grill = document["tickets"][0]
    assert (grill["table"], grill["covers"], grill["status"], grill["version"]) == ("T1", 4, "open", 1)
    (item,) = grill["items"]
    assert (item["quantity"], item["name"], item["modifiers"], item["note"], item["seat"]) == (
        2,
        "Burger",
        ["Rare"],
        "NUT ALLERGY",
        1,
    )
    assert document["seq"] == head(scene.restaurant)
    assert document["recall"] == []


def test_a_later_sending_is_marked_as_an_add_on(till, scene, kitchen):
    order = send(till, scene, scene.burger(), scene.line("Lager"))
    assert till.post(f"orders/{order['id']}/items", {"items": [scene.line("Cake")]}).status_code == 201
    assert till.post(f"orders/{order['id']}/send").status_code == 200
    shown = [(t["number"], t["station"], t["is_add_on"]) for t in tickets_of(kitchen, order)]
    assert shown == [(1, "Grill", False), (2, "Bar", False), (3, "Grill", True)]


def test_a_bump_marks_all_items_done_and_records_one_event(restaurant, till, scene, kitchen, screen):
    order = send(till, scene, scene.burger(), scene.line("Fries"))
    (ticket,) = tickets_of(kitchen, order)
    response = kitchen.post(f"kitchen/tickets/{ticket['id']}/bump")
    assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
    assert (response.json()["status"], response.json()["version"]) == ("bumped", 2)
    row, items = rows(restaurant, ticket)
    assert (row.status, row.bumped_by) == ("bumped", screen.name)
    assert {item.done_at for item in items} == {row.bumped_at}
    created, bumped = events(restaurant)
    assert (created.kind, bumped.kind, bumped.payload) == ("ticket.created", "ticket.bumped", response.json())
    assert bumped.actor == {"membership": None, "name": screen.name, "device": str(screen.device_id)}
    document = kitchen.get("kitchen/tickets").json()
    assert document["tickets"] == []
    assert [t["id"] for t in document["recall"]] == [ticket["id"]]


def test_what_is_so_already_is_not_done_again(restaurant, till, scene, kitchen):
    (ticket,) = tickets_of(kitchen, send(till, scene))
    path = f"kitchen/tickets/{ticket['id']}"
    item = f"{path}/items/{ticket['items'][0]['id']}/done"
    assert kitchen.post(f"{path}/recall").json()["version"] == 1
    assert kitchen.post(item, {"is_done": False}).json()["version"] == 1
    assert kitchen.post(item, {"is_done": True}).json()["version"] == 2
    assert kitchen.post(item, {"is_done": True}).json()["version"] == 2
    assert kitchen.post(f"{path}/bump").json()["version"] == 3
    assert kitchen.post(f"{path}/bump").json()["version"] == 3
    assert kitchen.post(item, {"is_done": True}).json()["version"] == 3
    assert [event.kind for event in events(restaurant)] == [
        "ticket.created",
        "ticket.changed",
        "ticket.bumped",
    ]


def test_a_recall_leaves_done_what_was_done_before_the_bump(restaurant, till, scene, kitchen):
    (ticket,) = tickets_of(kitchen, send(till, scene, scene.burger(), scene.line("Fries")))
    path = f"kitchen/tickets/{ticket['id']}"
    kitchen.post(f"{path}/items/{ticket['items'][1]['id']}/done", {"is_done": True})
    kitchen.post(f"{path}/bump")
    recalled = kitchen.post(f"{path}/recall").json()
    assert (recalled["status"], recalled["is_recalled"], recalled["bumped_at"]) == ("open", True, None)
    assert [item["done_at"] is not None for item in recalled["items"]] == [False, True]
    row, items = rows(restaurant, ticket)
    assert (row.version, row.bumped_by, row.bumped_at) == (4, "", None)
    assert [item.done_at is not None for item in items] == [False, True]
    assert events(restaurant)[-1].kind == "ticket.recalled"
    assert kitchen.get("kitchen/tickets").json()["tickets"][0]["id"] == ticket["id"]


def test_a_voided_ticket_stays_until_the_kitchen_has_seen_so(restaurant, till, scene, kitchen, manager):
    order = send(till, scene)
    (ticket,) = tickets_of(kitchen, order)
    void(manager, order, ticket["items"][0])
    (shown,) = tickets_of(kitchen, order)
    assert (shown["status"], shown["items"][0]["status"]) == ("voided", "voided")
    path = f"kitchen/tickets/{ticket['id']}"
    done = kitchen.post(f"{path}/items/{ticket['items'][0]['id']}/done", {"is_done": True})
    assert (done.status_code, done.json()["code"]) == (409, "item_voided")
    refused = kitchen.post(f"{path}/recall")
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_not_open")
    seen = kitchen.post(f"{path}/bump").json()
    assert (seen["status"], seen["version"]) == ("voided", 3)
    assert rows(restaurant, ticket)[1][0].done_at is None
    document = kitchen.get("kitchen/tickets").json()
    assert (document["tickets"], document["recall"]) == ([], [])


def test_a_bumped_ticket_is_not_ticked(till, scene, kitchen):
    (ticket,) = tickets_of(kitchen, send(till, scene))
    path = f"kitchen/tickets/{ticket['id']}"
    kitchen.post(f"{path}/bump")
    response = kitchen.post(f"{path}/items/{ticket['items'][0]['id']}/done", {"is_done": False})
    assert (response.status_code, response.json()["code"]) == (409, "ticket_not_open")


def test_unknown_tickets_and_items(till, scene, kitchen, restaurant):
    (ticket,) = tickets_of(kitchen, send(till, scene))
    nowhere = kitchen.post(f"kitchen/tickets/{uuid.uuid4()}/bump")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "no_such_ticket")
    path = f"kitchen/tickets/{ticket['id']}/items/{uuid.uuid4()}/done"
    assert kitchen.post(path, {"is_done": True}).json()["code"] == "no_such_item"
    assert len(events(restaurant)) == 1


@pytest.mark.parametrize("body", [{}, {"is_done": "yes"}, {"is_done": None}, {"is_done": True, "by": "me"}])
def test_a_malformed_tick_is_refused(till, scene, kitchen, body):
    (ticket,) = tickets_of(kitchen, send(till, scene))
    path = f"kitchen/tickets/{ticket['id']}/items/{ticket['items'][0]['id']}/done"
    assert kitchen.post(path, body).status_code == 400


@pytest.mark.parametrize(
    ("role", "allowed"),
    [(Role.KITCHEN, True), (Role.MANAGER, True), (Role.OWNER, True), (Role.WAITER, False)],
)
def test_who_may_bump(restaurant, till, scene, kitchen, role, allowed):
    (ticket,) = tickets_of(kitchen, send(till, scene))
    client = ApiClient(factories.staff(restaurant, role))
    assert client.get("kitchen/tickets").status_code == 200
    response = client.post(f"kitchen/tickets/{ticket['id']}/bump")
    assert response.status_code == (200 if allowed else 403)
    assert len(events(restaurant)) == (2 if allowed else 1)


def test_a_till_on_its_own_reads_but_does_not_bump(restaurant, till, scene, kitchen):
    (ticket,) = tickets_of(kitchen, send(till, scene))
    client = ApiClient(factories.device(restaurant, Device.Kind.TILL))
    assert client.get("kitchen/stations").status_code == 200
    assert client.post(f"kitchen/tickets/{ticket['id']}/bump").status_code == 403


def test_a_stranger_meets_nothing(restaurant, till, scene, kitchen, stranger):
    (ticket,) = tickets_of(kitchen, send(till, scene))
    own = ApiClient(stranger)
    assert own.get("kitchen/tickets").json()["tickets"] == []
    for command in ("bump", "recall", f"items/{ticket['items'][0]['id']}/done"):
        response = own.post(
            f"kitchen/tickets/{ticket['id']}/{command}", {"is_done": True} if "/" in command else {}
        )
        assert response.status_code == 404
        trespass = ApiClient(stranger, restaurant_id=restaurant.pk)
        assert trespass.post(f"kitchen/tickets/{ticket['id']}/{command}").status_code == 403
    assert len(events(restaurant)) == 1


def test_polling_says_what_a_socket_would(restaurant, till, scene, kitchen):
    begin = kitchen.get("kitchen/events?after=-1").json()
    assert (begin["t"], begin["tickets"]) == ("snapshot", [])
    here = f"epoch={begin['epoch']}&after="
    assert kitchen.get(f"kitchen/events?{here}{begin['seq']}").json()["t"] == "pong"
    send(till, scene, scene.burger(), scene.line("Lager"))
    news = kitchen.get(f"kitchen/events?{here}{begin['seq']}").json()
    assert (news["t"], news["from"], news["to"]) == ("events", begin["seq"] + 1, begin["seq"] + 3)
    assert [e["type"] for e in news["ev"]] == ["ticket.created", "ticket.created"]
    bar = kitchen.get(f"kitchen/events?{here}{begin['seq']}&station={scene.stations['Bar']}").json()
    assert [e["data"]["station"] for e in bar["ev"]] == ["Bar"]
    assert bar["to"] == begin["seq"] + 3
    for elsewhere in ("after=9999999", "after=0&epoch=" + str(uuid.uuid4())):
        assert kitchen.get(f"kitchen/events?{elsewhere}").json()["t"] == "snapshot"


@pytest.mark.parametrize(
    "query",
    ["", "after=x", "after=-2", "after=1&station=x", "after=1&colour=red", "after=99999999999999999999"],
)
def test_a_malformed_poll_is_refused(kitchen, query):
    assert kitchen.get(f"kitchen/events?{query}").status_code == 400


def test_a_pruned_log_is_made_up_for_by_a_snapshot(restaurant, till, scene, kitchen, dba):
    begin = kitchen.get("kitchen/events?after=-1").json()
    send(till, scene)
    send(till, scene)
    dba.execute(
        "DELETE FROM events_event WHERE restaurant_id = %s AND seq = %s", [restaurant.pk, begin["seq"] + 1]
    )
    answer = kitchen.get(f"kitchen/events?after={begin['seq']}&epoch={begin['epoch']}").json()
    assert (answer["t"], len(answer["tickets"])) == ("snapshot", 2)


def test_polling_confirms_and_a_till_sees_that_a_ticket_is_displayed(
    restaurant, till, scene, kitchen, waiter
):
    send(till, scene, scene.burger(), scene.line("Lager"))
    floor = ApiClient(waiter)

    def displayed():
        return [(t["station"], t["displayed"]) for t in floor.get("kitchen/tickets").json()["tickets"]]

    assert displayed() == [("Grill", False), ("Bar", False)]
    document = kitchen.get("kitchen/tickets").json()
    bar = scene.stations["Bar"]
    kitchen.get(f"kitchen/events?after={document['seq']}&epoch={document['epoch']}&station={bar}")
    assert displayed() == [("Grill", False), ("Bar", True)]
    kitchen.get(f"kitchen/events?after={document['seq']}&epoch={document['epoch']}")
    kitchen.get(f"kitchen/events?after={document['seq']}&epoch={document['epoch']}")
    assert displayed() == [("Grill", True), ("Bar", True)]
    with restaurant_scope(restaurant.pk):
        assert KitchenScreen.objects.count() == 2


def test_the_digest_is_of_what_is_shown(restaurant, till, scene, kitchen):
    assert kitchen.get("kitchen/digest").json() == {"seq": head(restaurant), "count": 0, "crc32": 0}
    send(till, scene, scene.burger(), scene.line("Lager"))
    tickets = kitchen.get("kitchen/tickets").json()["tickets"]
    lines = sorted(f"{ticket['id']} {ticket['version']}" for ticket in tickets)
    assert kitchen.get("kitchen/digest").json() == {
        "seq": head(restaurant),
        "count": 2,
        "crc32": zlib.crc32("\n".join(lines).encode()),
    }
    one = kitchen.get(f"kitchen/digest?station={scene.stations['Bar']}").json()
    assert one["count"] == 1


def test_stations_with_their_open_tickets(till, scene, kitchen):
    send(till, scene, scene.burger(), scene.line("Lager"))
    send(till, scene)
    assert kitchen.get("kitchen/stations").json() == {
        "stations": [
            {"id": scene.stations["Grill"], "name": "Grill", "open_tickets": 2},
            {"id": scene.stations["Bar"], "name": "Bar", "open_tickets": 1},
        ]
    }


@pytest.mark.parametrize("count", [1, 3])
def test_the_board_takes_as_many_queries_for_three_as_for_one(
    till, scene, kitchen, count, django_assert_num_queries
):
    for _ in range(count):
        send(till, scene, scene.burger(), scene.line("Fries"))
    with django_assert_num_queries(8):
        kitchen.get("kitchen/tickets")
