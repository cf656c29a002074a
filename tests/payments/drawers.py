"""What the tests of drawers and of days share."""

import dataclasses
import datetime
import uuid
from typing import Any
from unittest import mock

from django.utils import timezone

from accounts.staff import JoinedDevice, Staff
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import CashDrawer, CashMovement, DayClose, DrawerSession, LedgerEntry, LedgerTransaction
from restaurants.models import Restaurant
from tests.client import ApiClient

from .bills import everything, patiently


def make_drawer(
    restaurant: Restaurant, name: str = "Bar", device: JoinedDevice | None = None, **fields: Any
) -> CashDrawer:
    with restaurant_scope(restaurant.pk):
        return CashDrawer.objects.create(name=name, device_id=device and device.device_id, **fields)


def at_till(by: Staff, device: JoinedDevice) -> Staff:
    """The member signed in at a till."""
    return dataclasses.replace(by, device_id=device.device_id)


def open_with(till: ApiClient, drawer: CashDrawer, float_minor: int = 10000, **fields: Any) -> Any:
    body = {"id": str(uuid7()), "float_minor": float_minor, **fields}
    return patiently(till, f"drawers/{drawer.pk}/sessions", body)


def move(till: ApiClient, session: dict, kind: str, amount: int | None = None, **fields: Any) -> Any:
    body = {"id": str(uuid7()), "kind": kind, "reason": "Milk", **fields}
    if amount is not None:
        body["amount_minor"] = amount
    return patiently(till, f"drawer-sessions/{session['id']}/movements", body)


def count(till: ApiClient, session: dict, counted_minor: int, **fields: Any) -> Any:
    return patiently(
        till, f"drawer-sessions/{session['id']}/count", {"counted_minor": counted_minor, **fields}
    )


def close_day_of(till: ApiClient, day: datetime.date | str, *sign_for: str, reason: str = "") -> Any:
    return patiently(till, f"days/{day}/close", {"sign_for": list(sign_for), "reason": reason})


def all_cash(restaurant: Restaurant) -> dict[str, Any]:
    """All that anything with a drawer or a day could change."""
    with restaurant_scope(restaurant.pk):
        rows = {
            "drawers": list(CashDrawer.objects.order_by("pk").values()),
            "sessions": list(DrawerSession.objects.order_by("pk").values()),
            "movements": list(CashMovement.objects.order_by("pk").values()),
            "days": list(DayClose.objects.order_by("pk").values()),
            "closed_through": Restaurant.objects.get(pk=restaurant.pk).closed_through,
        }
    return {**everything(restaurant), **rows}


def accounts(restaurant: Restaurant) -> dict[str, int]:
    """What the books hold, by account; those that hold nothing are left out."""
    sums: dict[str, int] = {}
    with restaurant_scope(restaurant.pk):
        for account, amount in LedgerEntry.objects.values_list("account", "amount_minor"):
            sums[account] = sums.get(account, 0) + amount
    return {account: amount for account, amount in sums.items() if amount}


def booked(restaurant: Restaurant, key: str) -> dict[str, int]:
    with restaurant_scope(restaurant.pk):
        found = LedgerTransaction.objects.get(key=key)
        return dict(found.entries.values_list("account", "amount_minor"))


def today_of(restaurant: Restaurant) -> datetime.date:
    return restaurant.business_date(timezone.now())


def later(**delta: int) -> Any:
    """As if it were that much later, for whatever asks Django for the time."""
    moment = timezone.now() + datetime.timedelta(**delta)
    return mock.patch("django.utils.timezone.now", return_value=moment)


def new_id() -> uuid.UUID:
    return uuid7()
