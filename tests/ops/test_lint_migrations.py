"""Each rule meets a migration that breaks it, and one that does not."""

import json
from io import StringIO

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.core.management import call_command
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader

from fynlo.ops.schema import lint as linting
from fynlo.ops.schema.lint import own_findings, squawk_findings
from fynlo.ops.schema.plan import BASELINE, is_gated, is_ours
from fynlo.tenancy.constraints import TenantPolicy
from tests.ops.trial import migrations_of_ops, own_database

INDEX = models.Index(fields=["exit_code"], name="ops_run_exit")


def migration(*operations, **attributes):
    found = migrations.Migration("0099_example", "ops")
    found.operations = list(operations)
    for name, value in attributes.items():
        setattr(found, name, value)
    return found


def rules(*operations, **attributes):
    return [rule for rule, _ in own_findings(migration(*operations, **attributes))]


def run(*arguments):
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("lint_migrations", "--strict", "--json", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        code = end.code
    return code, json.loads(out.getvalue()), err.getvalue()


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (models.IntegerField(default=0), ["db-default"]),
        (models.IntegerField(), ["db-default"]),
        (models.IntegerField(db_default=0), []),
        (models.IntegerField(null=True), []),
        (models.ManyToManyField("accounts.User"), []),
    ],
)
def test_a_required_column_needs_a_default_in_the_database(field, found):
    assert rules(migrations.AddField("opsrun", "tries", field)) == found


@pytest.mark.parametrize(
    ("operation", "found"),
    [
        (migrations.RunSQL("SELECT 1"), ["reversible"]),
        (migrations.RunSQL("SELECT 1", migrations.RunSQL.noop), []),
        (migrations.RunPython(print), ["reversible"]),
        (migrations.RunPython(print, migrations.RunPython.noop), []),
    ],
)
def test_everything_has_a_way_back(operation, found):
    assert rules(operation) == found


def test_an_index_on_a_table_in_use_is_made_and_dropped_concurrently():
    assert rules(migrations.AddIndex("opsrun", INDEX)) == ["concurrent-index"]
    assert rules(migrations.RemoveIndex("opsrun", "ops_run_latest")) == ["concurrent-index"]
    assert rules(AddIndexConcurrently("opsrun", INDEX), atomic=False) == []
    assert rules(RemoveIndexConcurrently("opsrun", "ops_run_latest"), atomic=False) == []
    assert rules(AddIndexConcurrently("opsrun", INDEX)) == ["atomic"]
    # On a table made in the same migration nobody waits.
    made = migrations.CreateModel("OpsRun", [("id", models.IntegerField(primary_key=True))])
    assert rules(made, migrations.AddIndex("opsrun", INDEX)) == []


def test_a_restaurants_new_table_needs_its_fence():
    fields = [
        ("id", models.UUIDField(primary_key=True)),
        ("restaurant", models.ForeignKey("restaurants.Restaurant", models.PROTECT)),
    ]
    policy = TenantPolicy(name="ops_coupon_tenant")
    assert rules(migrations.CreateModel("Coupon", fields)) == ["tenant-policy"]
    assert rules(migrations.CreateModel("Coupon", fields, options={"constraints": [policy]})) == []
    later = migrations.AddConstraint("coupon", policy)
    assert rules(migrations.CreateModel("Coupon", fields), later) == []
    added = models.ForeignKey("restaurants.restaurant", models.PROTECT, null=True)
    assert rules(migrations.AddField("opsrun", "restaurant", added)) == ["tenant-policy"]


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("opsrun", "message"),
        migrations.RenameField("opsrun", "message", "told"),
        migrations.DeleteModel("OpsRun"),
        migrations.RenameModel("OpsRun", "Run"),
    ],
)
def test_taking_away_waits_for_the_next_release(operation):
    assert rules(operation) == ["contract-phase"]
    assert rules(operation, deploy_phase="contract") == []


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ('CREATE INDEX "i" ON "t" ("c");', "squawk:require-concurrent-index-creation"),
        ('ALTER TABLE "t" ALTER COLUMN "c" TYPE bigint;', "squawk:changing-column-type"),
        ('ALTER TABLE "t" ADD CONSTRAINT "u" UNIQUE ("c");', "squawk:disallowed-unique-constraint"),
        ('ALTER TABLE "t" ADD CONSTRAINT "k" CHECK (c > 0);', "squawk:constraint-missing-not-valid"),
    ],
)
def test_squawk_reads_the_sql(sql, rule):
    program = linting.find_squawk()
    assert program, "squawk-cli is in requirements-dev.txt"
    assert rule in [found for found, _ in squawk_findings(program, migration(), ["BEGIN;", sql, "COMMIT;"])]


