"""Restoring a backup only to see whether it restores, and what of."""

import contextlib
import datetime
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from payments.invariants import CHECKS

from . import cluster, logical, manifest
from .catalogue import Backup, local_copy, mark_verified
from .crypto import BadBackup
from .engines import get_engine
from .logical import Say
from .manifest import Manifest, differences, lost_rows, structure_differences, unsound
from .programs import give_to_server, workplace

SCRATCH = "fynlo_scratch_"
# I7 asks whether anything waits for too long by now, and a backup is of an earlier time.
INVARIANTS = {name: query for name, query in CHECKS.items() if name != "I7"}


def check_backup(backup: Backup, backups: Iterable[Backup], *, opens: bool) -> None:
    """Without restoring: every file is as it was written, and the key opens it. Raises BadBackup."""
    with workplace() as place:
        if backup.kind != "logical":
            get_engine(backup.engine).check(backup, backups, place)
        for file in backup.files:
            local_copy(backup, file, place)
        if opens and backup.files:
            logical.read_manifest(backup, place)


def rehearse(backup: Backup, backups: Iterable[Backup], say: Say) -> dict[str, Any]:
    """Restore where it disturbs nobody, compare, and forget it. Marks the backup. Raises BadBackup."""
    clock = time.monotonic()
    check_backup(backup, backups, opens=True)
    if backup.kind == "logical":
        found = _rehearse_dump(backup, say)
    else:
        found = _rehearse_cluster(backup, backups, say)
    result = {
        "id": backup.id,
        "kind": backup.kind,
        "bytes": backup.bytes,
        "seconds": round(time.monotonic() - clock, 1),
        **manifest.totals(found),
    }
    mark_verified(backup, datetime.datetime.now(datetime.UTC), result)
    return result


def _rehearse_dump(backup: Backup, say: Say) -> Manifest:
    database = f"{SCRATCH}{os.getpid()}"
    logical.drop_database(database)
    try:
        with workplace() as place:
            logical.restore_dump(backup, database, place, say)
            expected = logical.read_manifest(backup, place)
        return examine(logical.admin_url(database), expected, say, exact=True)
    finally:
        logical.drop_database(database)


def _rehearse_cluster(backup: Backup, backups: Iterable[Backup], say: Say) -> Manifest:
    with workplace() as place, recovered(backup, backups, place / "data", place, say, None) as url:
        expected = logical.read_manifest(backup, place) if backup.files else None
        return examine(make_conninfo(url, dbname=backup.database), expected, say, exact=False)


@contextlib.contextmanager
def recovered(
    backup: Backup,
    backups: Iterable[Backup],
    data: Path,
    place: Path,
    say: Say,
    to_time: datetime.datetime | None,
) -> Iterator[str]:
    """A physical backup, played back to a moment or to the end of its log, in a server of its own."""
    data.mkdir(mode=0o700, exist_ok=True)
    give_to_server(data)
    engine = get_engine(backup.engine)
    options = engine.unpack(backup, backups, data, to_time=to_time, workplace=place, say=say)
    say("playing back the write-ahead log")
    with cluster.private_server(data, backup.major, place, options) as url:
        if moment := cluster.recovered_to(place / "server" / "log"):
            say(f"its last commit is of {moment}")
        yield url


def examine(url: str, expected: Manifest | None, say: Say, *, exact: bool) -> Manifest:
    """Compare a restored database with its manifest and with what must always hold. Raises BadBackup.

    `exact`: it must be of the manifest's very moment. Else it may be later.
    """
    say("comparing what was restored")
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        found = manifest.take_manifest(connection)
        problems = unsound(found)
        if expected is not None and exact:
            problems += differences(expected, found)
        elif expected is not None:
            problems += structure_differences(expected, found) + lost_rows(expected, found)
        problems += _broken_invariants(connection)
    if problems:
        more = len(problems) - manifest.SHOWN
        for problem in problems[: manifest.SHOWN]:
            say(problem)
        if more > 0:
            say(f"and {more} more")
        raise BadBackup(
            f"What was restored is not what was backed up: {len(problems)} differences, such as "
            f"{problems[0][:200]}.",
            problems=problems[: manifest.SHOWN],
        )
    return found


def _broken_invariants(connection: psycopg.Connection) -> list[str]:
    """That the money adds up, in every restaurant."""
    restaurants = connection.execute("SELECT id FROM public.restaurants_restaurant ORDER BY id").fetchall()
    connection.execute("SELECT set_config('search_path', 'public', true)")
    return [
        f"{check} of restaurant {restaurant}: {row}: {detail}"
        for (restaurant,) in restaurants
        for check, query in INVARIANTS.items()
        for row, detail in connection.execute(query, {"restaurant": restaurant})
    ]
