"""The protocol, by a real websocket server and a client that checks every message."""

import asyncio
import json
import tempfile
import time
import uuid

import pytest
import websockets
from django.core.management import call_command
from websockets.exceptions import ConnectionClosed, InvalidStatus

from accounts.models import Device
from accounts.services import revoke_device
from fynlo.events.log import NewEvent, record_events
from fynlo.events.models import StreamHead
from fynlo.tenancy.scope import restaurant_scope
from orders.models import KitchenScreen
from tests import factories
from tests.accounts.conftest import suspend
from tests.client import ApiClient

from .conftest import PAGE, away, head, play, send, tickets_of, websocket_server
from .screen import Screen, hear, hear_until, hello, open_socket, say, socket_url


async def close_code(socket, timeout=10):
    """The code that the server closes with, passing over what it says before."""
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(timeout):
            while True:
                await socket.recv()
    return closed.value.rcvd.code


def connect(ws, caller, **options):
    return open_socket(ws, caller.restaurant_id, factories.token_of(caller), **options)


async def join(socket, **members):
    """Say hello as a newcomer; returns the snapshot."""
    await say(socket, **{**hello(), **members})
    return await hear(socket)


# Following


def test_a_newcomer_gets_a_snapshot_and_then_what_happens(ws, restaurant, till, scene, screen):
    async def story():
        first = await away(send, till, scene)
        async with connect(ws, screen) as socket:
            assert socket.subprotocol == "fynlo.kitchen.v1"
            snapshot = await join(socket)
            assert (snapshot["t"], snapshot["seq"]) == ("snapshot", await away(head, restaurant))
            assert [t["order_id"] for t in snapshot["tickets"]] == [first["id"]]
            await say(socket, "ack", seq=snapshot["seq"])

            second = await away(send, till, scene, scene.burger(), scene.line("Lager"))
            message = await hear(socket)
            assert (message["t"], message["from"], message["to"]) == (
                "events",
                snapshot["seq"] + 1,
                snapshot["seq"] + 3,
            )
            # The order itself, with its prices, is counted but not shown.
            assert [(e["seq"], e["type"]) for e in message["ev"]] == [
                (message["from"] + 1, "ticket.created"),
                (message["from"] + 2, "ticket.created"),
            ]
            assert [e["data"]["station"] for e in message["ev"]] == ["Grill", "Bar"]
            assert {e["data"]["order_number"] for e in message["ev"]} == {second["number"]}
            assert {e["entity"] for e in message["ev"]} == {e["data"]["id"] for e in message["ev"]}

    play(story())


def test_a_screen_that_comes_back_goes_on_where_it_was(ws, restaurant, till, scene, screen):
    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
        for _ in range(3):
            await away(send, till, scene)
        async with connect(ws, screen) as socket:
            welcome = await join(socket, epoch=snapshot["epoch"], last_seq=snapshot["seq"])
            assert welcome == {
                "t": "welcome",
                "v": 1,
                "epoch": snapshot["epoch"],
                "head": snapshot["seq"] + 6,
            }
            message = await hear(socket)
            assert (message["from"], message["to"]) == (snapshot["seq"] + 1, snapshot["seq"] + 6)
            assert len(message["ev"]) == 3

    play(story())


def test_a_page_that_read_further_than_the_hub_is_welcome(ws, restaurant, till, scene, screen, kitchen):
    async def story():
        async with connect(ws, screen) as other:
            await join(other)
            await away(send, till, scene)
            document = (await away(kitchen.get, "kitchen/tickets")).json()
            async with connect(ws, screen) as socket:
                answer = await join(socket, epoch=document["epoch"], last_seq=document["seq"])
                assert answer["t"] == "welcome"

    play(story())


def test_other_stations_are_counted_but_not_shown(ws, till, scene, screen, kitchen):
    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket, station=scene.stations["Bar"])
            order = await away(send, till, scene, scene.burger())
            message = await hear(socket)
            assert (message["from"], message["to"], message["ev"]) == (
                snapshot["seq"] + 1,
                snapshot["seq"] + 2,
                [],
            )
            await say(socket, "ack", seq=message["to"])
            (ticket,) = await away(tickets_of, kitchen, order)
            await away(kitchen.post, f"kitchen/tickets/{ticket['id']}/bump")
            assert (await hear(socket))["ev"] == []
            await away(send, till, scene, scene.line("Lager"))
            message = await hear(socket)
            assert [e["data"]["station"] for e in message["ev"]] == ["Bar"]

    play(story())


def test_a_place_in_another_log_or_beyond_this_one_is_answered_by_a_snapshot(ws, restaurant, screen, dba):
    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
        for place in ({"last_seq": 10_000, "epoch": snapshot["epoch"]}, {"last_seq": 0, "epoch": None}):
            async with connect(ws, screen) as socket:
                assert (await join(socket, **place))["t"] == "snapshot"

    play(story())


