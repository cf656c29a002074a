"""Applying migrations to a database that serves, and taking one back."""

import datetime
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import sleep

import psycopg
from django.conf import settings
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.utils import timezone

from fynlo.ops.command import Exit, OpsError
from fynlo.ops.models import OpsRun

from .lint import CONCURRENT, find_squawk, lint
from .plan import is_contract, is_gated, label

Say = Callable[[str], None]

FRESH = datetime.timedelta(minutes=15)
# Waiting for a lock CONCURRENTLY stops nobody, so it may take as long as a slow report does.
CONCURRENT_PATIENCE = "10min"


def refuse_other_login() -> None:
    if settings.DB_ROLE != "migrator":
        raise OpsError(Exit.USAGE, f"DB_ROLE is {settings.DB_ROLE}: migrations run as DB_ROLE=migrator.")


def refuse_unsafe(plan: Sequence[Migration], say: Say) -> None:
    """Lint what is about to be applied. Raises OpsError naming everything that was found."""
    gated = [migration for migration in plan if is_gated(migration)]
    if gated and not find_squawk():
        say("squawk is not installed here (it lints in CI); the other rules are checked.")
    findings = [finding for migration in gated for finding in lint(migration)]
    for finding in findings:
        say(str(finding))
    if findings:
        raise OpsError(
            Exit.UNSAFE,
            f"{len(findings)} findings in the migrations to apply: nothing was changed.",
            findings=[str(finding) for finding in findings],
        )


# --- backup


def back_up_first(say: Say) -> str:
    """A logical backup, or one that is under 15 minutes old. Returns its id, or "" where none is kept."""
    if not MigrationRecorder(connection).applied_migrations():
        say("no backup: the database is empty.")
        return ""
    if recent := _recent_backup():
        say(f"reusing the backup {recent}, less than 15 minutes old")
        return recent
    if not settings.ENV.backup.directory:
        if settings.PRODUCTION:
            raise OpsError(
                Exit.USAGE,
                "No backup is less than 15 minutes old, and BACKUP_DIR is not set here to make one: run "
                "deploy/bin/backup-production.sh first. In production nothing is migrated without a backup.",
            )
        say("no backup: BACKUP_DIR is not set, and this is not production.")
        return ""
    say("backing up first")
    return _back_up(say)


def _recent_backup() -> str:
    """By the record of runs, which every machine sees: the backup may be made on another."""
    runs = OpsRun.objects.filter(
        command="backup", exit_code=Exit.OK.value, ended_at__gt=timezone.now() - FRESH
    ).order_by("-ended_at")
    ids = (message.partition(":")[0] for message in runs.values_list("message", flat=True))
    return next((backup for backup in ids if backup.endswith("-logical")), "")


