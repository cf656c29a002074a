"""Everything on this machine: PostgreSQL, Valkey, web, websockets, platform console, worker and beat.

usage: script/server [--reset] [--port N]

The first start makes the database, migrates it and loads a demonstration restaurant. Ctrl-C stops all.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from _services import DATA, ROOT, Embedded, Services, ServicesError, make_data_directory, secret, services
from psycopg import sql

sys.path.insert(0, str(ROOT))
from fynlo.ops.roles import bootstrap_roles, create_database

DEMO = DATA / "demo.txt"
LOCK = DATA / "server.lock"
READY_WITHIN = 90.0  # seconds
GRACE = 10.0  # seconds between asking a process to end and making it
LONGEST_PAUSE = 30.0  # seconds before a process that keeps dying is started again
TERMINAL_KEY = "demo-square-key"  # of script/_terminal.py
COLOURS = {"web": 36, "ws": 35, "platform": 34, "worker": 33, "beat": 32, "server": 90}
CELERY_AS_ROOT = "ignore:You're running the worker with superuser privileges"
PR_SET_PDEATHSIG = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/server", description="Start everything on this machine.")
    parser.add_argument("--reset", action="store_true", help="forget all data and start afresh")
    parser.add_argument("--port", type=int, default=8000, help="web; the two after it: websockets, platform")
    options = parser.parse_args()
    if not 1024 <= options.port < 65000:
        parser.error("--port must be between 1024 and 64999")
    # Before the processes run, both signals simply end what is going on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    make_data_directory()
    with only_server(options.reset):
        if options.reset:
            forget_own_data()
        with services() as running:
            prepare_database(running, options.reset)
            addresses = Addresses.free_from(options.port)
            write_environment(running, addresses)
            return Supervisor(running, addresses).run()


@contextlib.contextmanager
def only_server(replace: bool) -> Iterator[None]:
    """One server per checkout; with `replace`, a running one is stopped first."""
    with LOCK.open("a+") as lock:
        if not _locked(lock.fileno()):
            lock.seek(0)
            pid = int(lock.read() or 0)
            if not replace:
                raise ServicesError(f"script/server runs here already, as process {pid}.")
            say("server", f"stopping the running one, process {pid}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 60
            while not _locked(lock.fileno()):
                if time.monotonic() > deadline:
                    raise ServicesError(f"Process {pid} does not stop.")
                time.sleep(0.1)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- the database


def forget_own_data() -> None:
    DEMO.unlink(missing_ok=True)
    for schedule in DATA.glob("beat-schedule*"):
        schedule.unlink()
    if not os.environ.get("DATABASE_URL"):
        Embedded(fast=False).remove()


def prepare_database(running: Services, reset: bool) -> None:
    """Database, roles, migrations and demonstration: whatever of it is still missing."""
    with psycopg.connect(running.admin_url, autocommit=True) as admin:
        if reset and not running.embedded:
            drop_own_database(admin, running)
        created = create_database(admin, running.database)
    with psycopg.connect(running.admin_url_of(running.database), autocommit=True) as connection:
        bootstrap_roles(connection, running.database, running.passwords)
    with psycopg.connect(running.url("migrator"), autocommit=True) as connection:
        connection.execute("SET ROLE fynlo_owner")
        note = read_note(connection)
        if created:
            write_note(connection, note := {"made_by": "script/server"})
        if note.get("schema") != (schema := schema_fingerprint()) or not all_migrated(connection):
            say("server", "migrating the database")
            manage(running, "migrator", "migrate", "--verbosity", "0")
            write_note(connection, note := {**note, "schema": schema})
        if not connection.execute("SELECT 1 FROM restaurants_restaurant LIMIT 1").fetchone():
            say("server", "loading the demonstration")
            DEMO.touch(mode=0o600)
            reader = terminal_environment("http://127.0.0.1")  # there will be one; its port is not chosen yet
            DEMO.write_text(manage(running, "platform", "load_demo", **reader))


def drop_own_database(admin: psycopg.Connection, running: Services) -> None:
    """On a given server: remove the database only if script/server made it."""
    found = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [running.database]).fetchone()
    if not found:
        return
    with psycopg.connect(running.admin_url_of(running.database)) as connection:
        if read_note(connection).get("made_by") != "script/server":
            raise ServicesError(f"{running.database} was not made by script/server: drop it yourself.")
    admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(running.database)))


def read_note(connection: psycopg.Connection) -> dict:
    """What this script remembers of a database: in the database, so that it can never be of another."""
    row = connection.execute("SELECT obj_description(to_regnamespace('definer'), 'pg_namespace')").fetchone()
    try:
        return dict(json.loads(row[0])) if row and row[0] else {}
    except ValueError:
        return {}


def write_note(connection: psycopg.Connection, note: dict) -> None:
    connection.execute(sql.SQL("COMMENT ON SCHEMA definer IS {}").format(sql.Literal(json.dumps(note))))


def migrations() -> list[Path]:
    return sorted([*ROOT.glob("*/migrations/[0-9]*.py"), *ROOT.glob("fynlo/*/migrations/[0-9]*.py")])


def schema_fingerprint() -> str:
    """Changes whenever `migrate` might have work; asking Django itself takes a second."""
    digest = hashlib.sha256()
    for path in (ROOT / "requirements.txt", ROOT / "fynlo/settings.py", *migrations()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def all_migrated(connection: psycopg.Connection) -> bool:
    """Whether every migration of ours is applied: somebody may have migrated back by hand."""
    try:
        rows = connection.execute("SELECT app, name FROM django_migrations").fetchall()
    except psycopg.errors.UndefinedTable:
        return False
    return {(path.parent.parent.name, path.stem) for path in migrations()} <= set(rows)


def manage(running: Services, role: str, *arguments: str, **environment: str) -> str:
    """Run a management command as one of the logins; its output, or an end with its errors."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=base_environment() | running.environment(role) | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise ServicesError(f"manage.py {arguments[0]} failed:\n{done.stdout}".strip())
    return done.stdout


