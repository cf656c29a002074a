"""Which backups there are, and which of them have been restored to see whether they can be."""

import dataclasses
import datetime
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from fynlo.ops.command import Exit, OpsError

from .crypto import StoredFile, check_file, write_file
from .storage import Store, local_folder, make_durable, offsite_bucket, stores

KINDS = ("logical", "full", "diff", "incr")
PHYSICAL = ("full", "diff", "incr")
ENTRY = "backup.json"


@dataclasses.dataclass(frozen=True)
class Backup:
    """One backup. `follows` is what an incremental one adds to; `first_wal` the first segment it needs."""

    id: str
    kind: str
    engine: str
    database: str
    started_at: datetime.datetime
    ended_at: datetime.datetime
    server_version: int
    version: str
    git_sha: str
    migrations: dict[str, str]
    files: tuple[StoredFile, ...]
    reason: str = ""
    follows: str = ""
    first_wal: str = ""
    places: tuple[str, ...] = ()
    verified_at: datetime.datetime | None = None

    @property
    def family(self) -> str:
        return "logical" if self.kind == "logical" else "physical"

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def encrypted(self) -> bool:
        return any(file.name.endswith(".age") for file in self.files)

    @property
    def major(self) -> int:
        return self.server_version // 10_000

    def file(self, beginning: str) -> StoredFile:
        return next(file for file in self.files if file.name.startswith(beginning))

    def summary(self) -> dict[str, Any]:
        """For lists: all but what only a restore needs."""
        hidden = ("files", "migrations", "first_wal")
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in hidden}
        return fields | {"bytes": self.bytes, "encrypted": self.encrypted}


def describe(connection: psycopg.Connection, migrations: dict[str, str], **fields: Any) -> Backup:
    """A backup of the connection's database that has just ended."""
    return Backup(
        database=connection.info.dbname,
        ended_at=datetime.datetime.now(datetime.UTC),
        server_version=connection.info.server_version,
        version=settings.VERSION,
        git_sha=settings.GIT_SHA,
        migrations=migrations,
        **fields,
    )


def new_id(kind: str, at: datetime.datetime) -> str:
    """Named by the millisecond it began in: a small database is dumped twice in one second."""
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}Z-{kind}"


def make_draft(folder: Path) -> Path:
    """A directory for a backup under way. Of an earlier one that was killed nothing stays."""
    for left in folder.glob(".draft-*"):
        shutil.rmtree(left)
    return Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))


def publish(backup: Backup, draft: Path, folder: Path) -> Path:
    """Turn a finished draft into a backup: it is there whole or not at all."""
    entry = dataclasses.asdict(backup)
    del entry["places"], entry["verified_at"]
    (draft / ENTRY).write_text(json.dumps(entry, default=str, indent=1))
    make_durable(draft / ENTRY)
    make_durable(draft)
    place = folder / "backups" / backup.id
    place.parent.mkdir(mode=0o700, exist_ok=True)
    draft.rename(place)
    make_durable(place.parent)
    return place


def all_backups(*, offsite: bool = True, warn: Callable[[str], None] | None = None) -> list[Backup]:
    """Every backup, oldest first, of both places. With the bucket out of reach: those here, and a warning."""
    found: dict[str, Backup] = {}
    verified: dict[str, datetime.datetime] = {}
    for store in stores() if offsite else [local_folder()]:
        try:
            _read_store(store, found, verified)
        except OpsError as error:
            if error.outcome.code != Exit.UNREACHABLE or warn is None:
                raise
            warn(f"Those off site are not listed. {error}")
    marked = [dataclasses.replace(b, verified_at=verified.get(b.id)) for b in found.values()]
    return sorted(marked, key=lambda backup: backup.ended_at)


def _read_store(store: Store, found: dict[str, Backup], verified: dict[str, datetime.datetime]) -> None:
    for name in store.sizes("backups/"):
        _, backup_id, file = name.split("/", 2)
        if file != ENTRY:
            continue
        backup = found.get(backup_id) or _parse(json.loads(store.read(name)))
        found[backup_id] = dataclasses.replace(backup, places=(*backup.places, store.label))
    for name in store.sizes("verified/"):
        backup_id = Path(name).stem
        verified[backup_id] = datetime.datetime.fromisoformat(json.loads(store.read(name))["verified_at"])


