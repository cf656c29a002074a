"""The kitchen screen's socket: authenticate, join, relay. Commands come by HTTP.

See docs/kitchen-protocol.md. Nothing here touches the database but in the hub's threads.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from prometheus_client import Gauge

from accounts.cookies import read_device_cookie
from accounts.errors import RestaurantSuspended
from accounts.identity import DeviceRevoked, SignInAgain, identify
from accounts.staff import JoinedDevice, Staff
from accounts.tokens import InvalidToken, read_token
from fynlo.events.hub import Stream, hub
from fynlo.events.reading import follows_on, read_events, read_heads
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import KitchenStation

from .kitchen import MESSAGE_EVENTS, events_message, exact_snapshot, pong
from .services.kitchen import record_shown
from .window import Window

logger = logging.getLogger(__name__)

PROTOCOL = "fynlo.kitchen.v1"
RESTARTING = 1012
BAD_MESSAGE, NOT_SIGNED_IN, REVOKED, SILENT, TOO_MANY = 4400, 4401, 4403, 4408, 4429
FAILED, TRY_AGAIN = 4500, 4503
RETRY_MS = 1500
MOVE_MS = 100

MESSAGE_LIMIT = 64 * 1024
MESSAGES_A_SECOND = 20
SOCKETS_A_CALLER = 20
SILENCE_SECONDS = 30.0
RECHECK_SECONDS = 60.0
TICK_SECONDS = 3.0
PAUSE_SECONDS = 0.06  # so that confirming every message stays below MESSAGES_A_SECOND

SOCKETS = Gauge(
    "fynlo_websocket_connections_active",
    "Kitchen screens connected to this process",
    multiprocess_mode="livesum",
)
_sockets: Counter[UUID] = Counter()

T = TypeVar("T")


class Refused(Exception):
    """This socket may not be, or not be any more, and the code that says why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class KitchenConsumer(AsyncWebsocketConsumer):
    """One kitchen screen."""

    caller: Staff | JoinedDevice | None = None
    stream: Stream | None = None
    station_id: UUID | None = None
    epoch: UUID | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.restaurant_id: int = scope["url_route"]["kwargs"]["restaurant_id"]
        self.window = Window()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._generation = 0
        self._is_closing = False
        self._heard_at = self._checked_at = self._refilled_at = time.monotonic()
        self._allowance = 2.0 * MESSAGES_A_SECOND
        self._noted: int | None = None
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()

    # Coming and going

    async def connect(self) -> None:
        token = find_token(list(self.scope["headers"]))
        if token is None or PROTOCOL not in self.scope["subprotocols"]:
            await self.close()  # before it is accepted: a 403
            return
        await self.accept(PROTOCOL)
        self._token = token
        try:
            caller = await hub.run(authenticate, token, self.restaurant_id)
            if _sockets[caller.caller_id] >= SOCKETS_A_CALLER:
                raise Refused(TOO_MANY)
        except Refused as refusal:
            await self._finish(refusal.code)
        except (DatabaseError, InterfaceError):
            await self._finish(TRY_AGAIN)
        else:
            self.caller = caller
            _sockets[caller.caller_id] += 1
            SOCKETS.inc()
            hub.enter(self._move)
            self._start(self._watch())

    def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        hub.exit(self._move)
        if self.stream:
            hub.leave(self.stream, self._wake)
        if self.caller:
            _sockets[self.caller.caller_id] -= 1
            if not _sockets[self.caller.caller_id]:
                del _sockets[self.caller.caller_id]
            SOCKETS.dec()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(self._run(work)))

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Refused as refusal:
            await self._finish(refusal.code)
        except Exception:
            logger.exception("A kitchen socket of restaurant %s failed", self.restaurant_id)
            await self._finish(FAILED)

    async def _finish(self, code: int, retry_ms: int = RETRY_MS) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if code not in (NOT_SIGNED_IN, REVOKED):
            await self._say({"t": "bye", "retry_ms": retry_ms})
        await self.close(code)

    async def _move(self) -> None:
        """This process is about to stop, and another one is there already."""
        await self._finish(RESTARTING, retry_ms=MOVE_MS)

    async def _say(self, message: dict[str, Any]) -> int:
        text = orjson.dumps(message).decode()
        await self.send(text)
        return len(text)

    # What the screen says

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._is_closing:
            return
        try:
            self._check_limits(text_data)
            await self._understand(read_message(text_data))
        except Refused as refusal:
            await self._finish(refusal.code)

    def _check_limits(self, text: str | None) -> None:
        if text and len(text) > MESSAGE_LIMIT:
            raise Refused(BAD_MESSAGE)
        now = time.monotonic()
        earned = (now - self._refilled_at) * MESSAGES_A_SECOND
        self._allowance = min(self._allowance + earned, 2.0 * MESSAGES_A_SECOND) - 1
        self._refilled_at = now
        if self._allowance < 0:
            raise Refused(TOO_MANY)

    async def _understand(self, message: dict[str, Any]) -> None:
        match message:
            case {"t": "hello"}:
                await self._greet(message)
            case {"t": "ack", "seq": int(seq)}:
                self._heard_at = time.monotonic()
                self.window.confirm(seq)
                self._wake.set()
            case {"t": "ping"}:
                self._heard_at = time.monotonic()
                await self._answer_ping()
            case {"t": "ack"}:
                raise Refused(BAD_MESSAGE)

    async def _greet(self, hello: dict[str, Any]) -> None:
        last_seq, epoch = hello.get("last_seq"), hello.get("epoch")
        if self.stream or hello.get("v") != 1 or type(last_seq) is not int:
            raise Refused(BAD_MESSAGE)
        try:
            self.station_id = UUID(hello["station"]) if hello.get("station") else None
            known = UUID(epoch) if epoch else None
        except (ValueError, TypeError, AttributeError) as error:
            raise Refused(BAD_MESSAGE) from error
        self._heard_at = time.monotonic()
        # Joined before anything is read, so nothing can happen unnoticed in between.
        self.stream = hub.follow(self.restaurant_id, self._wake)
        self._start(self._relay(self.stream, known, last_seq))

    async def _answer_ping(self) -> None:
        """A pong means that this process knows all there is; without it a screen must not look alive."""
        if self.stream is None:
            return
        if self.stream.is_stale:
            await self._say({"t": "status", "degraded": "database"})
        else:
            await self._say(pong(self.stream.head))

    # What the screen is told

    async def _relay(self, stream: Stream, known: UUID | None, last_seq: int) -> None:
        if self.station_id and not await self._ask(has_station, self.restaurant_id, self.station_id):
            raise Refused(BAD_MESSAGE)
        while stream.generation == 0:
            await self._woken()
        await self._welcome_back(stream, known, last_seq)
        while True:
            events, size = self.window.room
            if self._generation != stream.generation:
                await self._send_snapshot(stream)
            elif stream.head > self.window.sent and events > 0 and size > 0:
                await self._send_events(stream, events, size)
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                await self._woken()

    async def _welcome_back(self, stream: Stream, known: UUID | None, last_seq: int) -> None:
        """Go on where the screen was, if it was anywhere in this log; else a snapshot is due."""
        head = stream.head
        if known == stream.epoch and last_seq > head:  # a page may have read further than the hub
            head = (await self._ask(read_heads, [self.restaurant_id]))[0].last_seq
        if known != stream.epoch or not 0 <= last_seq <= head:
            return
        self.epoch, self._generation = stream.epoch, stream.generation
        self.window.resume(last_seq)
        await self._say({"t": "welcome", "v": 1, "epoch": known, "head": head})

    async def _send_snapshot(self, stream: Stream) -> None:
        self._generation = stream.generation
        message = await self._ask(exact_snapshot, self.restaurant_id, self.station_id)
        self.epoch = UUID(message["epoch"])
        self.window.start_over(message["seq"], await self._say(message))

    async def _send_events(self, stream: Stream, most_events: int, most_bytes: int) -> None:
        after = self.window.sent
        events = stream.since(after)
        if events is None:
            events = await self._ask(read_events, self.restaurant_id, after, MESSAGE_EVENTS)
        if not follows_on(events, after):
            self._generation = 0  # the log was pruned meanwhile: a snapshot makes up for it
            return
        events = events[:most_events]
        if self.caller and any(event.subject_id == self.caller.device_id for event in events):
            await self._check_caller()
        text, last = events_message(events, self.station_id, most_bytes=most_bytes)
        await self.send(text)
        self.window.send(last, len(text))

    async def _woken(self) -> None:
        await self._wake.wait()
        self._wake.clear()

    async def _ask(self, function: Callable[..., T], *args: Any) -> T:
        """The database's answer, however long it takes to come back."""
        while True:
            try:
                return await hub.run(function, *args)
            except (DatabaseError, InterfaceError):
                await asyncio.sleep(1)

    # Whether all is well

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            if max(now - self._heard_at, self.window.oldest_age) > SILENCE_SECONDS:
                raise Refused(SILENT)
            if now - self._checked_at > RECHECK_SECONDS:
                await self._check_caller()
            await self._note_shown()

    async def _check_caller(self) -> None:
        self._checked_at = time.monotonic()
        try:
            await hub.run(authenticate, self._token, self.restaurant_id)
        except (DatabaseError, InterfaceError):
            logger.debug("Nobody can be checked just now; in a minute again")

    async def _note_shown(self) -> None:
        """Let tills ask whether a ticket is on a screen; later, where the database does not answer."""
        shown, device_id = self.window.confirmed, self.caller and self.caller.device_id
        if device_id is None or self.epoch is None or shown in (None, self._noted):
            return
        with contextlib.suppress(DatabaseError, InterfaceError):
            await hub.run(note_shown, self.restaurant_id, device_id, self.station_id, self.epoch, shown)
            self._noted = shown


