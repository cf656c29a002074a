"""What `diagnose` shows, with something wrong and without; the cache emptied and filled."""

import contextlib
import json
import threading
import time
from io import StringIO

import psycopg
import pytest
import redis
from django.core.cache import cache
from django.core.management import call_command

from fynlo.ops import diagnose
from fynlo.tenancy.scope import restaurant_scope
from restaurants.menu import current_edition, render_menu
from tests.databases import database_role, role_url


def run(*arguments):
    out, code = StringIO(), 0
    try:
        call_command(*arguments, "--json", stdout=out, stderr=StringIO())
    except SystemExit as end:
        code = end.code
    return code, json.loads(out.getvalue())


def test_every_topic_has_a_page_of_its_own_for_people():
    for topic in ("db", "memory", "payments", "redis"):
        out, err = StringIO(), StringIO()
        with contextlib.suppress(SystemExit):
            call_command("diagnose", topic, stdout=out, stderr=err)
        assert len(out.getvalue().splitlines()) > 1
        assert f"{topic}: " in out.getvalue() + err.getvalue()


def test_a_session_that_forgot_its_transaction_is_named(test_database, monkeypatch):
    monkeypatch.setattr(diagnose, "IDLE_SECONDS", 0)
    with psycopg.connect(role_url("app", test_database)) as forgetful:
        forgetful.execute("SELECT 1")
        pid = forgetful.info.backend_pid
        code, answer = run("diagnose", "db")
    assert code == 3
    (problem,) = [told for told in answer["problems"] if told.startswith(f"pid {pid} ")]
    assert problem.startswith(f"pid {pid} (fynlo_app) is idle in transaction for ")
    assert problem.endswith(f"SELECT pg_terminate_backend({pid})")


def test_who_waits_for_whom_is_named(dba):
    with psycopg.connect(dba.info.dsn) as first:
        first.execute("LOCK TABLE ops_opsrun IN ROW SHARE MODE")
        with psycopg.connect(dba.info.dsn) as second:
            holding, waiting = first.info.backend_pid, second.info.backend_pid
            lock = "LOCK TABLE ops_opsrun IN ACCESS EXCLUSIVE MODE"
            waiter = threading.Thread(target=second.execute, args=(lock,))
            waiter.start()
            deadline = time.monotonic() + 20
            found = []
            while not found and time.monotonic() < deadline:
                found = [row for row in diagnose.diagnose_db()[0]["waiting"] if row["pid"] == waiting]
            first.rollback()
            waiter.join()
    assert [(row["relation"], row["waits_for"]) for row in found] == [("ops_opsrun", [holding])]


def test_it_writes_nothing():
    with pytest.raises(Exception, match="read-only transaction"):
        diagnose._rows("INSERT INTO ops_opsrun (id) VALUES (gen_random_uuid()) RETURNING id")


def test_secrets_on_command_lines_are_not_shown():
    shown = diagnose._without_secrets("celery -A fynlo --broker redis://:pw@host PASSWORD=x worker")
    assert shown == "celery -A fynlo --broker"


def test_a_long_queue_and_a_lost_redis_are_told(settings, monkeypatch):
    monkeypatch.setattr(diagnose, "LONG_QUEUE", -1)
    code, answer = run("diagnose", "redis")
    assert (code, answer["found"]["queue"]["policy"]) == (3, "noeviction")
    assert "0 tasks wait in backup: is its worker up?" in answer["problems"]
    settings.REDIS_URL = "redis://127.0.0.1:1"
    code, answer = run("diagnose", "redis")
    assert (code, answer["found"]["queue"]) == (3, {"answers": False})
    assert answer["problems"][0].startswith("the queue's Redis does not answer:")


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"policy": "allkeys-lru"}, "the queue's Redis has allkeys-lru: it drops tasks when full"),
        ({"evicted": 3}, "the queue's Redis has dropped 3 keys: tasks may be lost"),
        ({"used_mb": 81}, "the queue's Redis has 81 of 100 MB in use"),
        ({"last_write_ok": False}, "the queue's Redis cannot write to its disk: is it full?"),
    ],
)
def test_a_sick_queue_is_told(found, problem):
    well = {"used_mb": 1, "limit_mb": 100, "policy": "noeviction", "evicted": 0, "last_write_ok": True}
    assert diagnose._redis_problems("queue", well) == []
    assert diagnose._redis_problems("queue", well | found) == [problem]


