"""The tills and workers of the torture test, each a process that dies at a named point and is born again.

python -m tests.payments.torture.tills config.json

One process loads the application and forks: a till or a worker that ends as if killed (137) is forked
anew. Nothing in the product knows of this: the functions named in `POINTS` are wrapped here.
"""

import contextlib
import functools
import json
import os
import random
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

KILLED = 137
# What the vendor's own form gives us; SumUp has a page instead, which nobody opens here.
CARDS = {
    "stripe": ("pm_card_visa", "pm_card_visa", "pm_card_mastercard", "pm_card_visa_chargeDeclined"),
    "square": ("cnon:card-nonce-ok", "cnon:card-nonce-ok", "cnon:card-nonce-declined"),
    "sumup": (),
}
PATIENCE_SECONDS = 1.5
BREAK_SECONDS = 1  # of a vendor that fails this often; or nothing would be asked of it any more


class Journal:
    """What happened, a line for each thing, whoever dies."""

    def __init__(self, path: str) -> None:
        self.path = path

    def note(self, what: str) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{what}\n".encode())
        os.close(handle)


def points(vendor: str) -> dict[str, list[tuple[Any, str, str]]]:
    """Where a process may die: (module or class, function, before or after it)."""
    from payments.providers import PROVIDERS
    from payments.services import cards, inbox, refunds, settling

    provider = type(PROVIDERS[vendor])
    return {
        "after_reserve": [(cards, "drive_and_wait", "before")],
        "after_prepare": [(settling, "record_submitted", "before")],
        "after_submitted": [(provider, "execute", "before")],
        "after_execute": [(provider, "execute", "after")],
        "after_capture_sent": [(provider, "capture", "after")],
        "in_settle": [(settling, "record", "after")],
        "after_settle": [(cards, "_carry", "after")],
        "after_cancel_sent": [(provider, "cancel", "after")],
        "after_refund_sent": [(provider, "refund", "after")],
        "in_settle_refund": [(refunds, "settle_refund", "after")],
        "after_inbox": [(inbox, "_work_off_one", "before")],
        "after_webhook_looked": [(cards, "check", "after")],
    }


def arm(vendor: str, rate: float, chance: random.Random, journal: Journal) -> None:
    """Wrap the functions so that this process dies there, now and then."""

    def wrap(owner: Any, name: str, when: str, point: str) -> None:
        usual = getattr(owner, name)

        def die() -> None:
            if chance.random() < rate:
                journal.note(f"kill {point}")
                os._exit(KILLED)

        @functools.wraps(usual)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if when == "before":
                die()
            answer = usual(*args, **kwargs)
            if when == "after":
                die()
            return answer

        setattr(owner, name, wrapped)

    for point, places in points(vendor).items():
        for owner, name, when in places:
            wrap(owner, name, when, point)


class Guest:
    """Taps at one of Stripe's readers, whatever we think of that; asks the vendor itself, past the faults.

    The simulators' guests are in the test's own process (without a world): here nobody taps.
    """

    def __init__(self, world: str, reader_id: str) -> None:
        self.url = world and f"{world}/v1/test_helpers/terminal/readers/{reader_id}/present_payment_method"

    def tap(self, number: str = "4242424242424242") -> bool:
        if not self.url:
            time.sleep(0.4)
            return False
        form = urllib.parse.urlencode({"type": "card_present", "card_present[number]": number})
        headers = {
            "authorization": "Bearer sk_test_guest",
            "content-type": "application/x-www-form-urlencoded",
        }
        request = urllib.request.Request(self.url, form.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=20):
                return True
        except (urllib.error.URLError, OSError):
            return False


