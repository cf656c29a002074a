"""The demonstration's test terminal: a card reader on loopback that takes no real card and no real money.

It speaks Square's API, as the tests' simulator does, so the application asks it through the same adapter
and library as it would ask Square, and is told of what happens by Square's signed webhooks. A page stands
in for the guest: approve, add a tip, decline, walk away, or tap after the waiter gave up.

It forgets everything when it stops. A payment that was under way is then unknown to it, and is given up
within a minute; one that was taken stays taken in Fynlo's books, and cannot be refunded at it any more.

    script/_terminal.py PORT [--webhook URL]
"""

import argparse
import html
import queue
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.peers import SPECS, openapi
from tests.peers.loopback import Received, Sent
from tests.peers.simulator import marked
from tests.peers.square import SPEC, SquareSimulator, sign_webhook

TOKEN = "demo-square-token"  # noqa: S105 - of a simulator
WEBHOOK_KEY = "demo-square-key"
READER = "test-terminal"
PATIENCE = timedelta(minutes=5)  # Square's own: then a checkout nobody paid is given up
SHOWN = 6  # checkouts that are over
WAITING = ("PENDING", "IN_PROGRESS", "CANCEL_REQUESTED")
TRIES = 5  # to deliver a webhook
BUTTONS = {
    "approve": "Approve",
    "tip": "Approve with a 10% tip",
    "decline": "Decline the card",
    "time-out": "Walk away",
}
LATE = {"late": "Tap all the same"}
AFTER_ALL = "It was charged after all"
HINTS = {
    "PENDING": "The guest is asked for a card.",
    "IN_PROGRESS": "The guest is asked for a card.",
    "CANCEL_REQUESTED": "The waiter gave up; the reader lets go in a moment. A tap now still counts.",
    "CANCELED": "Given up: nothing was taken.",
    "COMPLETED": "Paid.",
}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width"><title>Test terminal</title>
<link rel="stylesheet" href="/page.css">
<h1>TEST TERMINAL</h1><p class="warning">A simulator: no real card, no real money.</p>
<main class="reader">{waiting}</main>{over}</html>"""
CSS = """
body { background: #f1f1ec; color: #1c2a26; font: 17px/1.45 system-ui, sans-serif; margin: 2rem auto;
  max-width: 30rem; padding: 0 1rem; }
h1 { background: #b3261e; border-radius: .5rem .5rem 0 0; color: #fff; font-size: 1.1rem;
  letter-spacing: .08em; margin: 0; padding: .6rem 1rem; text-align: center; }
.warning { background: #fbe3e1; border-radius: 0 0 .5rem .5rem; color: #7d1a14; margin: 0 0 1.5rem;
  padding: .4rem 1rem; text-align: center; }
