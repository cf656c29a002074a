"""The pages that say whether it is up."""

import os
import tempfile
import threading
import time

from django.core.management import call_command
from django.db import OperationalError
from django.db.migrations import Migration
from django.test import Client

from fynlo.ops import draining, health

WELL = {"database": "ok", "queue": "ok", "cache": "ok", "migrations": "ok"}


def ready(**headers: str) -> tuple[int, dict]:
    response = Client().get("/health", headers=headers)
    return response.status_code, response.json()


def test_live_ready_and_version(settings):
    settings.VERSION, settings.GIT_SHA = "1.4.0", "0a1b2c3"
    settings.BUILD_TIME, settings.COLOUR = "2026-11-24T12:00:00Z", "green"
    client = Client()
    assert client.get("/health/live").json() == {"status": "ok"}
    assert ready() == (200, {"status": "ok", "checks": WELL})
    assert client.get("/version").json() == {
        "version": "1.4.0",
        "git_sha": "0a1b2c3",
        "build_time": "2026-11-24T12:00:00Z",
        "colour": "green",
    }


def test_the_public_is_not_told_what_is_wrong(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/none.sock"
    assert ready(**{"X-Forwarded-For": "203.0.113.9"}) == (200, {"status": "degraded"})


def test_a_dead_queue_or_cache_degrades_but_does_not_stop(settings, tmp_path):
    dead = f"unix://{tmp_path}/none.sock"
    alive = settings.REDIS_URL
    settings.REDIS_URL = dead
    assert ready() == (200, {"status": "degraded", "checks": WELL | {"queue": "down"}})
    settings.REDIS_URL = alive
    settings.REDIS_CACHE_URL = dead
    assert ready() == (200, {"status": "degraded", "checks": WELL | {"cache": "down"}})


def test_without_its_database_it_cannot_serve(monkeypatch):
    def fail() -> bool:
        raise OperationalError("the server is not there")

    monkeypatch.setattr(health, "_database_answers", fail)
    down = WELL | {"database": "down", "migrations": "down"}
    assert ready() == (503, {"status": "unavailable", "checks": down})


def test_a_database_that_hangs_is_given_a_second(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(health, "_database_answers", lambda: released.wait(20))
    began = time.monotonic()
    try:
        assert ready()[0] == 503
        assert time.monotonic() - began < 15
    finally:
        released.set()


def test_code_that_is_newer_than_the_schema_does_not_serve(monkeypatch):
    class Newer(Migration):
        pass

    class Later(Migration):
        deploy_phase = "contract"

    monkeypatch.setattr(health, "_applied", False)
    monkeypatch.setattr(health, "pending", lambda: [Newer("0099_newer", "orders")])
    assert ready() == (503, {"status": "unavailable", "checks": WELL | {"migrations": "down"}})
    monkeypatch.setattr(health, "pending", lambda: [Later("0099_later", "orders")])
    assert ready() == (200, {"status": "ok", "checks": WELL})


def test_what_is_leaving_is_not_ready(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings.COLOUR = "blue"
    call_command("drain", colour="green")
    assert ready()[0] == 200
    call_command("drain", colour="blue")
    assert ready() == (503, {"status": "draining", "checks": WELL})
    os.utime(draining.marker(), (1, 1))  # of a process that was here before this one
    assert ready()[0] == 200
    call_command("drain")
    assert ready()[0] == 503
    call_command("drain", "--undo")
    assert ready()[0] == 200


def test_metrics_are_not_on_the_public_port():
    assert Client().get("/metrics").status_code == 404


def test_every_answer_has_its_policies_and_its_request_id():
    response = Client().get("/health/live", headers={"X-Request-ID": "till-4711-abcdef"})
    assert response["X-Request-ID"] == "till-4711-abcdef"
    assert "script-src 'self';" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Frame-Options"] == "DENY"
    odd = Client().get("/health/live", headers={"X-Request-ID": "<script>"})
    assert len(odd["X-Request-ID"]) == 32


def test_an_unknown_api_url_is_a_problem_and_an_unknown_page_a_page():
    response = Client().get("/api/v1/nothing")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "not_found"
    page = Client().get("/nothing")
    assert page.status_code == 404
    assert b"There is no such page." in page.content
