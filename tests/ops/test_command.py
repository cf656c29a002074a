"""What all operations commands share, with one made up for it."""

import io
import json

import psycopg
import pytest
from django.db import OperationalError

from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome, only_one
from fynlo.ops.models import OpsRun
from tests.databases import role_url


def run(work, *, as_json=True):
    """Exit code, stdout and stderr of a command that does `work`."""

    class Command(OpsCommand):
        def run(self, **options):
            return work(self)

    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        Command(stdout=out, stderr=err).handle(json=as_json)
    except SystemExit as end:
        code = end.code
    return code, out.getvalue(), err.getvalue()


def refuse(command):
    raise OpsError(Exit.UNSAFE, "It would drop a column.", column="tip")


def lose_the_database(command):
    raise OperationalError("gone")


def test_a_good_end_is_one_line_or_one_document():
    def work(command):
        command.say("half way")
        return Outcome("All 3 are well.", {"checked": 3})

    assert run(work, as_json=False) == (0, "All 3 are well.\n", "half way\n")
    code, out, err = run(work)
    document = json.loads(out)
    assert (code, err) == (0, "half way\n")
    assert document.pop("seconds") >= 0
    assert document == {
        "command": "test_command",
        "exit": 0,
        "status": "ok",
        "message": "All 3 are well.",
        "checked": 3,
    }


def test_a_refusal_has_its_code_and_says_why():
    assert run(refuse, as_json=False) == (5, "", "unsafe: It would drop a column.\n")
    code, out, _ = run(refuse)
    assert (code, json.loads(out)["status"], json.loads(out)["column"]) == (5, "unsafe", "tip")


def test_a_lost_database_is_told_from_a_failed_check():
    assert run(lose_the_database, as_json=False) == (
        6,
        "",
        "unreachable: The database does not answer: gone\n",
    )


def test_each_end_is_kept_as_a_row():
    before = OpsRun.objects.count()
    run(lambda command: Outcome("Well."))
    run(refuse)
    with pytest.raises(ZeroDivisionError):
        run(lambda command: 1 // 0)
    rows = OpsRun.objects.order_by("-id")[:3]
    assert OpsRun.objects.count() == before + 3
    assert [(row.command, row.exit_code, row.message) for row in rows] == [
        ("test_command", 1, "ZeroDivisionError: integer division or modulo by zero"),
        ("test_command", 5, "It would drop a column."),
        ("test_command", 0, "Well."),
    ]


def test_nobody_rewrites_what_ran(dba):
    privileges = dba.execute(
        "SELECT rolname, array_agg(what ORDER BY what) FROM pg_roles,"
        " unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) what"
        " WHERE rolname = ANY(%s) AND has_table_privilege(rolname, 'ops_opsrun', what)"
        " GROUP BY rolname ORDER BY rolname",
        [["fynlo_app", "fynlo_backup", "fynlo_platform"]],
    ).fetchall()
    assert privileges == [
        ("fynlo_app", ["INSERT"]),
        ("fynlo_backup", ["INSERT"]),
        ("fynlo_platform", ["INSERT"]),
    ]


def test_only_one_runs_at_a_time(test_database):
    with only_one("a test of it"):
        with pytest.raises(OpsError, match="Another run is under way"), only_one("a test of it"):
            pass
        with only_one("another thing"):
            pass
        # Held by a transaction, so that it holds through a pooler too.
        with psycopg.connect(role_url("app", test_database)) as other:
            holders = other.execute(
                "SELECT state FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchall()
        assert holders == [("idle in transaction",)]
    with only_one("a test of it"):
        pass
