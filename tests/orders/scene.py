"""What the tests of orders share: the menu by name, bodies that a till sends, and what the rows say."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection

from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from orders.payloads import order_payload
from restaurants.models import KitchenStation, MenuItem, Modifier, Restaurant, Table

TABLES = (
    "orders_order",
    "orders_orderitem",
    "orders_kitchenticket",
    "restaurants_counter",
    "events_streamhead",
    "events_event",
    "api_idempotencykey",
)


@dataclasses.dataclass
class Scene:
    """Ids by name, as text."""

    restaurant: Restaurant
    items: dict[str, str]
    modifiers: dict[str, str]
    tables: dict[str, str]
    stations: dict[str, str]

    def line(self, name: str, quantity: int = 1, modifiers: tuple[str, ...] = (), **fields: Any) -> dict:
        chosen = [self.modifiers[modifier] for modifier in modifiers]
        body = {"id": new_id(), "menu_item_id": self.items[name], "quantity": quantity, "modifiers": chosen}
        return {**body, **fields}

    def burger(self, quantity: int = 1, *extras: str, **fields: Any) -> dict:
        """12.50, rare."""
        return self.line("Burger", quantity, ("Rare", *extras), **fields)

    def order(self, *lines: dict, **fields: Any) -> dict:
        """Two guests at T1."""
        body = {"id": new_id(), "kind": "dine_in", "table_id": self.tables["T1"], "covers": 2}
        return {**body, "items": list(lines), **fields}

    def takeaway(self, *lines: dict, **fields: Any) -> dict:
        return {"id": new_id(), "kind": "takeaway", "items": list(lines), **fields}

    def stored(self, order_id: str) -> dict:
        """The order as its rows say."""
        with restaurant_scope(self.restaurant.pk):
            return order_payload(Order.objects.with_details().get(pk=order_id))

    def events(self, after: int = 0) -> list[Event]:
        with restaurant_scope(self.restaurant.pk):
            return list(Event.objects.filter(seq__gt=after))

    def kinds(self, after: int = 0) -> list[str]:
        return [event.kind for event in self.events(after)]

    def sell_out(self, model: type[MenuItem] | type[Modifier], name: str, is_sold_out: bool = True) -> None:
        with restaurant_scope(self.restaurant.pk):
            model.objects.filter(name=name).update(is_sold_out=is_sold_out)

    def snapshot(self) -> dict[str, list]:
        """Every row of this restaurant that an order could touch."""
        found = {}
        with restaurant_scope(self.restaurant.pk), connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY id")
                found[table] = cursor.fetchall()
        return found

    @contextlib.contextmanager
    def nothing_changes(self) -> Iterator[None]:
        before = self.snapshot()
        yield
        assert self.snapshot() == before


def new_id() -> str:
    return str(uuid7())


def look_at(restaurant: Restaurant) -> Scene:
    def by_name(model: Any) -> dict[str, str]:
        return {name: str(pk) for pk, name in model.objects.values_list("pk", "name")}

    with restaurant_scope(restaurant.pk):
        return Scene(
            restaurant, by_name(MenuItem), by_name(Modifier), by_name(Table), by_name(KitchenStation)
        )


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """What each job returned, in order; all of them start together, each with a connection of its own."""
    answers: list[Any] = [None] * len(jobs)
    start = threading.Barrier(len(jobs))

    def run(index: int) -> None:
        start.wait()
        try:
            answers[index] = jobs[index]()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(jobs))]
    connection.close()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def refused(response: Any, status: int, code: str, field: str | None = None) -> dict:
    """The problem, which must be this one."""
    problem = response.json()
    assert (response.status_code, problem.get("code")) == (status, code), problem
    assert response["Content-Type"] == "application/problem+json"
    if field is not None:
        assert [error["field"] for error in problem["errors"]] == [field], problem
    return problem
