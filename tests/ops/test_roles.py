"""What the roles may do is told by tests/tenancy; here: that differences are found and put right."""

import json
from collections.abc import Iterator
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command

from fynlo.ops.roles import UnsafeRole, bootstrap_roles, role_drift
from tests.databases import admin_url, role_url

pytestmark = pytest.mark.usefixtures("cluster_roles")


@pytest.fixture
def changeable(dba: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Roles belong to every database of the cluster: what a test does to them is rolled back."""
    with dba.transaction(force_rollback=True):
        yield dba


def test_a_bootstrapped_database_has_no_drift(dba: psycopg.Connection) -> None:
    assert role_drift(dba, dba.info.dbname) == []


@pytest.mark.parametrize(
    ("sabotage", "drift"),
    [
        ("GRANT CREATE ON SCHEMA public TO fynlo_app", "grant: CREATE on schema public to fynlo_app"),
        ("GRANT CREATE ON SCHEMA definer TO PUBLIC", "grant: CREATE on schema definer to PUBLIC"),
        ("GRANT TEMPORARY ON DATABASE {} TO PUBLIC", "grant: TEMPORARY on database to PUBLIC"),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE fynlo_owner IN SCHEMA public "
            "GRANT TRUNCATE ON TABLES TO fynlo_app",
            "grant: TRUNCATE on new tables of fynlo_owner in public to fynlo_app",
        ),
        (
            "GRANT fynlo_owner TO fynlo_app",
            "membership: fynlo_app in fynlo_owner, inherit true, set true, admin f",
        ),
        (
            "ALTER ROLE fynlo_app BYPASSRLS",
            "role fynlo_app: login t, superuser f, inherit t, createrole f, createdb f, "
            "replication f, bypassrls t",
        ),
        ("ALTER ROLE fynlo_app SET lock_timeout = '1h'", "setting of fynlo_app: lock_timeout=1h"),
    ],
)
def test_a_right_too_many_is_found_and_taken_away(
    changeable: psycopg.Connection, sabotage: str, drift: str
) -> None:
    database = changeable.info.dbname
    changeable.execute(sabotage.format(f'"{database}"'))

    assert f"too much: {drift}" in role_drift(changeable, database)

    bootstrap_roles(changeable, database)
    assert role_drift(changeable, database) == []


def test_a_right_too_few_is_found_and_given(changeable: psycopg.Connection) -> None:
    database = changeable.info.dbname
    changeable.execute("REVOKE USAGE ON SCHEMA public FROM fynlo_app")

    assert role_drift(changeable, database) == ["missing: grant: USAGE on schema public to fynlo_app"]

    bootstrap_roles(changeable, database)
    assert role_drift(changeable, database) == []


def test_bootstrap_does_not_give_back_what_a_migration_took(changeable: psycopg.Connection) -> None:
    may_update = "SELECT has_table_privilege('fynlo_app', 'events_event', 'UPDATE')"
    assert changeable.execute(may_update).fetchone() == (False,)

    bootstrap_roles(changeable, changeable.info.dbname)

    assert changeable.execute(may_update).fetchone() == (False,)


def test_a_superuser_among_the_roles_is_refused(changeable: psycopg.Connection) -> None:
    changeable.execute("ALTER ROLE fynlo_platform SUPERUSER")

    with pytest.raises(UnsafeRole, match="fynlo_platform must not be a superuser"):
        bootstrap_roles(changeable, changeable.info.dbname)


def test_functions_can_be_handed_to_their_owners_and_nothing_more(changeable: psycopg.Connection) -> None:
    changeable.execute("SET ROLE fynlo_owner")
    changeable.execute(
        "CREATE FUNCTION definer.example() RETURNS int LANGUAGE sql SECURITY DEFINER "
        "SET search_path = pg_catalog AS 'SELECT 1'"
    )
    changeable.execute("ALTER FUNCTION definer.example() OWNER TO fynlo_directory")

    has_its_rights = changeable.execute("SELECT pg_has_role('fynlo_owner', 'fynlo_directory', 'USAGE')")
    assert has_its_rights.fetchone() == (False,)


def test_the_command_checks_corrects_and_checks_again(
    dba: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = dba.info.dbname
    monkeypatch.setenv("ADMIN_DATABASE_URL", admin_url())
    dba.execute(f'GRANT TEMPORARY ON DATABASE "{database}" TO PUBLIC')
    drift = ["too much: grant: TEMPORARY on database to PUBLIC"]

    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("bootstrap_roles", "--check", "--json", stdout=out)
    assert end.value.code == 3
    answer = json.loads(out.getvalue())
    assert answer.pop("seconds") >= 0
    assert answer == {
        "command": "bootstrap_roles",
        "exit": 3,
        "status": "check_failed",
        "message": f"Roles of {database}: 1 differ.",
        "database": database,
        "checked_only": True,
        "differences": drift,
        "passwords_set": [],
    }

    out, err = StringIO(), StringIO()
    call_command("bootstrap_roles", stdout=out, stderr=err)
    assert (out.getvalue(), err.getvalue()) == (f"Roles of {database}: 1 corrected.\n", f"{drift[0]}\n")

    out = StringIO()
    call_command("bootstrap_roles", "--check", stdout=out)
    assert out.getvalue() == f"Roles of {database}: as they should be.\n"


@pytest.mark.parametrize(
    ("url", "code"),
    [("", 2), ("postgresql:///?host=/nonexistent&user=postgres", 6), ("app", 5)],
    ids=["not set", "unreachable", "one of the roles itself"],
)
def test_the_command_says_by_its_exit_code_what_is_wrong(
    dba: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, url: str, code: int
) -> None:
    url = role_url("app", dba.info.dbname) if url == "app" else url
    monkeypatch.setenv("ADMIN_DATABASE_URL", url)

    with pytest.raises(SystemExit) as end:
        call_command("bootstrap_roles")

    assert end.value.code == code


def test_the_exporters_login_sees_the_server_and_no_row(dba: psycopg.Connection) -> None:
    with psycopg.connect(role_url("monitor", dba.info.dbname), autocommit=True) as monitor:
        others = "SELECT count(*) FROM pg_stat_activity WHERE usename <> current_user AND query <> ''"
        seen = monitor.execute(others + " AND query NOT LIKE '%insufficient privilege%'").fetchone()
        hidden = monitor.execute(others + " AND query LIKE '%insufficient privilege%'").fetchone()
        assert (seen is not None and seen[0] > 0, hidden) == (True, (0,))
        for table in ("public.orders_order", "public.accounts_user"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                monitor.execute(f"SELECT 1 FROM {table}")
