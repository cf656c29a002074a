"""A peer in a process of its own, on a free port of loopback."""

import contextlib
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.processes import free_port

HERE = Path(__file__).resolve().parent
READY_WITHIN = 90.0  # seconds: a loaded machine takes half a minute
ATTEMPTS = 3  # another process may have taken the free port


@contextlib.contextmanager
def peer_process(python: Path, script: str) -> Iterator[str]:
    """Run tests/peers/<script> with another environment's Python; yields its base URL."""
    with tempfile.TemporaryFile() as log:
        for _ in range(ATTEMPTS):
            port = free_port()
            # -P: this folder holds modules named after the vendors' packages.
            command: list[str | Path] = [python, "-P", HERE / script, str(port)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
            try:
                if _is_ready(process, f"http://127.0.0.1:{port}"):
                    yield f"http://127.0.0.1:{port}"
                    return
            finally:
                _stop(process)
        raise RuntimeError(f"{script} did not start:\n{_tail(log)}")


def _is_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return True
        except urllib.error.HTTPError:
            return True  # it answers, that is all we ask
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")[-4000:]