def test_an_archived_log_is_made_up_for_by_a_snapshot(ws, restaurant, till, scene, screen, dba):
    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
        await away(send, till, scene)
        dba.execute("DELETE FROM events_event WHERE restaurant_id = %s", [restaurant.pk])
        async with connect(ws, screen) as socket:
            welcome = await join(socket, epoch=snapshot["epoch"], last_seq=snapshot["seq"])
            assert welcome["t"] == "welcome"
            again = await hear(socket)
            assert (again["t"], again["seq"], len(again["tickets"])) == ("snapshot", snapshot["seq"] + 2, 1)

    play(story())


def test_a_new_epoch_brings_a_snapshot_to_screens_that_are_there(ws, restaurant, screen, dba):
    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
            dba.execute(
                "UPDATE events_streamhead SET epoch = gen_random_uuid() WHERE restaurant_id = %s",
                [restaurant.pk],
            )
            again = await hear(socket)
            assert again["t"] == "snapshot"
            assert again["epoch"] != snapshot["epoch"]

    play(story())


def test_a_hole_in_the_log_is_noticed_and_made_up_for(ws, restaurant, till, scene, screen, dba):
    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
            dba.execute(
                "UPDATE events_streamhead SET last_seq = last_seq + 1 WHERE restaurant_id = %s",
                [restaurant.pk],
            )
            order = await away(send, till, scene)
            again = await hear_until(socket, "snapshot")
            assert [t["order_id"] for t in again["tickets"]] in ([], [order["id"]])
            if not again["tickets"]:
                await say(socket, "ack", seq=again["seq"])
                message = await hear(socket)
                assert message["from"] == again["seq"] + 1
            assert again["seq"] > snapshot["seq"]

    play(story())


def test_an_eighty_six_reaches_every_screen(ws, till, scene, screen, kitchen):
    async def story():
        async with connect(ws, screen) as socket:
            await join(socket, station=scene.stations["Bar"])
            path = f"items/{scene.items['Burger']}/sold-out"
            assert (await away(kitchen.post, path, {"is_sold_out": True})).status_code == 200
            message = await hear(socket)
            assert [(e["type"], e["entity"]) for e in message["ev"]] == [
                ("item.sold_out", scene.items["Burger"])
            ]

    play(story())


def test_ping_and_pong(ws, restaurant, till, scene, screen):
    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
            await say(socket, "ping")
            pong = await hear(socket)
            assert (pong["t"], pong["head"]) == ("pong", snapshot["seq"])
            await away(send, till, scene)
            await hear_until(socket, "events")
            await say(socket, "ping")
            assert (await hear(socket))["head"] == snapshot["seq"] + 2

    play(story())


def test_unknown_messages_are_passed_over(ws, screen):
    async def story():
        async with connect(ws, screen) as socket:
            await socket.send('{"t": "dance", "how": "well"}')
            assert (await join(socket))["t"] == "snapshot"

    play(story())


# Backpressure


def test_no_more_than_the_window_is_sent_ahead_of_the_screen(ws, restaurant, screen):
    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
            await say(socket, "ack", seq=snapshot["seq"])
            await away(_record, restaurant, 400)
            last = snapshot["seq"]
            while last < snapshot["seq"] + 256:
                message = await hear(socket)
                assert message["from"] == last + 1
                last = message["to"]
            assert last == snapshot["seq"] + 256
            with pytest.raises(TimeoutError):
                await hear(socket, timeout=0.7)
            await say(socket, "ack", seq=last)
            message = await hear(socket)
            assert message["from"] == last + 1

    play(story())


def test_nothing_follows_a_snapshot_beyond_the_window_in_bytes(ws, restaurant, till, scene, screen):
    async def story():
        for _ in range(40):
            await away(send, till, scene, *[scene.burger(note="x" * 200) for _ in range(20)])
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
            assert len(json.dumps(snapshot)) > 256 * 1024
            await away(send, till, scene)
            with pytest.raises(TimeoutError):
                await hear(socket, timeout=0.7)
            await say(socket, "ack", seq=snapshot["seq"])
            assert (await hear(socket))["from"] == snapshot["seq"] + 1

    play(story())


def _record(restaurant, count):
    with restaurant_scope(restaurant.pk):
        record_events([NewEvent("order.changed", uuid.uuid4(), {}) for _ in range(count)], actor={})


# Who may


