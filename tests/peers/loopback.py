"""A small HTTP server in a thread on a free port of loopback: what every peer in this process is."""

import contextlib
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from tests.peers.fault_plan import AFTER, BEFORE, Faults
from tests.peers.openapi import parse

BODY_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True)
class Received:
    """One request as it came off the wire."""

    method: str
    path: str
    raw_query: str
    raw: bytes
    headers: Mapping[str, str]  # names in lower case

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse(self.raw_query)

    @property
    def target(self) -> str:
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path

    @property
    def is_form(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


@dataclass(frozen=True)
class Sent:
    """One answer as it goes onto the wire."""

    status: int
    raw: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, status: int, value: Any, **headers: str) -> "Sent":
        raw = b"" if value is None else json.dumps(value).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, raw, {"content-type": "application/json"} | named)

    def json(self) -> Any:
        return json.loads(self.raw) if self.raw else None


class LoopbackServer:
    """Answers each request by respond(), after whatever its faults hold for it.

    It serves from the end of its constructor on: a subclass sets its own attributes first.
    """

    wanted_port = 0  # any that is free

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        handler = type("Handler", (_Handler,), {"peer": self})
        self._server = _Server(("127.0.0.1", self.wanted_port), handler)
        self.port = int(self._server.server_port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def respond(self, request: Received) -> Sent:
        raise NotImplementedError

    def close(self) -> None:
        """Stop, and hang up on whoever still holds a connection: a peer that is gone answers nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
        for connection in list(self._open):
            _hang_up(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, request: Received) -> Sent | None:
        """What goes back to the client; None hangs up instead."""
        mode = self.faults.take(request.method, request.path)
        if mode in BEFORE:
            return _broken(mode)
        sent = self.respond(request)
        if mode == "dup":
            # As a proxy that lost the first answer and tried again: the second one reaches the client.
            sent = self.respond(request)
        if mode == "slow_after":
            self._closing.wait(self.faults.slow_seconds)
        return _broken(mode) if mode in AFTER else sent


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news: tests make them do so."""


class _Handler(BaseHTTPRequestHandler):
    peer: ClassVar[LoopbackServer]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes
    wbufsize = 64 * 1024
    timeout = 120

    def setup(self) -> None:
        super().setup()
        self.peer._open.add(self.connection)

    def finish(self) -> None:
        self.peer._open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _any(self) -> None:
        sent = self.peer.answer(self._received())
        if sent is None:
            self.close_connection = True
            _hang_up(self.connection)
            return
        self.send_response(sent.status)
        for name, value in sent.headers.items():
            self.send_header(name, value)
        if sent.status != 204:
            self.send_header("content-length", str(len(sent.raw)))
        self.end_headers()
        if sent.status != 204:
            self.wfile.write(sent.raw)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def _received(self) -> Received:
        length = min(int(self.headers.get("content-length") or 0), BODY_LIMIT)
        parts = urlsplit(self.path)
        return Received(self.command, parts.path, parts.query, self.rfile.read(length), _lower(self.headers))


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _broken(mode: str) -> Sent | None:
    """What a client sees of a fault, in words that each vendor's library reads as its own."""
    if mode.startswith("drop"):
        return None
    if mode == "garbage_after":
        return Sent(200, b"<html>Bad gateway", {"content-type": "text/html"})
    status = 429 if mode == "429" else 500
    text = "Too many requests" if status == 429 else "Internal server error"
    square = {
        "category": "RATE_LIMIT_ERROR" if status == 429 else "API_ERROR",
        "code": "RATE_LIMITED" if status == 429 else "INTERNAL_SERVER_ERROR",
        "detail": text,
    }
    stripe = {"type": "api_error", "message": text, **({"code": "rate_limit"} if status == 429 else {})}
    sumup = {"type": "about:blank", "title": text, "status": status, "message": text, "error_code": text}
    body = {"errors": [square], "error": stripe, **sumup}
    return Sent.of_json(status, body, **({"retry_after": "1"} if status == 429 else {}))
