"""Backpressure: how much a socket may be sent before it confirms."""

import time
from collections import deque

from .kitchen import MESSAGE_BYTES, MESSAGE_EVENTS


class Window:
    """What was sent to one screen and is not confirmed yet.

    The server under us queues without limit what a screen does not read, so the limit is here: no more
    than 256 events and 256 KB are ever on their way, besides one snapshot.
    """

    def __init__(self) -> None:
        self.sent = 0  # the last event that the screen was sent
        self.confirmed: int | None = None  # the last that it shows, as far as it said
        self._base = 0  # up to here nothing is on its way
        self._on_their_way: deque[tuple[int, int, float]] = deque()  # last event, bytes, when
        self._bytes = 0

    @property
    def room(self) -> tuple[int, int]:
        """How many events and how many bytes may be sent now."""
        return MESSAGE_EVENTS - (self.sent - self._base), MESSAGE_BYTES - self._bytes

    @property
    def oldest_age(self) -> float:
        """Seconds for which something has been waiting to be confirmed."""
        return time.monotonic() - self._on_their_way[0][2] if self._on_their_way else 0.0

    def resume(self, seq: int) -> None:
        """The screen shows everything up to here."""
        self.sent = self._base = self.confirmed = seq

    def start_over(self, seq: int, size: int) -> None:
        """A snapshot is on its way, which makes up for all before it."""
        self.confirmed = None
        self._base = seq
        self._on_their_way.clear()
        self._bytes = 0
        self.send(seq, size)

    def send(self, seq: int, size: int) -> None:
        self.sent = seq
        self._bytes += size
        self._on_their_way.append((seq, size, time.monotonic()))

    def confirm(self, seq: int) -> None:
        while self._on_their_way and self._on_their_way[0][0] <= seq:
            self.confirmed, size, _ = self._on_their_way.popleft()
            self._base = self.confirmed
            self._bytes -= size