class NoSuchSocket(AsyncWebsocketConsumer):
    """The answer to any other path."""

    async def connect(self) -> None:
        await self.close()


def find_token(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """The token in a handshake's headers, or None where it does not come as it should.

    A screen in a browser has a cookie, and its page is ours. Anything else sends the token itself, and
    neither a cookie nor an Origin, which no page can keep its browser from sending.
    """
    values = {name: value.decode("latin-1") for name, value in headers}
    if b"origin" in values or b"cookie" in values:
        is_ours = values.get(b"origin") == own_origin() and b"authorization" not in values
        return (read_device_cookie(headers) or "") if is_ours else None
    scheme, _, token = values.get(b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def own_origin() -> str:
    parts = urlsplit(settings.BASE_URL)
    return f"{parts.scheme}://{parts.netloc}"


def authenticate(token: str, restaurant_id: int) -> Staff | JoinedDevice:
    """Whose token this is in the restaurant. Raises Refused."""
    try:
        named = read_token(token)
        if named.restaurant_id != restaurant_id:
            raise Refused(NOT_SIGNED_IN)
        with restaurant_scope(restaurant_id):
            return identify(named)
    except (InvalidToken, SignInAgain) as error:
        raise Refused(NOT_SIGNED_IN) from error
    except (DeviceRevoked, RestaurantSuspended) as error:
        raise Refused(REVOKED) from error


def has_station(restaurant_id: int, station_id: UUID) -> bool:
    with restaurant_scope(restaurant_id):
        return KitchenStation.objects.filter(pk=station_id).exists()


def note_shown(
    restaurant_id: int, device_id: UUID, station_id: UUID | None, epoch: UUID, acked_seq: int
) -> None:
    with restaurant_scope(restaurant_id):
        record_shown(device_id, station_id, epoch=epoch, acked_seq=acked_seq)


def read_message(text: str | None) -> dict[str, Any]:
    """The message in a text frame. Raises Refused."""
    try:
        message = orjson.loads(text or "")
    except orjson.JSONDecodeError as error:
        raise Refused(BAD_MESSAGE) from error
    if not isinstance(message, dict):
        raise Refused(BAD_MESSAGE)
    return message
