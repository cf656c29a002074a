"""Who guesses is locked out, in parallel as in a row; who knows is not."""

import contextlib
import threading
import uuid

import pytest
import redis
from django.db import connection

from accounts import lockout
from accounts.errors import LockedOut
from accounts.services import sign_in as sign_in_service
from fynlo.api.address import client_address
from tests.client import ApiClient

from .conftest import PASSWORD, PIN, give_password, give_pin, row

SIGN_IN = "/api/v1/sign-in"


def sign_in(email, password=PASSWORD, client=None):
    return (client or ApiClient()).post(SIGN_IN, {"email": email, "password": password})


def try_pin(till, member, pin=PIN, client=None):
    body = {"membership_id": str(member.membership_id), "pin": pin}
    return (client or ApiClient(till)).post("sign-in/pin", body)


def new_address():
    return f"198.51.{uuid.uuid4().int % 256}.{uuid.uuid4().int % 256}-{uuid.uuid4().hex}"


@pytest.fixture
def no_redis(monkeypatch):
    """Nobody listens there."""
    client = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=None)
    monkeypatch.setattr(lockout, "get_redis_connection", lambda alias: client)


def test_the_fifth_wrong_pin_locks_the_member_out(waiter, manager, till, events):
    give_pin(waiter)
    give_pin(manager)
    answers = [try_pin(till, waiter, "4712") for _ in range(7)]

    assert [a.status_code for a in answers] == [403, 403, 403, 403, 429, 429, 429]
    assert answers[4].json() == {
        "type": "about:blank",
        "title": "Too many requests",
        "status": 429,
        "code": "locked_out",
        "detail": "Too many wrong tries. Try again in 15 minutes.",
        "request_id": answers[4]["X-Request-ID"],
    }
    assert answers[4]["Retry-After"] == "900"
    assert 890 <= int(answers[6]["Retry-After"]) <= 900
    assert try_pin(till, waiter).status_code == 429  # nor does the right one help now
    assert try_pin(till, manager).status_code == 200
    assert [(e.kind, e.subject_id, e.payload, e.actor) for e in events()[:1]] == [
        (
            "staff.locked_out",
            waiter.membership_id,
            {"id": str(waiter.membership_id), "name": waiter.name, "role": "waiter", "is_active": True},
            {},
        )
    ]
    assert [e.kind for e in events()] == ["staff.locked_out", "staff.signed_in"]


def test_the_fifth_wrong_password_locks_the_account_out_in_any_case(waiter, events):
    email = give_password(waiter)
    answers = [sign_in(address, "wrong") for address in (email, email.upper(), email, email.title(), email)]
    assert [a.status_code for a in answers] == [401, 401, 401, 401, 429]
    assert (answers[4].json()["code"], answers[4]["Retry-After"]) == ("locked_out", "900")
    assert sign_in(email).status_code == 429
    assert [(e.kind, e.subject_id) for e in events()] == [("staff.locked_out", waiter.membership_id)]


def test_an_account_that_is_not_there_locks_out_just_the_same():
    email = f"{uuid.uuid4()}@example.test"
    assert [sign_in(email, "wrong").status_code for _ in range(6)] == [401, 401, 401, 401, 429, 429]


def test_right_sign_ins_never_lock_anybody_out(waiter, till):
    give_pin(waiter)
    client = ApiClient(till)
    assert [try_pin(till, waiter, "4712").status_code for _ in range(4)] == [403] * 4
    assert [try_pin(till, waiter, client=client).status_code for _ in range(10)] == [200] * 10
    assert try_pin(till, waiter, "4712").status_code == 429  # the fifth wrong one


def test_the_right_password_without_a_restaurant_is_no_wrong_try(waiter, other_restaurant):
    email = give_password(waiter)
    answers = [
        ApiClient().post(
            SIGN_IN, {"email": email, "password": PASSWORD, "restaurant_id": other_restaurant.pk}
        )
        for _ in range(6)
    ]
    assert [a.status_code for a in answers] == [403] * 6
    assert sign_in(email).status_code == 200


def test_fifty_guesses_at_once_get_five_checks(waiter, till, monkeypatch, events):
    monkeypatch.setattr(connection.pool, "timeout", 60)  # fifty wait for four connections
    give_pin(waiter)
    checked = []
    check = sign_in_service.check_password
    monkeypatch.setattr(sign_in_service, "check_password", lambda *a: checked.append(1) or check(*a))
    start = threading.Barrier(50)
    answers = []

    def guess(number):
        client = ApiClient(till)
        start.wait()
        try:
            answers.append(try_pin(till, waiter, f"{5000 + number}", client).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=guess, args=[n]) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(checked) == 5
    assert sorted(answers) == [403] * 4 + [429] * 46
    assert [e.kind for e in events()] == ["staff.locked_out"]