# --- the processes


@dataclass
class Addresses:
    """The ports in use, all on loopback. `metrics` is for each process that has any."""

    web: int
    ws: int
    platform: int
    terminal: int
    metrics: dict[str, int] = field(default_factory=dict)

    @classmethod
    def free_from(cls, first: int) -> "Addresses":
        taken: set[int] = set()
        ports = {}
        for offset, name in enumerate(("web", "ws", "platform", "terminal")):
            ports[name] = next_free_port(first + offset, taken)
            if ports[name] != first + offset:
                say("server", f"port {first + offset} is taken: {name} listens on {ports[name]}")
        metrics, port = {}, 9100
        for name in ("web", "ws", "platform", "worker", "beat"):
            metrics[name] = port = next_free_port(port, taken)
        return cls(**ports, metrics=metrics)

    def url(self, name: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{getattr(self, name)}"


def next_free_port(port: int, taken: set[int]) -> int:
    while port in taken or not is_free(port):
        port += 1
    taken.add(port)
    return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def base_environment() -> dict[str, str]:
    return {
        **os.environ,
        "ENVIRONMENT": "development",
        "DEBUG": os.environ.get("DEBUG", "0"),
        "DEMO": "1",
        "SECRET_KEY": secret("secret-key"),
        "JWT_SECRET_KEY": secret("jwt-key"),
        "METRICS_PORT": "0",
        # A year is replayed in minutes here, and everybody comes from one address.
        "RATE_LIMIT_FACTOR": os.environ.get("RATE_LIMIT_FACTOR", "100"),
        "PYTHONUNBUFFERED": "1",
    }


class Program:
    """One of the application's processes, started again with growing pauses when it dies."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.start_at = 0.0
        self.pause = 1.0
        self._unfinished = b""

    def start(self) -> None:
        self.started = time.monotonic()
        # A session of its own, so that Ctrl-C reaches this script alone, and everything that the
        # process starts can be ended with it.
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def read(self) -> bool:
        """Print what has come; False at the end of the output."""
        assert self.process and self.process.stdout
        data = os.read(self.process.stdout.fileno(), 65536)
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if not data and self._unfinished:
            lines, self._unfinished = [self._unfinished], b""
        for line in filter(bytes.strip, lines):
            say(self.name, line.decode(errors="replace").rstrip())
        return bool(data)

    def tell(self, number: signal.Signals) -> None:
        """Signal the process itself; it ends its own children in order."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)

    def sweep(self) -> None:
        """End at once whatever the process started and left behind."""
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def note_death(self) -> None:
        assert self.process
        code = self.process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        self.pause = 1.0 if time.monotonic() - self.started > 60 else min(self.pause * 2, LONGEST_PAUSE)
        self.start_at = time.monotonic() + self.pause
        self.process = None
        say("server", f"{self.name} {how}; starting it again in {self.pause:.0f} s")


def die_with_parent() -> None:
    """Even kill -9 of this script leaves nothing behind: the kernel tells the child."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def own_environment(at: Addresses) -> dict[str, str]:
    return {
        "ENVIRONMENT": "development",
        "DEMO": "1",
        "SECRET_KEY": secret("secret-key"),
        "JWT_SECRET_KEY": secret("jwt-key"),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "BASE_URL": at.url("web"),
        "PLATFORM_URL": at.url("platform"),
        "WEBSOCKET_URL": at.url("ws", "ws"),
        **terminal_environment(at.url("terminal")),
    }


def terminal_environment(url: str) -> dict[str, str]:
    """The test terminal stands in for Square, unless the environment names a sandbox of Square's own."""
    if os.environ.get("SQUARE_BASE_URL") or os.environ.get("SQUARE_ACCESS_TOKEN"):
        return {}
    return {"SQUARE_BASE_URL": url, "SQUARE_WEBHOOK_SIGNATURE_KEY": TERMINAL_KEY}


def write_environment(running: Services, at: Addresses) -> None:
    """For manage.py in another terminal: the environment of each database login."""
    path = DATA / "environment.json"
    path.touch(mode=0o600)
    own = own_environment(at)
    environments = {login: own | running.environment(login) for login in ("app", "platform", "migrator")}
    backups = {"BACKUP_DIR": str(DATA / "backups"), "ADMIN_DATABASE_URL": running.admin_url}
    environments["backup"] = own | running.environment("backup") | backups
    path.write_text(json.dumps(environments))


def empty_directory(name: str) -> str:
    directory = DATA / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return str(directory)


def programs(running: Services, at: Addresses) -> list[Program]:
    """Web first: it is what somebody waits for."""
    common = base_environment() | own_environment(at)

    def program(name: str, role: str, *command: str, **environment: str) -> Program:
        own = {"METRICS_PORT": str(at.metrics.get(name, 0)), "PYTHONWARNINGS": CELERY_AS_ROOT, **environment}
        return Program(name, [sys.executable, "-m", *command], common | running.environment(role) | own)

    def granian(port: int, workers: int) -> tuple[str, ...]:
        return (
            *("granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", str(workers), "--blocking-threads", "4", "--log-level", "warning"),
            # One that is told to stop while it still starts would never hear of it again.
            *("--workers-kill-timeout", "5s", "fynlo.wsgi:application"),
        )

    return [
        program(
            "web", "app", *granian(at.web, workers=2), PROMETHEUS_MULTIPROC_DIR=empty_directory("metrics")
        ),
        program(
            "ws",
            "app",
            *("daphne", "-b", "127.0.0.1", "-p", str(at.ws), "-v", "0", "--websocket_timeout", "-1"),
            *("--ping-interval", "20", "--ping-timeout", "30"),
            *("--websocket-max-message-size", "65536", "fynlo.asgi:application"),
        ),
        program("platform", "platform", *granian(at.platform, workers=1)),
        program(
            "worker",
            "app",
            *("celery", "-A", "fynlo", "--quiet", "worker", "--pool", "threads", "--concurrency", "4"),
        ),
        Program(
            "terminal",
            [
                *(sys.executable, str(ROOT / "script/_terminal.py"), str(at.terminal)),
                *("--webhook", f"{at.url('web')}/webhooks/square"),
            ],
            common,
        ),
        program(
            "beat",
            "app",
            *("celery", "-A", "fynlo", "--quiet", "beat", "--pidfile="),
            *("--schedule", str(DATA / "beat-schedule")),
        ),
    ]


class Supervisor:
    """Starts the programs, prints their output, starts the dead again, and stops them in order."""

    def __init__(self, running: Services, at: Addresses) -> None:
        self.running = running
        self.at = at
        self.programs = programs(running, at)
        self.selector = selectors.DefaultSelector()
        self.stop_signals = 0

    def run(self) -> int:
        (DATA / "static").mkdir(exist_ok=True)  # where collectstatic would write
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        try:
            self._serve()
        finally:
            self._stop()
        return 0

    def _note_signal(self, number: int, frame: object) -> None:
        self.stop_signals += 1

    def _serve(self) -> None:
        unanswered = ["web", "ws", "platform"]
        deadline = time.monotonic() + READY_WITHIN
        next_look = 0.0
        while not self.stop_signals:
            for program in self.programs:
                # Web alone at first: somebody waits for it, and starting takes all the processors.
                may_start = program.name == "web" or "web" not in unanswered
                if program.process is None and may_start and time.monotonic() >= program.start_at:
                    self._start(program)
            self._print_output(timeout=0.1)
            for program in self.programs:
                if program.process and program.process.poll() is not None:
                    self._forget(program)
            for name in [name for name in unanswered if answers(f"{self.at.url(name)}/health")]:
                unanswered.remove(name)
                if name == "web":
                    say("server", f"web answers{since_start()}")
                if not unanswered:
                    self._announce()
            if unanswered and time.monotonic() > deadline:
                say("server", f"no answer yet from {', '.join(unanswered)}: see the lines above")
                deadline += READY_WITHIN
            if self.running.embedded and time.monotonic() > next_look:
                next_look = time.monotonic() + 1
                for name in self.running.embedded.revive():
                    say("server", f"{name} had ended and runs again")

    def _start(self, program: Program) -> None:
        program.start()
        assert program.process and program.process.stdout
        self.selector.register(program.process.stdout, selectors.EVENT_READ, program.read)

    def _print_output(self, timeout: float) -> None:
        for key, _ in self.selector.select(timeout):
            read: Callable[[], bool] = key.data
            if not read():
                self.selector.unregister(key.fileobj)

    def _forget(self, program: Program) -> None:
        assert program.process and program.process.stdout
        program.sweep()
        with contextlib.suppress(KeyError):
            self.selector.unregister(program.process.stdout)
        program.process.stdout.close()
        program.note_death()

    def _stop(self) -> None:
        """Ask, wait, then insist; a second signal insists at once. Servers are stopped by services()."""
        signals_before = self.stop_signals
        say("server", "stopping")
        for program in self.programs:
            program.tell(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and self.stop_signals == signals_before:
            if all(
                program.process is None or program.process.poll() is not None for program in self.programs
            ):
                break
            if self.selector.get_map():
                self._print_output(timeout=0.05)
            else:
                time.sleep(0.05)
        for program in self.programs:
            program.sweep()

    def _announce(self) -> None:
        web, platform = self.at.url("web"), self.at.url("platform")
        rows = {
            "back office": f"{web}/admin/",
            "kitchen screen": f"{web}/kitchen/",
            "API": f"{web}/api/docs/",
            "platform console": f"{platform}/",
            "TEST TERMINAL": f"{self.at.url('terminal')}/",
            "websockets": f"{self.at.url('ws', 'ws')}/ws/",
            "metrics": " ".join(f"127.0.0.1:{port}" for port in self.at.metrics.values()),
        }
        lines = [
            "",
            f"Fynlo is ready{since_start()}.",
            "",
            *(f"  {what:<18}{where}" for what, where in rows.items()),
        ]
        if DEMO.exists():
            lines += ["", *DEMO.read_text().rstrip().splitlines()]
        lines += ["", "Ctrl-C stops everything; the data stays. script/server --reset starts afresh.", ""]
        print("\n".join(lines), flush=True)


def since_start() -> str:
    began = os.environ.get("FYNLO_STARTED_AT", "").replace(",", ".")
    return f" in {time.time() - float(began):.1f} s" if began else ""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own http address
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def say(name: str, text: str) -> None:
    prefix = f"[{name}]".ljust(10)
    if sys.stdout.isatty():
        prefix = f"\033[{COLOURS.get(name, 37)}m{prefix}\033[0m"
    print(f"{prefix} {text}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ServicesError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
