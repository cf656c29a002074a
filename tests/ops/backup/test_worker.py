"""The worker of backups: alone with its login, and what the clock makes it do."""

import subprocess
import sys
from typing import Any

import pytest

from fynlo.celery import app
from fynlo.ops import tasks
from fynlo.ops.command import Exit, OpsError, only_one
from tests.databases import ROOT, role_url

QUEUES_REFUSED = [
    ("backup", "celery", "DB_ROLE=backup must not take tasks of celery."),
    ("backup", "backup,celery", "DB_ROLE=backup must not take tasks of backup, celery."),
    ("app", "backup", "DB_ROLE=app must not take tasks of backup."),
]


@pytest.mark.parametrize(("role", "queues", "sentence"), QUEUES_REFUSED)
def test_a_worker_takes_backups_or_the_restaurants_tasks(
    test_database: str, role: str, queues: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_ROLE", role)
    monkeypatch.setenv("DATABASE_URL", role_url(role, test_database))
    command = [sys.executable, "-m", "celery", "-A", "fynlo", "worker", "--queues", queues, "--pool", "solo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_every_task_of_backups_goes_to_their_queue() -> None:
    names = ("run_backup", "verify_backup", "prune_backups", "measure_backups", "ship_wal")
    route = app.amqp.router.route
    assert {route({}, f"fynlo.ops.tasks.{name}")["queue"].name for name in names} == {"backup"}
    assert route({}, "fynlo.ops.tasks.measure_operations")["queue"].name == "celery"


def test_a_failed_command_is_a_failed_task_and_a_second_run_is_none(settings: Any, tmp_path: Any) -> None:
    with pytest.raises(tasks.CommandFailed, match=r"verify_backup ended with 2."):
        tasks.verify_backup(restore=False)  # BACKUP_DIR is not set
    with only_one("backup"):
        tasks.run_backup("logical")


def test_no_restore_is_rehearsed_where_the_key_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_command", lambda *args, **kwargs: pytest.fail("it ran"))
    tasks.verify_backup(restore=True)


def test_the_log_is_not_shipped_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(say: Any) -> int:
        raise OpsError(Exit.UNREACHABLE, "The bucket is away.")

    monkeypatch.setattr("fynlo.ops.backup.wal.ship", refuse)
    with only_one("ship_wal"):
        tasks.ship_wal()
    with pytest.raises(OpsError, match=r"The bucket is away."):
        tasks.ship_wal()
