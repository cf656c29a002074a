"""Peers in processes of their own, and tests that find none."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import peers
from tests.peers import process
from tests.processes import free_port

SERVER = """
import http.server, os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""
STARTER = """
import subprocess, sys
print(subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE).pid, flush=True)
sys.stdin.read()
"""


def test_a_process_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    with process.peer_process(Path(sys.executable), str(tmp_path / "server.py")) as url:
        assert url.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="did not start"):  # noqa: SIM117
        with process.peer_process(Path(sys.executable), str(tmp_path / "nothing.py")):
            pass


@pytest.mark.parametrize("name", ["stripe", "localstripe"])
def test_a_peer_does_not_outlive_a_killed_run(name: str) -> None:
    script = process.HERE / f"run_{name}.py"
    command: list[str | Path] = [peers.peer_python(name), "-P", script, str(free_port())]
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert starter.stdout is not None
    child = int(starter.stdout.readline())
    time.sleep(1)
    starter.kill()
    starter.wait()
    for _ in range(200):
        if not _is_running(child):
            return
        time.sleep(0.1)
    pytest.fail(f"{name} is still running")


def test_a_missing_document_or_model_skips_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "SPECS", tmp_path / "specs")
    monkeypatch.setattr(peers, "PEERS", tmp_path)
    assert peers.needs_specs("square.json").args == (True,)
    assert peers.needs_specs("square.json").kwargs["reason"] == f"not in {tmp_path / 'specs'}: square.json"
    with pytest.raises(pytest.skip.Exception, match=r"square\.json"):
        peers.spec("square.json")
    with pytest.raises(pytest.skip.Exception, match="run script/peers"):
        peers.peer_python("stripe")
    (tmp_path / "unavailable").write_text("no Python 3.13 here")
    with pytest.raises(pytest.skip.Exception, match=r"no stripe peer: no Python 3\.13 here"):
        peers.peer_python("stripe")


def _is_running(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody waits for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
