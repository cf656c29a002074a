"""The payment vendors, for every test that asks: named in pytest_plugins of tests/conftest.py.

A simulator or a world belongs to one test and is empty; only the process of Stripe's model is shared,
by the tests of one worker. Each fixture checks at its end that the vendor would have taken every call,
so a violation fails the test that made it; one that means to make some clears `violations` itself.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.peers.faults import Faults, FaultyProxy
from tests.peers.localstripe import Localstripe, localstripe_process
from tests.peers.square import SquareSimulator
from tests.peers.stripe import StripeWorld, stripe_process
from tests.peers.sumup import SumupSimulator


@pytest.fixture(scope="session")
def stripe_peer() -> Iterator[str]:
    """The base URL of Stripe's model, one process for each worker."""
    with stripe_process() as url:
        yield url


@pytest.fixture
def stripe_world(stripe_peer: str) -> Iterator[StripeWorld]:
    """A Stripe platform with nothing in it."""
    with StripeWorld(stripe_peer) as world:
        yield world
        assert world.violations == [], world.violations


@pytest.fixture(scope="session")
def localstripe_peer() -> Iterator[Localstripe]:
    with localstripe_process() as peer:
        yield peer


@pytest.fixture
def localstripe(localstripe_peer: Localstripe) -> Localstripe:
    """localstripe with nothing in it."""
    localstripe_peer.reset()
    return localstripe_peer


@pytest.fixture
def square_sim() -> Iterator[SquareSimulator]:
    """Square with nothing in it."""
    with SquareSimulator() as simulator:
        yield simulator
        assert simulator.violations == [], simulator.violations


@pytest.fixture
def sumup_sim() -> Iterator[SumupSimulator]:
    """SumUp with nothing in it."""
    with SumupSimulator() as simulator:
        yield simulator
        assert simulator.violations == [], simulator.violations


@pytest.fixture
def faulty() -> Iterator[Callable[..., FaultyProxy]]:
    """Put a proxy that breaks calls in front of a peer: faulty(peer.url, Faults(rate=0.3, seed=7))."""
    opened: list[FaultyProxy] = []

    def put_before(url: str, faults: Faults | None = None) -> FaultyProxy:
        opened.append(FaultyProxy(url, faults))
        return opened[-1]

    yield put_before
    for proxy in opened:
        proxy.close()
