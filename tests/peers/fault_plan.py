"""Which call breaks, and how: the faults that a network and a vendor put between us and our money."""

import fnmatch
import random
import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

# The vendor never saw the call; it saw it and we do not hear of it.
BEFORE = frozenset({"drop_before", "500_before", "429"})
AFTER = frozenset({"drop_after", "500_after", "garbage_after"})
MODES = (*sorted(BEFORE), *sorted(AFTER), "slow_after", "dup")


@dataclass
class _Scripted:
    mode: str
    method: str
    path: str

    def fits(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and fnmatch.fnmatch(path, self.path)


class Faults:
    """First as scripted, then at random by a seed. Every peer of ours has one, and the proxy."""

    def __init__(
        self,
        *,
        rate: float = 0,
        seed: int = 0,
        modes: Iterable[str] = MODES,
        methods: Iterable[str] = ("GET", "POST", "PUT", "PATCH", "DELETE"),
        slow_seconds: float = 3,
    ) -> None:
        self.rate = rate
        self.modes = tuple(modes)
        self.methods = frozenset(methods)
        self.slow_seconds = slow_seconds  # more than the client's time-out
        self.counts: Counter[str] = Counter()  # what was done, and "passed"
        self._random = random.Random(seed)
        self._script: deque[_Scripted] = deque()
        self._lock = threading.Lock()

    def next(self, *modes: str, method: str = "*", path: str = "*") -> None:
        """Break the next calls that fit, one mode for each; path is a glob such as "*/confirm"."""
        for mode in modes:
            if mode not in MODES:
                raise ValueError(f"no such fault: {mode}")
            self._script.append(_Scripted(mode, method.upper(), path))

    def clear(self) -> None:
        """No more faults; the counts stay."""
        with self._lock:
            self._script.clear()
            self.rate = 0

    @property
    def pending(self) -> int:
        """How many scripted faults no call has met yet."""
        return len(self._script)

    def take(self, method: str, path: str) -> str:
        """The fault of this call, or "passed"."""
        with self._lock:
            mode = self._scripted(method, path) or self._at_random(method) or "passed"
            self.counts[mode] += 1
        return mode

    def _scripted(self, method: str, path: str) -> str | None:
        for scripted in self._script:
            if scripted.fits(method, path):
                self._script.remove(scripted)
                return scripted.mode
        return None

    def _at_random(self, method: str) -> str | None:
        if method not in self.methods or self._random.random() >= self.rate:
            return None
        return self._random.choice(self.modes)