def test_thirty_wrong_tries_from_one_address_lock_it_out(waiter, till):
    give_pin(waiter)
    client = ApiClient(till)
    for _ in range(30):
        assert client.post("devices/join", {"code": "ABCD2345"}).status_code == 422
    assert try_pin(till, waiter, client=client).json()["code"] == "locked_out"
    assert try_pin(till, waiter).status_code == 200  # from elsewhere
    # The account's own tries were not used up by a door that was shut before it.
    assert [try_pin(till, waiter, "4712").status_code for _ in range(4)] == [403] * 4


def test_an_address_that_changes_within_its_own_network_is_one_address():
    home = f"2001:db8:{uuid.uuid4().hex[:4]}"
    for number in range(30):
        assert not lockout.guess(lambda: False, address=f"{home}:1::{number:x}")
    with pytest.raises(LockedOut):
        lockout.guess(lambda: True, address=f"{home}:1:ffff::1")
    assert lockout.guess(lambda: True, address=f"{home}:2::1")


def test_ipv4_in_ipv6_clothes_is_many_addresses():
    third = uuid.uuid4().int % 256
    first, second = (f"::ffff:203.0.{third}.{fourth}" for fourth in (1, 2))
    for _ in range(30):
        lockout.guess(lambda: False, address=first)
    assert lockout.guess(lambda: True, address=second)


def test_the_lock_opens_again(monkeypatch):
    monkeypatch.setattr(lockout, "WINDOW_SECONDS", 1)
    account, address = uuid.uuid4().hex, new_address()
    for _ in range(4):
        assert not lockout.guess(lambda: False, account=account, address=address)
    with pytest.raises(LockedOut):
        lockout.guess(lambda: False, account=account, address=address)
    with pytest.raises(LockedOut) as refused:
        lockout.guess(lambda: True, account=account, address=address)
    assert (refused.value.retry_after, refused.value.has_just_begun) == (1, False)
    threading.Event().wait(1.2)
    assert lockout.guess(lambda: True, account=account, address=address)


def test_no_address_or_account_is_readable_in_redis(waiter):
    email = give_password(waiter)
    sign_in(email, "wrong")
    client = lockout.get_redis_connection("default")
    keys = [key.decode() for key in client.scan_iter("fynlo:lockout:*")]
    assert keys
    assert not [key for key in keys if email in key or "2001:" in key]


def test_without_redis_each_process_counts_accounts(waiter, no_redis, caplog):
    email = give_password(waiter)
    assert sign_in(email).status_code == 200
    answers = [sign_in(email, "wrong") for _ in range(6)]
    assert [a.status_code for a in answers] == [401, 401, 401, 401, 429, 429]
    assert answers[4]["Retry-After"] == "900"
    assert sign_in(email).status_code == 429
    assert any("Redis is down" in record.message for record in caplog.records)


def test_without_redis_addresses_are_not_counted(no_redis):
    address = new_address()
    assert [lockout.guess(lambda: False, address=address) for _ in range(40)] == [False] * 40


def test_without_redis_addresses_are_counted_too_where_that_is_wished(no_redis, settings):
    settings.RATELIMIT_FAIL_OPEN = False
    address = new_address()
    assert [lockout.guess(lambda: False, address=address) for _ in range(30)] == [False] * 30
    with pytest.raises(LockedOut):
        lockout.guess(lambda: True, address=address)


def test_without_redis_fifty_guesses_at_once_get_five_checks(no_redis):
    account, checked = uuid.uuid4().hex, []

    def guess():
        with contextlib.suppress(LockedOut):
            lockout.guess(lambda: checked.append(1), account=account, address="203.0.113.1")

    threads = [threading.Thread(target=guess) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(checked) == 5


def test_one_own_pin_is_guarded_by_the_same_count(waiter, till, api, events):
    give_pin(waiter)
    path = f"staff/{waiter.membership_id}/pin"
    answers = [api(waiter).put(path, {"pin": "8305", "current_pin": "4712"}) for _ in range(5)]
    assert [a.status_code for a in answers] == [422, 422, 422, 422, 429]
    assert answers[0].json()["errors"] == [
        {"field": "current_pin", "code": "wrong_pin", "detail": "The current PIN is not right."}
    ]
    assert try_pin(till, waiter).status_code == 429
    assert [e.kind for e in events()] == ["staff.locked_out"]
    assert row(waiter).pin_hash != ""


def test_thirty_wrong_codes_from_one_address_lock_it_out(restaurant):
    client = ApiClient(restaurant_id=restaurant.pk)
    answers = [client.post("devices/join", {"code": "ABCD2345"}) for _ in range(31)]
    assert [a.status_code for a in answers] == [422] * 30 + [429]
    assert answers[30].json()["code"] == "locked_out"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, None, "192.0.2.1"),
    ],
)
def test_the_address_is_what_our_own_proxy_saw(settings, rf, proxies, forwarded, expected):
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    assert client_address(rf.get("/", REMOTE_ADDR="192.0.2.1", headers=headers)) == expected
