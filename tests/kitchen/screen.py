"""A kitchen screen in a few lines, which keeps every rule of docs/kitchen-protocol.md and counts."""

import asyncio
import contextlib
import functools
import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import websockets
import yaml
from websockets.asyncio.client import ClientConnection

ASYNCAPI = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.yaml"
PROTOCOL = "fynlo.kitchen.v1"


@functools.cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    document = yaml.safe_load(ASYNCAPI.read_text())
    schema = {**document, "$ref": f"#/components/schemas/{name}"}
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def check(message: dict[str, Any]) -> dict[str, Any]:
    """The message, if it is as docs/asyncapi.yaml says."""
    validator(message["t"]).validate(message)
    return message


def socket_url(port: int, restaurant_id: int) -> str:
    return f"ws://127.0.0.1:{port}/ws/v1/restaurants/{restaurant_id}/kitchen"


def open_socket(port: int, restaurant_id: int, token: str | None = None, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= options.pop("headers", {})
    return websockets.connect(
        socket_url(port, restaurant_id),
        subprotocols=options.pop("subprotocols", [PROTOCOL]),
        additional_headers=headers,
        compression=None,
        max_size=None,
        **options,
    )


async def say(socket: ClientConnection, t: str, **members: Any) -> None:
    await socket.send(json.dumps(check({"t": t, **members})))


async def hear(socket: ClientConnection, timeout: float = 10) -> dict[str, Any]:
    """The next message, checked."""
    return check(json.loads(await asyncio.wait_for(socket.recv(), timeout)))


async def hear_until(socket: ClientConnection, t: str, timeout: float = 10) -> dict[str, Any]:
    async with asyncio.timeout(timeout):
        while (message := await hear(socket, timeout))["t"] != t:
            pass
        return message


def hello(epoch: str | None = None, last_seq: int = -1, station: str | None = None) -> dict[str, Any]:
    return {"t": "hello", "v": 1, "epoch": epoch, "last_seq": last_seq, "station": station, "app": "test/1"}


class Screen:
    """Follows until cancelled, through every failure. `shown` counts how often each ticket appeared."""

    def __init__(self, port: int, restaurant_id: int, token: str, station: str | None = None) -> None:
        self.port, self.restaurant_id, self.token, self.station = port, restaurant_id, token, station
        self.epoch: str | None = None
        self.place = -1
        self.tickets: dict[str, dict[str, Any]] = {}
        self.shown: Counter[str] = Counter()
        self.gaps = self.old_news = self.snapshots = self.connections = 0
        self.seen = asyncio.Event()

    async def follow(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, websockets.WebSocketException):
                async with open_socket(self.port, self.restaurant_id, self.token, open_timeout=3) as socket:
                    self.connections += 1
                    await self._listen(socket)
            await asyncio.sleep(0.2)

    async def _listen(self, socket: ClientConnection) -> None:
        await say(socket, **hello(self.epoch, self.place, self.station))
        pings = asyncio.create_task(self._ping(socket))
        try:
            while True:
                message = await hear(socket, timeout=8)
                if not self.apply(message):
                    await socket.close(4000)
                    return
                if message["t"] in ("snapshot", "events"):
                    await say(socket, "ack", seq=self.place)
        finally:
            pings.cancel()

    async def _ping(self, socket: ClientConnection) -> None:
        while True:
            await asyncio.sleep(2)
            await say(socket, "ping")

    def apply(self, message: dict[str, Any]) -> bool:
        """Take a message over; False where something before it is missing."""
        match message:
            case {"t": "snapshot"}:
                self.snapshots += 1
                self.epoch, self.place = message["epoch"], message["seq"]
                for ticket in message["tickets"] + message["recall"]:
                    self._show(ticket)
            case {"t": "events", "from": first, "to": last}:
                if first > self.place + 1:
                    self.gaps += 1
                    return False
                self.old_news += first <= self.place
                for event in message["ev"]:
                    if event["seq"] > self.place and event["type"].startswith("ticket."):
                        self._show(event["data"])
                self.place = max(self.place, last)
        self.seen.set()
        self.seen.clear()
        return True

    def _show(self, ticket: dict[str, Any]) -> None:
        known = self.tickets.get(ticket["id"])
        if known is None:
            self.shown[ticket["id"]] += 1
        if known is None or ticket["version"] > known["version"]:
            self.tickets[ticket["id"]] = ticket

    async def wait_for_place(self, seq: int, timeout: float = 20) -> None:
        async with asyncio.timeout(timeout):
            while self.place < seq:
                await asyncio.sleep(0.02)


def new_key() -> str:
    return uuid.uuid4().hex
