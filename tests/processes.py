"""Real server processes on free ports of loopback, started and ended by a test."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.databases import ROOT, role_url

BIN = Path(sys.executable).parent


def free_port() -> int:
    """A port for a process of a test. Not one of those that the system gives to who asks for any: a test
    elsewhere would get it once the process has ended, and hear from whoever still calls there."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def web_server(database: str, workers: int = 1, **env: str) -> Iterator[str]:
    """The web process on a database, as fynlo_app; yields its base URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        BIN / "granian",
        *["--interface", "wsgi", "fynlo.wsgi:application", "--host", "127.0.0.1", "--port", str(port)],
        *["--workers", str(workers), "--blocking-threads", "4", "--log-level", "warning"],
        # One that is told to stop while it still starts would never hear of it again.
        *["--workers-kill-timeout", "5s"],
    ]
    with running(command, database, BASE_URL=url, **env):
        wait_until_ready(f"{url}/health")
        yield url


@contextlib.contextmanager
def running(command: list[str | Path], database: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the application's environment; its output is shown when the body fails."""
    environment = {**os.environ, "DATABASE_URL": role_url("app", database), **env}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield process
        except BaseException:
            log.seek(0)
            print(log.read().decode(errors="replace")[-8000:])
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def manage(role: str, database: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code of an operations command run as one of the logins, and what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, "DB_ROLE": role, "DATABASE_URL": role_url(role, database)},
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def wait_until_ready(url: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:  # not there yet, or too busy to answer in time
            pass
        time.sleep(0.1)
    raise TimeoutError(url)
