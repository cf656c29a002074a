"""localstripe: a second model of Stripe, for two things only, signed delivery and the end of 3-D Secure.

It knows no idempotency and lets more be refunded than was paid: no test of money runs on it.
"""

import contextlib
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.peers import peer_python
from tests.peers.process import peer_process


@dataclass(frozen=True)
class Localstripe:
    """A running localstripe."""

    url: str

    def reset(self) -> None:
        """Forget everything, webhooks included."""
        self._ask("DELETE", "/_config/data")

    def deliver_to(self, url: str, secret: str, name: str = "test") -> None:
        """Post each event to a URL from now on, signed."""
        self._ask("POST", f"/_config/webhooks/{name}", {"url": url, "secret": secret})

    def authenticate(self, intent_id: str, client_secret: str, *, success: bool = True) -> None:
        """The guest's bank asks, and is satisfied or is not: what a browser does for 3-D Secure."""
        given = {"key": "pk_test_local", "client_secret": client_secret, "success": str(success).lower()}
        path = f"/v1/payment_intents/{intent_id}/_authenticate"
        self._ask("POST", path, urllib.parse.urlencode(given).encode())

    def _ask(self, method: str, path: str, body: Any = None) -> None:
        is_form = isinstance(body, bytes)
        data = body if is_form or body is None else json.dumps(body).encode()
        kind = "application/x-www-form-urlencoded" if is_form else "application/json"
        headers = {"authorization": "Bearer sk_test_local", "content-type": kind}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20):
            pass


@contextlib.contextmanager
def localstripe_process() -> Iterator[Localstripe]:
    """Its process. Skips where script/peers could not install it."""
    with peer_process(peer_python("localstripe"), "run_localstripe.py") as url:
        yield Localstripe(url)
