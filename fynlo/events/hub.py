"""Follows the logs of restaurants for the sockets of this process.

One hub per process wakes on a poke from Redis, or every second without one, asks how far the logs
reach that somebody here follows, reads what is new once for each restaurant and wakes their followers.
So a thousand screens cost no more reading than one, and Redis may be dead, hung or absent.
"""

import asyncio
import contextlib
import itertools
import logging
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID

import redis.asyncio
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from prometheus_client import Counter

from fynlo.redis_servers import connect_async

from .poke import CHANNEL
from .reading import Head, LoggedEvent, follows_on, read_events, read_heads

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
STALE_SECONDS = 6.0
CHUNK = 500
RING_BYTES = 512 * 1024
MOVE_SECONDS = 10.0  # in which all sockets have been asked to connect anew
WAVES = 20

GAPS = Counter("fynlo_event_gaps_total", "Events that should have followed on the last one and did not")

T = TypeVar("T")


class Stream:
    """One restaurant's log as this process knows it: its newest events, and who waits for more.

    `generation` is 0 until the hub has looked for the first time, and rises whenever what was read before
    does not lead to what comes after; `read_at` (monotonic) is when all there was was known.
    """

    def __init__(self, restaurant_id: int) -> None:
        self.restaurant_id = restaurant_id
        self.epoch: UUID | None = None
        self.head = 0
        self.generation = 0
        self.read_at = time.monotonic()
        self.followers: set[asyncio.Event] = set()
        self._ring: deque[LoggedEvent] = deque()
        self._bytes = 0

    @property
    def is_stale(self) -> bool:
        """Whether the log could not be read for a while: a screen must not be told that all is well."""
        return time.monotonic() - self.read_at > STALE_SECONDS

    def since(self, seq: int) -> list[LoggedEvent] | None:
        """The events after `seq`, or None where they are no longer, or were never, kept here."""
        if seq >= self.head:
            return []
        if not self._ring or seq < self._ring[0].seq - 1:
            return None
        return list(itertools.islice(self._ring, seq + 1 - self._ring[0].seq, None))

    def add(self, events: Sequence[LoggedEvent]) -> None:
        for event in events:
            self._ring.append(event)
            self._bytes += len(event.text)
            self.head = event.seq
        while self._bytes > RING_BYTES:
            self._bytes -= len(self._ring.popleft().text)
        self.wake()

    def start_afresh(self, head: Head) -> None:
        """Forget what was read: the numbers before and after do not belong together."""
        self.epoch, self.head = head.epoch, head.last_seq
        self.generation += 1
        self._ring.clear()
        self._bytes = 0
        self.wake()

    def wake(self) -> None:
        for follower in self.followers:
            follower.set()


