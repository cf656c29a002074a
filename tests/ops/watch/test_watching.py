"""What the worker measures, on a real database and a real queue."""

import datetime
import uuid

import pytest
import redis
from celery import shared_task
from django.conf import settings
from django.utils import timezone
from prometheus_client import REGISTRY

from fynlo.celery import app
from fynlo.ops import tasks, watching
from fynlo.ops.command import Exit, Outcome, record_run


def figure(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@pytest.fixture
def command() -> str:
    """A name that no other run has."""
    return f"test_{uuid.uuid4().hex[:8]}"


def test_of_a_command_the_last_run_counts_and_the_last_good_one_stays(command):
    started = timezone.now() - datetime.timedelta(minutes=1)
    record_run(command, started, Outcome("well"))
    watching.measure_operations()
    well = figure("fynlo_ops_last_success_timestamp_seconds", command=command)
    assert figure("fynlo_ops_last_exit_code", command=command) == 0

    record_run(command, started, Outcome("no database", code=Exit.UNREACHABLE))
    watching.measure_operations()
    assert figure("fynlo_ops_last_exit_code", command=command) == 6
    assert figure("fynlo_ops_last_success_timestamp_seconds", command=command) == well
    assert figure("fynlo_ops_last_run_timestamp_seconds", command=command) > well


def test_a_command_that_never_ended_well_has_no_last_success(command):
    record_run(command, timezone.now(), Outcome("wrong", code=Exit.CHECK_FAILED))
    watching.measure_operations()
    assert figure("fynlo_ops_last_exit_code", command=command) == 3
    assert figure("fynlo_ops_last_success_timestamp_seconds", command=command) is None


def test_the_length_of_the_queues_is_redis_own():
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        before = client.llen("backup")
        client.lpush("backup", *[b"{}"] * 3)
        try:
            watching.measure_operations()
            assert figure("fynlo_queue_length", queue="backup") == before + 3
        finally:
            client.lrem("backup", 3, "{}")
        watching.measure_operations()
        assert figure("fynlo_queue_length", queue="backup") == before


@shared_task(name="tests.fail")
def fail() -> None:
    raise ValueError("as it should")


def test_tasks_are_counted_by_how_they_end():
    watching.watch_tasks(app)
    name = "fynlo.ops.tasks.measure_operations"
    before = figure("fynlo_tasks_total", task=name, outcome="success")
    assert figure("fynlo_tasks_total", task=name, outcome="failure") == 0
    started = timezone.now().timestamp()
    tasks.measure_operations.apply()
    assert figure("fynlo_tasks_total", task=name, outcome="success") == before + 1
    assert figure("fynlo_task_last_success_timestamp_seconds", task=name) >= started
    assert figure("fynlo_task_seconds_count", task=name) >= 1
    assert figure("fynlo_beat_heartbeat_timestamp_seconds") >= started

    failed = figure("fynlo_tasks_total", task="tests.fail", outcome="failure") or 0
    fail.apply()
    assert figure("fynlo_tasks_total", task="tests.fail", outcome="failure") == failed + 1
    assert figure("fynlo_task_last_success_timestamp_seconds", task="tests.fail") is None


def test_counters_that_wake_somebody_are_born_at_nothing():
    """Prometheus sees no rise in a figure that was not there before."""
    import accounts.lockout  # noqa: F401
    import payments.metrics  # noqa: F401

    names = {
        ("payment_overpaid_total", ("provider", "stripe")),
        ("payment_invariant_violations_total", ("check", "I10")),
    }
    assert {name for name, label in names if figure(name, **dict([label])) is None} == set()
    for method in ("password", "pin", "code"):
        assert figure("fynlo_login_attempts_total", method=method, outcome="failed") is not None
