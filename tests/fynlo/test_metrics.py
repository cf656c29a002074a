"""Figures for the watchers come from a port of their own, and never from the public one."""

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from psycopg_pool import ConnectionPool

from fynlo.ops import metrics
from tests.databases import role_url
from tests.processes import BIN, free_port, running, wait_until_ready, web_server

REQUESTS = "django_http_requests_before_middlewares_total"


def figures_of(port: int) -> dict[str, float]:
    """Every sample that a process exports, by its name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def worker_pids(parent: int) -> list[int]:
    """The children of a granian process that serve requests."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(pid) for pid in children if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_metrics_are_on_the_internal_port_only(test_database):
    port = free_port()
    with web_server(test_database, METRICS_PORT=str(port)) as public:
        urllib.request.urlopen(f"{public}/version").read()
        wait_until_ready(f"http://127.0.0.1:{port}/metrics")
        figures = figures_of(port)
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"{public}/metrics")
    assert 'django_http_requests_total_by_method_total{method="GET"}' in figures
    assert refusal.value.code == 404


def test_one_port_has_the_sums_of_all_workers_and_never_goes_back(test_database, tmp_path):
    port = free_port()
    shared = {"METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with web_server(test_database, workers=2, **shared) as public:

        def ask(_: int) -> None:
            urllib.request.urlopen(f"{public}/version", timeout=20).read()

        before = figures_of(port)[REQUESTS]
        seen = []
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(ask, number) for number in range(200)]
            while not all(future.done() for future in asked):
                seen.append(figures_of(port)[REQUESTS])
            [future.result() for future in asked]
        after = [figures_of(port) for _ in range(20)]
        served_by = {path.stem.rpartition("_")[2] for path in tmp_path.glob("counter_*.db")}
    assert seen == sorted(seen)
    assert {figures[REQUESTS] for figures in after} == {before + 200}
    assert {figures["fynlo_requests_in_flight"] for figures in after} == {0}
    assert len(served_by) == 2


def test_a_worker_that_was_killed_stays_counted_and_its_gauges_go(test_database, tmp_path):
    port, web = free_port(), free_port()
    env = {"METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DB_POOL_MAX": "3"}
    command = [
        BIN / "granian",
        *["--interface", "wsgi", "fynlo.wsgi:application", "--port", str(web), "--workers", "2"],
        *["--respawn-failed-workers", "--log-level", "warning", "--workers-kill-timeout", "5s"],
    ]
    with running(command, test_database, **env) as server:
        wait_until_ready(f"http://127.0.0.1:{web}/health/live")
        wait_for(lambda: figures_of(port).get('fynlo_db_pool_max{database="default"}') == 6)
        for _ in range(50):
            urllib.request.urlopen(f"http://127.0.0.1:{web}/version").read()
        before = figures_of(port)[REQUESTS]
        victim = worker_pids(server.pid)[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{victim}").exists() and len(worker_pids(server.pid)) == 2)
        wait_for(lambda: figures_of(port).get('fynlo_db_pool_max{database="default"}') == 6)
        after = figures_of(port)[REQUESTS]
    assert before >= 50
    assert after == before
    assert not list(tmp_path.glob(f"gauge_live*_{victim}.db"))


def test_requests_in_flight_and_tries_to_sign_in_are_counted(test_database, dba):
    port = free_port()
    env = {"METRICS_PORT": str(port), "RATE_LIMIT_FACTOR": "0"}
    env["PGOPTIONS"] = "-c lock_timeout=60s -c statement_timeout=60s"
    with web_server(test_database, **env) as public, ThreadPoolExecutor(3) as clients:
        with dba.transaction():
            dba.execute("LOCK TABLE accounts_user IN ACCESS EXCLUSIVE MODE")
            asked = [clients.submit(sign_in, public) for _ in range(3)]
            wait_for(lambda: figures_of(port)["fynlo_requests_in_flight"] == 3)
        answers = [future.result() for future in asked]
        figures = figures_of(port)
    assert answers == [401, 401, 401]
    assert figures["fynlo_requests_in_flight"] == 0
    assert figures['fynlo_login_attempts_total{method="password",outcome="failed"}'] == 3
    assert figures['fynlo_login_attempts_total{method="password",outcome="succeeded"}'] == 0


def test_who_waits_for_a_connection_is_counted(test_database):
    pool = ConnectionPool(role_url("app", test_database), min_size=1, max_size=1, timeout=30)
    with pool, ThreadPoolExecutor(2) as others, pool.connection():
        for _ in range(2):
            others.submit(lambda: pool.putconn(pool.getconn()))
        wait_for(lambda: pool.get_stats()["requests_waiting"] == 2)
        metrics._show_pool("test", pool.get_stats())
        shown = {name: figure_of(name) for name in ("max", "size", "idle", "waiting")}
    assert shown == {"max": 1, "size": 1, "idle": 0, "waiting": 2}


def figure_of(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"fynlo_db_pool_{name}", {"database": "test"})


def test_nothing_that_a_process_exports_names_a_restaurant(test_database):
    port = free_port()
    with web_server(test_database, METRICS_PORT=str(port)) as public:
        urllib.request.urlopen(f"{public}/version").read()
        labels = {label for name in figures_of(port) for label in re.findall(r'(\w+)="', name)}
    assert "view" in labels
    assert not {label for label in labels if "restaurant" in label or "tenant" in label}


def test_a_port_that_is_taken_costs_the_figures_and_not_the_service(test_database):
    port = free_port()
    with web_server(test_database, METRICS_PORT=str(port)) as first:
        with web_server(test_database, METRICS_PORT=str(port)) as second:
            answers = [urllib.request.urlopen(f"{url}/version").status for url in (first, second)]
        assert figures_of(port)[REQUESTS] >= 1
    assert answers == [200, 200]


def sign_in(public: str) -> int:
    who = f"{uuid.uuid4().hex}@example.test"  # of nobody, and not locked out by an earlier run
    body = json.dumps({"email": who, "password": "wrong-wrong-wrong"}).encode()
    request = urllib.request.Request(f"{public}/api/v1/sign-in", body, {"Content-Type": "application/json"})
    try:
        return int(urllib.request.urlopen(request, timeout=30).status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
