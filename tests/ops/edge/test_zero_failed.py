"""A deployment with a migration, and its rollback, while tills sell and kitchens cook: nobody notices.

The numbers are counts of failures and losses; how fast it was is printed, and asserted nowhere.
"""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import websockets

from tests.databases import ROOT, admin_url
from tests.kitchen.screen import PROTOCOL, Screen

from .stage import Stage, set_stage

REQUESTS = 10_000
RATE = 80  # a second, where the machine has nothing else to do
CONNECTIONS = 16
SCREENS = 4
ROWS = 1_000_000
KEYS = "fynlo/api/migrations"

pytestmark = [
    pytest.mark.timeout(2400),
    pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here: script/tools edge, as root"),
]


class TlsScreen(Screen):
    """A kitchen screen that comes through nginx, and notes why each of its sockets ended."""

    def __init__(self, stage: Stage, restaurant_id: int, token: str) -> None:
        super().__init__(stage.https, restaurant_id, token)
        self.url = f"wss://localhost:{stage.https}/ws/v1/restaurants/{restaurant_id}/kitchen"
        self.tls = stage.tls
        self.codes: list[int] = []
        self.impatient = 0

    async def follow(self) -> None:
        while True:
            try:
                async with websockets.connect(
                    self.url,
                    ssl=self.tls,
                    subprotocols=[PROTOCOL],
                    additional_headers={"Authorization": f"Bearer {self.token}"},
                    max_size=None,
                    open_timeout=30,
                ) as socket:
                    self.connections += 1
                    await self._listen(socket)
            except websockets.ConnectionClosed as closed:
                self.codes.append(closed.rcvd.code if closed.rcvd else 1006)
            except (OSError, TimeoutError, websockets.WebSocketException):
                self.impatient += 1  # on a machine with much else to do
            await asyncio.sleep(0.1)


class Screens(threading.Thread):
    """Screens on an event loop of their own."""

    def __init__(self, screens: list[TlsScreen]) -> None:
        super().__init__()
        self.screens = screens
        self.loop = asyncio.new_event_loop()

    def run(self) -> None:
        for screen in self.screens:
            self.loop.create_task(screen.follow())
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def wait_for_place(self, seqs: dict[int, int]) -> None:
        for screen in self.screens:
            waiting = screen.wait_for_place(seqs[screen.restaurant_id], timeout=200)
            asyncio.run_coroutine_threadsafe(waiting, self.loop).result(timeout=220)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.join(timeout=30)


class Load:
    """The tills' process, from here on until stop()."""

    def __init__(self, stage: Stage, tills: list[dict[str, Any]]) -> None:
        plan = {
            "url": stage.base_url,
            "certificate": str(stage.directory / "run/certificate/fullchain.pem"),
            "rate": RATE,
            "connections": CONNECTIONS,
            "tills": tills,
        }
        self.progress = stage.directory / "tmp/progress"
        self.outcome = stage.directory / "tmp/outcome"
        with self.outcome.open("w") as outcome, self.progress.open("w") as progress:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.ops.edge.load"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=outcome,
                stderr=progress,
                text=True,
            )
        assert self.process.stdin
        json.dump(plan, self.process.stdin)
        self.process.stdin.close()

    def wait_for(self, requests: int) -> None:
        while self.sent < requests:
            assert self.process.poll() is None, self.progress.read_text()
            time.sleep(0.5)

    @property
    def sent(self) -> int:
        words = self.progress.read_text().split()
        return int(words[-1]) if words else 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=300) == 0
        found: dict[str, Any] = json.loads(self.outcome.read_text())
        found["total"] = sum(found["requests"].values())
        print(
            f"{found['total']} requests in {found['seconds']:.0f} s, "
            f"{found['total'] / found['seconds']:.0f} a second: {len(found['failures'])} failed, "
            f"{found['repeated']} sent again on a new connection, {len(found['acknowledged'])} orders; "
            f"{found['requests']}, /version answered by {found['colours']}"
        )
        return found


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with set_stage() as stage:
        yield stage


@pytest.fixture
def dba(stage: Stage) -> Iterator[psycopg.Connection]:
    with psycopg.connect(admin_url(stage.database), autocommit=True) as connection:
        yield connection


def index_migration() -> tuple[str, str]:
    """A migration after the newest one, that indexes a table which every order writes to."""
    newest = max(path.stem for path in (ROOT / KEYS).glob("[0-9]*.py"))
    return (
        f"{KEYS}/9999_find_by_print.py",
        f'''
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("api", "{newest}")]
    operations = [
        AddIndexConcurrently(
            "idempotencykey", models.Index(fields=["restaurant", "fingerprint"], name="api_key_by_print")
        )
    ]
''',
    )


