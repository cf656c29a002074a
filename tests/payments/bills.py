"""What the tests of payments share: bills, cash, the books, and many tills at once."""

import concurrent.futures
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments.models import LedgerEntry, PaymentAttempt, PaymentIntent, Receipt
from restaurants.models import Counter, Restaurant
from tests.client import ApiClient


def open_bill(till: ApiClient, body: dict) -> dict:
    """An order of `scene`, sent to the kitchen."""
    answer = till.post("orders", {**body, "send": True})
    assert answer.status_code == 201, answer.content
    return answer.json()


def pay(till: ApiClient, bill: dict, **fields: Any) -> Any:
    body = {"id": str(uuid7()), "method": "cash", **fields}
    return patiently(till, f"orders/{bill['id']}/payments", body)


def close(till: ApiClient, bill: dict, **fields: Any) -> Any:
    return patiently(till, f"orders/{bill['id']}/close", fields)


def patiently(till: ApiClient, path: str, body: dict, key: str | None = None) -> Any:
    """POST as a till does: the same request again while the restaurant is busy."""
    key = key or str(uuid.uuid4())
    answer = till.post(path, body, Idempotency_Key=key)
    while answer.has_header("Retry-After"):
        time.sleep(0.2)
        answer = till.post(path, body, Idempotency_Key=key)
    return answer


def paid_and_closed(till: ApiClient, body: dict, **payment: Any) -> dict:
    """A bill from the first item to the receipt. Answers the closed order with its receipt."""
    bill = open_bill(till, body)
    assert pay(till, bill, **payment).status_code == 201
    closed = close(till, bill)
    assert closed.status_code == 200, closed.content
    return closed.json()


def in_books(restaurant: Restaurant, bill: dict) -> dict[str, dict[str, int]]:
    """What the books say of a bill: amounts by account, by kind of transaction."""
    found: dict[str, dict[str, int]] = {}
    with restaurant_scope(restaurant.pk):
        for entry in LedgerEntry.objects.select_related("transaction").filter(order=bill["id"]):
            kind = entry.transaction.key.partition(":")[0]
            accounts = found.setdefault(kind, {})
            accounts[entry.account] = accounts.get(entry.account, 0) + entry.amount_minor
    return found


def everything(restaurant: Restaurant) -> dict[str, Any]:
    """All that a payment or a closing could change."""
    with restaurant_scope(restaurant.pk):
        return {
            "orders": list(Order.objects.order_by("pk").values()),
            "payments": list(PaymentIntent.objects.order_by("pk").values()),
            "attempts": list(PaymentAttempt.objects.order_by("pk").values()),
            "entries": list(LedgerEntry.objects.order_by("pk").values()),
            "receipts": list(Receipt.objects.order_by("pk").values()),
            "events": list(Event.objects.values_list("seq", "kind")),
            "counters": list(Counter.objects.order_by("name").values_list("name", "value")),
        }


def kinds_of_events(restaurant: Restaurant, prefix: str) -> list[str]:
    with restaurant_scope(restaurant.pk):
        return list(Event.objects.filter(kind__startswith=prefix).values_list("kind", flat=True))


def all_at_once(tills: int, act: Callable[[int], Any]) -> list[Any]:
    """Call `act(n)` for each till at the same moment, each in a thread and on a connection of its own."""
    start = threading.Barrier(tills)
    usual = connection.pool.max_size
    # With some to spare: a thread of an earlier test that ended without closing took its place along.
    connection.pool.resize(1, max(usual, tills + 6))

    def run(n: int) -> Any:
        try:
            start.wait()
            return act(n)
        finally:
            connections.close_all()

    try:
        with concurrent.futures.ThreadPoolExecutor(tills) as threads:
            return list(threads.map(run, range(tills)))
    finally:
        connection.pool.resize(1, usual)
