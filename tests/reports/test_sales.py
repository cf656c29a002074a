"""The roll-up is the sum of the closed orders, whatever happens to them and whoever drains meanwhile."""

import datetime
import random
import threading
from datetime import date

import pytest
from django.db import connection, connections

from fynlo.tenancy.scope import RestaurantNotSet, restaurant_scope
from orders.models import DailyRevenue, Order
from orders.services import sales
from orders.tasks import check_sales, drain_sales, refresh_platform_revenue
from tests.databases import database_role
from tests.reports.scene import make_order

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
LONG_AGO = date(1900, 1, 1)


def kept(restaurant):
    with restaurant_scope(restaurant.pk):
        columns = ("business_date", "kind", "orders", "revenue_minor", "tax_minor")
        return sorted(DailyRevenue.objects.values_list(*columns))


def differences_of(restaurant):
    return [day for day in sales.sales_differences(LONG_AGO) if day.restaurant_id == restaurant.pk]


def test_only_closed_orders_count(restaurant):
    with restaurant_scope(restaurant.pk):
        make_order(MONDAY, 1000, tax_minor=167)
        make_order(MONDAY, 250, tax_minor=42)
        make_order(MONDAY, 500, kind="dine_in")
        make_order(MONDAY, 7777, status=Order.Status.OPEN)
        make_order(MONDAY, 8888, status=Order.Status.VOIDED)
        make_order(TUESDAY, 60)
    assert kept(restaurant) == []
    drain_sales()
    assert kept(restaurant) == [
        (MONDAY, "dine_in", 1, 500, 0),
        (MONDAY, "takeaway", 2, 1250, 209),
        (TUESDAY, "takeaway", 1, 60, 0),
    ]


def test_closing_moving_and_voiding_an_order_moves_its_sum(restaurant):
    with restaurant_scope(restaurant.pk):
        order = make_order(MONDAY, 1000, status=Order.Status.OPEN)
    steps = [
        ({"status": "closed"}, [(MONDAY, "takeaway", 1, 1000, 0)]),
        ({"business_date": TUESDAY}, [(TUESDAY, "takeaway", 1, 1000, 0)]),
        ({"total_minor": 900, "tax_minor": 150}, [(TUESDAY, "takeaway", 1, 900, 150)]),
        ({"kind": "dine_in"}, [(TUESDAY, "dine_in", 1, 900, 150)]),
        ({"status": "voided"}, []),
    ]
    for changes, expected in steps:
        with restaurant_scope(restaurant.pk):
            Order.objects.filter(pk=order.pk).update(**changes)
        drain_sales()
        assert kept(restaurant) == expected


def test_a_change_of_an_open_order_marks_nothing(restaurant, dba):
    def marks():
        query = "SELECT count(*) FROM orders_sales_dirty WHERE restaurant_id = %s"
        return dba.execute(query, [restaurant.pk]).fetchone()[0]

    with restaurant_scope(restaurant.pk):
        order = make_order(MONDAY, 1000, status=Order.Status.OPEN)
        Order.objects.update(total_minor=1200, version=2)
    assert marks() == 0
    with restaurant_scope(restaurant.pk):
        Order.objects.filter(pk=order.pk).update(status="closed")
    assert marks() == 1
    with restaurant_scope(restaurant.pk):
        Order.objects.filter(pk=order.pk).update(refunded_minor=0, version=9)
    assert marks() == 1


