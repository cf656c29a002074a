"""Two tills that sell without pause, and print each thing that the API has acknowledged.

Runs as a process: `python -m tests.ops.backup.writer` with the environment of fynlo_app. The first line
names the two restaurants; then a line for each order and each payment, when it was asked for and when
answered. Ends when its input does, or with the database.
"""

import json
import os
import select
import sys
import time
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fynlo.settings")


def main() -> None:
    django.setup()
    from django.db import DatabaseError

    from accounts.models import Role
    from tests import factories
    from tests.client import ApiClient

    restaurants = [factories.make_restaurant(name) for name in ("The Copper Pot", "The Tin Lid")]
    tills = [ApiClient(factories.staff(restaurant, Role.MANAGER)) for restaurant in restaurants]
    menus = [lager(restaurant) for restaurant in restaurants]
    say(restaurants=[restaurant.pk for restaurant in restaurants])
    while not select.select([sys.stdin], [], [], 0)[0]:
        for till, item in zip(tills, menus, strict=True):
            try:
                sell(till, item)
            except DatabaseError:
                return


def lager(restaurant: Any) -> str:
    from fynlo.tenancy.scope import restaurant_scope
    from restaurants.models import MenuItem

    with restaurant_scope(restaurant.pk):
        return str(MenuItem.objects.get(code="LAGER").pk)


def sell(till: Any, item: str) -> None:
    from fynlo.tenancy.fields import uuid7

    order, payment = str(uuid7()), str(uuid7())
    lines = [{"id": str(uuid7()), "menu_item_id": item, "quantity": 2}]
    body = {"id": order, "kind": "takeaway", "items": lines, "send": True}
    opened = post(till, "orders", body, what="order", id=order)
    due = opened["balance_due_minor"]
    tender = {"id": payment, "method": "cash", "tendered_minor": due}
    post(till, f"orders/{order}/payments", tender, what="payment", id=payment, amount=due)
    post(till, f"orders/{order}/close", {}, what="close", id=order)


def post(till: Any, path: str, body: dict[str, Any], **told: Any) -> dict[str, Any]:
    asked = time.time()
    answer = till.post(path, body)
    if answer.status_code not in (200, 201):
        raise SystemExit(f"{path}: {answer.status_code} {answer.content!r}")
    say(restaurant=till.restaurant_id, asked=asked, answered=time.time(), **told)
    document: dict[str, Any] = answer.json()
    return document


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
