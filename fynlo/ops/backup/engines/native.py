"""PostgreSQL's own means: pg_basebackup, a folder of write-ahead log, pg_combinebackup."""

import contextlib
import datetime
import json
import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

import psycopg
from django.conf import settings

from fynlo.ops.backup import wal
from fynlo.ops.backup.catalogue import (
    ENTRY,
    PHYSICAL,
    Backup,
    chain,
    describe,
    local_copy,
    make_draft,
    new_id,
    publish,
)
from fynlo.ops.backup.crypto import BadBackup, StoredFile, open_file, write_file
from fynlo.ops.backup.logical import recipients, write_manifest
from fynlo.ops.backup.manifest import Manifest, migration_heads, take_manifest
from fynlo.ops.backup.programs import as_server, connected, find_program, give_to_server, login, run
from fynlo.ops.backup.storage import local_folder, stores
from fynlo.ops.command import Exit, OpsError

from . import Say

BASE, LOG, FILES = "base.tar.gz", "pg_wal.tar.gz", "backup_manifest"


class NativeEngine:
    name = "native"

    def backup(self, kind: str, reason: str, backups: Iterable[Backup], say: Say) -> Backup:
        url, sealed_to = settings.ENV.database_url, recipients()
        folder = local_folder().root
        parent = _parent(kind, backups)
        if kind != "full" and parent is None:
            say(f"there is no full backup to add to: the {kind} one becomes a full one")
            kind = "full"
        started = datetime.datetime.now(datetime.UTC)
        draft = make_draft(folder)
        with connected(url, autocommit=True) as connection:
            if parent:
                _check_incremental(connection)
            _warn_without_log(connection, say)
            manifest = manifest_of_now(connection)
            say("copying the cluster")
            raw = _base_backup(url, connection.info.server_version // 10_000, draft, parent)
            first_wal = _first_segment(connection, raw / FILES)
            files = [_seal(raw / name, draft, sealed_to) for name in (BASE, LOG)]
            # In the clear, for a later one to add to: the server cannot read what it encrypted.
            files.append(_seal(raw / FILES, draft, ()))
            shutil.rmtree(raw)
            backup = describe(
                connection,
                migration_heads(manifest),
                id=new_id(kind, started),
                kind=kind,
                engine=self.name,
                started_at=started,
                files=(*files, write_manifest(draft, manifest, sealed_to)),
                reason=reason,
                follows=parent.id if parent else "",
                first_wal=first_wal,
            )
        publish(backup, draft, folder)
        return backup

    def check(self, backup: Backup, backups: Iterable[Backup], workplace: Path) -> None:
        for part in chain(backup, backups):
            for file in part.files:
                local_copy(part, file, workplace)

    def unpack(
        self,
        backup: Backup,
        backups: Iterable[Backup],
        data: Path,
        *,
        to_time: datetime.datetime | None,
        workplace: Path,
        say: Say,
    ) -> dict[str, str]:
        parts = chain(backup, backups)
        self.check(backup, backups, workplace)
        directories = [data] if len(parts) == 1 else [workplace / part.id for part in parts]
        for part, directory in zip(parts, directories, strict=True):
            say(f"unpacking {part.id}")
            _unpack_one(part, directory, workplace, with_log=part is backup)
        if len(parts) > 1:
            say("combining them")
            combine = find_program("pg_combinebackup", backup.major)
            run([combine, "--no-sync", f"--output={data}", *map(str, directories)], **as_server())
            for directory in directories:
                shutil.rmtree(directory)
        log = wal.stage(backup.first_wal, workplace / "wal", strict=to_time is None)
        say(f"{log.segments} segments of write-ahead log to play back")
        give_to_server(workplace)
        (data / "recovery.signal").touch()
        give_to_server(data)
        return recovery_settings(f'cp "{log.directory}/%f" "%p"', to_time)

    def prune(self, gone: Iterable[Backup], kept: Iterable[Backup], say: Say) -> list[str]:
        locked = [backup.id for backup in gone if not remove(backup)]
        oldest = min((b.first_wal for b in kept if b.engine == self.name), key=wal.position, default="")
        if oldest:
            wal.prune(oldest, say)
        return locked


def manifest_of_now(connection: psycopg.Connection) -> Manifest:
    """Of a moment before the copying: what it counts must be in the backup, which may have more."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return take_manifest(connection)


def remove(backup: Backup) -> bool:
    """Delete a backup's files everywhere, its entry first. False where some may not be deleted yet."""
    gone = True
    for store in stores():
        names = store.sizes(f"backups/{backup.id}/")
        for name in sorted(names, key=lambda name: not name.endswith(ENTRY)):
            gone &= store.delete(name)
        gone &= store.delete(f"verified/{backup.id}.json")
    return gone


def recovery_settings(restore_command: str, to_time: datetime.datetime | None) -> dict[str, str]:
    """Play the log back to a moment, or to its end, and then begin a new timeline."""
    found = {
        "restore_command": restore_command,
        "recovery_target_timeline": "latest",
        "recovery_target_action": "promote",
    }
    if to_time:
        found["recovery_target_time"] = to_time.astimezone(datetime.UTC).isoformat(sep=" ")
    return found


def _parent(kind: str, backups: Iterable[Backup]) -> Backup | None:
    """What a diff or an incr adds to: the last full one, or the last of any kind."""
    kinds = {"full": (), "diff": ("full",), "incr": PHYSICAL}[kind]
    found = [b for b in backups if b.kind in kinds and b.engine == "native" and "here" in b.places]
    return max(found, key=lambda backup: backup.ended_at, default=None)


def _check_incremental(connection: psycopg.Connection) -> None:
    if connection.info.server_version < 170000:
        raise OpsError(Exit.USAGE, "diff and incr backups need PostgreSQL 17 or later: take a full one.")
    if connection.execute("SHOW summarize_wal").fetchone() != ("on",):
        raise OpsError(Exit.USAGE, "diff and incr backups need summarize_wal = on in postgresql.conf.")


def _warn_without_log(connection: psycopg.Connection, say: Say) -> None:
    archives = connection.execute("SHOW archive_mode").fetchone() != ("off",)
    if not archives and not (local_folder().root / wal.FOLDER).exists():
        say("no write-ahead log is kept: this backup restores to its own end, and to no moment after it")


def _base_backup(url: str, major: int, draft: Path, parent: Backup | None) -> Path:
    """The cluster as archives, in the clear for as long as it takes to encrypt them."""
    raw = draft / "raw"
    command = [
        *(find_program("pg_basebackup", major), f"--pgdata={raw}", "--format=tar", "--wal-method=stream"),
        *("--checkpoint=fast", "--compress=client-gzip:1", "--manifest-checksums=SHA256", "--no-password"),
        *("--no-sync", "--label=fynlo"),
    ]
    if parent:
        command.append(f"--incremental={local_folder().root / 'backups' / parent.id / FILES}")
    run(command, login(url))
    unknown = {path.name for path in raw.iterdir()} - {BASE, LOG, FILES}
    if unknown:
        raise OpsError(
            Exit.USAGE, f"The cluster has tablespaces ({', '.join(sorted(unknown))}): use pgbackrest for it."
        )
    return raw


def _seal(path: Path, draft: Path, sealed_to: tuple[str, ...]) -> StoredFile:
    with path.open("rb") as source:
        file = write_file(draft, path.name, source, sealed_to)
    path.unlink()
    return file


def _first_segment(connection: psycopg.Connection, files: Path) -> str:
    begin = json.loads(files.read_bytes())["WAL-Ranges"][0]["Start-LSN"]
    (segment,) = connection.execute("SELECT pg_walfile_name(%s::pg_lsn)", [begin]).fetchone()  # type: ignore[misc]
    return str(segment)


def _unpack_one(backup: Backup, directory: Path, workplace: Path, *, with_log: bool) -> None:
    """Unpack one backup and have PostgreSQL compare each file with the list that the server made."""
    directory.mkdir(mode=0o700, exist_ok=True)
    _untar(backup, BASE, directory, workplace)
    if with_log:
        _untar(backup, LOG, directory / "pg_wal", workplace)
    shutil.copyfile(local_copy(backup, backup.file(FILES), workplace), directory / FILES)
    give_to_server(directory)
    command = [find_program("pg_verifybackup", backup.major), "--quiet", str(directory)]
    # An incremental one says of its log only what the last of them needs.
    if not with_log:
        command.insert(1, "--no-parse-wal")
    try:
        run(command, **as_server())
    except OpsError as error:
        raise BadBackup(f"{backup.id} is not what the server wrote: {error}") from error


def _untar(backup: Backup, name: str, directory: Path, workplace: Path) -> None:
    plain = workplace / f"{backup.id}-{name}"
    open_file(local_copy(backup, backup.file(name), workplace), plain, settings.ENV.backup.identity)
    try:
        with tarfile.open(plain) as archive:
            archive.extractall(directory, filter="tar")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadBackup(f"{name} of {backup.id} cannot be unpacked: {error}.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(plain)
