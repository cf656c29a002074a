"""Reports from a real streaming replica: inside the fence, and from the primary when it cannot keep up."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fynlo.ops.roles import bootstrap_roles
from tests.databases import ROOT
from tests.ops.clusters import clusters

# Reads the revenue as the application does, and says where it was read.
READ = """
import django, sys, datetime
django.setup()
from django.db import connections
from fynlo.tenancy import replica
from fynlo.tenancy.scope import restaurant_scope
from orders.reports import revenue_by_day
day = datetime.date(2026, 11, 20)
replica.LAG_MAX = float(sys.argv[1])
for restaurant_id in (1, 2):
    asked = []
    def watch(execute, sql, params, many, context):
        if "daily_revenue" in sql:
            asked.append(context["connection"].alias)
        return execute(sql, params, many, context)
    for alias in connections.settings:
        connections[alias].execute_wrappers.append(watch)
    with restaurant_scope(restaurant_id):
        (found,) = revenue_by_day(day, day)
    print(asked[0], found.revenue_minor)
"""
MAKE_RESTAURANTS = """
import django
django.setup()
from restaurants.models import Restaurant
for pk in (1, 2):
    Restaurant.objects.create(pk=pk, name=f"House {pk}", slug=f"house-{pk}")
"""
pytestmark = pytest.mark.timeout(400)  # two clusters, and every migration

IS_BEHIND = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
REVENUE = """
    INSERT INTO orders_sales_daily (restaurant_id, business_date, kind, orders, revenue_minor, tax_minor)
    VALUES (%s, '2026-11-20', 'dine_in', 1, %s, 0)
"""


@pytest.fixture(scope="module")
def pair():
    """A primary with two restaurants of 500 and 700, and its replica."""
    with clusters("primary", "replica") as (primary, replica):
        primary.initialise("fsync = off\n")
        primary.start()
        with primary.connect() as admin:
            admin.execute("CREATE DATABASE fynlo")
        with primary.connect("fynlo") as connection:
            bootstrap_roles(connection, "fynlo")
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment(primary, "migrator"), check=True)
        command = [sys.executable, "-c", MAKE_RESTAURANTS]
        subprocess.run(command, cwd=ROOT, env=environment(primary, "platform"), check=True)
        with primary.connect("fynlo") as connection:
            for pk, revenue in ((1, 500), (2, 700)):
                connection.execute(REVENUE, [pk, revenue])
        replica.follow(primary)
        replica.start()
        yield primary, replica


def environment(primary, role="app", replica=None):
    env = {**os.environ, "DB_ROLE": role, "DATABASE_URL": primary.url(f"fynlo_{role}", "fynlo")}
    if replica:
        env["READONLY_DATABASE_URL"] = replica.url("fynlo_readonly", "fynlo")
    return env | {"DJANGO_SETTINGS_MODULE": "fynlo.settings"}


def read(primary, replica, lag_max=30):
    """Where the revenue of each restaurant was read, and how much it is."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(lag_max)],
        cwd=ROOT,
        env=environment(primary, replica=replica),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def catch_up(primary, replica):
    with primary.connect() as one, replica.connect() as other:
        (target,) = one.execute("SELECT pg_current_wal_lsn()").fetchone()
        while other.execute("SELECT pg_last_wal_replay_lsn() < %s", [target]).fetchone() == (True,):
            time.sleep(0.05)


def test_reports_read_from_a_replica_that_keeps_up_inside_the_fence(pair):
    primary, replica = pair
    catch_up(primary, replica)
    assert read(primary, replica) == ["replica 500", "replica 700"]


def test_one_that_is_too_far_behind_is_left_alone(pair):
    primary, replica = pair
    with primary.connect("fynlo") as connection:
        connection.execute("UPDATE orders_sales_daily SET orders = 2 WHERE restaurant_id = 1")
    catch_up(primary, replica)
    with replica.connect() as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
    with primary.connect("fynlo") as connection:
        connection.execute("UPDATE orders_sales_daily SET revenue_minor = 900 WHERE restaurant_id = 1")
    with replica.connect() as connection:
        while connection.execute(IS_BEHIND).fetchone() != (True,):
            time.sleep(0.05)
    assert read(primary, replica, lag_max=3600) == ["replica 500", "replica 700"]
    assert read(primary, replica, lag_max=0) == ["default 900", "default 700"]
    with replica.connect() as connection:
        connection.execute("SELECT pg_wal_replay_resume()")


def test_one_that_lost_its_primary_is_left_alone(pair):
    primary, replica = pair
    with replica.connect() as connection:
        connection.execute("ALTER SYSTEM SET primary_conninfo = 'host=/nonexistent'")
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SELECT count(*) FROM pg_stat_wal_receiver").fetchone() != (0,):
            time.sleep(0.05)
    assert read(primary, replica) == ["default 900", "default 700"]


def test_one_that_is_down_is_left_alone(pair):
    primary, replica = pair
    replica.stop(signal.SIGQUIT)
    assert read(primary, replica) == ["default 900", "default 700"]
