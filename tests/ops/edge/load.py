"""Tills that ask without pause, as a process of its own: tests/ops/edge/load.py < plan.json > outcome.json

The plan: url, certificate, rate (requests a second of all together), connections, and tills, each with
restaurant_id, token and menu_item_id. It goes on until SIGTERM, then says what became of every request.

Half of the connections are kept, the other half made anew for each request. A server may close a kept one
while a request is on its way to it; HTTP (RFC 9112, 9.3.1) has a client send that again on a new connection,
if not a byte of an answer came. That is counted as `repeated`, and is no failure; a second time is.
"""

import contextlib
import http.client
import json
import random
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fynlo.tenancy.fields import uuid7

MIX = (("version", 45), ("menu", 30), ("order", 25))


@dataclass
class Outcome:
    requests: Counter[str] = field(default_factory=Counter)
    colours: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    failures: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        self.requests += other.requests
        self.colours += other.colours
        self.repeated += other.repeated
        self.failures += other.failures
        self.acknowledged += other.acknowledged
        self.unanswered += other.unanswered


class Till(threading.Thread):
    def __init__(self, plan: dict[str, Any], number: int, stop: threading.Event) -> None:
        super().__init__()
        self.till = plan["tills"][number % len(plan["tills"])]
        self.place = urlsplit(plan["url"])
        self.tls = ssl.create_default_context(cafile=plan["certificate"])
        self.pause = plan["connections"] / plan["rate"]
        self.is_kept = number % 2 == 0
        self.stop = stop
        self.outcome = Outcome()
        self.connection: http.client.HTTPSConnection | None = None

    def run(self) -> None:
        chance = random.Random()
        kinds, weights = zip(*MIX, strict=True)
        due = time.monotonic() + chance.uniform(0, self.pause)
        while not self.stop.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + self.pause * chance.uniform(0.5, 1.5), time.monotonic())
            (kind,) = chance.choices(kinds, weights)
            self.outcome.requests[kind] += 1
            try:
                getattr(self, f"_{kind}")()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._close()
                self.outcome.failures.append(f"{kind}: {type(error).__name__}: {error}")
        self._close()

    def _version(self) -> None:
        self.outcome.colours[self._ask("GET", "/version")["colour"]] += 1

    def _menu(self) -> None:
        menu = self._ask("GET", self._own("menu"))
        if not menu["categories"]:
            raise ValueError("an empty menu")

    def _order(self) -> None:
        order_id = str(uuid7())
        line = {"id": str(uuid7()), "menu_item_id": self.till["menu_item_id"], "quantity": 1}
        body = {"id": order_id, "kind": "takeaway", "items": [line], "send": True}
        self.outcome.unanswered.append(order_id)
        self._ask("POST", self._own("orders"), body, {"Idempotency-Key": order_id})
        self.outcome.unanswered.remove(order_id)
        self.outcome.acknowledged.append(order_id)

    def _own(self, path: str) -> str:
        return f"/api/v1/restaurants/{self.till['restaurant_id']}/{path}"

    def _ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The answer's document. Raises ValueError for any but a good one."""
        sent = {"Authorization": f"Bearer {self.till['token']}", **(headers or {})}
        data = None
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body), "application/json"
        if not self.is_kept:
            self._close()
        was_used = self.connection is not None
        try:
            answer = self._send(method, path, data, sent)
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
            if not was_used:
                raise
            self._close()
            self.outcome.repeated += 1
            answer = self._send(method, path, data, sent)
        content = answer.read()
        if answer.status not in (200, 201):
            raise ValueError(f"{answer.status} {content[:200]!r}")
        return json.loads(content)

    def _send(
        self, method: str, path: str, data: str | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(
                self.place.hostname or "", self.place.port, timeout=60, context=self.tls
            )
        self.connection.request(method, path, data, headers)
        return self.connection.getresponse()

    def _close(self) -> None:
        if self.connection:
            with contextlib.suppress(OSError):
                self.connection.close()
            self.connection = None


def main() -> None:
    plan = json.load(sys.stdin)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    tills = [Till(plan, number, stop) for number in range(plan["connections"])]
    began = time.monotonic()
    for till in tills:
        till.start()
    while not stop.wait(0.5):
        print(sum(till.outcome.requests.total() for till in tills), file=sys.stderr, flush=True)
    for till in tills:
        till.join()
    total = Outcome()
    for till in tills:
        total.add(till.outcome)
    json.dump({**vars(total), "seconds": time.monotonic() - began}, sys.stdout)


if __name__ == "__main__":
    main()
