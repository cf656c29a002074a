"""Encryption by age: the server that makes backups holds only the public key, and cannot read them."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyrage

from fynlo.ops.command import Exit, OpsError

SUFFIX = ".age"
CHUNK = 1024 * 1024  # bytes


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class BadBackup(OpsError):
    """A backup that must not be trusted."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(Exit.CHECK_FAILED, message, **data)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it is kept: its name, its size in bytes and the SHA-256 of what is on the disk."""

    name: str
    bytes: int
    sha256: str


class _Hashing:
    """Hashes and counts what is written through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def write_file(directory: Path, name: str, source: Readable, recipients: Sequence[str]) -> StoredFile:
    """Write the source to a new file, encrypted if there are recipients, and onto the disk."""
    name += SUFFIX if recipients else ""
    with open(directory / name, "xb", opener=_private) as file:
        target = _Hashing(file)
        if recipients:
            pyrage.encrypt_io(source, target, _public_keys(recipients))
        else:
            shutil.copyfileobj(source, target, CHUNK)
        file.flush()
        os.fsync(file.fileno())
    return StoredFile(name, target.size, target.digest.hexdigest())


def open_file(path: Path, target: Path, identity: str) -> None:
    """Decrypt, or copy what is not encrypted. Raises BadBackup for a wrong key and for damage."""
    with path.open("rb") as source, open(target, "xb", opener=_private) as plain:
        if path.suffix != SUFFIX:
            shutil.copyfileobj(source, plain, CHUNK)
            return
        try:
            pyrage.decrypt_io(source, plain, private_keys(identity))
        except pyrage.DecryptError as error:
            if "No matching keys" in str(error):
                raise BadBackup(
                    f"{path.name} is encrypted to another key than the one in BACKUP_AGE_IDENTITY."
                ) from error
            raise BadBackup(f"{path.name} is no whole age file: {error}.") from error
        except OSError as error:
            raise BadBackup(f"{path.name} cannot be decrypted to its end: {error}.") from error


def check_file(path: Path, expected: StoredFile) -> None:
    """Compare a file with what was written. Raises BadBackup when it is gone, cut short or changed."""
    if not path.exists():
        raise BadBackup(f"{expected.name} is missing.")
    size = path.stat().st_size
    if size < expected.bytes:
        raise BadBackup(f"{expected.name} is truncated: {size} of {expected.bytes} bytes are there.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.sha256:
        raise BadBackup(f"{expected.name} is corrupted: its SHA-256 is not that of what was written.")


def private_keys(identity: str) -> list[Any]:
    """The keys of an identity file's text: lines of AGE-SECRET-KEY-…, comments between them."""
    lines = [line.strip() for line in identity.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise OpsError(
            Exit.USAGE,
            "BACKUP_AGE_IDENTITY is not set: only who has the private key can open an encrypted backup.",
        )
    try:
        return [pyrage.x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError as error:
        raise OpsError(Exit.USAGE, f"BACKUP_AGE_IDENTITY is no age identity: {error}.") from error


def _public_keys(recipients: Sequence[str]) -> list[Any]:
    try:
        return [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    except pyrage.RecipientError as error:
        raise OpsError(Exit.USAGE, f"BACKUP_AGE_RECIPIENT is no age public key: {error}.") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