class Hub:
    """The streams that sockets of this process follow. Belongs to one event loop."""

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self._poked = asyncio.Event()
        self._following: list[asyncio.Task[None]] = []
        self._moving: set[asyncio.Task[None]] = set()
        # Apart, so that five hundred screens which come back at once do not keep the log waiting.
        self._reader = ThreadPoolExecutor(2, thread_name_prefix="hub")
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="socket")
        self._is_failing = False
        self._closers: set[Callable[[], Awaitable[None]]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self, close: Callable[[], Awaitable[None]]) -> None:
        """A socket is here; `close` asks it to connect anew, when this process is about to stop."""
        self._loop = asyncio.get_running_loop()
        self._closers.add(close)

    def exit(self, close: Callable[[], Awaitable[None]]) -> None:
        self._closers.discard(close)

    def move_sockets(self) -> None:
        """Let all sockets go, in waves and in no order. Safe in a signal's handler."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._start_moving)

    def _start_moving(self) -> None:
        task = asyncio.create_task(self._move())
        self._moving.add(task)
        task.add_done_callback(self._moving.discard)

    async def _move(self) -> None:
        """At most a twentieth at once, so that those who take them in are not stormed."""
        closers = list(self._closers)
        random.shuffle(closers)
        logger.info("Letting %s sockets go", len(closers))
        size = max(1, math.ceil(len(closers) / WAVES))
        for first in range(0, len(closers), size):
            wave = closers[first : first + size]
            for failure in await asyncio.gather(*(close() for close in wave), return_exceptions=True):
                if failure:
                    logger.warning("A socket could not be let go", exc_info=failure)
            await asyncio.sleep(random.uniform(0.5, 1.5) * MOVE_SECONDS / WAVES)  # noqa: S311 - to spread them

    def follow(self, restaurant_id: int, wake: asyncio.Event) -> Stream:
        """Join a restaurant's stream; `wake` is set whenever there may be something new."""
        if not self._following:
            self._following = [asyncio.create_task(self._listen()), asyncio.create_task(self._tail())]
        stream = self.streams.setdefault(restaurant_id, Stream(restaurant_id))
        stream.followers.add(wake)
        if stream.epoch is None:
            self._poked.set()
        return stream

    def leave(self, stream: Stream, wake: asyncio.Event) -> None:
        stream.followers.discard(wake)
        if not stream.followers and self.streams.get(stream.restaurant_id) is stream:
            del self.streams[stream.restaurant_id]

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that uses the database, for a socket, in a thread."""
        return await _in_thread(self._workers, function, *args)

    async def _listen(self) -> None:
        """Wake on pokes. Whatever becomes of Redis, the tail looks every second without them."""
        while True:
            try:
                async with (
                    connect_async(
                        settings.REDIS_URL, socket_connect_timeout=2, health_check_interval=10
                    ) as client,
                    client.pubsub(ignore_subscribe_messages=True) as pokes,
                ):
                    await pokes.subscribe(CHANNEL)
                    while True:
                        message = await pokes.get_message(timeout=5)
                        if message and self._concerns(message["data"]):
                            self._poked.set()
            except (redis.RedisError, OSError, ValueError) as error:
                logger.debug("No pokes from Redis: %s", error)
                await asyncio.sleep(POLL_SECONDS)

    def _concerns(self, poke: bytes) -> bool:
        restaurant_id, _, seq = poke.partition(b" ")
        stream = self.streams.get(int(restaurant_id))
        return stream is not None and int(seq) > stream.head

    async def _tail(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poked.wait(), POLL_SECONDS)
            self._poked.clear()
            failure = await self._catch_up() if self.streams else None
            if isinstance(failure, DatabaseError | InterfaceError):
                if not self._is_failing:
                    logger.warning("Event logs cannot be read: %s", failure)
            elif failure:
                logger.error("The hub failed", exc_info=failure)
            self._is_failing = bool(failure)
            if failure:
                await asyncio.sleep(POLL_SECONDS / 4)

    async def _catch_up(self) -> BaseException | None:
        """Bring every stream to its head. Returns a failure, if one; the other restaurants have theirs."""
        try:
            heads = await _in_thread(self._reader, read_heads, list(self.streams))
        except Exception as error:
            return error
        advances = [
            self._advance(self.streams[h.restaurant_id], h) for h in heads if h.restaurant_id in self.streams
        ]
        outcomes = await asyncio.gather(*advances, return_exceptions=True)
        return next((outcome for outcome in outcomes if outcome), None)

    async def _advance(self, stream: Stream, head: Head) -> None:
        if stream.epoch != head.epoch or head.last_seq < stream.head:
            stream.start_afresh(head)
        while stream.head < head.last_seq:
            events = await _in_thread(self._reader, read_events, stream.restaurant_id, stream.head, CHUNK)
            if not follows_on(events, stream.head):
                GAPS.inc()
                logger.error(
                    "The log of restaurant %s does not go on from %s", stream.restaurant_id, stream.head
                )
                stream.start_afresh(head)
                break
            stream.add(events)
        stream.read_at = time.monotonic()


async def _in_thread(threads: ThreadPoolExecutor, function: Callable[..., T], *args: Any) -> T:
    def call() -> T:
        try:
            return function(*args)
        finally:
            connections.close_all()  # back to the pool

    return await asyncio.get_running_loop().run_in_executor(threads, call)


hub = Hub()
