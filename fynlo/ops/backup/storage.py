"""Where backups are kept: a folder of this machine, and a bucket off site that speaks S3."""

import base64
import datetime
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from fynlo.env import BackupEnv
from fynlo.ops.command import Exit, OpsError

from .crypto import StoredFile

LOCKED = "AccessDenied"


class Store(Protocol):
    """Files by name, such as `backups/20261124T133000Z-full/base.tar.gz.age`."""

    label: str

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """The names that begin so, and how many bytes each has."""

    def put(self, name: str, path: Path, file: StoredFile) -> None:
        """Keep a copy of a file, whole or not at all."""

    def read(self, name: str) -> bytes: ...

    def fetch(self, name: str, target: Path) -> None: ...

    def delete(self, name: str) -> bool:
        """False: it may not be deleted yet."""


class Folder:
    label = "here"

    def __init__(self, root: Path) -> None:
        self.root = root

    def sizes(self, prefix: str = "") -> dict[str, int]:
        place = self.root / prefix.rpartition("/")[0]
        found = {str(path.relative_to(self.root)): path for path in place.rglob("*") if path.is_file()}
        return {n: p.stat().st_size for n, p in sorted(found.items()) if n.startswith(prefix)}

    def put(self, name: str, path: Path, file: StoredFile) -> None:
        target = self.root / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.draft")
        shutil.copyfile(path, draft)
        draft.chmod(0o600)
        make_durable(draft)
        draft.rename(target)
        make_durable(target.parent)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def fetch(self, name: str, target: Path) -> None:
        shutil.copyfile(self.root / name, target)

    def delete(self, name: str) -> bool:
        path = self.root / name
        path.unlink(missing_ok=True)
        if path.parent != self.root and not any(path.parent.iterdir()):
            path.parent.rmdir()
        return True


class Bucket:
    """An S3-compatible bucket, made with versions and object lock: what is written stays for some days."""

    label = "off site"

    def __init__(self, env: BackupEnv) -> None:
        self.name = env.s3_bucket
        self.lock_days = env.s3_lock_days
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=env.s3_endpoint or None,
            region_name=env.s3_region,
            aws_access_key_id=env.s3_access_key_id,
            aws_secret_access_key=env.s3_secret_access_key,
            config=Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3}),
        )

    def sizes(self, prefix: str = "") -> dict[str, int]:
        with _reaching():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def put(self, name: str, path: Path, file: StoredFile) -> None:
        """Upload with a checksum that the bucket checks, locked, and ask afterwards whether it is there."""
        extra: dict[str, Any] = {"ChecksumAlgorithm": "SHA256", "Metadata": {"sha256": file.sha256}}
        if self.lock_days:
            until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=self.lock_days)
            extra |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        with _reaching():
            self.client.upload_file(str(path), self.name, name, ExtraArgs=extra)
            head = self.client.head_object(Bucket=self.name, Key=name, ChecksumMode="ENABLED")
        checksum = head.get("ChecksumSHA256", "")
        # Of a file in parts the checksum is that of the parts' checksums, and says how many.
        is_whole = checksum == base64.b64encode(bytes.fromhex(file.sha256)).decode() or "-" in checksum
        if head["ContentLength"] != file.bytes or not is_whole:
            raise OpsError(Exit.CHECK_FAILED, f"{name} arrived off site, but not as it was sent.")
        if self.lock_days and head.get("ObjectLockMode") != "COMPLIANCE":
            raise OpsError(
                Exit.CHECK_FAILED,
                f"{name} is off site, but not locked: make the bucket {self.name} with object lock, or set "
                "BACKUP_S3_LOCK_DAYS to 0.",
            )

    def read(self, name: str) -> bytes:
        with _reaching():
            body: bytes = self.client.get_object(Bucket=self.name, Key=name)["Body"].read()
            return body

    def fetch(self, name: str, target: Path) -> None:
        with _reaching():
            self.client.download_file(self.name, name, str(target))

    def delete(self, name: str) -> bool:
        """Delete every version: without naming one, S3 only hides the file and keeps on charging."""
        gone = True
        with _reaching():
            found = self.client.list_object_versions(Bucket=self.name, Prefix=name)
            for version in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
                if version["Key"] != name:
                    continue
                try:
                    self.client.delete_object(Bucket=self.name, Key=name, VersionId=version["VersionId"])
                except ClientError as error:
                    if error.response["Error"]["Code"] != LOCKED:
                        raise
                    gone = False
        return gone


class _reaching:
    """Whatever goes wrong on the way to the bucket is that it cannot be reached or refuses us."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BotoCoreError | Boto3Error | ClientError):
            raise OpsError(Exit.UNREACHABLE, f"The bucket for backups off site: {error}") from error


def local_folder() -> Folder:
    """BACKUP_DIR, made if it is not there."""
    if not settings.ENV.backup.directory:
        raise OpsError(Exit.USAGE, "BACKUP_DIR is not set: it names the folder for backups.")
    root = Path(settings.ENV.backup.directory)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OpsError(Exit.USAGE, f"BACKUP_DIR cannot be used: {error}") from error
    return Folder(root)


def offsite_bucket() -> Bucket | None:
    return Bucket(settings.ENV.backup) if settings.ENV.backup.s3_bucket else None


def stores() -> Iterator[Store]:
    yield local_folder()
    if bucket := offsite_bucket():
        yield bucket


def make_durable(path: Path) -> None:
    """Have a file or a directory's entries on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
