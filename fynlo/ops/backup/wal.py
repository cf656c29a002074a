"""The write-ahead log that is kept: BACKUP_DIR/wal, which the server or pg_receivewal fills, and off site."""

import gzip
import io
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from .crypto import BadBackup, open_file, write_file
from .logical import Say, recipients
from .storage import local_folder, offsite_bucket

FOLDER, SHIPPED = "wal", "shipped"
SEGMENT = re.compile(r"[0-9A-F]{24}")
HISTORY = re.compile(r"[0-9A-F]{8}\.history")
# The segment that pg_receivewal is still writing; zeros from where it is to its end.
PARTIAL = re.compile(r"([0-9A-F]{24})\.partial")
DRAFT = re.compile(r"archtemp\..*")  # basic_archive's own, left when the server was killed
DAY = 86_400.0


@dataclass(frozen=True)
class Staged:
    directory: Path
    segments: int


def position(segment: str) -> str:
    """Where in the log a segment is, whatever its timeline."""
    return segment[8:24]


def stage(first: str, directory: Path, *, strict: bool) -> Staged:
    """Gather the log from a segment on, of both places, in the clear. Raises BadBackup for a gap if strict.

    A gap would end the recovery there without a word, unless it has a moment to reach.
    """
    directory.mkdir(mode=0o700)
    folder = local_folder().root / FOLDER
    local = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    for name, path in local.items():
        if HISTORY.fullmatch(name) or (SEGMENT.fullmatch(name) and position(name) >= position(first)):
            shutil.copyfile(path, directory / name)
    _fetch(first, directory)
    for name, path in local.items():
        partial = PARTIAL.fullmatch(name)
        if partial and position(name) >= position(first) and not (directory / partial[1]).exists():
            shutil.copyfile(path, directory / partial[1])
    segments = sorted(path.name for path in directory.iterdir() if SEGMENT.fullmatch(path.name))
    missing = _first_gap(directory, segments)
    if strict and missing:
        raise BadBackup(f"Of the write-ahead log the segment after {missing} is missing.")
    return Staged(directory, len(segments))


def _fetch(first: str, directory: Path) -> None:
    """From off site, what is not here."""
    bucket = offsite_bucket()
    if bucket is None:
        return
    for name in bucket.sizes(f"{FOLDER}/"):
        file = Path(name).name.partition(".gz")[0]
        is_needed = HISTORY.fullmatch(file) or (SEGMENT.fullmatch(file) and position(file) >= position(first))
        if not is_needed or (directory / file).exists():
            continue
        with tempfile.TemporaryDirectory() as place:
            sealed, plain = Path(place) / Path(name).name, Path(place) / "plain"
            bucket.fetch(name, sealed)
            open_file(sealed, plain, settings.ENV.backup.identity)
            try:
                (directory / file).write_bytes(gzip.decompress(plain.read_bytes()))
            except (gzip.BadGzipFile, EOFError) as error:
                raise BadBackup(f"{name} off site is corrupted: {error}.") from error


def _first_gap(directory: Path, segments: list[str]) -> str:
    """The segment after which one is missing, or nothing. A log of 4 GB has as many as fit into it."""
    if not segments:
        return ""
    per_log = 2**32 // (directory / segments[0]).stat().st_size
    numbers = {int(s[8:16], 16) * per_log + int(s[16:24], 16): s for s in segments}
    after = [number for number in numbers if number + 1 not in numbers and number != max(numbers)]
    return numbers[min(after)] if after else ""


def ship(say: Say) -> int:
    """Bring off site, encrypted, the segments that are complete and not there yet. Returns how many."""
    bucket = offsite_bucket()
    if bucket is None:
        return 0
    root, sealed_to = local_folder().root, recipients()
    folder, shipped = root / FOLDER, root / SHIPPED
    if not folder.is_dir():
        return 0
    shipped.mkdir(mode=0o700, exist_ok=True)
    done = 0
    for path in sorted(folder.iterdir()):
        if not (SEGMENT.fullmatch(path.name) or HISTORY.fullmatch(path.name)):
            continue
        if (shipped / path.name).exists():
            continue
        with tempfile.TemporaryDirectory() as place:
            source = io.BytesIO(gzip.compress(path.read_bytes(), compresslevel=1, mtime=0))
            file = write_file(Path(place), f"{path.name}.gz", source, sealed_to)
            bucket.put(f"{FOLDER}/{file.name}", Path(place) / file.name, file)
        (shipped / path.name).touch()
        done += 1
    if done:
        say(f"{done} segments of write-ahead log went off site")
    return done


def prune(oldest: str, say: Say) -> int:
    """Remove the log from before a segment, here and off site, where it may. Returns how many files."""
    root, bucket = local_folder().root, offsite_bucket()
    removed = 0
    for folder in (root / FOLDER, root / SHIPPED):
        for path in folder.iterdir() if folder.is_dir() else ():
            is_old = SEGMENT.fullmatch(path.name[:24]) and position(path.name) < position(oldest)
            is_left = DRAFT.fullmatch(path.name) and path.stat().st_mtime < time.time() - DAY
            if is_old or is_left:
                path.unlink()
                removed += 1
    for name in bucket.sizes(f"{FOLDER}/") if bucket else ():
        segment = Path(name).name[:24]
        if bucket and SEGMENT.fullmatch(segment) and position(segment) < position(oldest):
            removed += bucket.delete(name)
    say(f"{removed} files of write-ahead log removed, all from before {oldest}")
    return removed