class Till:
    """One till with its reader: sells, cancels, refunds and asks, as the seed says."""

    def __init__(self, config: dict[str, Any], n: int, chance: random.Random, journal: Journal) -> None:
        from accounts.staff import Staff

        staff = dict(config["staff"])
        for name in ("membership_id", "session_id"):
            staff[name] = uuid.UUID(staff[name])
        self.by = Staff(**staff)
        self.bills = [uuid.UUID(bill) for bill in config["bills"]]
        terminal_id, reader_id = config["readers"][n]
        self.terminal_id = uuid.UUID(terminal_id)
        self.guest = Guest(config["world"], reader_id)
        self.cards = CARDS[config["vendor"]]
        self.chance, self.journal = chance, journal

    def work(self) -> None:
        """One thing that a till does; a refusal is as good as any other answer."""
        from fynlo.errors import DomainError
        from fynlo.tenancy.scope import bind_restaurant

        online = [self.pay_online] * 4 + [self.two_taps, self.hold_and_capture]
        acts = (online if self.cards else []) + [self.pay_at_reader] * 4 + [self.refund] * 3
        act = self.chance.choice([*acts, self.pay_cash, self.tell_of_cash, self.cancel, self.check])
        with bind_restaurant(self.by.restaurant_id):
            try:
                act()
                self.journal.note(f"did {act.__name__}")
            except DomainError as refused:
                self.journal.note(f"refused {refused.code}")

    def amount(self) -> int:
        return self.chance.choice((1, 333, 700, 1250))

    def pay_online(self) -> None:
        self.take(method="card_online", source_token=self.chance.choice(self.cards))

    def take(self, **fields: Any) -> Any:
        from fynlo.tenancy.fields import uuid7
        from payments.services import cards

        asked = {"client_key": uuid7(), "amount_minor": self.amount(), **fields}
        return cards.take_card(self.chance.choice(self.bills), by=self.by, **asked)

    def two_taps(self) -> None:
        """The waiter taps twice."""
        from fynlo.tenancy.fields import uuid7
        from payments.services import cards

        asked = {"client_key": uuid7(), "amount_minor": self.amount(), "method": "card_online"}
        order_id = self.chance.choice(self.bills)
        for _ in range(2):
            cards.take_card(order_id, source_token=self.cards[0], by=self.by, **asked)

    def hold_and_capture(self) -> None:
        """All or less of what was held; twice, as two tills may."""
        from payments.services import cards

        payment = self.take(method="card_online", source_token=self.cards[0], capture=False)
        amount = self.chance.choice((None, 1))
        for _ in range(self.chance.choice((1, 2))):
            cards.capture_payment(payment.pk, amount_minor=amount, by=self.by)

    def pay_at_reader(self) -> None:
        """The guest taps, before or after it was given up, or walks away."""
        from payments.services import cards

        payment = self.take(method="card_present", terminal_id=self.terminal_id)
        story = self.chance.choice(("tap", "tap", "decline", "leave", "cancel then tap", "tap then cancel"))
        if story.startswith("tap"):
            self.guest.tap()
        if story == "decline":
            self.guest.tap("4000000000000002")
        if "cancel" in story:
            cards.cancel_payment(payment.pk, by=self.by)
        elif story != "leave":
            cards.check_payment(payment.pk)
        if story == "cancel then tap" and self.guest.tap():
            self.journal.note("late tap")

    def pay_cash(self) -> None:
        from fynlo.tenancy.fields import uuid7
        from fynlo.tenancy.scope import restaurant_scope
        from payments.services.taking import pay_cash

        with restaurant_scope(self.by.restaurant_id):
            pay_cash(
                self.chance.choice(self.bills), client_key=uuid7(), amount_minor=self.amount(), by=self.by
            )

    def tell_of_cash(self) -> None:
        """A till was offline, and tells twice what is still due of a bill: a card may be asked for it too."""
        import datetime

        from django.utils import timezone

        from fynlo.tenancy.fields import uuid7
        from fynlo.tenancy.scope import restaurant_scope
        from payments.services.taking import pay_cash

        told = {
            "client_key": uuid7(),
            "amount_minor": self.chance.choice((1, 50)),
            "taken_offline_at": timezone.now() - datetime.timedelta(minutes=10),
        }
        order_id = self.chance.choice(self.bills)
        for _ in range(2):
            with restaurant_scope(self.by.restaurant_id):
                pay_cash(order_id, by=self.by, **told)

    def cancel(self) -> None:
        from payments.services import cards

        if payment := self.some_payment(state="open"):
            cards.cancel_payment(payment, by=self.by)

    def check(self) -> None:
        from payments.services import cards

        if payment := self.some_payment(state="open"):
            cards.check_payment(payment)

    def refund(self) -> None:
        """Some of it or all of it: two tills may want the same money back."""
        from fynlo.tenancy.fields import uuid7
        from payments.services import refunds

        if payment := self.some_payment(state="paid"):
            amount = self.chance.choice((None, 1, 200, 333))
            refunds.refund_payment(
                payment, client_key=uuid7(), amount_minor=amount, reason="Cold", by=self.by
            )

    def some_payment(self, state: str) -> uuid.UUID | None:
        from fynlo.tenancy.scope import restaurant_scope
        from payments.models import PaymentIntent

        with restaurant_scope(self.by.restaurant_id):
            found = list(PaymentIntent.objects.filter(state=state).order_by("-created_at")[:6])
        return self.chance.choice(found).pk if found else None


def run_till(config: dict[str, Any], n: int, life: int) -> None:
    chance = random.Random(f"{config['seed']}-till{n}-{life}")
    journal = Journal(config["journal"])
    arm(config["vendor"], config["kill_rate"], chance, journal)
    till = Till(config, n, chance, journal)
    while time.time() < config["until"]:
        _and_go_on(till.work, journal)


def run_worker(config: dict[str, Any], n: int, life: int) -> None:
    from payments.services.sweeping import sweep_all

    chance = random.Random(f"{config['seed']}-worker{n}-{life}")
    journal = Journal(config["journal"])
    arm(config["vendor"], config["kill_rate"] / 2, chance, journal)
    while time.time() < config["until"]:
        _and_go_on(sweep_all, journal)
        time.sleep(0.3)


def _and_go_on(work: Callable[[], Any], journal: Journal) -> None:
    try:
        work()
    except Exception as error:
        journal.note(f"crash {type(error).__name__} {str(error)[:200]!r}")


def main(config: dict[str, Any]) -> None:
    """Fork each till and worker, and fork it again when it was killed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fynlo.settings")
    django.setup()
    from payments.providers import breaker, transport

    transport.ANSWER_SECONDS = PATIENCE_SECONDS
    breaker.OPEN_SECONDS = BREAK_SECONDS
    points(config["vendor"])  # imported once, by the parent
    roles = [(run_till, n) for n in range(len(config["readers"]))]
    roles += [(run_worker, n) for n in range(config["workers"])]
    living = {_fork(config, role, n, 0): (role, n, 0) for role, n in roles}
    while living:
        child, status = os.wait()
        role, n, life = living.pop(child)
        if os.waitstatus_to_exitcode(status) == KILLED and time.time() < config["until"]:
            living[_fork(config, role, n, life + 1)] = (role, n, life + 1)


def _fork(config: dict[str, Any], role: Callable[..., None], n: int, life: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    with contextlib.suppress(Exception):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        role(config, n, life)
        code = 0
    # As a till that is switched off: what its threads are at is left half way.
    os._exit(code)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
