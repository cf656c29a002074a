"""The vendors' houses of the card tests, and the means to break what lies between us and them."""

from collections.abc import Callable

import psycopg
import pytest

from payments.providers import transport
from tests.payments.cards.conftest import house, point_at, square, stripe, sumup
from tests.payments.cards.house import Card
from tests.payments.torture.rig import Rig

__all__ = ["house", "point_at", "square", "stripe", "sumup"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """We wait for a vendor a second, not twenty."""
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 1)


@pytest.fixture
def rig_of(dba: psycopg.Connection, impatient: None) -> Callable[[Card], Rig]:
    def put_up(house: Card) -> Rig:
        house.peer.faults.slow_seconds = 2
        return Rig(house, dba)

    return put_up


@pytest.fixture
def rig(house: Card, rig_of: Callable[[Card], Rig]) -> Rig:
    """Each vendor in turn, with the clock and the faults in our hands."""
    return rig_of(house)
