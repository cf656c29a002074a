"""PostgreSQL clusters of a test's own, durable, on a private unix socket; a replica follows another."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from tests.databases import ROOT

sys.path.insert(0, str(ROOT / "script"))
from _services import _as_user, _base_directory, _Programs, _service_user

CONFIGURATION = """
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 60
shared_buffers = 32MB
wal_level = replica
max_wal_senders = 5
hot_standby = on
timezone = 'UTC'
"""


def valkey_program() -> str:
    return _Programs(_base_directory(_service_user()), _service_user()).valkey()


class Cluster:
    """One data directory and its server, run as the user that PostgreSQL allows."""

    def __init__(self, directory: Path) -> None:
        self.user = _service_user()
        self.directory = directory
        self.data = directory / "data"
        self.process: subprocess.Popen[bytes] | None = None
        self._programs = _Programs(_base_directory(self.user), self.user)

    def url(self, user: str = "postgres", database: str = "postgres") -> str:
        return make_conninfo("", host=str(self.directory), user=user, dbname=database)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.url(database=database), autocommit=True)

    def run(self, program: str, *arguments: str) -> str:
        """One of PostgreSQL's own programs, to its end."""
        command = [self._programs.postgres(program), *arguments]
        done = subprocess.run(command, **_as_user(self.user), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def initialise(self, configuration: str = "") -> None:
        self.run(
            "initdb",
            *[f"--pgdata={self.data}", "--username=postgres", "--auth=trust", "--encoding=UTF8"],
            *[
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C.UTF-8",
                "--data-checksums",
            ],
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"{CONFIGURATION}unix_socket_directories = '{self.directory}'\n{configuration}")

    def follow(self, primary: "Cluster") -> None:
        """Become a streaming replica of another cluster."""
        self.run(
            "pg_basebackup",
            "--pgdata",
            str(self.data),
            "--dbname",
            primary.url(),
            "--write-recovery-conf",
            "--checkpoint=fast",
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"unix_socket_directories = '{self.directory}'\n")

    def start(self) -> None:
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with (self.directory / "log").open("ab") as log:
            command = [self._programs.postgres("postgres"), "-D", str(self.data)]
            self.process = subprocess.Popen(command, **_as_user(self.user), stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect().close()
                return
            assert self.process.poll() is None, (self.directory / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (self.directory / "log").read_text()[-3000:]
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends sessions and writes everything; SIGQUIT is a crash."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=60)
            self.process = None


@contextlib.contextmanager
def clusters(*names: str) -> Iterator[list[Cluster]]:
    """Empty directories for clusters, stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="fynlo-pg-") as root:
        Path(root).chmod(0o755)
        made = [Cluster(Path(root) / name) for name in names]
        for cluster in made:
            cluster.directory.mkdir(mode=0o755)
            if cluster.user:
                os.chown(cluster.directory, cluster.user.pw_uid, cluster.user.pw_gid)
        try:
            yield made
        finally:
            for cluster in made:
                cluster.stop(signal.SIGQUIT)