@pytest.mark.parametrize(
    ("origin", "subprotocols"),
    [
        ("https://elsewhere.example", ["fynlo.kitchen.v1"]),
        (None, ["fynlo.kitchen.v1"]),
        ("null", ["fynlo.kitchen.v1"]),
        ("https://127.0.0.1:8000", ["fynlo.kitchen.v1"]),
        ("http://127.0.0.1:8001", ["fynlo.kitchen.v1"]),
        (PAGE, ["something.else"]),
        (PAGE, []),
    ],
)
def test_a_browser_comes_from_our_page_and_speaks_our_protocol(ws, screen, origin, subprotocols):
    async def story():
        cookie = {"Cookie": f"fynlo_device={factories.token_of(screen)}"}
        with pytest.raises(InvalidStatus) as refused:
            async with open_socket(
                ws, screen.restaurant_id, headers=cookie, origin=origin, subprotocols=subprotocols or None
            ):
                pass
        assert refused.value.response.status_code == 403

    play(story())


def test_a_screen_in_a_browser_is_known_by_its_cookie(ws, screen):
    async def story():
        cookie = {"Cookie": f"a=b; fynlo_device={factories.token_of(screen)}"}
        async with open_socket(ws, screen.restaurant_id, headers=cookie, origin=PAGE) as socket:
            assert (await join(socket))["t"] == "snapshot"

    play(story())


@pytest.mark.parametrize("extra", [{"Origin": PAGE}, {"Cookie": "a=b"}, {"Origin": "https://x.example"}])
def test_a_program_sends_neither_a_cookie_nor_an_origin(ws, screen, extra):
    async def story():
        with pytest.raises(InvalidStatus):
            async with connect(ws, screen, headers=extra):
                pass

    play(story())


def test_a_member_may_follow_and_a_till_too(ws, restaurant, cook):
    async def story():
        for caller in (cook, await away(factories.device, restaurant, Device.Kind.TILL)):
            async with connect(ws, caller) as socket:
                assert (await join(socket))["t"] == "snapshot"

    play(story())


@pytest.mark.parametrize("token", ["nonsense", "fyd.1.guess", ""])
def test_a_wrong_token_is_told_so(ws, restaurant, token):
    async def story():
        if token == "":
            with pytest.raises(InvalidStatus):
                async with websockets.connect(
                    socket_url(ws, restaurant.pk), subprotocols=["fynlo.kitchen.v1"]
                ) as socket:
                    assert await close_code(socket) == 4401
            return
        async with open_socket(ws, restaurant.pk, token) as socket:
            assert await close_code(socket) in (4401, 4403)

    play(story())


def test_a_page_without_a_cookie_is_told_to_join(ws, restaurant):
    async def story():
        async with open_socket(ws, restaurant.pk, origin=PAGE) as socket:
            assert await close_code(socket) == 4401

    play(story())


def test_nobody_hears_another_restaurant(ws, restaurant, other_restaurant, till, scene, screen, stranger):
    async def story():
        foreign = await away(factories.device, other_restaurant, Device.Kind.KITCHEN)
        for caller in (foreign, stranger):
            async with open_socket(ws, restaurant.pk, factories.token_of(caller)) as socket:
                assert await close_code(socket) == 4401
        async with connect(ws, foreign) as theirs, connect(ws, screen) as ours:
            await join(theirs)
            await join(ours)
            await away(send, till, scene)
            assert (await hear(ours))["t"] == "events"
            await say(theirs, "ping")
            assert (await hear(theirs))["t"] == "pong"
            # A station of theirs is none of ours.
            async with connect(ws, foreign) as socket:
                await say(socket, **hello(station=scene.stations["Bar"]))
                assert await close_code(socket) == 4400

    play(story())


def test_a_revoked_device_is_closed_at_once(ws, restaurant, manager, screen):
    def revoke():
        with restaurant_scope(restaurant.pk):
            revoke_device(screen.device_id, by=manager)

    async def story():
        async with connect(ws, screen) as socket:
            await join(socket)
            began = time.monotonic()
            await away(revoke)
            assert await close_code(socket) == 4403
            assert time.monotonic() - began < 5
        async with connect(ws, screen) as socket:
            assert await close_code(socket) == 4403

    play(story())


def test_a_screen_of_a_suspended_restaurant_is_closed(ws, restaurant, screen):
    async def story():
        await away(suspend, restaurant)
        async with connect(ws, screen) as socket:
            assert await close_code(socket) == 4403

    play(story())


def test_there_are_no_other_sockets(ws, screen):
    async def story():
        url = socket_url(ws, screen.restaurant_id).replace("/kitchen", "/cellar")
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.connect(url, subprotocols=["fynlo.kitchen.v1"]):
                pass
        assert refused.value.response.status_code == 403

    play(story())