def sign_in(stage: Stage) -> str:
    body = json.dumps({"email": "owner@demo.example", "password": "demo-owner-2026"}).encode()
    request = urllib.request.Request(
        f"{stage.base_url}/api/v1/sign-in", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30, context=stage.tls) as answer:
        return str(json.loads(answer.read())["token"])


def test_nobody_notices_a_deployment_or_its_rollback(stage: Stage, dba: psycopg.Connection) -> None:
    stage.manage("platform", "load_demo", "-v", "0")
    (restaurant_id, item_id), (other_id,) = (
        dba.execute(
            "SELECT restaurant_id, id FROM restaurants_menuitem WHERE code = 'SOUP' ORDER BY 1 LIMIT 1"
        ).fetchone(),
        dba.execute("SELECT max(id) FROM restaurants_restaurant").fetchone(),
    )
    stage.release("1.0.0")
    stage.release("1.1.0", dict([index_migration()]))
    assert stage.run("deploy.sh", "1.0.0", "--bake", "1").returncode == 0
    assert stage.active == "blue"
    fill(dba, other_id)

    token = sign_in(stage)
    till = {"restaurant_id": restaurant_id, "token": token, "menu_item_id": str(item_id)}
    screens = Screens([TlsScreen(stage, restaurant_id, token) for _ in range(SCREENS)])
    screens.start()
    load = Load(stage, [till])
    try:
        load.wait_for(RATE * 5)
        deployed = stage.run("deploy.sh", "1.1.0", "--bake", "5")
        assert (deployed.returncode, stage.active) == (0, "green")
        load.wait_for(load.sent + RATE * 5)
        back = stage.run("rollback.sh", "1.0.0")
        assert (back.returncode, stage.active) == (0, "blue")
        load.wait_for(max(REQUESTS, load.sent + RATE * 5))
        found = load.stop()
        (head,) = dba.execute(
            "SELECT last_seq FROM events_streamhead WHERE restaurant_id = %s", [restaurant_id]
        ).fetchone()
        screens.wait_for_place({restaurant_id: head})
    finally:
        load.kill()
        screens.stop()

    assert found["failures"] == []
    assert found["total"] >= REQUESTS
    assert set(found["colours"]) == {"blue", "green"}
    (is_valid,) = dba.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'api_key_by_print'::regclass"
    ).fetchone()
    assert is_valid
    orders = dba.execute("SELECT id::text FROM orders_order WHERE restaurant_id = %s", [restaurant_id])
    assert sorted(order_id for (order_id,) in orders) == sorted(found["acknowledged"])
    tickets = Counter(
        str(order_id) for (order_id,) in dba.execute("SELECT order_id FROM orders_kitchenticket")
    )
    assert tickets == Counter(found["acknowledged"])
    shown = {str(i) for (i,) in dba.execute("SELECT id FROM orders_kitchenticket")}
    for screen in screens.screens:
        assert screen.shown == Counter(dict.fromkeys(shown, 1))
        assert (screen.gaps, set(screen.codes)) == (0, {1012})
        assert len(screen.codes) + screen.impatient >= 2


def fill(dba: psycopg.Connection, restaurant_id: int) -> None:
    began = time.monotonic()
    dba.execute(
        "INSERT INTO api_idempotencykey (id, restaurant_id, caller, key, fingerprint, response_status,"
        " response_body, response_etag, created_at) "
        "SELECT gen_random_uuid(), %s, '00000000-0000-7000-8000-000000000000', n, md5(n::text), 200, '', '',"
        " now() - n * interval '1 second' FROM generate_series(1, %s) n",
        [restaurant_id, ROWS],
    )
    print(f"{ROWS} rows in {time.monotonic() - began:.0f} s")


def test_the_guides_restart_in_place_fails_hundreds(stage: Stage, dba: psycopg.Connection) -> None:
    """Measured beside it: the same load, the same processes, `up --force-recreate` of the guide."""
    (restaurant_id, item_id) = dba.execute(
        "SELECT restaurant_id, id FROM restaurants_menuitem WHERE code = 'SOUP' ORDER BY 1 LIMIT 1"
    ).fetchone()
    till = {"restaurant_id": restaurant_id, "token": sign_in(stage), "menu_item_id": str(item_id)}
    load = Load(stage, [till])
    try:
        load.wait_for(RATE)
        stage.shell(f"driver_stop {stage.active}; driver_start {stage.active} 1.0.0")
        load.wait_for(load.sent + RATE)
        found = load.stop()
    finally:
        load.kill()
    assert len(found["failures"]) >= 100
