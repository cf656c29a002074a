"""The demonstration's test terminal: a card reader on loopback that takes no real card and no real money.

It speaks Square's API, as the tests' simulator does, so the application asks it through the same adapter
and library as it would ask Square. A page stands in for the guest: approve, add a tip, decline, walk away,
or tap after the waiter gave up. It forgets everything when it stops.

    script/_terminal.py PORT
"""

import html
import signal
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.peers import SPECS, openapi
from tests.peers.loopback import Received, Sent
from tests.peers.simulator import marked
from tests.peers.square import SPEC, SquareSimulator

TOKEN = "demo-square-token"  # noqa: S105 - of a simulator
READER = "test-terminal"
WAITING = ("PENDING", "IN_PROGRESS", "CANCEL_REQUESTED")
BUTTONS = {
    "approve": "Approve",
    "tip": "Approve with a 10% tip",
    "decline": "Decline",
    "time-out": "Walk away",
    "late": "Tap although it was cancelled",
}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>Test terminal</title><style>
body{{font:18px/1.5 system-ui;max-width:34rem;margin:2rem auto;padding:0 1rem}}
h1{{background:#b3261e;color:#fff;padding:.5rem 1rem;border-radius:.4rem;font-size:1.2rem}}
section{{border:1px solid #bbb;border-radius:.4rem;padding:1rem;margin:1rem 0}}
strong{{font-size:2rem}}button{{font:inherit;padding:.5rem .8rem;margin:.3rem .3rem 0 0}}</style>
<h1>TEST TERMINAL: no real card, no real money</h1>{body}</html>"""


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
    """The simulator with a page for the guest."""

    def __init__(self, port: int) -> None:
        self.wanted_port = port
        if (SPECS / SPEC).is_file():
            super().__init__()
        else:
            paths: dict[str, Any] = {}
            for method, template in dict(marked(self)):
                paths.setdefault(template, {})[method.lower()] = {}
            super().__init__(_Handlers({"info": {"version": ""}, "components": {}, "paths": paths}))
        self.add_device(TOKEN, READER, "Test terminal")

    def respond(self, request: Received) -> Sent:
        if request.path.startswith(("/v2/", "/oauth2/")):
            return super().respond(request)
        if request.method == "POST" and request.path.strip("/") in BUTTONS:
            self.press(request.path.strip("/"), dict(request.query).get("checkout", ""))
            return Sent(303, b"", {"location": "/"})
        return Sent(200, self.page().encode(), {"content-type": "text/html; charset=utf-8"})

    def press(self, button: str, checkout_id: str) -> None:
        """What the guest does."""
        with self.lock:
            if checkout_id not in self.seller(TOKEN).checkouts:
                return
            total = self.checkout(checkout_id)["amount_money"]["amount"]
            if button == "time-out":
                self.let_go(checkout_id, "TIMED_OUT")
            elif button == "decline":
                self.tap(checkout_id, decline=True)
                self.let_go(checkout_id, "TIMED_OUT")
            else:
                tip = total // 10 if button == "tip" else 0
                self.tap(checkout_id, tip=tip, ahead_of_cancel=button == "late")

    def page(self) -> str:
        with self.lock:
            waiting = [c for c in self.seller(TOKEN).checkouts.values() if c["status"] in WAITING]
            parts = [self._section(checkout) for checkout in waiting]
        return PAGE.format(body="".join(parts) or "<p>Waiting for a payment from the till.</p>")

    def _section(self, checkout: dict[str, Any]) -> str:
        money = checkout["amount_money"]
        note = html.escape(str(checkout.get("note", "")))
        state = "The till is cancelling it." if checkout["status"] == "CANCEL_REQUESTED" else ""
        buttons = "".join(
            f'<form method="post" action="/{name}?checkout={checkout["id"]}"><button>{label}</button></form>'
            for name, label in BUTTONS.items()
        )
        amount = f"{money['amount'] / 100:.2f} {money['currency']}"
        return f"<section>{note}<br><strong>{amount}</strong> {state}{buttons}</section>"


def main() -> None:
    terminal = TestTerminal(int(sys.argv[1]))
    print(f"test terminal on {terminal.url}", flush=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    terminal.close()


if __name__ == "__main__":
    main()