def _back_up(say: Say) -> str:
    """By the backup's own login, in a process of its own: the migrator may not read restaurants' rows."""
    if not (os.environ.get("BACKUP_DATABASE_URL") or os.environ.get("BACKUP_DATABASE_URL_FILE")):
        raise OpsError(Exit.USAGE, "BACKUP_DATABASE_URL is not set: the backup needs its own login.")
    command = [sys.executable, "manage.py", "backup", "--kind", "logical", "--reason", "migration", "--json"]
    done = subprocess.run(
        command,
        cwd=settings.BASE_DIR,
        env={**os.environ, "DB_ROLE": "backup"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise OpsError(
            Exit.ERROR, f"No backup, so nothing was changed: it ended with {done.returncode}."
        ) from None
    if "backup" not in answer:
        raise OpsError(Exit(answer["exit"]), f"No backup, so nothing was changed: {answer['message']}")
    if done.returncode:  # here, and not yet off site
        say(answer["message"])
    return str(answer["backup"]["id"])


# --- applying


def apply(plan: Sequence[Migration], *, lock_timeout: str, retries: int, say: Say) -> None:
    """Apply one after the other; what is done stays. Raises OpsError(LATER) when no lock is to be had."""
    emit_pre_migrate_signal(0, False, DEFAULT_DB_ALIAS, plan=[(m, False) for m in plan])
    for number, migration in enumerate(plan, 1):
        say(f"{number}/{len(plan)} {label(migration)}")
        _apply_patiently(migration, lock_timeout, retries, say)
    state = MigrationExecutor(connection).loader.project_state()
    emit_post_migrate_signal(0, False, DEFAULT_DB_ALIAS, apps=state.apps, plan=[(m, False) for m in plan])


def _apply_patiently(migration: Migration, lock_timeout: str, retries: int, say: Say) -> None:
    concurrent = _is_concurrent(migration)
    with _lock_timeout(CONCURRENT_PATIENCE if concurrent else lock_timeout):
        for attempt in range(retries + 1):
            try:
                if concurrent:
                    _drop_half_made(migration)
                _apply_one(migration)
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                    raise
                if attempt < retries:
                    # Jitter, so that two who wait for each other do not meet again.
                    pause = random.uniform(0.5, 1.5) * min(1 + attempt, 5)  # noqa: S311
                    say(f"   waiting for a lock ({_holders()}); try {attempt + 2} in {pause:.1f} s")
                    sleep(pause)
        left = "an unfinished index, which the next run drops" if concurrent else "nothing behind"
        raise OpsError(
            Exit.LATER,
            f"{label(migration)} got no lock in {retries + 1} tries. It left {left}; those before it are "
            "applied. `diagnose db` shows who holds locks; run this again.",
            waiting_for=label(migration),
        )


def _apply_one(migration: Migration) -> ProjectState:
    # A new one each time: a failed migration leaves its half in the state.
    executor = MigrationExecutor(connection)
    return executor.migrate(None, plan=[(executor.loader.graph.nodes[_key(migration)], False)])


def _key(migration: Migration) -> tuple[str, str]:
    return migration.app_label, migration.name


def _is_concurrent(migration: Migration) -> bool:
    return bool(migration.operations) and all(isinstance(op, CONCURRENT) for op in migration.operations)


def _drop_half_made(migration: Migration) -> None:
    """A CREATE INDEX CONCURRENTLY that gave up leaves an invalid index, in the way of the next try."""
    names = [op.index.name for op in migration.operations if hasattr(op, "index")]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE NOT i.indisvalid AND c.relname = ANY(%s)",
            [names],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {connection.ops.quote_name(name)}")


def _holders() -> str:
    """Who holds locks on tables now. Names and processes are all that one login sees of another's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(DISTINCT format('%s pid %s', a.usename, a.pid), ', ')"
            "  FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation"
            " WHERE l.granted AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
            "   AND a.datname = current_database() AND l.pid <> pg_backend_pid()"
        )
        (found,) = cursor.fetchone()
    return found or "whoever held it has just ended"


@contextmanager
def _lock_timeout(value: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [value])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


# --- going back


def way_back(app: str, name: str) -> list[Migration]:
    """What is unapplied, in order, to be at this migration again. Raises OpsError where that is unsafe."""
    executor = MigrationExecutor(connection)
    if name == "zero":
        raise OpsError(Exit.UNSAFE, "Going back to zero drops every table of the app.")
    if app not in executor.loader.migrated_apps:
        raise OpsError(Exit.USAGE, f"There is no app {app} with migrations.")
    try:
        target = executor.loader.get_migration_by_prefix(app, name)
    except (KeyError, ValueError) as error:
        raise OpsError(Exit.USAGE, f"{app} has no single migration {name}: {error}") from error
    if _key(target) not in executor.loader.applied_migrations:
        raise OpsError(Exit.USAGE, f"{label(target)} is not applied: it can only be gone back to, not on to.")
    plan = executor.migration_plan([_key(target)])
    _refuse_way_back([migration for migration, _ in plan])
    return [migration for migration, _ in plan]


def _refuse_way_back(plan: Sequence[Migration]) -> None:
    for migration in plan:
        if is_contract(migration):
            raise OpsError(
                Exit.UNSAFE,
                f"{label(migration)} took something away: going back cannot bring the data again. "
                "Go back to an older release, or restore a backup beside and compare.",
            )
        stuck = [op for op in migration.operations if not op.reversible]
        if stuck:
            raise OpsError(Exit.UNSAFE, f"{label(migration)} has no way back: {stuck[0].describe()}.")


def unapply(plan: Sequence[Migration], *, lock_timeout: str, say: Say) -> None:
    with _lock_timeout(lock_timeout):
        for migration in plan:
            say(f"taking back {label(migration)}")
            executor = MigrationExecutor(connection)
            try:
                executor.migrate(None, plan=[(executor.loader.graph.nodes[_key(migration)], True)])
            except OperationalError as error:
                if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                    raise OpsError(
                        Exit.LATER, f"{label(migration)} got no lock within {lock_timeout}: run this again."
                    ) from error
                raise
