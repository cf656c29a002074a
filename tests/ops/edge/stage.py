"""A host in a folder: nginx with TLS, two colours on loopback, a database of their own, and deploy/bin."""

import contextlib
import http.client
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.databases import ROOT, create_test_database, drop_test_database, role_url

COLOURS = ("blue", "green")
NOT_CODE = shutil.ignore_patterns(".*", "__pycache__", "tests", "docker", "deploy", "docs", "*.log")


class Stage:
    """`directory` holds all of it. Nothing runs before the first deployment but nginx."""

    def __init__(self, directory: Path, database: str) -> None:
        self.directory = directory
        self.database = database
        self.http, self.https, self.platform = quiet_port(), quiet_port(), quiet_port()
        self.others: dict[str, int] = {}
        self.base_url = f"https://localhost:{self.https}"
        self.ports = {
            f"{service}_{colour}_PORT".upper(): str(quiet_port())
            for service in ("web", "ws", "metrics_web", "metrics_ws")
            for colour in COLOURS
        }
        self.environment = {
            **os.environ,
            **self.ports,
            "EDGE": str(directory),
            "PYTHON": sys.executable,
            "DEPLOY_STATE": str(directory / "state"),
            "DEPLOY_UPSTREAMS": str(directory / "upstreams"),
            "DEPLOY_DRIVER": str(Path(__file__).parent / "driver.sh"),
            "BASE_URL": self.base_url,
            "TRUSTED_PROXIES": "1",
            "RATE_LIMIT_FACTOR": "1000",  # a hundred requests a second come from one address here
            "TMPDIR": str(directory / "tmp"),
            "DB_ROLE": "app",
            "DATABASE_URL": role_url("app", database),
            "MIGRATION_DATABASE_URL": role_url("migrator", database),
        }
        for name in ("state", "upstreams", "releases", "tmp", "web", "metrics", "logs"):
            (directory / name).mkdir()
        shutil.copytree(ROOT, directory / "code", ignore=NOT_CODE)

    def port(self, service: str, colour: str) -> int:
        return int(self.ports[f"{service}_{colour}_PORT".upper()])

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts what render.sh made."""
        return ssl.create_default_context(cafile=self.directory / "run/certificate/fullchain.pem")

    # Releases

    def release(self, version: str, files: dict[str, str] | None = None) -> None:
        """The code of this checkout, as it was when the stage was set; with some other files."""
        target = self.directory / "releases" / version
        shutil.copytree(self.directory / "code", target)
        for name, text in (files or {}).items():
            (target / name).write_text(text)

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One of deploy/bin; its words are shown if the test fails."""
        done = subprocess.run(
            [ROOT / "deploy/bin" / script, *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        print(f"$ {script} {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        if done.returncode:
            self.show_logs()
        return done

    def shell(self, commands: str) -> None:
        """What somebody does by hand, with the driver's functions."""
        source = f"source {ROOT}/deploy/bin/lib.sh"
        subprocess.run(["bash", "-c", f"{source}\n{commands}"], env=self.environment, check=True, timeout=600)

    def manage(self, role: str, *arguments: str) -> None:
        environment = self.environment | {"DB_ROLE": role, "DATABASE_URL": role_url(role, self.database)}
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)

    @property
    def active(self) -> str:
        return (self.directory / "state/active").read_text().strip()

    # nginx

    def render(self, **environment: str) -> Path:
        """nginx's configuration as render.sh writes it, on our ports."""
        for colour in COLOURS:
            text = (ROOT / f"deploy/nginx/upstreams/{colour}.conf").read_text()
            text = re.sub(r"\b(web|ws)-(blue|green):800[01]", self._on_loopback, text)
            text = text.replace("platform:8002", f"127.0.0.1:{self.platform}")
            (self.directory / f"upstreams/{colour}.conf").write_text(text)
        active = self.directory / "upstreams/active.conf"
        active.unlink(missing_ok=True)
        active.symlink_to("blue.conf")
        target = self.directory / "nginx"
        subprocess.run(
            [ROOT / "deploy/nginx/render.sh", target],
            env={
                "PATH": os.environ["PATH"],
                "BASE_URL": self.base_url,
                "PLATFORM_URL": "https://console.localhost",
                "STAFF_ADDRESSES": "127.0.0.1",
                "CERTIFICATES": str(self.directory / "none"),
                "RUN": str(self.directory / "run"),
                "WEB_ROOT": str(self.directory / "web"),
                "ACCESS_LOG": str(self.directory / "logs/access.log"),
                "SECURITY_LOG": str(self.directory / "logs/security.log"),
                "UPSTREAMS": str(self.directory / "upstreams"),
                **environment,
            },
            check=True,
        )
        for path in (target / "conf.d").glob("*.conf"):
            text = path.read_text()
            text = re.sub(r"listen \[::\]:\d+[^;]*;", "", text)
            path.write_text(re.sub(r"listen (\d+)", lambda match: self._our_port(match[1]), text))
        return target / "nginx.conf"

    def _our_port(self, port: str) -> str:
        own = {"80": self.http, "443": self.https}.get(port) or self.others.setdefault(port, quiet_port())
        return f"listen 127.0.0.1:{own}"

    def _on_loopback(self, match: re.Match[str]) -> str:
        return f"127.0.0.1:{self.port(match[1], match[2])}"

    @contextlib.contextmanager
    def nginx(self) -> Iterator[None]:
        configuration = self.render()
        with (self.directory / "logs/nginx.log").open("w") as log:
            process = subprocess.Popen(
                ["nginx", "-c", configuration, "-g", "daemon off;"], stdout=log, stderr=log
            )
        try:
            wait_until_listening(self.https)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)

    def keeping(self, source: str) -> http.client.HTTPSConnection:
        """A connection that is kept, from an address of its own."""
        connection = http.client.HTTPSConnection("localhost", self.https, timeout=30, context=self.tls)
        raw = socket.create_connection(("127.0.0.1", self.https), timeout=30, source_address=(source, 0))
        connection.sock = self.tls.wrap_socket(raw, server_hostname="localhost")
        return connection

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.base_url}{path}", timeout=20, context=self.tls) as answer:
            return str(answer.read().decode())

    def show_logs(self) -> None:
        for log in sorted([*self.directory.glob("*.log"), self.directory / "logs/nginx.log"]):
            if log.exists():
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")


def quiet_port() -> int:
    """A free port below those that outgoing connections take: a colour must find its own still free."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until_listening(port: int) -> None:

    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def set_stage() -> Iterator[Stage]:
    directory = Path(tempfile.mkdtemp(prefix="fynlo-edge-"))
    directory.chmod(0o755)
    database = create_test_database(f"edge_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    stage = Stage(directory, database)
    try:
        with stage.nginx():
            try:
                yield stage
            finally:
                stage.shell("driver_stop blue; driver_stop green; _end worker")
    finally:
        drop_test_database(database)
        shutil.rmtree(directory, ignore_errors=True)
