"""A network between us and the database that goes silent, as a pulled cable does: nobody waits for ever."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from tests.databases import role_url

PROXY = """
import asyncio, sys

async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)

async def accept(reader, writer):
    far_reader, far_writer = await asyncio.open_unix_connection(sys.argv[2])
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

async def main():
    server = await asyncio.start_server(accept, sys.argv[1], 5432)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def another_host(socket: Path) -> Iterator[tuple[str, str]]:
    """A network namespace in which Postgres is at port 5432: its name and its address."""
    number = os.getpid() % 250
    name, ours, theirs = f"fynlo{os.getpid()}", f"10.213.{number}.1", f"10.213.{number}.2"
    ip("netns", "add", name)
    try:
        ip("link", "add", f"fy{number}a", "type", "veth", "peer", "name", f"fy{number}b", "netns", name)
        ip("addr", "add", f"{ours}/30", "dev", f"fy{number}a")
        ip("link", "set", f"fy{number}a", "up")
        ip("-n", name, "addr", "add", f"{theirs}/30", "dev", f"fy{number}b")
        ip("-n", name, "link", "set", f"fy{number}b", "up")
        command = ["ip", "netns", "exec", name, sys.executable, "-c", PROXY, theirs, str(socket)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as proxy:
            assert proxy.stdout
            assert proxy.stdout.readline() == b"ready\n"
            yield name, theirs
            proxy.kill()
    finally:
        # The link by itself: connections that nobody answers would keep the namespace for a while.
        subprocess.run(["ip", "link", "delete", f"fy{number}a"], capture_output=True)
        ip("netns", "delete", name)


def fall_silent(name: str) -> None:
    """Whatever the other host answers is lost on the way."""
    ip("-n", name, "route", "add", "blackhole", f"10.213.{os.getpid() % 250}.1/32")


def test_a_question_into_silence_ends(test_database):
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("A NETWORK THAT FALLS SILENT IS NOT TESTED: that needs root and iproute2.")
    parts = conninfo_to_dict(role_url("app", test_database))
    socket = Path(str(parts.get("host", ""))) / f".s.PGSQL.{parts.get('port', 5432)}"
    if not socket.is_socket():
        pytest.skip("A NETWORK THAT FALLS SILENT IS NOT TESTED: the server is none of ours.")
    options = {name: settings.DATABASES["default"]["OPTIONS"][name] for name in settings.NETWORK_OPTIONS}
    with another_host(socket) as (name, address):
        login = {**parts, "host": address, "port": 5432, "sslmode": "disable", **options}
        with psycopg.connect(**login, autocommit=True) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            fall_silent(name)
            started = time.monotonic()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        assert time.monotonic() - started > 5  # it was silence, not a refusal
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(**login)