.reader { background: #17342d; border-radius: 1.5rem; color: #fff; min-height: 9rem; padding: 1.75rem; }
.reader p { margin: .25rem 0; opacity: .85; }
.reader .idle { padding-top: 2.75rem; text-align: center; }
.amount { font-size: 2.75rem; font-variant-numeric: tabular-nums; font-weight: 650; line-height: 1.2; }
form { margin: 0; }
.buttons { display: grid; gap: .6rem; grid-template-columns: 1fr 1fr; margin-top: 1.25rem; }
button { background: #fff; border: 0; border-radius: .6rem; color: #1c2a26; cursor: pointer; font: inherit;
  font-weight: 600; padding: .7rem .5rem; width: 100%; }
button:hover, button:focus-visible { outline: 3px solid #f6d27a; }
.approve button, .tip button { background: #2aa583; color: #fff; }
.decline button, .time-out button { background: #35554d; color: #fff; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
ul { list-style: none; margin: 0; padding: 0; }
li { border-top: 1px solid #cfcfc6; padding: .6rem 0; }
li .late { margin-top: .4rem; max-width: 14rem; }
li button { background: #fff; border: 1px solid #bbb; padding: .4rem; }
"""


class _AnyOperation(openapi.Operation):
    """Where Square's own document is not at hand, requests and answers are taken as they come."""

    def query_errors(self, *args: Any, **kwargs: Any) -> list[str]:
        return []

    def body_errors(self, *args: Any, **kwargs: Any) -> list[str]:
        return []

    def response_errors(self, *args: Any, **kwargs: Any) -> list[str]:
        return []

    def media_type(self, status: int) -> str:
        return "application/json"


class _Handlers(openapi.Document):
    """What the simulator can do, in place of what Square documents."""

    def operation(self, method: str, template: str) -> openapi.Operation:
        return _AnyOperation(self, method.upper(), template, {})


class TestTerminal(SquareSimulator):
    """The simulator with a page for the guest. `let_go_seconds` is how long it takes to give a payment up."""

    def __init__(self, port: int, *, webhook: str = "", let_go_seconds: float = 8) -> None:
        self.wanted_port = port
        self.webhook = webhook
        self.let_go_after = timedelta(seconds=let_go_seconds)
        self.news: queue.Queue[str] = queue.Queue()
        if (SPECS / SPEC).is_file():
            super().__init__()
        else:
            paths: dict[str, Any] = {}
            for method, template in dict(marked(self)):
                paths.setdefault(template, {})[method.lower()] = {}
            super().__init__(_Handlers({"info": {"version": ""}, "components": {}, "paths": paths}))
        self.add_device(TOKEN, READER, "Test terminal")
        for work in (self._watch, self._deliver):
            threading.Thread(target=work, daemon=True).start()

    def respond(self, request: Received) -> Sent:
        if request.path.startswith(("/v2/", "/oauth2/")):
            return super().respond(request)
        if request.path == "/page.css":
            return Sent(200, CSS.encode(), {"content-type": "text/css"})
        button = request.path.strip("/")
        if request.method == "POST" and button in (BUTTONS | LATE):
            if request.headers.get("origin", self.url) not in (self.url, "null"):
                return Sent(403, b"This button is on another page.")
            self.press(button, dict(request.query).get("checkout", ""))
            return Sent(303, b"", {"location": "/"})
        return Sent(200, self.page().encode(), {"content-type": "text/html; charset=utf-8"})

    def press(self, button: str, checkout_id: str) -> None:
        """What the guest does."""
        with self.lock:
            checkout = self.seller(TOKEN).checkouts.get(checkout_id)
            if checkout is None:
                return
            total = checkout["amount_money"]["amount"]
            if button == "late":
                self.tap_late(checkout)
            elif button == "time-out":
                self.let_go(checkout_id, "TIMED_OUT")
            elif button == "decline":
                self.tap(checkout_id, decline=True)
                self.let_go(checkout_id, "TIMED_OUT")
            else:
                self.tap(checkout_id, tip=total // 10 if button == "tip" else 0)

    def tap_late(self, checkout: dict[str, Any]) -> None:
        """The tap wins against the cancellation, or is only known of when all thought it was over."""
        if checkout["status"] == "CANCELED":
            payment = self._pay_checkout(self.seller(TOKEN), checkout, 0, False)
            self._move(checkout, "COMPLETED", payment_ids=[payment["id"]])
        else:
            self.tap(checkout["id"], ahead_of_cancel=True)

    def _move(self, row: dict[str, Any], status: str, **changes: Any) -> None:
        super()._move(row, status, **changes)
        if row["id"] in self.seller(TOKEN).checkouts:
            self.news.put(row["id"])

    def _watch(self) -> None:
        """A reader that was asked to gives a payment up after a while, and each after five minutes."""
        while True:
            time.sleep(0.25)
            with self.lock:
                for checkout in list(self.seller(TOKEN).checkouts.values()):
                    age = self.clock() - datetime.fromisoformat(checkout["updated_at"])
                    if checkout["status"] == "CANCEL_REQUESTED" and age > self.let_go_after:
                        self.let_go(checkout["id"])
                    elif checkout["status"] in WAITING and age > PATIENCE:
                        self.let_go(checkout["id"], "TIMED_OUT")

    def _deliver(self) -> None:
        """Tell the application of each change, signed, as Square does."""
        while True:
            checkout_id = self.news.get()
            if not self.webhook:
                continue
            with self.lock:
                body = self.event("terminal.checkout.updated", checkout_id)
            headers = {"content-type": "application/json"}
            headers["x-square-hmacsha256-signature"] = sign_webhook(body, self.webhook, WEBHOOK_KEY)
            for n in range(TRIES):
                try:
                    asked = urllib.request.Request(self.webhook, body, headers)  # noqa: S310 - our own address
                    urllib.request.urlopen(asked, timeout=10).close()  # noqa: S310
                    break
                except (urllib.error.URLError, OSError) as error:
                    print(f"webhook not taken: {error}", flush=True)
                    time.sleep(2**n / 4)

    def page(self) -> str:
        with self.lock:
            checkouts = list(self.seller(TOKEN).checkouts.values())
            waiting = "".join(_asked(c) for c in checkouts if c["status"] in WAITING)
            over = "".join(
                _done(c) for c in [c for c in reversed(checkouts) if c["status"] not in WAITING][:SHOWN]
            )
        idle = '<p class="idle">Waiting for a payment from the till.</p>'
        listed = f"<h2>Before</h2><ul>{over}</ul>" if over else ""
        return PAGE.format(waiting=waiting or idle, over=listed)


def _asked(checkout: dict[str, Any]) -> str:
    """What the reader shows, and what the guest can do about it."""
    is_given_up = checkout["status"] == "CANCEL_REQUESTED"
    buttons = "".join(_button(checkout, *item) for item in (LATE if is_given_up else BUTTONS).items())
    note = html.escape(str(checkout.get("note", "")))
    return (
        f'<p>{note}</p><div class="amount">{_amount(checkout)}</div>'
        f'<p>{HINTS[checkout["status"]]}</p><div class="buttons">{buttons}</div>'
    )


def _done(checkout: dict[str, Any]) -> str:
    button = _button(checkout, "late", AFTER_ALL) if checkout["status"] == "CANCELED" else ""
    return f"<li><strong>{_amount(checkout)}</strong> {HINTS[checkout['status']]}{button}</li>"


def _button(checkout: dict[str, Any], name: str, label: str) -> str:
    return (
        f'<form class="{name}" method="post" action="/{name}?checkout={checkout["id"]}">'
        f"<button>{label}</button></form>"
    )


def _amount(checkout: dict[str, Any]) -> str:
    money = checkout["amount_money"]
    return f"{money['amount'] / 100:.2f} {money['currency']}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("port", type=int)
    parser.add_argument("--webhook", default="", help="whom to tell of what happens")
    parser.add_argument("--let-go", type=float, default=8, help="seconds until it gives a payment up")
    options = parser.parse_args()
    terminal = TestTerminal(options.port, webhook=options.webhook, let_go_seconds=options.let_go)
    print(f"test terminal on {terminal.url}", flush=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    terminal.close()


if __name__ == "__main__":
    main()
