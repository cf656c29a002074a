"""No process serves with a database login that could step over the fence."""

import os
import subprocess
import sys

import pytest
from django.db import connections
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.databases import ROOT, role_url


def start(database_url: str, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *(command or ("-c", "import fynlo.wsgi"))],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def database() -> str:
    return connections["default"].settings_dict["NAME"]


def test_the_app_login_is_accepted(database):
    assert start(role_url("app", database)).returncode == 0


@pytest.mark.parametrize("module", ["fynlo.wsgi", "fynlo.asgi"])
def test_a_superuser_is_refused(database, module):
    url = make_conninfo(os.environ["TEST_ADMIN_DATABASE_URL"], dbname=database)
    result = start(url, "-c", f"import {module}")
    assert result.returncode == 1
    assert "is a superuser" in result.stderr


def test_a_role_that_bypasses_row_security_is_refused(database):
    result = start(role_url("backup", database))
    assert result.returncode == 1
    assert "'fynlo_backup' may bypass row-level security" in result.stderr


def test_the_migrator_is_refused(database):
    result = start(role_url("migrator", database))
    assert result.returncode == 1
    assert "'fynlo_migrator' is a member of fynlo_owner" in result.stderr


def test_an_owner_of_tables_is_refused(database, dba):
    name = sql.Identifier(f"fynlo_test_owner_{os.getpid()}")
    dba.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    dba.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), name))
    dba.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(name, name))
    dba.execute(sql.SQL("CREATE TABLE {}.own (id int)").format(name))
    dba.execute(sql.SQL("ALTER TABLE {}.own OWNER TO {}").format(name, name))
    try:
        url = make_conninfo(role_url("app", database), user=f"fynlo_test_owner_{os.getpid()}")
        result = start(url)
    finally:
        dba.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
        dba.execute(sql.SQL("DROP OWNED BY {}").format(name))
        dba.execute(sql.SQL("DROP ROLE {}").format(name))
    assert result.returncode == 1
    assert "owns tables" in result.stderr


def test_the_worker_refuses_too(database):
    url = make_conninfo(os.environ["TEST_ADMIN_DATABASE_URL"], dbname=database)
    result = start(url, "-m", "celery", "-A", "fynlo", "worker", "--pool", "solo", "--without-mingle")
    assert result.returncode != 0
    assert "is a superuser" in result.stderr + result.stdout


def test_a_foreign_key_over_bad_rows_is_refused_to_the_migrator(database, dba, restaurant, other_restaurant):
    """FORCE hides every row from the owner, and a constraint over no rows always holds."""
    import psycopg

    dba.execute("ALTER TABLE restaurants_table DROP CONSTRAINT restaurants_table_floor_id_tfk")
    add = (
        "ALTER TABLE restaurants_table ADD CONSTRAINT restaurants_table_floor_id_tfk"
        " FOREIGN KEY (restaurant_id, floor_id) REFERENCES restaurants_floor (restaurant_id, id)"
        " DEFERRABLE INITIALLY IMMEDIATE"
    )
    (row_id,) = dba.execute(
        "UPDATE restaurants_table SET floor_id = (SELECT id FROM restaurants_floor WHERE restaurant_id = %s)"
        " WHERE restaurant_id = %s AND name = 'T1' RETURNING id",
        [other_restaurant.pk, restaurant.pk],
    ).fetchone()
    try:
        with psycopg.connect(role_url("migrator", database)) as migrator:
            migrator.execute("SET ROLE fynlo_owner")
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                migrator.execute(add)
    finally:
        dba.execute("DELETE FROM restaurants_table WHERE id = %s", [row_id])
        dba.execute(add)