# Limits


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 4400),
        ("[]", 4400),
        ("null", 4400),
        (json.dumps({"t": "hello", "v": 2, "epoch": None, "last_seq": -1}), 4400),
        (json.dumps({"t": "hello", "v": 1, "epoch": None, "last_seq": "1"}), 4400),
        (json.dumps({"t": "hello", "v": 1, "epoch": "x", "last_seq": -1}), 4400),
        (json.dumps({"t": "hello", "v": 1, "epoch": None, "last_seq": -1, "station": 7}), 4400),
        (json.dumps({"t": "ack", "seq": None}), 4400),
        (json.dumps({"t": "x", "fill": "x" * 65536}), 4400),
        (b"\x00\x01", 4400),
    ],
)
def test_what_is_no_message_ends_the_socket(ws, screen, text, code):
    async def story():
        async with connect(ws, screen) as socket:
            await socket.send(text)
            assert await close_code(socket) == code

    play(story())


def test_a_second_hello_ends_the_socket(ws, screen):
    async def story():
        async with connect(ws, screen) as socket:
            await join(socket)
            await say(socket, **hello())
            assert await close_code(socket) == 4400

    play(story())


def test_a_chatterbox_is_closed(ws, screen):
    async def story():
        async with connect(ws, screen) as socket:
            await join(socket)
            for _ in range(60):
                await say(socket, "ping")
            assert await close_code(socket) == 4429

    play(story())


def test_a_device_has_at_most_twenty_sockets(ws, screen):
    async def story():
        sockets = [await connect(ws, screen) for _ in range(20)]
        for socket in sockets:
            await join(socket)
        async with connect(ws, screen) as socket:
            assert await close_code(socket) == 4429
        await sockets.pop().close()
        async with asyncio.timeout(5):
            while True:
                async with connect(ws, screen) as socket:
                    try:
                        assert (await join(socket))["t"] == "snapshot"
                        break
                    except ConnectionClosed:
                        continue
        for socket in sockets:
            await socket.close()

    play(story())


# What tills may ask


def test_a_till_can_ask_whether_a_ticket_is_displayed(ws, restaurant, till, scene, screen, waiter):
    floor = ApiClient(waiter)

    def displayed():
        return [t["displayed"] for t in floor.get("kitchen/tickets").json()["tickets"]]

    async def story():
        async with connect(ws, screen) as socket:
            snapshot = await join(socket)
            await away(send, till, scene)
            message = await hear(socket)
            assert await away(displayed) == [False]
            await say(socket, "ack", seq=message["to"])
            async with asyncio.timeout(10):
                while await away(displayed) != [True]:
                    await asyncio.sleep(0.2)
            assert snapshot["seq"] < message["to"]
        return message["to"]

    last = play(story())
    with restaurant_scope(restaurant.pk):
        row = KitchenScreen.objects.get()
        assert (row.device_id, row.station_id, row.acked_seq) == (screen.device_id, None, last)
        assert row.epoch == StreamHead.objects.get().epoch


# Many


def test_sockets_are_asked_to_move_before_their_server_stops(test_database, screen, tmp_path, monkeypatch):
    """Without Redis too. Nobody is turned away meanwhile: where else should a screen go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def story(port):
        async with connect(port, screen) as first, connect(port, screen) as second:
            await join(first)
            await join(second)
            await away(call_command, "drain", colour="blue")
            await away(call_command, "drain", colour="green")
            for socket in (first, second):
                assert await hear_until(socket, "bye") == {"t": "bye", "retry_ms": 100}
                assert await close_code(socket) == 1012
            async with connect(port, screen) as third:
                assert (await join(third))["t"] == "snapshot"

    place = {"COLOUR": "green", "TMPDIR": str(tmp_path), "REDIS_URL": f"unix://{tmp_path}/none.sock"}
    with websocket_server(test_database, **place) as port:
        play(story(port))


def test_every_screen_shows_every_ticket_once(ws, restaurant, till, scene, screen):
    async def story():
        token = factories.token_of(screen)
        screens = [Screen(ws, restaurant.pk, token) for _ in range(4)]
        screens.append(Screen(ws, restaurant.pk, token, station=scene.stations["Bar"]))
        tasks = [asyncio.create_task(s.follow()) for s in screens]
        orders = []
        for _ in range(25):
            orders.append(await away(send, till, scene, scene.burger(), scene.line("Lager")))
        last = await away(head, restaurant)
        for s in screens:
            await s.wait_for_place(last)
        for task in tasks:
            task.cancel()
        for s in screens[:4]:
            assert len(s.tickets) == 50
        assert {t["station"] for t in screens[4].tickets.values()} == {"Bar"}
        assert len(screens[4].tickets) == 25
        for s in screens:
            assert set(s.shown.values()) == {1}
            assert (s.gaps, s.old_news, s.connections) == (0, 0, 1)

    play(story())
