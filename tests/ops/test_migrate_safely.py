"""Migrations under a service that runs: locks are held, phases kept, ways back looked at first."""

import json
import os
import subprocess
import sys
from io import StringIO
from types import SimpleNamespace

import psycopg
import pytest
from django.core.management import call_command

from fynlo.ops.command import only_one
from tests.databases import ROOT, admin_url, role_url
from tests.ops.trial import migrations_of_ops, own_database, superuser

COLUMN = 'operations = [migrations.AddField("opsrun", "tries", models.IntegerField(db_default=1))]'
INDEX = """
atomic = False
operations = [AddIndexConcurrently("opsrun", models.Index(fields=["exit_code"], name="ops_run_exit"))]
"""
DROP = 'deploy_phase = "contract"\noperations = [migrations.RemoveField("opsrun", "message")]'
ONE_WAY = 'operations = [migrations.RunSQL("SELECT 1")]\nlint_exceptions = {"reversible": "reads only"}'


@pytest.fixture
def database(worker_id):
    with own_database(f"{worker_id}_safely") as name:
        yield name


def run(*arguments):
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command(*arguments, "--json", stdout=out, stderr=err)
    except SystemExit as end:
        code = end.code
    return code, json.loads(out.getvalue()), err.getvalue()


def migrate(phase="expand", *more):
    return run("migrate_safely", "--phase", phase, *more)


def columns(database):
    query = "SELECT attname FROM pg_attribute WHERE attrelid = 'ops_opsrun'::regclass AND attnum > 0"
    with superuser(database) as c:
        return {name for (name,) in c.execute(query + " AND NOT attisdropped")}


def test_expand_applies_up_to_the_first_that_takes_away(database, tmp_path):
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN, _0051_drop=DROP, _0052_index=INDEX):
        code, answer, told = migrate()
        assert (code, answer["applied"], answer["left"]) == (0, ["ops.0050_tries"], ["ops.0051_drop"])
        assert answer["message"] == (
            "1 migrations applied. Left for the next release: ops.0051_drop. The schema is as it must be."
        )
        assert "1/1 ops.0050_tries" in told
        assert columns(database) >= {"tries", "message"}

        assert run("verify_migration")[0] == 3
        assert run("verify_migration", "--leave-contract")[0] == 0

        code, answer, _ = migrate("contract")
        assert (code, answer["applied"]) == (0, ["ops.0051_drop", "ops.0052_index"])
        assert "message" not in columns(database)
        with superuser(database) as c:
            c.execute("ALTER TABLE ops_opsrun ADD message varchar(500) NOT NULL DEFAULT ''")
        assert run("verify_migration")[0] == 0
        assert migrate()[1]["message"] == "0 migrations applied. The schema is as it must be."


def test_contract_does_not_run_ahead_of_expand(database, tmp_path):
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN, _0051_drop=DROP):
        code, answer, _ = migrate("contract")
    assert (code, answer["message"]) == (
        5,
        "ops.0050_tries is not applied yet: `--phase expand` comes first, with its release.",
    )
    assert "tries" not in columns(database)


def test_a_dry_run_changes_nothing(database, tmp_path):
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN):
        code, answer, told = migrate("all", "--dry-run")
    assert (code, answer["applied"], answer["would_apply"]) == (0, [], ["ops.0050_tries"])
    assert "would apply ops.0050_tries" in told
    assert "tries" not in columns(database)


def test_what_the_linter_finds_is_refused(database, tmp_path):
    unsafe = COLUMN.replace("db_default", "default")
    with migrations_of_ops(tmp_path, _0050_tries=unsafe):
        code, answer, told = migrate()
    assert code == 5
    assert "ops.0050_tries: db-default: opsrun.tries is NOT NULL without db_default" in told
    assert len(answer["findings"]) == int(answer["message"].split()[0]) > 0
    assert "tries" not in columns(database)


@pytest.fixture
def holder(database):
    """Somebody's long transaction, which has read the table."""
    with psycopg.connect(admin_url(database)) as reader:
        reader.execute("LOCK TABLE ops_opsrun IN ACCESS SHARE MODE")
        yield reader
        reader.close()


