"""A table cut into months is used as before, behind its fence, and nobody gets past it to a partition."""

import datetime
import os
import subprocess
import sys
import uuid

import psycopg
import pytest

from fynlo.ops.partitioning import month_floor, next_month
from tests.databases import ROOT, admin_url, create_test_database, drop_test_database, role_url
from tests.processes import manage
from tests.tenancy.catalog import problems

TABLE = "payments_providercall"


@pytest.fixture
def database(worker_id):
    name = create_test_database(f"{worker_id}_partitions")
    yield name
    drop_test_database(name)


def run(database, *arguments):
    return manage("migrator", database, "partition_table", *arguments)


# As the platform's login, which inside a restaurant is fynlo_app: a call of next month for one restaurant,
# and one of today and one of next month for another.
USE = """
import datetime, sys, uuid
import django
django.setup()
from django.db import DatabaseError, connection
from fynlo.ops.partitioning import month_floor
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import ProviderAccount, ProviderCall
from restaurants.models import Restaurant
later = month_floor(datetime.date.fromisoformat(sys.argv[1]))
now = datetime.datetime.now(datetime.UTC)
def calls(slug, *keys):
    restaurant = Restaurant.objects.create(name=slug, slug=slug)
    with restaurant_scope(restaurant.pk), connection.cursor() as cursor:
        account = ProviderAccount.objects.create(provider="stripe", mode="test")
        for key in keys:
            ProviderCall.objects.create(
                pk=key, account=account, operation="charge", outcome="ok", duration_ms=5, created_at=now)
        cursor.execute("SELECT tableoid::regclass::text FROM payments_providercall ORDER BY id")
        print(ProviderCall.objects.count(), *(place for (place,) in cursor.fetchall()))
    return restaurant.pk
one = calls("one", uuid.UUID(int=later.int + 1))
other = calls("other", uuid7(), uuid.UUID(int=later.int + 2))
def refused(*statement):
    try:
        with restaurant_scope(one), connection.cursor() as cursor:
            cursor.execute(*statement)
    except DatabaseError as error:
        print(str(error).splitlines()[0])
refused("SELECT * FROM partitions.payments_providercall_before")
refused("INSERT INTO payments_providercall SELECT (jsonb_populate_record(c, jsonb_build_object("
        "'id', gen_random_uuid(), 'restaurant_id', %s::int))).* FROM payments_providercall c", [other])
"""


def use(database, first):
    done = subprocess.run(
        [sys.executable, "-c", USE, first.isoformat()],
        cwd=ROOT,
        env={
            **os.environ,
            "DB_ROLE": "platform",
            "DATABASE_URL": role_url("platform", database),
            "DJANGO_SETTINGS_MODULE": "fynlo.settings",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_month_begins_with_its_first_millisecond():
    assert month_floor(datetime.date(2026, 11, 24)) == uuid.UUID("01a19467-e800-0000-0000-000000000000")
    assert next_month(datetime.date(2026, 12, 31)) == datetime.date(2027, 1, 1)


def test_a_table_is_cut_and_stays_what_it_was(database):
    code, outcome = run(database, TABLE, "--ahead", "3")
    first = next_month(datetime.datetime.now(datetime.UTC).date())
    second = next_month(first)
    names = [f"{TABLE}_{month:%Y_%m}" for month in (first, second, next_month(second))]
    assert (code, outcome["partitions"]) == (0, names)
    assert run(database, TABLE, "--ahead", "3")[1]["partitions"] == []
    with psycopg.connect(admin_url(database), autocommit=True) as dba:
        assert problems(dba) == []
    assert use(database, first) == [
        f"1 partitions.{names[0]}",
        f"2 partitions.{TABLE}_before partitions.{names[0]}",
        "permission denied for schema partitions",
        f'new row violates row-level security policy "{TABLE}_tenant_fence" for table "{TABLE}"',
    ]


def test_tables_that_cannot_be_cut_are_refused_with_the_reason(database):
    code, outcome = run(database, "orders_orderitem")
    assert (code, outcome["obstacles"]) == (
        5,
        ["orders_orderitem_position is unique over columns without the id."],
    )
    code, outcome = run(database, "payments_ledgerentry")
    assert code == 5
    assert run(database, "accounts_user")[0] == 2
