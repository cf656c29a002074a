"""A slice of the year is played through real processes; interrupted, it goes on where it was."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fynlo.ops.replay import read_year
from tests.databases import ROOT, role_url
from tests.processes import web_server

SHARED = ROOT.parent / "shared" / "data" / "pizza"

TYPES = """pizza_type_id,name,category,ingredients
bbq,The Barbecue Chicken Pizza,Chicken,"Barbecued Chicken, Red Peppers"
mar,The Margherita Pizza,Classic,"Tomatoes, Mozzarella Cheese"
"""
PIZZAS = """pizza_id,pizza_type_id,size,price
bbq_s,bbq,S,12.75
bbq_m,bbq,M,16.75
mar_l,mar,L,20.5
"""
ORDERS = """order_id,date,time
1,2015-01-01,11:38:36
2,2015-01-01,23:57:40
3,2015-02-01,01:12:00
"""
DETAILS = """order_details_id,order_id,pizza_id,quantity
1,1,bbq_s,1
2,2,bbq_m,2
3,2,mar_l,1
4,3,mar_l,3
5,3,unknown,1
6,9,bbq_s,1
7,3,bbq_s,none
order_details_id,order_id,pizza_id,quantity
"""


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "pizza_types.csv": TYPES,
        "pizzas.csv": PIZZAS,
        "orders.csv": ORDERS,
        "order_details.csv": DETAILS,
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def replay(
    database: str, base_url: str, folder: Path, slug: str, *options: str
) -> subprocess.CompletedProcess:
    env = {**os.environ, "DATABASE_URL": role_url("platform", database), "DB_ROLE": "platform"}
    command = [sys.executable, "manage.py", "replay_orders", str(folder), "--base-url", base_url]
    return subprocess.run(
        [*command, "--slug", slug, "--tills", "2", "--json", *options],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_bad_lines_are_named_and_cost_nothing_else(folder):
    year = read_year(folder, "any")
    assert [(bad.file, bad.line, bad.reason) for bad in year.bad_lines] == [
        ("order_details.csv", 6, "pizza_id: no pizza 'unknown'"),
        ("order_details.csv", 7, "order_id: no order '9'"),
        ("order_details.csv", 8, "quantity: 'none' is not a positive whole number"),
        ("order_details.csv", 9, "order_id: no order 'order_id'"),
    ]
    assert [order.lines for order in year.orders] == [
        [("bbq_s", 1)],
        [("bbq_m", 2), ("mar_l", 1)],
        [("mar_l", 3)],
    ]


def test_a_small_year_is_played_to_the_penny_and_may_be_repeated(folder, test_database, dba):
    with web_server(test_database) as base_url:
        first = replay(test_database, base_url, folder, "small-year", "--limit", "2")
        assert first.returncode == 0, first.stderr
        result = json.loads(first.stdout)
        assert result["totals"]["all"] == {"orders": 2, "items": 4, "revenue_minor": 1275 + 2 * 1675 + 2050}
        again = replay(test_database, base_url, folder, "small-year")
        assert again.returncode == 0, again.stderr
        assert "2 of 3 orders were played before." in again.stderr
    result = json.loads(again.stdout)
    assert result["totals"] == {
        "2015-01": {"orders": 3, "items": 7, "revenue_minor": 12825},
        "all": {"orders": 3, "items": 7, "revenue_minor": 12825},
    }
    assert len(result["bad_lines"]) == 4
    counts = dba.execute(
        "SELECT count(*), count(DISTINCT number), max(number), sum(captured_minor) FROM orders_order"
        " WHERE restaurant_id = %s",
        [result["restaurant_id"]],
    ).fetchone()
    assert counts == (3, 3, 3, 12825)
    (refreshed,) = dba.execute(
        "SELECT coalesce(sum(revenue_minor), 0) FROM daily_revenue WHERE restaurant_id = %s",
        [result["restaurant_id"]],
    ).fetchone()
    assert refreshed == 12825


@pytest.mark.skipif(not SHARED.exists(), reason="the real year's files are not beside this checkout")
def test_the_first_days_of_the_real_year(test_database):
    with (SHARED / "pizzas.csv").open() as file:
        prices = {row["pizza_id"]: round(float(row["price"]) * 100) for row in csv.DictReader(file)}
    year = read_year(SHARED, "any")
    assert [(bad.file, bad.line) for bad in year.bad_lines] == [
        ("order_details.csv", 48622),
        ("order_details.csv", 48623),
    ]
    assert len(year.orders) == 21350
    assert sum(quantity for order in year.orders for _, quantity in order.lines) == 49574
    assert sum(prices[code] * quantity for order in year.orders for code, quantity in order.lines) == 81786005
    with web_server(test_database) as base_url:
        played = replay(test_database, base_url, SHARED, "first-days", "--limit", "150")
    assert played.returncode == 0, played.stderr
    lines = [line for order in year.orders[:150] for line in order.lines]
    assert json.loads(played.stdout)["totals"]["all"] == {
        "orders": 150,
        "items": sum(quantity for _, quantity in lines),
        "revenue_minor": sum(prices[code] * quantity for code, quantity in lines),
    }
