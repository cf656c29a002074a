"""Dumps of one database, and databases made from them."""

import contextlib
import datetime
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from django.conf import settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from fynlo.ops import roles
from fynlo.ops.command import Exit, OpsError

from .catalogue import Backup, describe, local_copy, make_draft, new_id, publish
from .crypto import BadBackup, StoredFile, open_file, write_file
from .manifest import Manifest, migration_heads, take_manifest
from .programs import connected, find_program, login, output_of, run
from .storage import local_folder

Say = Callable[[str], None]
DUMP, MANIFEST = "dump", "manifest.json.gz"
# A restore that is killed is done again, so nothing of it has to be on the disk at once.
FAST_SESSION = "-c synchronous_commit=off -c maintenance_work_mem=256MB"


def recipients() -> tuple[str, ...]:
    """Whom to encrypt to. In production somebody must be; a dump in the clear is everybody's data."""
    found = settings.ENV.backup.recipients
    if settings.PRODUCTION and not found:
        raise OpsError(Exit.UNSAFE, "BACKUP_AGE_RECIPIENT is not set: in production backups are encrypted.")
    return found


def dump_database(reason: str, say: Say) -> Backup:
    """Dump this process's database, with a manifest of the same snapshot."""
    url, sealed_to = settings.ENV.database_url, recipients()
    folder = local_folder().root
    started = datetime.datetime.now(datetime.UTC)
    draft = make_draft(folder)
    with connected(url) as connection:
        snapshot = _export_snapshot(connection)
        say("counting what is in the database")
        manifest = take_manifest(connection)
        say("dumping")
        dump = _dump(url, connection.info.server_version // 10_000, draft, sealed_to, snapshot)
        backup = describe(
            connection,
            migration_heads(manifest),
            id=new_id("logical", started),
            kind="logical",
            engine="pg_dump",
            started_at=started,
            files=(dump, write_manifest(draft, manifest, sealed_to)),
            reason=reason,
        )
    publish(backup, draft, folder)
    return backup


def _export_snapshot(connection: psycopg.Connection) -> str:
    """Begin a transaction at one moment, which other sessions can look at too while it lasts."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone()  # type: ignore[misc]
    return str(snapshot)


def _dump(
    url: str, major: int, draft: Path, sealed_to: tuple[str, ...], snapshot: str, name: str = DUMP
) -> StoredFile:
    command = [
        *(find_program("pg_dump", major), "--format=custom", "--no-password", "--lock-wait-timeout=60s"),
        # zstd is known from PostgreSQL 16 on.
        f"--compress={'zstd:3' if major >= 16 else '6'}",
        *((f"--snapshot={snapshot}",) if snapshot else ()),
    ]
    with output_of(command, login(url)) as output:
        return write_file(draft, name, output, sealed_to)


def write_manifest(draft: Path, manifest: Manifest, sealed_to: tuple[str, ...]) -> StoredFile:
    """Encrypted like the rest: it tells what every restaurant takes."""
    text = gzip.compress(json.dumps(manifest).encode(), mtime=0)
    return write_file(draft, MANIFEST, io.BytesIO(text), sealed_to)


def read_manifest(backup: Backup, workplace: Path) -> Manifest:
    plain = workplace / f"{backup.id}-{MANIFEST}"
    if not plain.exists():
        path = local_copy(backup, backup.file(MANIFEST), workplace)
        open_file(path, plain, settings.ENV.backup.identity)
    manifest: Manifest = json.loads(gzip.decompress(plain.read_bytes()))
    return manifest


# --- restoring


def admin_url(database: str = "postgres") -> str:
    """The login that makes databases. Raises OpsError without one."""
    if not settings.ENV.backup.admin_url:
        raise OpsError(
            Exit.USAGE, "ADMIN_DATABASE_URL is not set: restores need a login that may create databases."
        )
    return make_conninfo(settings.ENV.backup.admin_url, dbname=database)


@contextlib.contextmanager
def admin(database: str = "postgres") -> Iterator[psycopg.Connection]:
    """The administrator's connection to a database, in autocommit."""
    with connected(admin_url(database), autocommit=True) as connection:
        yield connection


def restore_dump(backup: Backup, database: str, workplace: Path, say: Say) -> None:
    """Make a new database out of a dump. Raises BadBackup when it is not whole."""
    path = local_copy(backup, backup.file(DUMP), workplace)
    plain = workplace / f"{backup.id}.dump"
    open_file(path, plain, settings.ENV.backup.identity)
    make_database(database, plain, backup.major, say)
    plain.unlink()


def make_database(database: str, plain_dump: Path, major: int, say: Say) -> None:
    """Make a new database, with the roles it needs, out of a dump in the clear."""
    with admin() as connection:
        server = connection.info.server_version // 10_000
        if server < major:
            raise OpsError(
                Exit.USAGE, f"The backup is of PostgreSQL {major}; the server to restore to has {server}."
            )
        roles.create_database(connection, database)
    say(f"restoring into {database}")
    with admin(database) as connection:
        roles.bootstrap_roles(connection, database)
        connection.execute("DROP SCHEMA definer")  # comes out of the dump, with what is in it
    jobs = min(4, os.cpu_count() or 1)
    command = [
        *(find_program("pg_restore", server), "--no-password", "--exit-on-error", f"--jobs={jobs}"),
        # Else it turns row security off, and a view over all restaurants is refreshed by an owner to whom
        # that is refused. Rows are loaded before any policy, by who is above them.
        *("--enable-row-security", f"--dbname={database}", str(plain_dump)),
    ]
    try:
        run(command, login(admin_url(database)) | {"PGOPTIONS": FAST_SESSION})
    except OpsError as error:
        if error.outcome.code == Exit.UNREACHABLE:
            raise
        raise BadBackup(f"The dump does not restore: {error}") from error
    with admin(database) as connection:
        roles.bootstrap_roles(connection, database)
        connection.execute("ANALYZE")


def drop_database(database: str) -> None:
    with admin() as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        )


def copy_database(source_url: str, major: int, database: str, workplace: Path, say: Say) -> None:
    """Make a new database out of one of another server."""
    plain = workplace / "copy.dump"
    plain.unlink(missing_ok=True)
    _dump(source_url, major, workplace, (), "", name=plain.name)
    make_database(database, plain, major, say)
    plain.unlink()
