"""What other sites' pages may ask, what an error tells, and what `manage.py check` finds."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings as django_settings
from django.test import Client

from accounts.views import MeView
from fynlo import checks

ASK = """
import json, sys
import django
django.setup()
from django.test import Client
client = Client(headers={"Host": "localhost"})
answers = []
for method, path, origin in json.loads(sys.argv[1]):
    more = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-requested-with"}
    answer = client.generic(method, path, headers={"Origin": origin, **(more if method == "OPTIONS" else {})})
    allowed = {k.lower(): v for k, v in answer.headers.items() if k.lower().startswith("access-control-")}
    answers.append([answer.status_code, allowed])
print(json.dumps(answers))
"""


def ask(*requests, **environ):
    """Status and Access-Control headers of each request, from a process with this environment."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "fynlo.settings", **environ}
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(requests)],
        cwd=django_settings.BASE_DIR,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_only_named_sites_pages_may_ask_and_never_with_our_cookies():
    mine, lookalike = "https://till.example", "https://till.example.evil.example"
    preflight, lookalike_s, admin, request = ask(
        ["OPTIONS", "/api/v1/sign-in", mine],
        ["OPTIONS", "/api/v1/sign-in", lookalike],
        ["OPTIONS", "/admin/login/", mine],
        ["POST", "/api/v1/sign-in", mine],
        CORS_ORIGINS=mine,
    )
    assert preflight == [
        200,
        {
            "access-control-allow-origin": mine,
            "access-control-allow-headers": (
                "accept, authorization, content-type, idempotency-key, if-match, x-request-id"
            ),
            "access-control-allow-methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
            "access-control-expose-headers": "ETag, Idempotency-Replayed, Retry-After, X-Request-ID",
            "access-control-max-age": "600",
        },
    ]
    assert (lookalike_s[1], admin[1]) == ({}, {})
    assert request == [
        400,
        {
            "access-control-allow-origin": mine,
            "access-control-expose-headers": "ETag, Idempotency-Replayed, Retry-After, X-Request-ID",
        },
    ]


def test_without_names_nobody_else_may():
    assert ask(["OPTIONS", "/api/v1/sign-in", "https://till.example"])[0][1] == {}


@pytest.mark.parametrize("shown", [True, False])
def test_an_error_says_which_only_where_that_is_on(waiter, api, settings, monkeypatch, shown):
    def fail(*args, **kwargs):
        raise ValueError("the till is on fire")

    monkeypatch.setattr(MeView, "get", fail)
    settings.ERROR_DETAIL = shown
    client = api(waiter)
    client.http.raise_request_exception = False
    answer = client.get("me")
    expected = {
        "type": "about:blank",
        "title": "Server error",
        "status": 500,
        "code": "server_error",
        "detail": "It has been reported. Please try again in a moment.",
        "request_id": answer["X-Request-ID"],
    }
    if shown:
        expected["exception"] = {"type": "ValueError", "text": "the till is on fire"}
    assert (answer.status_code, answer.json()) == (500, expected)


def test_pages_carry_the_installation_s_name(settings):
    settings.APP_NAME = "Plates"
    assert "<title>Plates</title>" in Client().get("/").content.decode()
    assert "· Plates</title>" in Client().get("/nowhere").content.decode()


@pytest.mark.parametrize(
    ("cache", "single", "found"),
    [
        ("redis://:pw@redis:6379/1", False, ["fynlo.E001"]),
        ("redis://REDIS/0", False, ["fynlo.E001"]),
        ("redis://redis:6380/0", False, []),
        ("redis://redis-cache:6379/0", False, []),
        ("redis://redis:6379/1", True, []),
        ("sentinel://a:1,b:2/queue/0", False, []),
    ],
)
def test_queue_and_cache_are_two_servers_in_production(settings, cache, single, found):
    settings.PRODUCTION, settings.REDIS_SINGLE = True, single
    settings.REDIS_URL = "redis://redis:6379/0"
    settings.REDIS_CACHE_URL = cache
    assert [problem.id for problem in checks.check_redis(None)] == found
    settings.PRODUCTION = False
    assert checks.check_redis(None) == []


def test_two_sockets_are_two_servers(settings):
    settings.PRODUCTION, settings.REDIS_URL = True, "unix:///run/queue.sock?db=1"
    for path, count in (("/run/queue.sock?db=2", 1), ("/run/cache.sock", 0)):
        settings.REDIS_CACHE_URL = f"unix://{path}"
        assert len(checks.check_redis(None)) == count


def test_new_relic_without_its_agent_is_said(settings, monkeypatch):
    settings.NEW_RELIC_LICENSE_KEY = ""
    assert checks.check_new_relic(None) == []
    settings.NEW_RELIC_LICENSE_KEY = "key"
    assert [problem.id for problem in checks.check_new_relic(None)] == ["fynlo.W001"]
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: object())
    assert checks.check_new_relic(None) == []


def test_supabase_s_master_key_is_not_wanted(monkeypatch):
    monkeypatch.delenv("SUPABASE_SERVICE_ROLE_KEY", raising=False)
    assert checks.check_supabase(None) == []
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY_FILE", "/run/secrets/x")
    assert [problem.id for problem in checks.check_supabase(None)] == ["fynlo.W002"]
