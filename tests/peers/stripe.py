"""Stripe on loopback: a third party's stateful model in a process, and our overlay in front of it.

with stripe_process() as peer:              one for a run of the tests: it takes seconds to start
    with StripeWorld(peer) as world:        one for a test: nothing in it, nobody else in it
        stripe.StripeClient("sk_test_x", base_addresses={"api": world.url}, max_network_retries=0)
        ...
        assert world.violations == []
"""

import contextlib
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import PEERS, openapi, peer_python
from tests.peers.process import peer_process
from tests.peers.stripe_checkout import StripeCheckout
from tests.peers.stripe_connect import StripeConnect
from tests.peers.stripe_overlay import CARDS, PLATFORM, Row
from tests.peers.stripe_terminal import StripeTerminal

__all__ = ["CARDS", "PLATFORM", "StripeWorld", "deliver", "sign", "stripe_document", "stripe_process"]

SPEC = "lib/python3.*/site-packages/seahaven_stripe_world/spec/spec3.json"


def stripe_document() -> Path:
    """Stripe's own OpenAPI document, which ships with the model."""
    peer_python("stripe")
    found = sorted((PEERS / "stripe").glob(SPEC))
    if not found:
        pytest.skip(f"no {SPEC} under {PEERS / 'stripe'}")
    return found[0]


@contextlib.contextmanager
def stripe_process() -> Iterator[str]:
    """The model's process; yields its base URL. Skips where script/peers could not install it."""
    with peer_process(peer_python("stripe"), "run_stripe.py") as url:
        yield url


class StripeWorld(StripeTerminal, StripeCheckout, StripeConnect):
    """A Stripe platform with its connected accounts, empty at first."""

    def __init__(self, peer_url: str) -> None:
        self._delivered: set[str] = set()
        super().__init__(peer_url, openapi.load(stripe_document()))

    def events(self, account: str = PLATFORM) -> list[Row]:
        """What happened in an account, oldest first: the model's events and the overlay's."""
        found = [*reversed(self.list_all(account, "/v1/events")), *self._own_events.get(account, [])]
        found.sort(key=lambda event: event["created"])
        about = {} if account == PLATFORM else {"account": account}
        return [{**event, **about} for event in found]

    def pump(self, url: str, secret: str, *, account: str = PLATFORM) -> list[tuple[str, int]]:
        """Deliver what happened since the last time, signed; returns each event's type and its answer.

        What is not answered with success is delivered again the next time, as Stripe does.
        """
        told = []
        for event in self.events(account):
            if event["id"] not in self._delivered:
                status = deliver(url, json.dumps(event).encode(), secret)
                told.append((str(event["type"]), status))
                if 200 <= status < 300:
                    self._delivered.add(event["id"])
        return told

    def charges(self, account: str = PLATFORM) -> list[Row]:
        """Every charge of an account, newest first: what an audit compares our books with."""
        return self.list_all(account, "/v1/charges")

    def refunds(self, account: str = PLATFORM) -> list[Row]:
        return self.list_all(account, "/v1/refunds")

    def payment_intents(self, account: str = PLATFORM) -> list[Row]:
        return self.list_all(account, "/v1/payment_intents")

    def taken(self, account: str = PLATFORM, **metadata: str) -> int:
        """What was really captured less refunded, by PaymentIntents that carry the metadata."""
        intents = [
            intent["id"]
            for intent in self.payment_intents(account)
            if all(intent["metadata"].get(name) == value for name, value in metadata.items())
        ]
        return sum(
            int(charge["amount_captured"]) - int(charge["amount_refunded"])
            for charge in self.charges(account)
            if charge["status"] == "succeeded" and charge["payment_intent"] in intents
        )


def sign(payload: bytes, secret: str, at: float | None = None) -> str:
    """The value of Stripe-Signature for a payload, made at a time in seconds."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + payload, hashlib.sha256)
    return f"t={stamp},v1={digest.hexdigest()}"


def deliver(url: str, payload: bytes, secret: str, at: float | None = None) -> int:
    """Post one event as Stripe does; returns the status of the answer."""
    headers = {
        "content-type": "application/json; charset=utf-8",
        "stripe-signature": sign(payload, secret, at),
    }
    request = urllib.request.Request(url, payload, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
