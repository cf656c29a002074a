"""A reverse proxy in front of any peer, that breaks calls on purpose.

proxy = FaultyProxy(peer.url)
proxy.next("drop_after")                         the next call is carried out, its answer is lost
FaultyProxy(peer.url, Faults(rate=0.3, seed=7))  a random third of all calls, the same every time
"""

import http.client
from urllib.parse import urlsplit

from tests.peers.fault_plan import BEFORE, MODES, Faults
from tests.peers.loopback import LoopbackServer, Received, Sent

__all__ = ["BEFORE", "MODES", "Faults", "FaultyProxy", "forward"]

HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "host"})


class FaultyProxy(LoopbackServer):
    """Passes every call to the target, unless its faults say otherwise."""

    def __init__(self, target: str, faults: Faults | None = None, *, timeout: float = 60) -> None:
        self._target = urlsplit(target)
        self._timeout = timeout
        super().__init__(faults)

    def next(self, *modes: str, method: str = "*", path: str = "*") -> None:
        self.faults.next(*modes, method=method, path=path)

    def respond(self, request: Received) -> Sent:
        return forward(self._target.geturl(), request, timeout=self._timeout)


def forward(target: str, request: Received, *, timeout: float = 60) -> Sent:
    """Carry a request to where the target is and its answer back, both unchanged."""
    place = urlsplit(target)
    connection = http.client.HTTPConnection(place.hostname or "127.0.0.1", place.port, timeout=timeout)
    headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
    try:
        connection.request(
            request.method,
            place.path.rstrip("/") + request.target,
            request.raw or (b"" if request.method in ("POST", "PUT", "PATCH") else None),
            headers,
        )
        answer = connection.getresponse()
        kept = {k.lower(): v for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP}
        return Sent(answer.status, answer.read(), kept)
    finally:
        connection.close()