def test_a_lock_that_is_never_to_be_had_ends_with_75_and_changes_nothing(database, tmp_path, holder):
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN):
        code, answer, told = migrate("expand", "--lock-timeout", "100ms", "--retries", "2")
        assert (code, answer["status"], answer["waiting_for"]) == (75, "later", "ops.0050_tries")
        assert told.count("waiting for a lock") == 2
        assert f"pid {holder.info.backend_pid}" in told
        assert "tries" not in columns(database)
        holder.close()
        assert migrate()[0] == 0


def test_it_tries_again_until_the_lock_is_free(database, tmp_path, monkeypatch, holder):
    monkeypatch.setattr("fynlo.ops.schema.migrate.sleep", lambda seconds: holder.close())
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN):
        code, answer, told = migrate("expand", "--lock-timeout", "100ms", "--retries", "30")
    assert (code, answer["applied"]) == (0, ["ops.0050_tries"])
    assert told.count("waiting for a lock") == 1


def test_an_index_that_was_not_finished_is_made_again(database, tmp_path, monkeypatch, holder):
    """CREATE INDEX CONCURRENTLY waits for old transactions, and leaves an invalid index when it gives up."""
    monkeypatch.setattr("fynlo.ops.schema.migrate.CONCURRENT_PATIENCE", "200ms")
    holder.rollback()
    holder.execute("LOCK TABLE ops_opsrun IN ROW EXCLUSIVE MODE")
    monkeypatch.setattr("fynlo.ops.schema.migrate.sleep", lambda seconds: holder.close())
    with migrations_of_ops(tmp_path, _0050_index=INDEX):
        code, answer, told = migrate("expand", "--retries", "30")
    assert (code, answer["applied"]) == (0, ["ops.0050_index"])
    assert told.count("waiting for a lock") == 1
    with superuser(database) as c:
        query = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ops_run_exit'::regclass"
        assert c.execute(query).fetchone() == (True,)


def test_only_one_migrates(database):
    with only_one("migrate"):
        code, answer, _ = migrate()
    assert (code, answer["message"]) == (4, "Another run is under way.")


def test_other_logins_and_odd_times_are_refused(database, settings):
    assert migrate("expand", "--lock-timeout", "soon")[0] == 2
    assert migrate("expand", "--retries=-1")[0] == 2
    settings.DB_ROLE = "app"
    code, answer, _ = migrate()
    assert (code, answer["message"]) == (2, "DB_ROLE is app: migrations run as DB_ROLE=migrator.")


# --- the backup before


def configure(settings, **backup):
    """The environment as if it said this of backups."""
    settings.ENV = SimpleNamespace(backup=SimpleNamespace(**backup), database_url=settings.ENV.database_url)


def test_production_does_not_migrate_without_a_backup(database, tmp_path, settings):
    settings.PRODUCTION = True
    configure(settings, directory="")
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN):
        code, answer, _ = migrate()
    assert (code, answer["message"]) == (
        2,
        "No backup is less than 15 minutes old, and BACKUP_DIR is not set here to make one: run "
        "deploy/bin/backup-production.sh first. In production nothing is migrated without a backup.",
    )
    assert "tries" not in columns(database)


def test_elsewhere_it_says_that_there_is_none(database, tmp_path):
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN):
        code, answer, told = migrate()
    assert (code, answer["backup"]) == (0, "")
    assert "no backup: BACKUP_DIR is not set, and this is not production." in told


def test_a_backup_is_made_first_and_one_of_just_now_used_again(database, tmp_path, settings, monkeypatch):
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("BACKUP_DIR", str(folder))
    monkeypatch.setenv("BACKUP_DATABASE_URL", role_url("backup", database))
    monkeypatch.setenv("DATABASE_URL", role_url("migrator", database))
    real = settings.ENV.backup
    names = ("engine", "recipients", "s3_bucket", "s3_endpoint", "identity")
    configure(settings, directory=str(folder), **{name: getattr(real, name) for name in names})
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN, _0051_index=INDEX):
        code, answer, told = migrate()
        assert code == 0, told
        (made,) = [path.name for path in (folder / "backups").iterdir()]
        assert (answer["backup"], "backing up first" in told) == (made, True)

        code, answer, told = run("rollback_migration", "ops", "0050", "--confirm")
        assert (code, answer["backup"], answer["taken_back"]) == (0, made, ["ops.0051_index"])
        assert f"reusing the backup {made}, less than 15 minutes old" in told


