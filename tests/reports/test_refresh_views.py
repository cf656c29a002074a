"""`manage.py refresh_views` as an operator runs it: what it says, and how it exits."""

import datetime
import io
import json

import pytest
from django.core.management import CommandError, call_command

from fynlo.tenancy.scope import restaurant_scope
from orders.models import DailyRevenue
from orders.services import sales
from tests.reports.scene import make_order


def run(*arguments):
    """The exit code and, of what it printed as JSON, what it says of each view."""
    out, code = io.StringIO(), 0
    try:
        call_command("refresh_views", *arguments, "--json", stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        code = end.code
    return code, json.loads(out.getvalue())["views"]


@pytest.fixture
def today():
    return datetime.datetime.now(datetime.UTC).date()


@pytest.fixture(autouse=True)
def others_are_in_order():
    """What tests before this one spoiled or left to be drained is not this one's matter."""
    call_command("refresh_views", "--full", stdout=io.StringIO(), stderr=io.StringIO())


def test_it_sums_up_what_changed_and_may_be_repeated(restaurant, today):
    with restaurant_scope(restaurant.pk):
        make_order(today, 500)
        make_order(today - datetime.timedelta(days=1), 700)
    code, outcome = run("daily_revenue")
    assert (code, outcome) == (
        0,
        {"daily_revenue": {"days_summed": 2, "days_repaired": 0, "days_different": 0}},
    )
    code, outcome = run()
    assert code == 0
    assert outcome["daily_revenue"] == {"days_summed": 0, "days_repaired": 0, "days_different": 0}
    assert outcome["platform_daily_revenue"] == {"days_different": 0}
    with restaurant_scope(restaurant.pk):
        assert list(
            DailyRevenue.objects.order_by("business_date").values_list("revenue_minor", flat=True)
        ) == [
            700,
            500,
        ]


def test_a_difference_exits_3_and_full_puts_it_right(restaurant, today, dba):
    with restaurant_scope(restaurant.pk):
        make_order(today, 500)
    sales.drain_sales()
    dba.execute("UPDATE orders_sales_daily SET orders = 2 WHERE restaurant_id = %s", [restaurant.pk])
    for _ in range(2):  # looking does not mend it
        code, outcome = run("daily_revenue")
        assert (code, outcome["daily_revenue"]["days_different"]) == (3, 1)
    code, outcome = run("daily_revenue", "--full")
    assert code == 0
    assert outcome["daily_revenue"] == {"days_summed": 1, "days_repaired": 1, "days_different": 0}
    assert run("daily_revenue")[0] == 0


def test_a_lost_row_is_a_difference_too(restaurant, today, dba):
    with restaurant_scope(restaurant.pk):
        make_order(today, 500)
    sales.drain_sales()
    dba.execute("DELETE FROM orders_sales_daily WHERE restaurant_id = %s", [restaurant.pk])
    assert run("daily_revenue")[0] == 3


def test_old_days_are_compared_with_full_only(restaurant, today, dba):
    with restaurant_scope(restaurant.pk):
        make_order(today - datetime.timedelta(days=400), 500)
    sales.drain_sales()
    dba.execute("UPDATE orders_sales_daily SET tax_minor = 1 WHERE restaurant_id = %s", [restaurant.pk])
    assert run("daily_revenue")[0] == 0
    code, outcome = run("daily_revenue", "--full")
    assert (code, outcome["daily_revenue"]["days_repaired"]) == (0, 1)


def test_a_second_run_at_the_same_time_exits_4(dba):
    dba.execute("SELECT pg_advisory_lock(hashtextextended('fynlo.refresh_views', 0))")
    errors = io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("refresh_views", stdout=io.StringIO(), stderr=errors)
    assert (end.value.code, errors.getvalue()) == (4, "locked: Another run is under way.\n")


def test_another_name_is_refused():
    with pytest.raises(CommandError, match="invalid choice: 'sales'"):
        call_command("refresh_views", "sales")
