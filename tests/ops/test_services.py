"""The embedded servers of script/_services.py, in a checkout of its own, with a space in its path."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import ROOT

# Adds a row to a table that it makes if need be, and prints how many there are.
COUNT_STARTS = """
import os, psycopg
with psycopg.connect(os.environ["TEST_ADMIN_DATABASE_URL"], autocommit=True) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS starts ()")
    connection.execute("INSERT INTO starts DEFAULT VALUES")
    print(connection.execute("SELECT count(*) FROM starts").fetchone()[0])
"""


@pytest.fixture
def checkout() -> Iterator[Path]:
    """Not under pytest's own directory, which root closes to the user that the servers run as."""
    with tempfile.TemporaryDirectory(prefix="check out ") as directory:
        checkout = Path(directory)
        checkout.chmod(0o755)
        (checkout / "script").mkdir()
        shutil.copy(ROOT / "script" / "_services.py", checkout / "script")
        yield checkout


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, checkout / "script" / "_services.py", *command],
        env=without_servers(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def without_servers() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}


def processes_of(checkout: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            cwd = process.joinpath("cwd").resolve(strict=True)
        except OSError:
            continue
        if cwd.is_relative_to(checkout):
            found.append(int(process.name))
    return found


def test_rows_survive_and_processes_do_not(checkout: Path) -> None:
    for starts in (1, 2):
        done = run(checkout, "run", "--fast", sys.executable, "-c", COUNT_STARTS)
        assert (done.stdout, done.stderr, done.returncode) == (f"{starts}\n", "", 0)
        assert processes_of(checkout) == []


def test_the_commands_exit_code_is_handed_on(checkout: Path) -> None:
    assert run(checkout, "run", "--fast", "sh", "-c", "exit 7").returncode == 7


def test_a_killed_server_starts_again(checkout: Path) -> None:
    kill = "kill -9 $(head -1 .data/test/postgres/postmaster.pid) $(cat .data/test/valkey/valkey.pid)"
    run(checkout, "run", "--fast", sys.executable, "-c", COUNT_STARTS)
    run(checkout, "run", "--fast", "sh", "-c", f"cd '{checkout}' && {kill}")

    done = run(checkout, "run", "--fast", sys.executable, "-c", COUNT_STARTS)

    assert (done.stdout, done.returncode) == ("2\n", 0)
    assert processes_of(checkout) == []


def test_a_stale_process_id_is_not_taken_for_the_server(checkout: Path) -> None:
    run(checkout, "run", "--fast", sys.executable, "-c", COUNT_STARTS)
    (checkout / ".data/test/postgres/postmaster.pid").write_text(f"{os.getpid()}\n/gone\n0\n5432\n/gone\n")

    done = run(checkout, "run", "--fast", sys.executable, "-c", COUNT_STARTS)

    assert (done.stdout, done.returncode) == ("2\n", 0)


def test_what_a_killed_script_left_is_used_and_then_stopped(checkout: Path) -> None:
    ready = checkout / "ready"
    left = subprocess.Popen(
        [
            sys.executable,
            checkout / "script/_services.py",
            "run",
            "--fast",
            "sh",
            "-c",
            f"touch '{ready}'; sleep 9",
        ],
        env=without_servers(),
        start_new_session=True,
    )
    while not ready.exists():
        assert left.poll() is None
        time.sleep(0.05)
    os.killpg(left.pid, signal.SIGKILL)
    left.wait()
    assert processes_of(checkout) != []

    done = run(checkout, "run", "--fast", sys.executable, "-c", COUNT_STARTS)

    assert (done.stdout, done.returncode) == ("1\n", 0)
    assert processes_of(checkout) == []


def test_one_address_without_the_other_is_refused(checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, checkout / "script" / "_services.py", "run", "true"],
        env={"DATABASE_URL": "postgresql:///x", "PATH": os.defpath},
        capture_output=True,
        text=True,
    )
    assert done.stderr == "error: Only DATABASE_URL is set: set DATABASE_URL and REDIS_URL, or neither.\n"
    assert done.returncode == 1
    assert not (checkout / ".data").exists()