def test_a_backup_that_fails_stops_it(database, tmp_path, settings, monkeypatch):
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("BACKUP_DIR", str(folder))
    monkeypatch.setenv("BACKUP_DATABASE_URL", "postgresql:///none?host=/nonexistent")
    real = settings.ENV.backup
    names = ("engine", "recipients", "s3_bucket", "s3_endpoint", "identity")
    configure(settings, directory=str(folder), **{name: getattr(real, name) for name in names})
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN):
        code, answer, _ = migrate()
    assert (code, answer["message"].startswith("No backup, so nothing was changed:")) == (6, True)
    assert "tries" not in columns(database)


# --- going back


def test_going_back_says_what_it_would_do_and_does_it_when_told(database, tmp_path):
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN):
        migrate()
        code, answer, _ = run("rollback_migration", "ops", "0001")
        assert (code, answer["would_take_back"], answer["taken_back"]) == (0, ["ops.0050_tries"], [])
        assert "tries" in columns(database)
        code, answer, _ = run("rollback_migration", "ops", "0001", "--confirm")
        assert (code, answer["taken_back"]) == (0, ["ops.0050_tries"])
        assert "tries" not in columns(database)
        code, answer, _ = run("rollback_migration", "ops", "0001", "--confirm")
        assert (code, answer["message"]) == (0, "ops is at 0001 already.")


@pytest.mark.parametrize("body", [DROP, ONE_WAY], ids=["contract", "one way"])
def test_what_cannot_be_undone_is_not_gone_back_over(database, tmp_path, body):
    with migrations_of_ops(tmp_path, _0050_tries=COLUMN, _0051_end=body):
        assert migrate("all")[0] == 0
        with superuser(database) as c:
            c.execute("ALTER TABLE ops_opsrun ADD IF NOT EXISTS message varchar(500) NOT NULL DEFAULT ''")
        code, answer, _ = run("rollback_migration", "ops", "0001", "--confirm")
    assert (code, answer["message"].startswith("ops.0051_end")) == (5, True)
    assert "tries" in columns(database)


@pytest.mark.parametrize(
    ("arguments", "code"), [(("ops", "zero"), 5), (("ops", "0999"), 2), (("nothing", "0001"), 2)]
)
def test_a_place_to_go_back_to_must_be_there(database, arguments, code):
    assert run("rollback_migration", *arguments, "--confirm")[0] == code


# --- verifying


@pytest.mark.parametrize(
    ("sabotage", "problem"),
    [
        (
            "ALTER TABLE orders_order NO FORCE ROW LEVEL SECURITY",
            "Row security of orders_order is not enabled and forced.",
        ),
        (
            "ALTER TABLE orders_order DISABLE ROW LEVEL SECURITY",
            "Row security of orders_order is not enabled and forced.",
        ),
        (
            "DROP POLICY orders_order_tenant_fence ON orders_order",
            "orders_order has no restrictive policy for fynlo_app.",
        ),
        (
            "ALTER TABLE orders_order ADD CONSTRAINT odd CHECK (number > 0) NOT VALID",
            "Constraint odd of orders_order is not validated.",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ops_run_latest'::regclass",
            "Index ops_run_latest of ops_opsrun is invalid: drop it and let it be made again.",
        ),
        (
            "REFRESH MATERIALIZED VIEW definer.platform_daily_revenue WITH NO DATA",
            "View platform_daily_revenue has never been filled: run refresh_views.",
        ),
        (
            "DELETE FROM django_migrations WHERE app = 'ops' AND name = '0001_record_runs'",
            "ops.0001_record_runs is not applied.",
        ),
    ],
)
def test_verifying_finds_what_is_not_as_it_must_be(database, sabotage, problem):
    assert run("verify_migration")[:2][0] == 0
    with superuser(database) as c:
        c.execute(sabotage)
    code, answer, told = run("verify_migration")
    assert (code, answer["problems"], told) == (3, [problem], f"{problem}\n")


def test_it_is_run_as_a_process_with_the_migrators_login(test_database):
    """As the deployment runs it, with nothing to do."""
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate_safely", "--phase", "all"],
        cwd=ROOT,
        env={**os.environ, "DB_ROLE": "migrator", "DATABASE_URL": role_url("migrator", test_database)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, "0 migrations applied. The schema is as it must be.\n")
