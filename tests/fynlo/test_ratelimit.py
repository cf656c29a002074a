"""Who asks too often waits; a till that catches up with an evening does not."""

import dataclasses
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from django_redis import get_redis_connection

from accounts.models import Role, StaffSession
from fynlo import ratelimit
from fynlo.ratelimit import LIMITS, TooManyRequests, limit, permissions
from fynlo.tenancy.scope import restaurant_scope
from tests import factories
from tests.accounts.conftest import PASSWORD, PIN, give_password, give_pin
from tests.client import ApiClient

pytestmark = pytest.mark.usefixtures("limits_in_force")


@pytest.fixture
def till(restaurant):
    return factories.device(restaurant)


@pytest.fixture
def few(monkeypatch):
    def of(group, number):
        monkeypatch.setitem(LIMITS, group, number)

    return of


def passed(check, times):
    """How many of so many at once are let through."""
    start = threading.Barrier(20)

    def ask(share):
        start.wait()
        through = 0
        for _ in range(share):
            try:
                check()
                through += 1
            except TooManyRequests:
                pass
        return through

    with ThreadPoolExecutor(20) as pool:
        return sum(pool.map(ask, [times // 20] * 20))


@pytest.mark.parametrize("most", [1, 30, 100, 1500])
def test_of_twice_as_many_at_once_exactly_the_limit_pass(most):
    name = ("test", uuid.uuid4())
    assert passed(lambda: permissions.spend(name, most), max(most * 2, 20) // 20 * 20) == most


def test_a_door_lets_exactly_the_limit_through(few):
    few("pin", 100)
    value = uuid.uuid4().hex
    assert passed(lambda: limit("pin", value), 200) == 100


SPEND = """
import sys, django
django.setup()
from fynlo.ratelimit import TooManyRequests, permissions
through = 0
for _ in range(400):
    try:
        permissions.spend(("test", sys.argv[1]), 400)
        through += 1
    except TooManyRequests:
        pass
print(through)
"""


def test_several_processes_together_pass_no_more(settings):
    name = uuid.uuid4().hex
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "fynlo.settings"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SPEND, name], env=env, cwd=settings.BASE_DIR, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    through = [int(process.communicate()[0]) for process in running]
    assert 400 - 400 // ratelimit.PARTS <= sum(through) <= 400


def test_a_till_may_send_two_hundred_orders_after_a_dead_line(waiter, api):
    client = api(waiter)
    answers = {client.get("me").status_code for _ in range(800)}
    assert answers == {200}


def test_too_much_is_a_problem_that_says_when(waiter, api, few, restaurant):
    few("api", 3)
    client = api(waiter)
    answers = [client.get("me") for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    refused = answers[-1]
    assert refused["Content-Type"] == "application/problem+json"
    assert 0 < int(refused["Retry-After"]) <= 61
    assert refused.json() == {
        "type": "about:blank",
        "title": "Too many requests",
        "status": 429,
        "code": "too_many_requests",
        "detail": f"Too many requests. Try again in {refused['Retry-After']} s.",
        "request_id": refused["X-Request-ID"],
    }
    assert api(factories.staff(restaurant, Role.WAITER)).get("me").status_code == 200  # a colleague goes on


def test_whoever_signs_in_again_is_still_the_same_person(waiter, api, few, restaurant):
    few("api", 2)
    assert [api(waiter).get("me").status_code for _ in range(2)] == [200, 200]
    with restaurant_scope(restaurant.pk):
        session = StaffSession.objects.create(
            membership_id=waiter.membership_id, expires_at=timezone.now() + timedelta(hours=1)
        )
    again = dataclasses.replace(waiter, session_id=session.pk)
    assert api(again).get("me").status_code == 429


def test_a_device_counts_whoever_uses_it(till, api, few):
    few("api", 2)
    assert [api(till).get("me").status_code for _ in range(3)] == [200, 200, 429]


def test_reports_have_a_limit_of_their_own(manager, api, few):
    few("reports", 1)
    client = api(manager)
    assert [client.get("reports/today").status_code for _ in range(2)] == [200, 429]
    assert client.get("me").status_code == 200


def test_six_sign_ins_of_an_account_in_a_minute_are_one_too_many(waiter):
    body = {"email": give_password(waiter), "password": PASSWORD}
    answers = [ApiClient().post("/api/v1/sign-in", body) for _ in range(6)]
    assert [a.status_code for a in answers] == [200] * 5 + [429]
    assert answers[5].json()["code"] == "too_many_requests"


def test_wrong_tries_lock_out_before_they_are_too_many(waiter):
    body = {"email": give_password(waiter), "password": "another"}
    answers = [ApiClient().post("/api/v1/sign-in", body) for _ in range(6)]
    assert [a.status_code for a in answers] == [401] * 4 + [429] * 2
    assert {a.json()["code"] for a in answers[4:]} == {"locked_out"}


def test_an_address_signs_in_only_so_often(few, restaurant):
    few("password by address", 2)
    client = ApiClient()
    emails = [give_password(factories.staff(restaurant, Role.WAITER)) for _ in range(3)]
    answers = [client.post("/api/v1/sign-in", {"email": e, "password": PASSWORD}) for e in emails]
    assert [a.status_code for a in answers] == [200, 200, 429]


def test_pins_are_counted_by_till(till, waiter, api, few):
    few("pin", 2)
    give_pin(waiter)
    body = {"membership_id": str(waiter.membership_id), "pin": PIN}
    assert [api(till).post("sign-in/pin", body).status_code for _ in range(3)] == [200, 200, 429]


def test_strange_tokens_are_counted_by_address(few, restaurant):
    few("refused tokens", 2)
    client = ApiClient(restaurant_id=restaurant.pk)
    client.headers["Authorization"] = f"Bearer fyd.{restaurant.pk}.{uuid.uuid4().hex}"
    answers = [client.get("me") for _ in range(3)]
    assert [a.status_code for a in answers] == [401, 401, 429]
    assert answers[0].json()["code"] == "device_revoked"


@pytest.mark.parametrize(
    ("group", "path", "before"),
    [("schema", "/api/schema/", 200), ("password page", "/set-password/x/y", 200)],
)
def test_pages_are_limited_by_address_behind_the_proxy(few, settings, group, path, before):
    few(group, 1)
    settings.TRUSTED_PROXIES = 1
    settings.SECURE_PROXY_SSL_HEADER = None

    def ask(address):
        return Client().get(path, headers={"X-Forwarded-For": f"203.0.113.9, {address}"}).status_code

    mine, theirs = (f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}::1" for _ in range(2))
    assert [ask(mine), ask(mine.replace("::1", "::2")), ask(theirs)] == [before, 429, before]


def test_unsigned_webhooks_are_limited(few):
    few("unsigned webhooks", 1)
    client = Client(REMOTE_ADDR=f"198.51.{uuid.uuid4().int % 256}.{uuid.uuid4().int % 256}")
    answers = [client.post("/webhooks/square", "{}", content_type="application/json") for _ in range(2)]
    assert [a.status_code for a in answers] == [400, 429]
    assert int(answers[1]["Retry-After"]) > 0


@pytest.fixture
def no_redis(monkeypatch, settings):
    """Nobody listens there."""
    dead = {**settings.CACHES["ratelimit"], "LOCATION": "redis://127.0.0.1:1"}
    settings.CACHES = {**settings.CACHES, "ratelimit": dead}
    monkeypatch.setattr(ratelimit, "permissions", ratelimit._Permissions())


def test_without_redis_nobody_is_limited(no_redis, few, waiter, api, caplog):
    few("api", 1)
    few("pin", 1)
    client = api(waiter)
    assert [client.get("me").status_code for _ in range(5)] == [200] * 5
    limit("pin", "x")
    limit("pin", "x")
    asked = [r for r in caplog.records if "requests are not limited" in r.getMessage()]
    assert len(asked) == 1  # and then not again for a while


def test_the_counts_are_where_nothing_is_evicted():
    assert django_settings.CACHES["ratelimit"]["LOCATION"] == django_settings.REDIS_URL
    client: redis.Redis = get_redis_connection(django_settings.RATELIMIT_USE_CACHE)
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_no_factor_is_no_limit(settings, few, waiter, api):
    few("api", 1)
    settings.RATE_LIMIT_FACTOR = 0
    assert [api(waiter).get("me").status_code for _ in range(3)] == [200] * 3
