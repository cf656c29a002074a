"""The money torture test: tills and workers that die, a vendor that breaks, and two books that agree.

Four tills as processes take, cancel and refund on the same bills, at Stripe's stateful model behind a
proxy that breaks a quarter and more of all calls; two workers sweep; signed webhooks come twice, shuffled
and late to a real web process; any of them dies at a named point. Then everything is finished and audited
against Stripe's own charges and refunds. TORTURE_SECONDS makes it longer, TORTURE_SEED chooses it.
"""

import contextlib
import dataclasses
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments.models import PaymentAttempt, PaymentIntent, ReconciliationIssue, Refund, Terminal
from tests.payments.bills import open_bill
from tests.payments.cards.house import StripeHouse
from tests.payments.torture.rig import Rig
from tests.peers.faults import Faults
from tests.peers.stripe import PLATFORM, StripeWorld, deliver
from tests.processes import running, web_server

SECONDS = float(os.environ.get("TORTURE_SECONDS", "30"))
BILLS = 12
TILLS = 4
WORKERS = 2
KILL_RATE = 0.05
FAULT_RATE = 0.28

pytestmark = pytest.mark.timeout(SECONDS * 3 + 240)


@dataclasses.dataclass
class Storm:
    """What goes on around the tills: events arrive, time passes."""

    seed: int
    rig: Rig
    webhooks: str
    delivered: Counter[int] = dataclasses.field(default_factory=Counter)
    waiting: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    known: set[str] = dataclasses.field(default_factory=set)

    def pump(self, chance: random.Random, *, share: float = 0.6) -> None:
        """Deliver some of the events, twice now and then, in no order; the rest comes later."""
        fresh = [event for event in self.rig.peer.events() if event["id"] not in self.known]
        self.known |= {event["id"] for event in fresh}
        self.waiting += fresh
        chance.shuffle(self.waiting)
        count = round(len(self.waiting) * share)
        told, self.waiting = self.waiting[:count], self.waiting[count:]
        for event in told:
            for _ in range(chance.choice((1, 1, 2))):
                with contextlib.suppress(OSError):
                    self.delivered[deliver(self.webhooks, json.dumps(event).encode(), "whsec_test")] += 1

    def blow(self, stop: threading.Event) -> None:
        chance = random.Random(self.seed)
        while not stop.wait(1.5):
            self.pump(chance)
            if chance.random() < 0.4:  # guests run out of time, and whoever held a lease was too slow
                self.rig.age("3 minutes")


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("TORTURE_SEED", random.randrange(10**6)))
    print(f"TORTURE_SEED={chosen}")
    return chosen


@pytest.fixture
def bills(till, scene) -> list[dict]:
    """A dozen bills between £12.50 and £25."""
    return [open_bill(till, scene.takeaway(scene.burger(1 + n % 2))) for n in range(BILLS)]


@pytest.fixture
def readers(stripe: StripeHouse, restaurant) -> list[tuple[str, str]]:
    """A reader for each till."""
    houses = [StripeHouse.with_reader(restaurant, stripe.account, stripe.peer) for _ in range(TILLS)]
    return [(str(house.terminal.pk), house.terminal.reader_id) for house in houses]


@contextlib.contextmanager
def under_way(storm: Storm) -> Iterator[None]:
    stop = threading.Event()
    pumping = threading.Thread(target=storm.blow, args=(stop,))
    pumping.start()
    try:
        yield
    finally:
        stop.set()
        pumping.join()


def test_whatever_dies_and_whatever_breaks_the_books_agree(
    seed, stripe, faulty, bills, readers, owner, dba, test_database, tmp_path
):
    rig = Rig(stripe, dba)
    proxy = faulty(stripe.peer.url, Faults(rate=FAULT_RATE, seed=seed, slow_seconds=2.5))
    journal, config = tmp_path / "journal", tmp_path / "config.json"
    journal.touch()
    staff = {**dataclasses.asdict(owner)}
    with web_server(test_database, STRIPE_API_BASE=proxy.url) as web:
        webhooks = f"{web}/webhooks/stripe/{stripe.restaurant.pk}/{stripe.account.public_id}"
        storm = Storm(seed, rig, webhooks)
        plan = {
            **{"seed": seed, "kill_rate": KILL_RATE, "workers": WORKERS, "until": time.time() + SECONDS + 6},
            **{
                "vendor": "stripe",
                "journal": str(journal),
                "world": stripe.peer.url,
                "readers": readers,
                "staff": staff,
            },
            "bills": [bill["id"] for bill in bills],
        }
        config.write_text(json.dumps(plan, default=str))
        command = [sys.executable, "-m", "tests.payments.torture.tills", str(config)]
        with (
            under_way(storm),
            running(command, test_database, STRIPE_API_BASE=proxy.url, DB_POOL_MAX="6") as process,
        ):
            assert process.wait(timeout=SECONDS + 120) == 0
        faults = Counter(proxy.faults.counts)
        storm.pump(random.Random(seed), share=1)
    started = time.monotonic()
    let_readers_go(stripe.peer, readers)
    rig.finish(rounds=40)
    told = tell(journal, faults, storm)
    audit(rig, bills)
    print(f"finished and audited in {time.monotonic() - started:.0f} s")
    assert sum(told["kill"].values()) > 0
    assert sum(count for fault, count in faults.items() if fault != "passed") > 0
    assert storm.delivered[200] > 0
    assert set(storm.delivered) == {200}
    assert told["crash"] == {}


