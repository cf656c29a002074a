"""A PostgreSQL server of our own on a restored data directory, that nobody else can reach."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fynlo.ops.command import Exit, OpsError

from .crypto import BadBackup
from .programs import as_server, environment, find_program, give_to_server

# Whatever the data directory's own configuration says: no network, no archive, waiting for nobody.
OPTIONS = {
    "listen_addresses": "",
    "archive_mode": "off",
    "hot_standby": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "shared_preload_libraries": "",
    "ssl": "off",
    "synchronous_standby_names": "",
    "max_connections": "50",
    "shared_buffers": "128MB",
    "huge_pages": "off",
}
PATIENCE = 12 * 3600.0  # seconds: much write-ahead log takes long to play back


@contextlib.contextmanager
def private_server(
    data: Path, major: int, workplace: Path, options: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start, recover, and yield a superuser's URL without a database; stop in order afterwards.

    Raises BadBackup when it does not come up.
    """
    place = workplace / "server"
    place.mkdir(mode=0o700, exist_ok=True)
    for name, text in {"hba.conf": "local all all trust\n", "ident.conf": "", "postgresql.conf": ""}.items():
        (place / name).write_text(text)
    give_to_server(place)
    files = {
        "config_file": f"{place}/postgresql.conf",
        "hba_file": f"{place}/hba.conf",
        "ident_file": f"{place}/ident.conf",
        "data_directory": str(data),
        "unix_socket_directories": str(place),
    }
    settings_ = OPTIONS | files | dict(options or {})
    arguments = [part for name, value in settings_.items() for part in ("-c", f"{name}={value}")]
    log = place / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [find_program("postgres", major), *arguments],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **as_server(),
        )
    try:
        url = make_conninfo("", host=str(place), user=_superuser())
        _wait(server, url, log)
        yield url
    finally:
        _stop(server)


def _superuser() -> str:
    """Who the cluster's superuser is: as in ADMIN_DATABASE_URL, for it was that server's."""
    return str(conninfo_to_dict(settings.ENV.backup.admin_url).get("user") or "postgres")


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise BadBackup(f"The restored server does not start: {_why(log)}")
        try:
            psycopg.connect(url, dbname="postgres", connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if "role" in str(error) and "does not exist" in str(error):
                raise OpsError(Exit.USAGE, f"The restored server: {error}") from error
            time.sleep(0.1)
    raise BadBackup(f"The restored server did not get ready: {_why(log)}")


def _why(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    said = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "ERROR"))] or lines
    text = " ".join(said[-3:])
    if "before configured recovery target was reached" in text:
        recovered = [line for line in lines if "last completed transaction was at log time" in line]
        where = recovered[-1].partition("log time ")[2] if recovered else "an earlier moment"
        return (
            f"the write-ahead log that was kept ends with {where}, before the moment asked for. "
            "Leave --to-time away to restore everything there is."
        )
    return text[-600:]


def _stop(server: subprocess.Popen[bytes]) -> None:
    for how, patience in ((signal.SIGINT, 300), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if server.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(patience)


def recovered_to(log: Path) -> str:
    """The commit up to which the server played its log back, as it said itself; empty where it did not."""
    for line in reversed(log.read_text(errors="replace").splitlines()):
        if "last completed transaction was at log time" in line:
            return line.partition("log time ")[2].strip()
    return ""
