"""What a client sees of each fault, and what the peer had to do with it."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe
from square import Square
from square.core.api_error import ApiError
from sumup import Sumup
from sumup.errors import InternalServerError, RateLimitError

from tests.peers.faults import MODES, Faults, FaultyProxy
from tests.peers.loopback import LoopbackServer, Received, Sent


class Till(LoopbackServer):
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.seen: list[Received] = []
        super().__init__()

    def respond(self, request: Received) -> Sent:
        self.seen.append(request)
        return Sent.of_json(201, {"number": len(self.seen)}, x_seen="yes")


@pytest.fixture
def till() -> Iterator[Till]:
    with Till() as till:
        yield till


@pytest.fixture
def proxy(till: Till) -> Iterator[FaultyProxy]:
    with FaultyProxy(till.url, Faults(slow_seconds=1)) as proxy:
        yield proxy


def post(proxy: FaultyProxy, path: str = "/pay") -> httpx.Response:
    return httpx.post(f"{proxy.url}{path}?a=1&a=2", content=b"raw", headers={"x-key": "k"}, timeout=0.5)


def test_what_is_not_broken_passes_unchanged(proxy: FaultyProxy, till: Till) -> None:
    answer = post(proxy)
    assert (answer.status_code, answer.json(), answer.headers["x-seen"]) == (201, {"number": 1}, "yes")
    [request] = till.seen
    assert (request.method, request.target, request.raw) == ("POST", "/pay?a=1&a=2", b"raw")
    assert request.headers["x-key"] == "k"
    assert proxy.faults.counts == {"passed": 1}


@pytest.mark.parametrize(
    ("mode", "seen", "status"),
    [
        ("drop_before", 0, None),
        ("500_before", 0, 500),
        ("429", 0, 429),
        ("drop_after", 1, None),
        ("500_after", 1, 500),
        ("garbage_after", 1, 200),
        ("slow_after", 1, None),
        ("dup", 2, 201),
    ],
)
def test_each_fault_reaches_the_peer_or_does_not(
    proxy: FaultyProxy, till: Till, mode: str, seen: int, status: int | None
) -> None:
    proxy.next(mode)
    try:
        answer = post(proxy)
    except httpx.TransportError:
        assert status is None
    else:
        assert answer.status_code == status
    assert len(till.seen) == seen
    assert proxy.faults.counts == {mode: 1}
    assert post(proxy).status_code == 201


def test_every_fault_is_tried_above() -> None:
    assert len(MODES) == 8


def test_faults_wait_for_the_call_that_they_are_meant_for(proxy: FaultyProxy, till: Till) -> None:
    proxy.next("500_before", "429", method="post", path="*/confirm")
    assert httpx.get(f"{proxy.url}/pi/confirm").status_code == 201
    assert post(proxy, "/pi/cancel").status_code == 201
    assert [post(proxy, "/pi/confirm").status_code for _ in range(3)] == [500, 429, 201]
    assert proxy.faults.pending == 0
    with pytest.raises(ValueError, match="no such fault"):
        proxy.next("explode")


def test_random_faults_are_the_same_for_a_seed_and_end_when_cleared() -> None:
    def run(seed: int) -> list[str]:
        faults = Faults(rate=0.5, seed=seed, modes=["429", "dup"], methods=["POST"])
        return [faults.take("POST", "/") for _ in range(40)]

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert set(run(7)) == {"429", "dup", "passed"}
    faults = Faults(rate=1, methods=["POST"])
    assert faults.take("GET", "/") == "passed"
    faults.clear()
    assert faults.take("POST", "/") == "passed"


def test_a_peer_that_is_gone_refuses_even_an_open_connection(till: Till) -> None:
    with httpx.Client() as client:
        assert client.get(till.url).status_code == 201
        till.close()
        with pytest.raises(httpx.TransportError):
            client.get(till.url)


def test_closing_does_not_wait_for_a_slow_answer(till: Till) -> None:
    till.faults.slow_seconds = 60
    till.faults.next("slow_after")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(till.url, timeout=0.1)
    began = time.monotonic()
    till.close()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("mode", ["429", "500_before"])
def test_each_vendors_library_reads_a_fault_as_its_own(proxy: FaultyProxy, mode: str) -> None:
    once: Any = {"max_retries": 0}
    proxy.next(mode, mode, mode)
    with pytest.raises(ApiError) as square:
        Square(token="t", base_url=proxy.url).payments.get("p", request_options=once)
    assert square.value.errors[0].code == ("RATE_LIMITED" if mode == "429" else "INTERNAL_SERVER_ERROR")
    with pytest.raises(RateLimitError if mode == "429" else InternalServerError):
        Sumup(api_key="t", base_url=proxy.url, timeout=5).checkouts.get("c")
    client = stripe.StripeClient("sk_test_x", base_addresses={"api": proxy.url}, max_network_retries=0)
    with pytest.raises(stripe.RateLimitError if mode == "429" else stripe.APIError):
        client.v1.payment_intents.retrieve("pi_1")
