"""The money torture test at Square and SumUp: as at Stripe, with guests who tap as they like.

Their simulators live in this process, so the guests do too. No webhooks: the sweep alone finds out. SumUp's
requests are not sent twice: it has no keys against that, and test_unknown.py says what comes of it.
"""

import dataclasses
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from fynlo.tenancy.scope import restaurant_scope
from payments.models import Refund, Terminal
from tests.payments.torture.rig import Rig
from tests.payments.torture.test_torture import (
    FAULT_RATE,
    KILL_RATE,
    TILLS,
    WORKERS,
    audit_bills,
    bills,
    read_journal,
    seed,
)
from tests.peers.faults import MODES, Faults
from tests.peers.square import SquareSimulator
from tests.peers.sumup import SumupSimulator
from tests.processes import running

__all__ = ["bills", "seed"]

SECONDS = float(os.environ.get("TORTURE_SECONDS", "25"))

pytestmark = pytest.mark.timeout(SECONDS * 3 + 240)


ENDED = ("COMPLETED", "CANCELED")


def taps_at_square(peer: SquareSimulator, token: str, chance: random.Random) -> str:
    """One guest does something at a reader, in time or after it was told to let go."""
    waiting = [c for c in list(peer.seller(token).checkouts.values()) if c["status"] not in ENDED]
    if not waiting:
        return "nobody"
    checkout = chance.choice(waiting)
    story = chance.choice(("tap", "tap", "tap", "decline", "leave"))
    if story == "leave":
        peer.let_go(
            checkout["id"], "TIMED_OUT" if checkout["status"] != "CANCEL_REQUESTED" else "SELLER_CANCELED"
        )
    elif checkout["status"] == "CANCEL_REQUESTED":
        story = "late tap"
        peer.tap(checkout["id"], ahead_of_cancel=True)
    else:
        peer.tap(checkout["id"], decline=story == "decline")
    peer.settle_refunds()
    return story


def taps_at_sumup(peer: SumupSimulator, key: str, chance: random.Random) -> str:
    rows = list(peer.account(key).transactions.values())
    waiting = [row["client_transaction_id"] for row in rows if row["status"] == "PENDING"]
    if not waiting:
        return "nobody"
    story = chance.choice(("tap", "tap", "tap", "decline", "leave"))
    act = {"tap": peer.tap, "decline": peer.fail, "leave": peer.let_go}[story]
    act(chance.choice(waiting))
    return story


@dataclasses.dataclass
class Vendor:
    """What differs between the two."""

    rig: Rig
    variable: str
    readers: list[tuple[str, str]]
    guest: Callable[[random.Random], str]


@pytest.fixture
def square_torn(square, rig_of) -> Vendor:
    token = f"sandbox-{square.restaurant.pk}"
    readers = []
    for n in range(TILLS):
        square.peer.add_device(token, f"till-{n}", f"Reader {n}")
        readers.append(f"till-{n}")
    return Vendor(
        rig_of(square),
        "SQUARE_BASE_URL",
        put_up(square, readers),
        lambda chance: taps_at_square(square.peer, token, chance),
    )


@pytest.fixture
def sumup_torn(sumup, rig_of) -> Vendor:
    key = f"sup_sk_test_{sumup.restaurant.pk}"
    readers = [sumup.peer.add_reader(key, f"Reader {n}") for n in range(TILLS)]
    return Vendor(
        rig_of(sumup),
        "SUMUP_BASE_URL",
        put_up(sumup, readers),
        lambda chance: taps_at_sumup(sumup.peer, key, chance),
    )


def put_up(house: Any, readers: list[str]) -> list[tuple[str, str]]:
    """A reader for each till."""
    with restaurant_scope(house.restaurant.pk):
        return [
            (str(Terminal.objects.create(account=house.account, reader_id=name, label=name).pk), name)
            for name in readers
        ]


@pytest.mark.parametrize("vendor", ["square", "sumup"])
def test_whatever_dies_and_whatever_breaks_the_books_agree(
    vendor, request, seed, faulty, bills, owner, test_database, tmp_path
):
    torn: Vendor = request.getfixturevalue(f"{vendor}_torn")
    rig = torn.rig
    modes = [mode for mode in MODES if mode != "dup" or vendor != "sumup"]
    proxy = faulty(rig.peer.url, Faults(rate=FAULT_RATE, seed=seed, slow_seconds=2.5, modes=modes))
    journal, config = tmp_path / "journal", tmp_path / "config.json"
    journal.touch()
    plan = {
        **{"seed": seed, "kill_rate": KILL_RATE, "workers": WORKERS, "until": time.time() + SECONDS + 6},
        **{"vendor": vendor, "journal": str(journal), "world": "", "readers": torn.readers},
        **{"staff": dataclasses.asdict(owner), "bills": [bill["id"] for bill in bills]},
    }
    config.write_text(json.dumps(plan, default=str))
    stop, stories = threading.Event(), Counter[str]()

    def guests() -> None:
        chance = random.Random(seed)
        while not stop.wait(0.15):
            stories[torn.guest(chance)] += 1
            if chance.random() < 0.03:  # they run out of time, and whoever held a lease was too slow
                rig.age("3 minutes")

    crowd = threading.Thread(target=guests)
    crowd.start()
    command = [sys.executable, "-m", "tests.payments.torture.tills", str(config)]
    try:
        with running(command, test_database, DB_POOL_MAX="6", **{torn.variable: proxy.url}) as process:
            assert process.wait(timeout=SECONDS + 120) == 0
    finally:
        stop.set()
        crowd.join()
    rig.finish(rounds=40)
    told = read_journal(journal)
    print(f"kills {dict(told['kill'])}; faults {dict(proxy.faults.counts)}; guests {dict(stories)}")
    print(f"did {dict(told['did'])}; refused {dict(told['refused'])}; crashes {dict(told['crash'])}")
    audit_bills(rig, bills)
    held = rig.audit()
    with restaurant_scope(rig.restaurant_id):
        print(f"{held} held, {Refund.objects.filter(state='succeeded').count()} refunds")
    assert told["crash"] == {}
    assert sum(told["kill"].values()) > 0
    assert sum(count for fault, count in proxy.faults.counts.items() if fault != "passed") > 0
    assert stories["tap"] > 0
