"""Removing: here, off site where the lock allows, and the log that nothing needs any more."""

import dataclasses
import datetime
import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from fynlo.env import BackupEnv
from fynlo.ops.backup.catalogue import Backup, all_backups, make_draft, mark_verified, publish
from fynlo.ops.backup.crypto import write_file
from fynlo.ops.backup.storage import Bucket
from tests.ops.backup.conftest import s3

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def env(settings: Any, tmp_path: Path) -> BackupEnv:
    backup = dataclasses.replace(
        settings.ENV.backup,
        directory=str(tmp_path),
        keep_daily=1,
        keep_weekly=1,
        keep_monthly=1,
        keep_days_of_wal=14,
    )
    settings.ENV = dataclasses.replace(settings.ENV, backup=backup)
    return backup


def make_backup(
    folder: Path, kind: str, days_ago: int, *, verified: bool = False, first_wal: str = ""
) -> str:
    at = NOW - datetime.timedelta(days=days_ago)
    draft = make_draft(folder)
    made = Backup(
        id=f"{kind}-{days_ago}",
        kind=kind,
        engine="pg_dump" if kind == "logical" else "native",
        database="fynlo",
        started_at=at,
        ended_at=at,
        server_version=170010,
        version="1",
        git_sha="",
        migrations={},
        files=(write_file(draft, "dump", io.BytesIO(b"rows"), []),),
        first_wal=first_wal,
    )
    publish(made, draft, folder)
    if verified:
        mark_verified(made, NOW, {})
    return made.id


def prune(*options: str) -> tuple[int, dict[str, Any]]:
    out, code = io.StringIO(), 0
    try:
        call_command("prune_backups", "--json", *options, stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(out.getvalue())


def test_the_old_go_and_the_last_verified_stays(env: BackupEnv, tmp_path: Path) -> None:
    for days in (900, 800, 700, 0):
        make_backup(tmp_path, "logical", days)
    code, document = prune()
    assert (code, document["status"]) == (3, "check_failed")
    assert document["message"].startswith("No logical backup was ever verified, so none is removed")
    assert len(all_backups()) == 4

    make_backup(tmp_path, "logical", 850, verified=True)
    assert prune("--dry-run")[1]["removed"] == ["logical-900", "logical-800", "logical-700"]
    assert len(all_backups()) == 5
    assert prune()[1]["removed"] == ["logical-900", "logical-800", "logical-700"]
    assert [backup.id for backup in all_backups()] == ["logical-850", "logical-0"]
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == ["logical-0", "logical-850"]
    assert prune()[1]["removed"] == []


def test_the_log_from_before_the_oldest_copy_goes(env: BackupEnv, tmp_path: Path) -> None:
    wal = tmp_path / "wal"
    wal.mkdir()
    kept = ["000000010000000000000009", "000000020000000100000000", "00000002.history"]
    old = ["000000010000000000000003", "000000010000000000000008", "000000010000000000000007.partial"]
    for name in (*kept, *old):
        (wal / name).write_bytes(b"log")
    make_backup(tmp_path, "full", 40, first_wal="000000010000000000000003")
    make_backup(tmp_path, "full", 20, first_wal="000000010000000000000009")
    make_backup(tmp_path, "full", 10, verified=True, first_wal="000000010000000000000020")
    assert prune()[1]["removed"] == ["full-40"]
    assert sorted(path.name for path in wal.iterdir()) == sorted(kept)


@pytest.mark.parametrize("lock_days", [0, 30])
def test_off_site_every_version_goes_unless_it_is_locked(
    env: BackupEnv, bucket_server: str, tmp_path: Path, lock_days: int
) -> None:
    name, client = f"fynlo-{uuid.uuid4().hex[:12]}", s3(bucket_server)
    client.create_bucket(
        Bucket=name,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "eu-west-2"},
    )
    store = Bucket(
        dataclasses.replace(
            env,
            s3_bucket=name,
            s3_endpoint=bucket_server,
            s3_region="eu-west-2",
            s3_access_key_id="for-tests",
            s3_secret_access_key="for-tests",
            s3_lock_days=lock_days,
        )
    )
    (tmp_path / "place").mkdir()
    file = write_file(tmp_path / "place", "dump", io.BytesIO(b"rows"), [])
    for _ in range(2):
        store.put("backups/one/dump", tmp_path / "place" / "dump", file)
    assert store.sizes("backups/") == {"backups/one/dump": 4}
    assert store.delete("backups/one/dump") is (lock_days == 0)
    left = client.list_object_versions(Bucket=name).get("Versions", [])
    assert len(left) == (2 if lock_days else 0)
