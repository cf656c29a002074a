"""Keeping daily revenue in step with the orders, over all restaurants: no scope needed, no amounts shown."""

import datetime
from dataclasses import dataclass

from django.db import connection, transaction

MARKS_AT_ONCE = 500
PATIENCE = "SELECT set_config('statement_timeout', '240s', true), set_config('lock_timeout', '60s', true)"


@dataclass(frozen=True, slots=True, order=True)
class RestaurantDay:
    restaurant_id: int
    business_date: datetime.date


def drain_sales() -> int:
    """Sum up anew every day that was marked, in transactions of their own. Returns how many."""
    days = 0
    while done := _call("SELECT definer.drain_sales(%s)", MARKS_AT_ONCE)[0][0]:
        days += done
    return days


def sales_differences(since: datetime.date) -> list[RestaurantDay]:
    """The days whose sums are not those of their orders, other than those waiting to be drained."""
    return [RestaurantDay(*row) for row in _call("SELECT * FROM definer.sales_differences(%s)", since)]


def mark_sales_differences(since: datetime.date) -> list[RestaurantDay]:
    """The same, and the next drain puts them right."""
    return [RestaurantDay(*row) for row in _call("SELECT * FROM definer.mark_sales_differences(%s)", since)]


def refresh_platform_revenue() -> int:
    """Refresh the totals over all restaurants; returns how many days of them are not the sum of theirs."""
    return int(_call("SELECT definer.refresh_platform_daily_revenue()")[0][0])


def _call(sql: str, *parameters: int | str | datetime.date | None) -> list[tuple]:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        cursor.execute(sql, parameters)
        return cursor.fetchall()