def let_readers_go(world: StripeWorld, readers: list[tuple[str, str]]) -> None:
    for _, reader_id in readers:
        action = world.reader(reader_id)["action"]
        if action and action["status"] == "in_progress":
            world.time_out(reader_id)


def read_journal(journal: Path) -> dict[str, Counter[str]]:
    told: dict[str, Counter[str]] = {"kill": Counter(), "did": Counter(), "refused": Counter()}
    told |= {"crash": Counter(), "late": Counter()}
    for line in journal.read_text().splitlines():
        kind, _, what = line.partition(" ")
        told[kind][what] += 1
    return told


def tell(journal: Path, faults: Counter[str], storm: Storm) -> dict[str, Counter[str]]:
    """Print what the run consisted of, and return it."""
    told = read_journal(journal)
    print(f"seed {storm.seed}; kills {dict(told['kill'])}; faults {dict(faults)}")
    print(f"did {dict(told['did'])}; refused {dict(told['refused'])}; late {dict(told['late'])}")
    print(f"webhooks {dict(storm.delivered)}; crashes {dict(told['crash'])}")
    return told


def audit(rig: Rig, bills: list[dict]) -> None:
    """Our books against Stripe's own, for each bill; then what must hold of ours alone."""
    world = rig.peer
    intents = {intent["id"]: intent for intent in world.payment_intents()}
    theirs: Counter[str] = Counter()
    for charge in world.charges():
        if charge["status"] == "succeeded":
            order = intents[charge["payment_intent"]]["metadata"]["order"]
            theirs[order] += charge["amount_captured"] - charge["amount_refunded"]
    with restaurant_scope(rig.restaurant_id):
        ours = books_of_ours()
        orders = {bill["id"] for bill in bills}
        attempts = {str(a.pk): a for a in PaymentAttempt.objects.filter(provider="stripe")}
        refunds = Refund.objects.filter(state="succeeded", attempt__provider="stripe").count()
        assert not Terminal.objects.filter(attempts__settled_at=None, attempts__isnull=False).exists()
    assert {bill: theirs[bill] for bill in orders} == {bill: ours[bill] for bill in orders}
    for intent in intents.values():
        attempt = attempts[intent["metadata"]["attempt"]]  # no charge without a row
        assert (attempt.state == "captured") == (intent["status"] == "succeeded"), (intent, attempt.state)
        assert attempt.provider_ref in ("", intent["id"])
    audit_bills(rig, bills)
    assert refunds == len([r for r in world.refunds(PLATFORM) if r["status"] == "succeeded"])
    rig.audit()
    print(f"{len(intents)} charges made, {sum(ours.values())} held, {refunds} refunds")


def audit_bills(rig: Rig, bills: list[dict]) -> None:
    """No bill is overpaid by more than what a till that was offline told of; whoever is has an issue."""
    with restaurant_scope(rig.restaurant_id):
        for order in Order.objects.filter(pk__in=[bill["id"] for bill in bills]):
            told = PaymentIntent.objects.filter(order=order.pk, taken_offline_at__isnull=False)
            allowed = sum(payment.captured_minor for payment in told)
            assert 0 <= order.captured_minor - order.refunded_minor <= order.total_minor + allowed
            assert order.reserved_minor == 0
            issues = ReconciliationIssue.objects.filter(order=order.pk)
            assert {issue.kind for issue in issues} <= ({"overpaid"} if allowed else set())
        assert ReconciliationIssue.objects.exclude(kind="overpaid").count() == 0


def books_of_ours() -> Counter[str]:
    """What we say that Stripe holds, by bill."""
    ours: Counter[str] = Counter()
    for row in PaymentIntent.objects.filter(attempts__provider="stripe").distinct():
        taken = row.captured_minor + row.tip_captured_minor
        ours[str(row.order_id)] += taken - row.refunded_minor - row.tip_refunded_minor
    return ours