def _parse(entry: dict[str, Any]) -> Backup:
    times = {name: datetime.datetime.fromisoformat(entry[name]) for name in ("started_at", "ended_at")}
    return Backup(**{**entry, **times, "files": tuple(StoredFile(**file) for file in entry["files"])})


def find_backup(wanted: str, backups: Iterable[Backup], *, before: datetime.datetime | None = None) -> Backup:
    """The one with this id; `latest`, `latest-logical`, `latest-physical`: the newest (before a moment)."""
    family = wanted.removeprefix("latest").lstrip("-")
    if wanted.startswith("latest") and family in ("", "logical", "physical"):
        candidates = [b for b in backups if family in ("", b.family)]
        if before:
            candidates = [b for b in candidates if b.family == "physical" and b.ended_at <= before]
        if not candidates:
            when = f" that ended before {before:%Y-%m-%d %H:%M:%S} UTC" if before else ""
            raise OpsError(Exit.USAGE, f"There is no {family or 'such'} backup{when}.")
        return max(candidates, key=lambda backup: backup.ended_at)
    for backup in backups:
        if backup.id == wanted:
            return backup
    raise OpsError(Exit.USAGE, f"There is no backup {wanted}: see list_backups.")


def chain(backup: Backup, backups: Iterable[Backup]) -> list[Backup]:
    """A backup and those that it adds to, the full one first."""
    by_id = {b.id: b for b in backups}
    found = [backup]
    while found[0].follows:
        parent = by_id.get(found[0].follows)
        if parent is None:
            raise OpsError(Exit.CHECK_FAILED, f"{found[0].id} adds to {found[0].follows}, which is gone.")
        found.insert(0, parent)
    return found


def local_copy(backup: Backup, file: StoredFile, workplace: Path) -> Path:
    """A checked file of a backup: the one here, or fetched from off site. Raises BadBackup."""
    name = f"backups/{backup.id}/{file.name}"
    path = local_folder().root / name
    bucket = offsite_bucket()
    if not path.exists() and bucket and bucket.label in backup.places:
        path = workplace / f"{backup.id}-{file.name}"
        if not path.exists():
            bucket.fetch(name, path)
    check_file(path, file)
    return path


def mark_verified(backup: Backup, at: datetime.datetime, details: dict[str, Any]) -> None:
    """Remember, in both places, that a backup was restored and found whole."""
    text = json.dumps({"id": backup.id, "verified_at": at.isoformat(), **details}, default=str)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"{backup.id}.json"
        path.write_text(text)
        with path.open("rb") as source:
            file = write_file(Path(place), "mark", source, [])
        for store in stores():
            store.put(f"verified/{backup.id}.json", path, file)


def sync_offsite(say: Callable[[str], None]) -> int:
    """Bring off site every backup that is only here, the list's entry last. Returns how many.

    What other machines found when they restored comes back.
    """
    bucket = offsite_bucket()
    if bucket is None:
        return 0
    folder = local_folder()
    for name in bucket.sizes("verified/").keys() - folder.sizes("verified/").keys():
        (folder.root / name).parent.mkdir(mode=0o700, exist_ok=True)
        bucket.fetch(name, folder.root / name)
    there = bucket.sizes("backups/")
    copied = 0
    for backup in all_backups(offsite=False):
        entry = f"backups/{backup.id}/{ENTRY}"
        if entry in there:
            continue
        say(f"copying {backup.id} off site")
        for file in backup.files:
            name = f"backups/{backup.id}/{file.name}"
            check_file(folder.root / name, file)
            bucket.put(name, folder.root / name, file)
        with tempfile.TemporaryDirectory() as place, (folder.root / entry).open("rb") as source:
            bucket.put(entry, folder.root / entry, write_file(Path(place), ENTRY, source, []))
        copied += 1
    return copied


def latest(*, offsite: bool = False) -> dict[str, Any]:
    """For watching: when the last backup of each kind ended, and when one was last found to restore.

    Reads what is listed here; `offsite` asks the bucket too, which takes seconds. None where there is none.
    """
    backups = all_backups(offsite=offsite)

    def newest(moments: Iterable[datetime.datetime | None]) -> datetime.datetime | None:
        return max((moment for moment in moments if moment), default=None)

    return {
        "backup": {kind: newest(b.ended_at for b in backups if b.kind == kind) for kind in KINDS},
        "verified": {
            family: newest(b.verified_at for b in backups if b.family == family)
            for family in ("logical", "physical")
        },
        "backups": len(backups),
        "bytes": sum(backup.bytes for backup in backups),
    }
