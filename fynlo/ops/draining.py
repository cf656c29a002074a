"""Leaving in good order: a process that is about to stop says so, and its sockets move to another one.

Two things, both without Redis and the database, which may be why one stops. A file says of all processes of
a colour on this machine (or in this container) that they are leaving: /health then answers 503. And a signal
to a websocket process lets it close its sockets one after another with 1012; they come back elsewhere.
"""

import os
import signal
import tempfile
import time
from pathlib import Path

from django.conf import settings

MOVE_SOCKETS = signal.SIGUSR1
WEBSOCKET_PROGRAM = b"fynlo.asgi:application"

_started_at = time.time()


def marker(colour: str | None = None) -> Path:
    name = settings.COLOUR if colour is None else colour
    return Path(tempfile.gettempdir()) / f"fynlo-{name or 'all'}.draining"


def start_draining(colour: str) -> None:
    path = marker(colour)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)


def stop_draining(colour: str) -> None:
    marker(colour).unlink(missing_ok=True)


def is_draining() -> bool:
    """Whether this process is leaving. A marker from before it started was meant for another one."""
    try:
        found = marker().stat()
    except OSError:
        return False
    return found.st_uid in (0, os.geteuid()) and found.st_mtime >= _started_at


def websocket_processes(colour: str) -> list[int]:
    """The pids of the websocket processes that the colour's marker is for: those that see it."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_websocket_process(path, colour)]


def _is_websocket_process(path: Path, colour: str) -> bool:
    try:
        if WEBSOCKET_PROGRAM not in (path / "cmdline").read_bytes().split(b"\0"):
            return False
        environment = (path / "environ").read_bytes().decode(errors="replace").split("\0")
        directory = next((word[7:] for word in environment if word.startswith("TMPDIR=")), "/tmp")  # noqa: S108
        seen = path / "root" / directory.lstrip("/") / marker(colour).name
        return seen.samefile(marker(colour)) and (not colour or f"COLOUR={colour}" in environment)
    except OSError:  # gone, somebody else's, or in a container of its own
        return False


def move_sockets(colour: str) -> list[int]:
    """Tell them to close their sockets; returns the pids."""
    pids = websocket_processes(colour)
    for pid in pids:
        os.kill(pid, MOVE_SOCKETS)
    return pids
