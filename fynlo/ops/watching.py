"""What the worker tells Prometheus about tasks, operations commands, queues and backups."""

import time
from typing import Any

from celery import Celery, Task, states
from celery.signals import task_postrun, task_prerun
from django.conf import settings
from django.db import connection, transaction
from prometheus_client import Counter, Gauge, Histogram

from fynlo.redis_servers import connect

QUEUES = ("celery", "backup")

TASKS = Counter("fynlo_tasks", "Tasks that ended, by how.", ["task", "outcome"])
TASK_SECONDS = Histogram(
    "fynlo_task_seconds", "How long tasks took.", ["task"], buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 1800)
)
TASK_SUCCEEDED = Gauge("fynlo_task_last_success_timestamp_seconds", "When a task last succeeded.", ["task"])
HEARTBEAT = Gauge("fynlo_beat_heartbeat_timestamp_seconds", "When beat was last heard of by a worker.")
QUEUE_LENGTH = Gauge("fynlo_queue_length", "Tasks that no worker has taken yet.", ["queue"])
OPS_SUCCEEDED = Gauge(
    "fynlo_ops_last_success_timestamp_seconds", "When an operations command last ended well.", ["command"]
)
OPS_ENDED = Gauge("fynlo_ops_last_run_timestamp_seconds", "When it last ended at all.", ["command"])
OPS_EXIT_CODE = Gauge("fynlo_ops_last_exit_code", "How it last ended.", ["command"])
BACKUP_ENDED = Gauge("fynlo_backup_last_timestamp_seconds", "When the last backup ended.", ["kind"])
BACKUP_VERIFIED = Gauge(
    "fynlo_backup_last_verified_timestamp_seconds",
    "When a backup was last restored and found whole.",
    ["family"],
)
BACKUPS = Gauge("fynlo_backups", "Backups kept on this machine.")
BACKUP_BYTES = Gauge("fynlo_backup_bytes", "What they take.")

_started: dict[str, float] = {}

# The last run of each command, and the last good one.
LAST_RUNS = """
    SELECT command, (array_agg(exit_code ORDER BY ended_at DESC))[1],
           extract(epoch FROM max(ended_at)),
           extract(epoch FROM max(ended_at) FILTER (WHERE exit_code = 0))
    FROM ops_opsrun GROUP BY command
"""


def watch_tasks(app: Celery) -> None:
    """Count the tasks of this process from now on."""
    for name in app.tasks:
        if not name.startswith("celery."):
            for outcome in (states.SUCCESS, states.FAILURE):
                TASKS.labels(name, outcome.lower())  # from 0, so that the first one is an increase
    task_prerun.connect(_note_start)
    task_postrun.connect(_note_end)


def _note_start(task_id: str, **kwargs: Any) -> None:
    _started[task_id] = time.monotonic()


def _note_end(sender: Task, task_id: str, state: str, **kwargs: Any) -> None:
    if started := _started.pop(task_id, None):
        TASK_SECONDS.labels(sender.name).observe(time.monotonic() - started)
    TASKS.labels(sender.name, state.lower()).inc()
    if state == states.SUCCESS:
        TASK_SUCCEEDED.labels(sender.name).set_to_current_time()


def measure_operations() -> None:
    """Set the gauges of commands and queues. Beat sends it, so that it runs is beat's sign of life."""
    HEARTBEAT.set(time.time())
    _measure_queues()
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(LAST_RUNS)
        for command, exit_code, ended_at, succeeded_at in cursor.fetchall():
            OPS_EXIT_CODE.labels(command).set(exit_code)
            OPS_ENDED.labels(command).set(ended_at)
            if succeeded_at is not None:
                OPS_SUCCEEDED.labels(command).set(succeeded_at)


def _measure_queues() -> None:
    with connect(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
        for queue in QUEUES:
            QUEUE_LENGTH.labels(queue).set(client.llen(queue))


def measure_backups() -> None:
    """Set the gauges of backups, where they are: in the worker of the queue `backup`."""
    from fynlo.ops.backup import catalogue

    found = catalogue.latest()
    BACKUPS.set(found["backups"])
    BACKUP_BYTES.set(found["bytes"])
    for kind, ended_at in found["backup"].items():
        if ended_at:
            BACKUP_ENDED.labels(kind).set(ended_at.timestamp())
    for family, verified_at in found["verified"].items():
        if verified_at:
            BACKUP_VERIFIED.labels(family).set(verified_at.timestamp())
