"""What placing an order costs, in counts that no busy machine can change: calls and round trips."""

import cProfile
import io
import json
import pstats
import uuid
from collections.abc import Callable
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.core.wsgi import get_wsgi_application

from tests.client import ApiClient
from tests.orders.scene import Scene, look_at

application = get_wsgi_application()


def send(client: ApiClient, method: str, path: str, body: Any = None) -> Callable[[], bytes]:
    """A request as a web server hands it over, ready to be carried out."""
    data = json.dumps(body).encode() if body is not None else b""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": client.url(path),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": client.headers["Authorization"],
        "HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4()),
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.input": io.BytesIO(data),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }
    statuses: list[str] = []

    def run() -> bytes:
        response = application(environ, lambda status, headers: statuses.append(status))
        answer = b"".join(response)
        response.close()
        assert statuses[0][0] == "2", (statuses, answer)
        return answer

    return run


def round_trips(run: Callable[[], bytes]) -> int:
    """How often the database is waited for, BEGIN and COMMIT included."""
    sent: list[str] = []
    wait = psycopg.Connection.wait

    def counted(connection: psycopg.Connection, generator: Any, *args: Any, **kwargs: Any) -> Any:
        # Setting autocommit waits for nothing: the connection is idle then.
        if generator.__name__ != "_set_autocommit_gen":
            sent.append(generator.__name__)
        return wait(connection, generator, *args, **kwargs)

    with mock.patch.object(psycopg.Connection, "wait", counted):
        run()
    return len(sent)


def calls(run: Callable[[], bytes]) -> int:
    profile = cProfile.Profile()
    profile.runcall(run)
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


@pytest.fixture
def scene(restaurant) -> Scene:
    return look_at(restaurant)


def four_items(scene: Scene) -> dict:
    lines = [scene.burger(1, "Bacon"), scene.line("Fries", 2), scene.line("Cake"), scene.line("Lager", 2)]
    return scene.order(*lines, send=True)


def test_an_order_of_four_items_costs_few_calls_and_round_trips(scene, waiter, api, settings):
    settings.LOG_REQUESTS = True  # as in production
    client = api(waiter)
    for _ in range(4):  # statements are prepared from the second time on
        send(client, "POST", "orders", four_items(scene))()
    assert round_trips(send(client, "POST", "orders", four_items(scene))) <= 8
    # Of three, as one of them may fetch more permissions from Redis, see fynlo/ratelimit.py.
    assert min(calls(send(client, "POST", "orders", four_items(scene))) for _ in range(3)) <= 4000


def test_a_hundred_lines_take_no_more_round_trips_than_four(scene, waiter, api):
    client = api(waiter)
    many = scene.order(*(scene.line("Fries") for _ in range(100)), send=True)
    for _ in range(4):
        send(client, "POST", "orders", four_items(scene))()
    few = round_trips(send(client, "POST", "orders", four_items(scene)))
    assert round_trips(send(client, "POST", "orders", many)) == few