def test_stuck_payments_are_told(monkeypatch):
    rows = [
        {"figure": "open", "provider": "square", "state": "pending", "number": 2, "seconds": 700.0},
        {"figure": "open", "provider": "sumup", "state": "pending", "number": 1, "seconds": 10.0},
        {"figure": "webhooks", "provider": "", "state": "dead", "number": 4, "seconds": 5.0},
        {"figure": "reserved", "provider": "", "state": "", "number": 100, "seconds": 0.0},
    ]
    deadlines = [
        {"figure": "refunds", "provider": "square", "number": 3, "seconds": 121 * 3600.0},
        {"figure": "refunds", "provider": "sumup", "number": 1, "seconds": 119 * 3600.0},
        {"figure": "disputes", "provider": "stripe", "number": 2, "seconds": 71 * 3600.0},
        {"figure": "disputes", "provider": "square", "number": 2, "seconds": 73 * 3600.0},
    ]
    monkeypatch.setattr(diagnose, "_rows", lambda query: rows if query == diagnose.WATCHED else deadlines)
    found, problems = diagnose.diagnose_payments()
    assert found["figures"] == rows + deadlines
    assert problems[:4] == [
        "2 attempts at square are pending, the oldest for 12 min: is beat running, and does the provider "
        "answer?",
        "4 webhooks were given up: replay_webhooks takes them up again",
        "3 refunds by square are on their way, the oldest for 121 h: ask the provider",
        "2 disputes at stripe wait for an answer, the next is due in 71 h",
    ]


# --- the cache


def menu_key(restaurant):
    with restaurant_scope(restaurant.pk):
        edition = current_edition()
        render_menu(edition)
        return f"menu:{edition.name}"


def is_cached(restaurant, key):
    with restaurant_scope(restaurant.pk):
        return cache.get(key) is not None


def test_one_restaurants_cache_is_emptied_and_nothing_else(restaurant, other_restaurant, settings):
    ours, theirs = menu_key(restaurant), menu_key(other_restaurant)
    with redis.Redis.from_url(settings.REDIS_URL) as queue:
        queue.set("fynlo:1:rl:probe", "5", ex=60)
        queue.lpush("probe-queue", "a task")
        code, answer = run("clear_cache", "--restaurant", str(restaurant.pk))
        assert (code, answer["removed"]) == (0, 1)
        assert not is_cached(restaurant, ours)
        assert is_cached(other_restaurant, theirs)

        cache.set("global:probe", 1, 60)
        code, answer = run("clear_cache")
        assert (code, answer["removed"] >= 2) == (0, True)
        assert not is_cached(other_restaurant, theirs)
        assert cache.get("global:probe") is None
        assert (queue.get("fynlo:1:rl:probe"), queue.lrange("probe-queue", 0, -1)) == (b"5", [b"a task"])
        queue.delete("fynlo:1:rl:probe", "probe-queue")
    assert run("clear_cache", "--restaurant", "0")[0] == 2


def test_the_cache_is_warmed(restaurant):
    key = menu_key(restaurant)
    run("clear_cache", "--restaurant", str(restaurant.pk))
    code, answer = run("warm_cache", "--restaurant", str(restaurant.pk))
    assert (code, answer["restaurants"], answer["failed"]) == (0, 1, [])
    assert is_cached(restaurant, key)


def test_warming_goes_on_past_one_that_fails(restaurant, other_restaurant, monkeypatch):
    from fynlo.ops import cache as warming

    real = warming.render_menu

    def render(edition):
        from fynlo.tenancy.scope import require_restaurant_id

        if require_restaurant_id() == restaurant.pk:
            raise ValueError("an odd menu")
        return real(edition)

    monkeypatch.setattr(warming, "render_menu", render)
    monkeypatch.setattr(warming, "_restaurants", lambda: [restaurant.pk, other_restaurant.pk])
    code, answer = run("warm_cache")
    assert (code, answer["restaurants"], answer["failed"]) == (3, 1, [restaurant.pk])
    with database_role("platform"):
        assert run("warm_cache")[0] == 2
