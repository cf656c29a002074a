"""The vendors, for their own tests."""

from tests.peers.fixtures import (
    faulty,
    localstripe,
    localstripe_peer,
    square_sim,
    stripe_peer,
    stripe_world,
    sumup_sim,
)

__all__ = [
    "faulty",
    "localstripe",
    "localstripe_peer",
    "square_sim",
    "stripe_peer",
    "stripe_world",
    "sumup_sim",
]
