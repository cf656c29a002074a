"""Everything at once: a restaurant sells, and all that is watched can be seen; what dies is told to Slack."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from celery import Celery
from django.db import connections
from django.utils import timezone
from square import Square

from accounts.models import Role
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import Dispute, Terminal
from payments.services import accounts
from restaurants.models import Restaurant
from tests import factories
from tests.databases import database_of_its_own
from tests.kitchen.screen import hear_until, hello, open_socket
from tests.ops.watch.programs import MONITORING
from tests.ops.watch.stack import Stack, Till, eventually, stack
from tests.orders.scene import look_at
from tests.payments.cards.house import SquareHouse
from tests.peers.square import SquareSimulator

pytestmark = pytest.mark.timeout(1500)

# Of one server there is no replica, and of an application that works no failure.
ABSENT = {
    "pg_replication_lag": "a replica",
    "pg_replication_lag_seconds": "a replica",
    "pg_replication_is_replica": "a newer exporter",
    "pg_replication_slots_pg_wal_lsn_diff": "a replication slot",
}


@pytest.fixture(scope="module")
def square() -> Iterator[SquareSimulator]:
    with SquareSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def live(django_db_setup, tmp_path_factory, square) -> Iterator[Stack]:
    """The stack, after an evening in a restaurant."""
    where = tmp_path_factory.mktemp("watch")
    with database_of_its_own("watched") as database, stack(database, where) as found:
        found.start_application(SQUARE_BASE_URL=square.url)
        found.start_watching()
        restaurant = factories.make_restaurant("Watched")
        token = factories.token_of(factories.staff(restaurant, Role.OWNER))
        asyncio.run(look_on(found, restaurant, token))
        sell(found, square, restaurant, token)
        operate(found, restaurant)
        yield found


async def look_on(live: Stack, restaurant: Restaurant, token: str) -> None:
    """A kitchen screen, for as long as it takes until it is counted."""
    async with open_socket(live.port["ws"], restaurant.pk, token) as socket:
        await socket.send(json.dumps(hello()))
        await hear_until(socket, "snapshot", timeout=60)
        screens = "sum(fynlo_websocket_connections_active) == 1"
        await asyncio.to_thread(eventually, lambda: live.ask(screens), 25)


def sell(live: Stack, square: SquareSimulator, restaurant: Restaurant, token: str) -> None:
    till = Till(live.environment["BASE_URL"], restaurant.pk, token)
    scene = look_at(restaurant)
    house = card_house(restaurant, square)

    def bill() -> dict:
        opened = till.post("orders", {**scene.takeaway(scene.burger()), "send": True})
        assert opened.status_code == 201, opened.text
        return opened.json()

    for _ in range(20):
        order = bill()
        paid = till.post(f"orders/{order['id']}/payments", {"id": str(uuid7()), "method": "cash"})
        assert paid.status_code == 201, paid.text
        assert till.post(f"orders/{order['id']}/close").status_code == 200
    taken = card(house, till, bill())
    card(house, till, bill(), decline=True)
    house.begin(till, bill())  # the reader still waits for a card
    refund = {"id": str(uuid7()), "amount_minor": 500, "reason": "cold"}
    refunded = till.post(f"payments/{taken['id']}/refunds", refund)
    assert refunded.status_code in (201, 202), refunded.text
    square.settle_refunds()  # which the worker finds out
    with restaurant_scope(restaurant.pk):  # Square tells of one after an hour at the soonest
        Dispute.objects.create(
            attempt_id=house.attempt(taken).pk,
            provider_ref="dispute",
            amount_minor=1250,
            created_at=timezone.now(),
            evidence_due_at=timezone.now() + timedelta(days=7),
        )
    connections.close_all()
    # Money that nobody here asked for, which reconciling finds.
    Square(token=f"sandbox-{restaurant.pk}", base_url=square.url).payments.create(
        source_id="cnon:card-nonce-ok",
        idempotency_key=str(uuid7()),
        amount_money={"amount": 425, "currency": "GBP"},
        location_id=house.account.location_id,
    )


def card(house: SquareHouse, till: Till, order: dict, *, decline: bool = False) -> dict:
    begun = house.begin(till, order)
    assert begun.status_code == 202, begun.text
    payment: dict = begun.json()
    eventually(lambda: house.attempt(payment).provider_ref)  # the worker asks again where the reader was slow
    house.tap(payment, decline=decline)
    connections.close_all()
    assert till.post(f"payments/{payment['id']}/check").status_code == 200
    return payment


def card_house(restaurant: Restaurant, square: SquareSimulator) -> SquareHouse:
    token = f"sandbox-{restaurant.pk}"
    square.add_device(token, "device-1", "Bar reader")
    with restaurant_scope(restaurant.pk):
        account = accounts.add_account(
            provider="square",
            secrets={"access_token": token, "webhook_signature_keys": ["square-key"]},
            external_account_id=square.seller(token).merchant_id,
            location_id=square.seller(token).location_id,
        )
        terminal = Terminal.objects.create(account=account, reader_id="device-1", label="Bar reader")
    connections.close_all()
    return SquareHouse(restaurant, account, terminal, square)


def operate(live: Stack, restaurant: Restaurant) -> None:
    """What runs by the clock or by hand."""
    live.manage("refresh_views")
    backup = live._login("backup")
    live.manage("backup", "--kind", "logical", **backup)
    live.manage("verify_backup", "--latest", "--restore", **backup)
    queue = Celery(broker=live.environment["REDIS_URL"])
    queue.send_task("fynlo.ops.tasks.measure_backups", queue="backup")
    for task in ("payments.tasks.verify_journal", "orders.tasks.check_sales", "orders.tasks.drain_sales"):
        queue.send_task(task)
    queue.send_task("orders.tasks.refresh_platform_revenue")
    queue.send_task("payments.tasks.reconcile_restaurant", (restaurant.pk,))
    eventually(lambda: live.ask('fynlo_backup_last_verified_timestamp_seconds{family="logical"}'))
    eventually(lambda: live.ask("fynlo_beat_heartbeat_timestamp_seconds > 0"))
    eventually(lambda: live.ask('fynlo_ops_last_exit_code{command="refresh_views"}'))


def dashboards() -> Iterator[tuple[str, str]]:
    """(panel, expression) of everything that Grafana asks Prometheus."""
    for path in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for annotation in board["annotations"]["list"]:
            # Grafana asks over the time that is shown, and a deployment is a moment.
            yield f"{path.name} {annotation['name']}", f"max_over_time(({annotation['expr']})[1h:5s])"
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if target["datasource"]["type"] == "prometheus":
                    yield f"{path.name} {panel['title']}", target["expr"]


def test_every_expression_of_the_dashboards_has_an_answer(live):
    def empty() -> list[tuple[str, str]]:
        httpx.get(live.environment["BASE_URL"], timeout=30)  # somebody is always there
        return [
            (panel, expression)
            for panel, expression in dashboards()
            if not live.ask(expression.replace("$__rate_interval", "30s"))
        ]

    asked = list(dashboards())
    assert len(asked) > 60
    try:
        eventually(lambda: not empty())
    except AssertionError:
        pytest.fail("\n".join(f"{panel}: {expression}" for panel, expression in empty()))


def names_in(expression: Any) -> Iterator[str]:
    """The metrics that an expression asks for."""
    if isinstance(expression, promql_parser.MatrixSelector):
        yield from names_in(expression.vector_selector)
    elif isinstance(expression, promql_parser.VectorSelector):
        if expression.name:
            yield expression.name
        for matcher in expression.matchers.matchers:
            if matcher.name == "__name__":
                for name in matcher.value.split("|"):
                    yield from (name.replace("(_seconds)?", end) for end in ("", "_seconds"))
    for part in ("expr", "lhs", "rhs"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from names_in(inner)
    for argument in getattr(expression, "args", None) or []:
        yield from names_in(argument)


def test_every_metric_that_is_named_is_one_that_something_emits(live):
    asked = [expression.replace("$__rate_interval", "30s") for _, expression in dashboards()]
    for path in (MONITORING / "rules").glob("*.yml"):
        groups = yaml.safe_load(path.read_text())["groups"]
        asked += [rule["expr"] for group in groups for rule in group["rules"]]
    named = {name for expression in asked for name in names_in(promql_parser.parse(expression))}
    assert len(named) > 80
    url = f"http://127.0.0.1:{live.port['prometheus']}/api/v1/label/__name__/values"
    assert named - set(httpx.get(url, timeout=30).json()["data"]) == set(ABSENT)


def test_slack_is_told_that_the_application_died_and_that_it_is_back(live):
    def told(title: str, after: int = 0) -> list[dict]:
        messages = live.slack.messages[after:]
        return [message for message in messages if message["attachments"][0]["title"] == title]

    watching = eventually(lambda: told("Watching works"))
    assert watching[0]["channel"] == "#fynlo-tickets"
    eventually(lambda: not live.ask('ALERTS{alertname="APIDown"}'))

    before = len(live.slack.messages)
    live.web_process.close()  # SIGTERM to its pid, and it is gone
    firing = eventually(lambda: told("FIRING APIDown", before))[0]
    assert firing["channel"] == "#fynlo-pages"
    assert firing["attachments"][0]["color"] == "danger"
    assert firing["attachments"][0]["text"] == (
        "No web process answers. Tills cannot sell.\ndeploy/RUNBOOK.md#apidown\n"
    )

    then = len(live.slack.messages)
    live.start_web()
    resolved = eventually(lambda: told("RESOLVED APIDown", then))[0]
    assert (resolved["channel"], resolved["attachments"][0]["color"]) == ("#fynlo-pages", "good")
