"""A kitchen with real screens: a daphne process on this worker's database."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.db import connections

from accounts.models import Device
from accounts.staff import JoinedDevice, Staff
from fynlo.events.models import Event, StreamHead
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import Restaurant
from tests import factories
from tests.client import ApiClient
from tests.orders.scene import Scene, look_at
from tests.processes import free_port, running, wait_until_ready

T = TypeVar("T")

# Of the pages that a browser's screen may come from.
PAGE = "http://127.0.0.1:8000"


@contextlib.contextmanager
def websocket_server(database: str, port: int | None = None, **env: str) -> Iterator[int]:
    """The ws process on a database; yields its port."""
    port = port or free_port()
    command: list[str | Path] = [
        Path(sys.executable).parent / "daphne",
        *["-b", "127.0.0.1", "-p", str(port), "-v", "0", "--websocket_timeout", "-1"],
        "fynlo.asgi:application",
    ]
    with running(command, database, **{"BASE_URL": PAGE, **env}):
        wait_until_ready(f"http://127.0.0.1:{port}/health/live")
        yield port


@pytest.fixture(scope="session")
def ws(django_db_setup: None) -> Iterator[int]:
    """The port of the session's websocket server."""
    name = str(connections["default"].settings_dict["NAME"])
    with websocket_server(name) as port:
        yield port


@pytest.fixture
def scene(restaurant: Restaurant) -> Scene:
    """The restaurant's menu and tables by name."""
    return look_at(restaurant)


@pytest.fixture
def till(waiter: Staff) -> ApiClient:
    return ApiClient(waiter)


@pytest.fixture
def screen(restaurant: Restaurant) -> JoinedDevice:
    """A kitchen screen that has joined."""
    return factories.device(restaurant, Device.Kind.KITCHEN)


@pytest.fixture
def kitchen(screen: JoinedDevice) -> ApiClient:
    return ApiClient(screen)


def send(till: ApiClient, scene: Scene, *lines: dict, **fields: object) -> dict:
    """Open an order with these lines, or a burger, and send it; returns the order."""
    body = scene.order(*(lines or [scene.burger()]), send=True, **fields)
    response = till.post("orders", body)
    assert response.status_code == 201, response.content
    return response.json()


def tickets_of(kitchen: ApiClient, order: dict) -> list[dict]:
    found = kitchen.get("kitchen/tickets").json()["tickets"]
    return [ticket for ticket in found if ticket["order_id"] == order["id"]]


def events(restaurant: Restaurant, prefix: str = "ticket.") -> list[Event]:
    with restaurant_scope(restaurant.pk):
        return list(Event.objects.filter(kind__startswith=prefix).order_by("seq"))


def head(restaurant: Restaurant) -> int:
    with restaurant_scope(restaurant.pk):
        return StreamHead.objects.get().last_seq


def play(story: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine; what it does at the till goes through `away`."""
    return asyncio.run(asyncio.wait_for(story, 60))


async def away(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call what uses the database in a thread."""

    def call() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)
