"""What makes a migration unsafe under a running service: our own rules, and two linters of SQL."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import connection
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED
from django_migration_linter.sql_analyser.analyser import analyse_sql_statements
from django_migration_linter.sql_analyser.postgresql import PostgresqlAnalyser

from fynlo.tenancy.constraints import TenantPolicy

from .plan import exceptions, is_contract

CONCURRENT = (AddIndexConcurrently, RemoveIndexConcurrently)
TAKES_AWAY = (operations.RemoveField, operations.DeleteModel, operations.RenameField, operations.RenameModel)
RESTAURANT = "restaurants.restaurant"

# What these look for is what `deploy_phase = "contract"` declares.
LINTER_CONTRACT = ("DROP_COLUMN", "DROP_TABLE", "RENAME_COLUMN", "RENAME_TABLE", "ALTER_COLUMN")
SQUAWK_CONTRACT = (
    *("ban-drop-column", "ban-drop-table", "renaming-column", "renaming-table", "changing-column-type"),
    *("adding-not-nullable-field", "ban-drop-not-null"),
)
# Of taste, or seen to elsewhere: migrate_safely sets the time-outs, Django chooses the types.
SQUAWK_OFF = (
    *("prefer-text-field", "prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity"),
    *("prefer-robust-stmts", "require-lock-timeout", "require-statement-timeout"),
    *("require-timeout-settings", "ban-char-field", "transaction-nesting"),
)


@dataclass(frozen=True)
class Finding:
    migration: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.migration}: {self.rule}: {self.message}"


def lint(migration: Migration, loader: MigrationLoader | None = None) -> list[Finding]:
    """What is wrong with one migration, less what its own `lint_exceptions` give a reason for."""
    loader = loader or MigrationLoader(connection, replace_migrations=False)
    statements = sql_of(migration, loader)
    found = [*own_findings(migration), *linter_findings(migration, statements)]
    if squawk := find_squawk():
        found += squawk_findings(squawk, migration, statements)
    name = f"{migration.app_label}.{migration.name}"
    excepted = exceptions(migration)
    unreasoned = [Finding(name, rule, "has no reason.") for rule, why in excepted.items() if not why.strip()]
    unused = set(excepted) - {rule for rule, _ in found}
    left = [Finding(name, rule, message) for rule, message in found if rule not in excepted]
    return left + unreasoned + [Finding(name, rule, "is excepted and not broken.") for rule in sorted(unused)]


def sql_of(migration: Migration, loader: MigrationLoader) -> list[str]:
    statements: list[str] = loader.collect_sql([(migration, False)])
    return ["BEGIN;", *statements, "COMMIT;"] if migration.atomic else statements


# --- our own rules

Pairs = Iterator[tuple[str, str]]


def own_findings(migration: Migration) -> Pairs:
    made = {op.name_lower for op in migration.operations if isinstance(op, operations.CreateModel)}
    for operation in migration.operations:
        yield from _default_findings(operation)
        yield from _reversal_findings(operation)
        yield from _index_findings(operation, migration, made)
        yield from _fence_findings(operation, migration)
        if isinstance(operation, TAKES_AWAY) and not is_contract(migration):
            yield (
                "contract-phase",
                f"{operation.describe()}: the release before this one still uses it. Put it into a migration "
                'of its own with deploy_phase = "contract", for the release after.',
            )


def _default_findings(operation: Operation) -> Pairs:
    if not isinstance(operation, operations.AddField):
        return
    field = operation.field
    if field.many_to_many or field.null or getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED:
        return
    if field.generated:
        return
    yield (
        "db-default",
        f"{operation.model_name}.{operation.name} is NOT NULL without db_default: Django drops its own "
        "default at once, and the release before this one cannot insert.",
    )


def _reversal_findings(operation: Operation) -> Pairs:
    if not operation.reversible:
        yield "reversible", f"{operation.describe()}: has no way back; give it one, or noop with a reason."


def _index_findings(operation: Operation, migration: Migration, made: set[str]) -> Pairs:
    if isinstance(operation, CONCURRENT):
        if migration.atomic:
            yield "atomic", f"{operation.describe()}: needs atomic = False on the migration."
        return
    if isinstance(operation, (operations.AddIndex, operations.RemoveIndex)):
        if operation.model_name_lower in made:
            return
        kind = type(operation).__name__
        yield (
            "concurrent-index",
            f"{operation.describe()}: use {kind}Concurrently, or nobody can write while it is built.",
        )


def _fence_findings(operation: Operation, migration: Migration) -> Pairs:
    """A new table of restaurants needs its fence in the same migration."""
    if isinstance(operation, operations.CreateModel):
        name, fields = operation.name_lower, [field for _, field in operation.fields]
        present = list(operation.options.get("constraints", []))
        if operation.options.get("proxy") or operation.options.get("managed") is False:
            return
    elif isinstance(operation, operations.AddField):
        name, fields, present = operation.model_name_lower, [operation.field], []
    else:
        return
    if not any(_names_restaurant(field) for field in fields):
        return
    present += [
        op.constraint
        for op in migration.operations
        if isinstance(op, operations.AddConstraint) and op.model_name_lower == name
    ]
    if not any(isinstance(constraint, TenantPolicy) for constraint in present):
        yield "tenant-policy", f"{name} belongs to a restaurant and has no TenantPolicy in this migration."


def _names_restaurant(field: object) -> bool:
    target = getattr(getattr(field, "remote_field", None), "model", None)
    return isinstance(target, str) and target.lower() == RESTAURANT


# --- linters of the SQL


def linter_findings(migration: Migration, statements: list[str]) -> Pairs:
    """django-migration-linter's. An index made concurrently is what its warnings ask for."""
    excluded = LINTER_CONTRACT if is_contract(migration) else ()
    errors, _, warnings = analyse_sql_statements(PostgresqlAnalyser, statements, excluded)
    for issue in [*errors, *warnings]:
        place = ".".join(part for part in (issue.table, issue.column) if part)
        yield issue.code, issue.message + (f" ({place})" if place else "")


def find_squawk() -> str | None:
    """The squawk program, where it is installed: production's image has no tools of development."""
    return shutil.which("squawk") or shutil.which("squawk", path=str(Path(sys.executable).parent))


def squawk_findings(program: str, migration: Migration, statements: list[str]) -> Pairs:
    excluded = (*SQUAWK_OFF, *(SQUAWK_CONTRACT if is_contract(migration) else ()))
    done = subprocess.run(
        [
            *(program, "--reporter", "json", "--pg-version", "17.0", f"--exclude={','.join(excluded)}"),
            *("--stdin-filepath", f"{migration.name}.sql"),
        ],
        input="\n".join(statements),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"squawk ended with {done.returncode}: {done.stderr.strip()}")
    for found in json.loads(done.stdout or "[]"):
        yield f"squawk:{found['rule_name']}", f"line {found['line'] + 1} of its SQL: {found['message']}"
