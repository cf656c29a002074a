"""What is only imported when a process starts: a page of the admin that is wrong, a migration that is lost.

The tests' own database is copied from one that was migrated before, so they would not notice.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from fynlo.ops.roles import bootstrap_roles
from tests.databases import ROOT, admin_url, only_one_at_a_time, role_url

# A column that no payment account has, as somebody might name it on a page.
SABOTAGE = """
import django; django.setup()
from django.core.management import execute_from_command_line
from payments.admin.accounts import ProviderAccountAdmin

ProviderAccountAdmin.list_display = ["colour"]
execute_from_command_line(["manage.py", "check"])
"""


def run(role: str, database: str, *command: str) -> subprocess.CompletedProcess:
    environment = {
        **os.environ,
        **{"DB_ROLE": role, "DATABASE_URL": role_url(role, database)},
        "DJANGO_SETTINGS_MODULE": "fynlo.settings",
    }
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180
    )


@pytest.mark.parametrize("role", ["app", "platform", "migrator"])
def test_every_process_passes_djangos_own_checks(role, test_database):
    done = run(role, test_database, "manage.py", "check", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "System check identified no issues (0 silenced)." in done.stdout


def test_an_admin_page_that_is_wrong_is_found(test_database):
    done = run("app", test_database, "-c", SABOTAGE)
    assert done.returncode == 1
    assert "(admin.E108) The value of 'list_display[0]' refers to 'colour'" in done.stderr


@pytest.fixture
def empty_database(worker_id: str) -> Iterator[str]:
    """A database with our roles and nothing in it."""
    name = f"fynlo_test_{os.getpid()}_{worker_id}_empty"
    password = os.environ.get("TEST_ROLE_PASSWORD", "")
    logins = ("app", "platform", "migrator", "readonly", "backup", "monitor")
    passwords = {f"fynlo_{login}": password for login in logins} if password else None
    with only_one_at_a_time(), psycopg.connect(admin_url(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        with psycopg.connect(admin_url(name), autocommit=True) as inside:
            bootstrap_roles(inside, name, passwords=passwords)
    yield name
    with psycopg.connect(admin_url(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_from_nothing_every_migration_is_planned_once(empty_database):
    done = run("migrator", empty_database, "manage.py", "migrate", "--plan")
    assert done.returncode == 0, done.stderr
    planned = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    loader = MigrationLoader(None)
    known = sorted(f"{app}.{name}" for app, name in loader.disk_migrations)
    assert sorted(planned[1:]) == known
