"""A year of real orders from four CSV files, and the tills that play it through the API.

The files are those of the "Pizza Place Sales" data set: pizza_types.csv, pizzas.csv, orders.csv and
order_details.csv. Prices are in dollars without tax.
"""

import csv
import datetime
import hashlib
import time
import uuid
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from fynlo.money import to_minor

CURRENCY = "USD"
TIMEZONE = "America/New_York"
FILES = ("pizza_types.csv", "pizzas.csv", "orders.csv", "order_details.csv")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a file that cannot be used; `line` counts from 1 and includes the header."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Pizza:
    code: str
    name: str
    category: str
    description: str
    price_minor: int


@dataclass(slots=True)
class PastOrder:
    """An order as the files have it; `lines` is [(pizza code, quantity)].

    `series` sets one restaurant's replay apart from another's: an id is an id everywhere.
    """

    series: str
    number: int
    at: datetime.datetime
    lines: list[tuple[str, int]] = field(default_factory=list)

    def id(self, purpose: str) -> uuid.UUID:
        """The same UUIDv7 in every run, so that a repeated replay repeats no order."""
        return past_uuid7(self.at, f"{self.series} {purpose} {self.number}")


@dataclass(slots=True)
class Year:
    """All that the files hold, and the lines that had to be left out."""

    menu: dict[str, Pizza]
    orders: list[PastOrder]
    bad_lines: list[BadLine]


def past_uuid7(at: datetime.datetime, name: str) -> uuid.UUID:
    """A UUIDv7 of a past moment whose random part follows from a name (RFC 9562, section 5.7)."""
    milliseconds = int(at.timestamp() * 1000)
    rest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:10], "big")
    return uuid.UUID(
        int=milliseconds << 80 | 0x7 << 76 | (rest >> 62 & 0xFFF) << 64 | 0b10 << 62 | rest & (1 << 62) - 1
    )


def read_year(folder: Path, series: str) -> Year:
    """Read the four files, for a restaurant's replay. A bad line is reported and costs nothing but itself.

    Raises FileNotFoundError when a file is missing.
    """
    bad: list[BadLine] = []
    types = {row["pizza_type_id"]: row for _, row in _rows(folder, "pizza_types.csv")}
    menu = dict(_pizzas(folder, types, bad))
    orders = dict(_orders(folder, series, bad))
    for line, row in _rows(folder, "order_details.csv"):
        problem = _detail_problem(row, orders, menu)
        if problem:
            bad.append(BadLine("order_details.csv", line, problem))
        else:
            orders[row["order_id"]].lines.append((row["pizza_id"], int(row["quantity"])))
    return Year(menu, list(orders.values()), bad)


def _rows(folder: Path, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    with (folder / name).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
        for row in reader:
            yield reader.line_num, row


def _pizzas(
    folder: Path, types: dict[str, dict[str, str]], bad: list[BadLine]
) -> Iterator[tuple[str, Pizza]]:
    for line, row in _rows(folder, "pizzas.csv"):
        kind = types.get(row["pizza_type_id"])
        try:
            price = to_minor(row["price"], CURRENCY)
        except ValueError as error:
            bad.append(BadLine("pizzas.csv", line, str(error)))
            continue
        if kind is None:
            bad.append(BadLine("pizzas.csv", line, f"unknown pizza type {row['pizza_type_id']!r}"))
            continue
        name = f"{kind['name']} ({row['size']})"
        yield row["pizza_id"], Pizza(row["pizza_id"], name, kind["category"], kind["ingredients"], price)


def _orders(folder: Path, series: str, bad: list[BadLine]) -> Iterator[tuple[str, PastOrder]]:
    zone = zoneinfo.ZoneInfo(TIMEZONE)
    for line, row in _rows(folder, "orders.csv"):
        try:
            at = datetime.datetime.fromisoformat(f"{row['date']}T{row['time']}").replace(tzinfo=zone)
            number = int(row["order_id"])
        except ValueError as error:
            bad.append(BadLine("orders.csv", line, str(error)))
            continue
        yield row["order_id"], PastOrder(series, number, at.astimezone(datetime.UTC))


def _detail_problem(row: dict[str, str], orders: dict[str, PastOrder], menu: dict[str, Pizza]) -> str:
    if row["order_id"] not in orders:
        return f"order_id: no order {row['order_id']!r}"
    if row["pizza_id"] not in menu:
        return f"pizza_id: no pizza {row['pizza_id']!r}"
    if not row["quantity"].isdecimal() or int(row["quantity"]) == 0:
        return f"quantity: {row['quantity']!r} is not a positive whole number"
    return ""


class Till:
    """One till that opens, takes cash for and closes past orders. Every request may be repeated."""

    def __init__(self, base_url: str, restaurant_id: int, token: str, item_ids: dict[str, str]) -> None:
        self.item_ids = item_ids
        self.http = httpx.Client(
            base_url=f"{base_url}/api/v1/restaurants/{restaurant_id}/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )

    def play(self, order: PastOrder) -> int:
        """Play an order to the end. Returns what was paid, in minor units."""
        at = order.at.isoformat()
        order_id = order.id("order")
        items = [
            {
                "id": str(order.id(f"item {n}")),
                "menu_item_id": self.item_ids[code],
                "quantity": quantity,
            }
            for n, (code, quantity) in enumerate(order.lines)
        ]
        body = {"id": str(order_id), "kind": "takeaway", "items": items, "send": True, "opened_at": at}
        opened = self._post("orders", body, f"replay-{order_id}-open")
        if opened["status"] == "open" and opened["balance_due_minor"]:
            payment = {
                "id": str(order.id("payment")),
                "method": "cash",
                "tendered_minor": opened["balance_due_minor"],
                "paid_at": at,
            }
            self._post(f"orders/{order_id}/payments", payment, f"replay-{order_id}-pay")
        closed = self._post(f"orders/{order_id}/close", {"closed_at": at}, f"replay-{order_id}-close")
        return int(closed["total_minor"])

    def _post(self, path: str, body: dict[str, object], key: str) -> dict[str, Any]:
        """POST until it is answered: the key makes a repeat harmless. Raises ReplayRefused."""
        for _ in range(60):
            try:
                response = self.http.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                time.sleep(1)
                continue
            if response.status_code in (409, 429, 502, 503, 504) and response.headers.get("Retry-After"):
                time.sleep(1)
                continue
            if response.status_code >= 400:
                raise ReplayRefused(f"{path}: {response.status_code} {response.text}")
            answer: dict[str, Any] = response.json()
            return answer
        raise ReplayRefused(f"{path}: no answer after 60 tries")


class ReplayRefused(Exception):
    """The API refused an order of the replay, which it never should."""


def play_orders(
    base_url: str,
    restaurant_id: int,
    token: str,
    item_ids: dict[str, str],
    orders: list[PastOrder],
    done: Any,
) -> None:
    """One till's process: puts True on the queue for each order played, or what stopped it as text."""
    till = Till(base_url, restaurant_id, token, item_ids)
    try:
        for order in orders:
            till.play(order)
            done.put(True)
    except ReplayRefused as error:
        done.put(str(error))