def test_every_migration_since_the_gate_passes():
    code, answer, told = run()
    assert (answer["findings"], code, answer["squawk"]) == ([], 0, True), told


def test_the_gate_begins_at_a_migration_that_exists_and_leaves_no_app_out():
    on_disk = MigrationLoader(None).disk_migrations
    assert set(BASELINE.items()) <= set(on_disk)
    ours = {migration.app_label for migration in on_disk.values() if is_ours(migration)}
    assert set(BASELINE) <= ours
    assert {"auth", "otp_totp"} & ours == set()
    assert not any(is_gated(on_disk[key]) for key in BASELINE.items())


@pytest.fixture
def database(worker_id):
    with own_database(f"{worker_id}_lint") as name:
        yield name


def test_the_command_finds_what_a_migration_does_in_sql(database, tmp_path):
    bad = "operations = [migrations.RunSQL('ALTER TABLE ops_opsrun DROP COLUMN message', 'SELECT 1')]"
    with migrations_of_ops(tmp_path, _0050_drop=bad):
        code, answer, told = run()
    assert code == 5
    assert "ops.0050_drop" in answer["linted"]
    assert {finding["migration"] for finding in answer["findings"]} == {"ops.0050_drop"}
    assert {finding["rule"] for finding in answer["findings"]} == {"DROP_COLUMN", "squawk:ban-drop-column"}
    assert "ops.0050_drop: DROP_COLUMN: DROPPING columns (ops_opsrun.message)" not in answer["message"]
    assert "ops.0050_drop: squawk:ban-drop-column: line" in told


def test_an_exception_needs_a_reason_and_something_to_except(database, tmp_path):
    sql = "operations = [migrations.RunSQL('SELECT 1')]\n"
    with migrations_of_ops(tmp_path, _0050_odd=sql + "lint_exceptions = {'reversible': 'reads only'}"):
        assert run()[:2][0] == 0
    with migrations_of_ops(tmp_path, _0050_odd=sql + "lint_exceptions = {'reversible': ' '}"):
        assert [f["message"] for f in run()[1]["findings"]] == ["has no reason."]
    with migrations_of_ops(
        tmp_path, _0050_odd="operations = []\nlint_exceptions = {'reversible': 'once it was'}"
    ):
        assert [f["message"] for f in run()[1]["findings"]] == ["is excepted and not broken."]


def test_without_squawk_it_says_so(monkeypatch):
    monkeypatch.setattr("fynlo.ops.management.commands.lint_migrations.find_squawk", lambda: None)
    code, answer, _ = run()
    assert (code, answer["message"]) == (2, "squawk is not installed: it is in requirements-dev.txt.")
    err = StringIO()
    call_command("lint_migrations", stdout=StringIO(), stderr=err)
    assert err.getvalue() == "squawk is not installed here (it lints in CI); the other rules are checked.\n"


def test_base_is_a_commit():
    assert run("--base", "HEAD")[0] == 0
    code, answer, _ = run("--base", "no-such-commit")
    assert (code, answer["message"].startswith("git: fatal:")) == (2, True)
    assert run("--base=--output=x")[0] == 2
