"""The engine that runs pgBackRest, with Debian's PostgreSQL where its pgBackRest knows no newer one."""

import dataclasses
import datetime
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fynlo.ops.backup.catalogue import all_backups
from fynlo.ops.backup.crypto import BadBackup
from fynlo.ops.backup.engines import get_engine
from fynlo.ops.backup.programs import as_server, give_to_server, workplace
from fynlo.ops.backup.verifying import recovered, rehearse

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
CONFIGURATION = """\
[global]
repo1-path={place}/repo
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=only-for-tests
expire-auto=n
log-path={place}
lock-path={place}/lock
spool-path={place}/spool
log-level-console=warn
[fynlo]
pg1-path={place}/data
pg1-socket-path={place}
"""
# What take_manifest and the restored server's examination ask of a database.
TABLES = """
CREATE TABLE django_migrations (app text, name text);
CREATE TABLE restaurants_restaurant (id int);
CREATE TABLE orders_order (restaurant_id int, total_minor bigint);
"""

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (shutil.which("pgbackrest") and PROGRAMS.exists()),
        reason="no pgbackrest, or no PostgreSQL 15, here: script/tools backup; apt-get install postgresql-15",
    ),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A cluster that pushes its log to a repository, owned by the server's user."""
    with workplace() as place:
        place.chmod(0o755)
        (place / "pgbackrest.conf").write_text(CONFIGURATION.format(place=place))
        give_to_server(place)
        server_run(
            place, PROGRAMS / "initdb", f"--pgdata={place}/data", "--username=postgres", "--auth=trust"
        )
        push = f"PGBACKREST_CONFIG={place}/pgbackrest.conf pgbackrest --stanza=fynlo archive-push %p"
        with (place / "data" / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{place}'\n")
            file.write(f"archive_mode = on\narchive_command = '{push}'\n")
        control = [PROGRAMS / "pg_ctl", f"--pgdata={place}/data"]
        server_run(place, *control, f"--log={place}/log", "--wait", "start")
        try:
            for command in ("stanza-create", "check"):
                server_run(place, "pgbackrest", command)
            with psycopg.connect(url(place), autocommit=True) as connection:
                connection.execute(TABLES)  # type: ignore[arg-type]
            yield place
        finally:
            server_run(place, *control, "--mode=immediate", "stop")


def server_run(place: Path, *command: str | Path) -> None:
    variables = {"PGBACKREST_CONFIG": f"{place}/pgbackrest.conf", "PGBACKREST_STANZA": "fynlo"}
    environment = {"PATH": f"{PROGRAMS}:{os.defpath}", "LANG": "C.UTF-8", **variables}
    with (place / "said").open("ab") as said:
        subprocess.run(command, env=environment, stdout=said, stderr=said, check=True, **as_server())


def url(place: Path) -> str:
    return make_conninfo("", host=str(place), user="postgres", dbname="postgres")


@pytest.fixture(autouse=True)
def environment(place: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGBACKREST_CONFIG", f"{place}/pgbackrest.conf")
    backup = dataclasses.replace(
        settings.ENV.backup, directory=str(place / "catalogue"), engine="pgbackrest", admin_url=url(place)
    )
    settings.ENV = dataclasses.replace(settings.ENV, backup=backup, database_url=url(place))


def sell(place: Path, orders: int) -> datetime.datetime:
    """Orders of 500 each; answers a moment after them."""
    with psycopg.connect(url(place), autocommit=True) as connection:
        connection.execute("INSERT INTO orders_order SELECT 1, 500 FROM generate_series(1, %s)", [orders])
        time.sleep(0.2)
        (moment,) = connection.execute("SELECT clock_timestamp()").fetchone()  # type: ignore[misc]
        time.sleep(0.2)
    return moment


def say(text: str) -> None:
    print(text)


def test_it_restores_to_a_moment_and_tells_a_corrupted_repository(place: Path) -> None:
    engine = get_engine()
    first = engine.backup("incr", "", [], say)
    assert (first.kind, first.engine, first.follows) == ("full", "pgbackrest", "")
    sell(place, 3)
    second = engine.backup("diff", "before a release", all_backups(), say)
    assert (second.kind, second.follows) == ("diff", first.id)
    assert [b.id for b in all_backups()] == [first.id, second.id]
    moment = sell(place, 4)
    sell(place, 100)
    with psycopg.connect(url(place), autocommit=True) as connection:
        connection.execute("SELECT pg_switch_wal()")

    assert rehearse(second, all_backups(), say)["orders"] == 107
    with (
        workplace() as desk,
        recovered(second, all_backups(), desk / "data", desk, say, moment) as restored,
        psycopg.connect(restored, dbname="postgres") as connection,
    ):
        found = connection.execute("SELECT count(*), sum(total_minor) FROM orders_order").fetchone()
    assert found == (7, 3500)
    assert [bool(b.verified_at) for b in all_backups()] == [False, True]

    file = max((place / "repo" / "backup").rglob("*.gz"), key=lambda path: path.stat().st_size)
    whole = file.read_bytes()
    file.write_bytes(whole[:3000] + b"spoilt" + whole[3006:])
    with pytest.raises(BadBackup, match=r"pgbackrest verify: .*checksum invalid: 1"):
        rehearse(second, all_backups(), say)
    file.write_bytes(whole)

    third = engine.backup("full", "", [], say)
    engine.prune([first, second], [third], say)
    assert [b.id for b in all_backups()] == [third.id]
    with pytest.raises(BadBackup, match=f"pgbackrest has no backup {second.id} any more"):
        engine.check(second, [], place)