def test_it_lies_behind_the_fence(restaurant, other_restaurant):
    with restaurant_scope(other_restaurant.pk):
        make_order(MONDAY, 4200)
    with restaurant_scope(restaurant.pk):
        make_order(MONDAY, 100)
    drain_sales()
    assert kept(restaurant) == [(MONDAY, "takeaway", 1, 100, 0)]
    assert kept(other_restaurant) == [(MONDAY, "takeaway", 1, 4200, 0)]
    with pytest.raises(RestaurantNotSet):
        DailyRevenue.objects.count()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders_sales_daily SET revenue_minor = 1",
        "DELETE FROM orders_sales_daily",
        "UPDATE daily_revenue SET revenue_minor = 1",
        "SELECT * FROM orders_sales_dirty",
        "DELETE FROM orders_sales_dirty",
        "SELECT * FROM definer.platform_daily_revenue",
    ],
)
def test_the_application_cannot_touch_it(in_restaurant, statement):
    with pytest.raises(Exception, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_difference_is_found_named_and_healed_at_night(restaurant, dba, caplog):
    today = datetime.datetime.now(datetime.UTC).date()
    with restaurant_scope(restaurant.pk):
        make_order(today, 1000)
    assert differences_of(restaurant) == []  # it is marked: the next drain sums it up
    drain_sales()
    assert differences_of(restaurant) == []
    dba.execute("UPDATE orders_sales_daily SET revenue_minor = 999 WHERE restaurant_id = %s", [restaurant.pk])
    assert differences_of(restaurant) == [sales.RestaurantDay(restaurant.pk, today)]
    check_sales()
    expected = f"Daily revenue of restaurant {restaurant.pk} on {today} was not that of its orders"
    assert expected in caplog.messages
    assert differences_of(restaurant) == []
    assert kept(restaurant) == [(today, "takeaway", 1, 1000, 0)]


def test_the_platform_sees_the_sum_of_all_and_nobody_else_does(restaurant, other_restaurant):
    day = date(2031, 5, random.randint(1, 31))
    with database_role("platform"):
        before = platform_day(day)
    with restaurant_scope(restaurant.pk):
        make_order(day, 1000, tax_minor=100)
        make_order(day, 50)
    with restaurant_scope(other_restaurant.pk):
        make_order(day, 7)
    drain_sales()
    refresh_platform_revenue()
    with database_role("platform"):
        after = platform_day(day)
    assert [a - b for a, b in zip(after, before, strict=True)] == [2, 3, 1057, 100]


def platform_day(day):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT restaurants, orders, revenue_minor, tax_minor FROM definer.platform_daily_revenue"
            " WHERE business_date = %s AND currency = 'GBP'",
            [day],
        )
        return cursor.fetchone() or (0, 0, 0, 0)


def test_writers_and_drains_at_once_end_at_the_sum(restaurant, other_restaurant):
    days = [date(2026, 4, n) for n in range(1, 5)]
    failures = []
    writing = threading.Event()
    writing.set()

    def write(seed):
        choose = random.Random(seed)
        try:
            for n in range(40):
                with restaurant_scope(choose.choice([restaurant, other_restaurant]).pk):
                    _one_change(choose, days, number=seed * 1000 + n)
        except Exception as error:
            failures.append(error)
        finally:
            connections["default"].close()

    def drain():
        try:
            while writing.is_set():
                sales.drain_sales()
        except Exception as error:
            failures.append(error)
        finally:
            connections["default"].close()

    usual = connection.pool.max_size
    connection.pool.resize(1, max(usual, 8))  # each thread keeps one until it ends
    drains = [threading.Thread(target=drain) for _ in range(2)]
    writers = [threading.Thread(target=write, args=[seed]) for seed in range(1, 5)]
    for thread in [*drains, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    writing.clear()
    for thread in drains:
        thread.join()
    connection.pool.resize(1, usual)
    drain_sales()
    assert failures == []
    for place in (restaurant, other_restaurant):
        assert differences_of(place) == []
        assert kept(place) == summed(place)
        assert kept(place) != []


def _one_change(choose, days, *, number):
    """Mostly a new closed order; else close, move, reprice or void one that is there."""
    orders = Order.objects.order_by("?")
    match choose.choice(["new", "new", "close", "move", "reprice", "void", "open"]):
        case "new":
            make_order(choose.choice(days), choose.randint(1, 5000), tax_minor=3, number=number)
        case "open":
            make_order(choose.choice(days), choose.randint(1, 5000), status="open", number=number)
        case "close":
            order = orders.filter(status="open").select_for_update().first()
            if order:
                Order.objects.filter(pk=order.pk).update(status="closed")
        case change:
            order = orders.filter(status="closed").select_for_update().first()
            values = {
                "move": {"business_date": choose.choice(days)},
                "reprice": {"total_minor": choose.randint(1, 5000)},
                "void": {"status": "voided"},
            }[change]
            if order:
                Order.objects.filter(pk=order.pk).update(**values)


def summed(restaurant):
    sums: dict = {}
    with restaurant_scope(restaurant.pk):
        for order in Order.objects.filter(status="closed"):
            key = (order.business_date, order.kind)
            old = sums.get(key, (0, 0, 0))
            sums[key] = (old[0] + 1, old[1] + order.total_minor, old[2] + order.tax_minor)
    return sorted((*key, *value) for key, value in sums.items())
