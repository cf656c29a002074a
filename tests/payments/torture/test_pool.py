"""A vendor that takes its time keeps nobody from the database: neither drivers nor who waits for them."""

import concurrent.futures
import threading
import time

import pytest
from django.db import connection, connections

from fynlo.tenancy.fields import uuid7
from payments.providers import PROVIDERS
from tests.client import ApiClient
from tests.payments.bills import open_bill, pay

TILLS = 4


@pytest.fixture
def small_pool():
    """As many connections as there are tills."""
    usual = connection.pool.max_size
    connection.pool.resize(1, TILLS)
    yield
    connection.pool.resize(1, usual)


def test_cash_is_taken_while_cards_wait_for_their_vendor(
    square, till, waiter, scene, small_pool, monkeypatch
):
    """Four tills wait for four drivers for a slow vendor; a fifth takes cash at once."""
    bills = [open_bill(till, scene.takeaway(scene.burger())) for _ in range(TILLS + 1)]
    tills = [ApiClient(waiter) for _ in range(TILLS)]
    usual, asked, go_on = PROVIDERS["square"].execute, threading.Semaphore(0), threading.Event()

    def slow(*args):
        asked.release()
        assert go_on.wait(10)
        return usual(*args)

    def take(n: int):
        body = {"id": str(uuid7()), "method": "card_online", "source_token": "cnon:card-nonce-ok"}
        try:
            return tills[n].post(f"orders/{bills[n]['id']}/card-payments", body)
        finally:
            connections.close_all()

    monkeypatch.setattr(PROVIDERS["square"], "execute", slow)
    with concurrent.futures.ThreadPoolExecutor(TILLS) as threads:
        answers = [threads.submit(take, n) for n in range(TILLS)]
        for _ in range(TILLS):
            assert asked.acquire(timeout=2.5)
        started = time.monotonic()
        assert pay(till, bills[-1]).status_code == 201
        assert time.monotonic() - started < 1
        go_on.set()
        assert [answer.result().json()["state"] for answer in answers] == ["paid"] * TILLS
    assert square.taken() == TILLS * 1250
