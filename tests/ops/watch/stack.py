"""The application, its exporters, Prometheus and Alertmanager, all real, on loopback and in a hurry."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml
from psycopg.conninfo import conninfo_to_dict

from fynlo.tenancy.fields import uuid7
from tests.databases import ROOT, admin_url, role_url
from tests.ops.watch.programs import MONITORING, program
from tests.peers.loopback import LoopbackServer, Received, Sent
from tests.processes import BIN, free_port, running, wait_until_ready

sys.path.insert(0, str(ROOT / "script"))
from _services import _base_directory, _Programs, _service_user

PATIENCE = 240.0  # seconds; all of it starts at once, on two cores that others use too

NGINX = """
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{}}
http {{
    access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
    fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
    server {{
        listen 127.0.0.1:{edge} ssl;
        ssl_certificate {directory}/certificate.pem; ssl_certificate_key {directory}/key.pem;
        location / {{ proxy_pass http://127.0.0.1:{web}; proxy_set_header Host 127.0.0.1; }}
    }}
    server {{ listen 127.0.0.1:{status}; location /status {{ stub_status; }} }}
}}
"""


class Slack(LoopbackServer):
    """Takes what Slack's incoming webhook takes, and keeps it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        super().__init__()

    def respond(self, request: Received) -> Sent:
        self.messages.append(json.loads(request.raw))
        return Sent(200, b"ok", {"content-type": "text/plain"})


class Stack:
    """What runs, and where. The colour in use is blue; green is stopped, as it mostly is."""

    def __init__(self, database: str, directory: Path, slack: Slack) -> None:
        self.database = database
        self.directory = directory
        self.slack = slack
        self.port = _Ports()
        self.running = contextlib.ExitStack()
        self.web_process = contextlib.ExitStack()
        self.environment = {
            "REDIS_URL": f"redis://127.0.0.1:{self.port['redis']}",
            "REDIS_CACHE_URL": f"redis://127.0.0.1:{self.port['redis-cache']}",
            "BASE_URL": f"http://127.0.0.1:{self.port['web']}",
            "BACKUP_DIR": str(self._make("backups")),
            "VERSION": "1.2.3",
            "RATE_LIMIT_FACTOR": "0",
        }

    # The application

    def start_application(self, **environment: str) -> None:
        self.environment |= environment
        for role, policy in (("redis", "noeviction"), ("redis-cache", "allkeys-lru")):
            self._start_redis(role, policy)
        self.start_web()
        ws = ["-b", "127.0.0.1", "-p", str(self.port["ws"]), "-v", "0", "--websocket_timeout", "-1"]
        self._process(
            "ws", BIN / "daphne", *ws, "fynlo.asgi:application"
        )  # no colour, or a drain elsewhere here means it
        self._process("platform", *self._granian("platform", 1), **self._login("platform"))
        celery = (BIN / "celery", "-A", "fynlo", "--quiet")
        options = ("--pool", "threads", "--concurrency", "2")
        self._process("worker", *celery, "worker", "--queues", "celery", *options, "-n", "worker@%h")
        backup = ("worker", "--queues", "backup", *options, "-n", "backup@%h")
        self._process("backup", *celery, *backup, **self._login("backup"))
        schedule = ("beat", "--pidfile=", "--schedule", str(self.directory / "beat"))
        self._process("beat", *celery, *schedule)
        for name in ("ws", "platform", "worker", "backup", "beat"):
            wait_until_ready(f"http://127.0.0.1:{self.port[name + ' metrics']}/metrics", PATIENCE)

    def start_web(self) -> None:
        shared = {"COLOUR": "blue", "PROMETHEUS_MULTIPROC_DIR": str(self._make("metrics"))}
        for left in Path(shared["PROMETHEUS_MULTIPROC_DIR"]).iterdir():
            left.unlink()
        metrics = {"METRICS_PORT": str(self.port["web metrics"])}
        command = running(self._granian("web", 2), self.database, **self.environment, **metrics, **shared)
        self.web = self.web_process.enter_context(command)
        wait_until_ready(f"http://127.0.0.1:{self.port['web']}/health", PATIENCE)

    def manage(self, *arguments: str, **environment: str) -> str:
        """A management command, as an operator runs it."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**_environ(self.database), **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _granian(self, name: str, workers: int) -> list[str | Path]:
        return [
            *(BIN / "granian", "--interface", "wsgi", "--host", "127.0.0.1"),
            *("--port", str(self.port[name]), "--workers", str(workers), "--blocking-threads", "4"),
            *("--log-level", "warning", "--workers-kill-timeout", "5s", "fynlo.wsgi:application"),
        ]

    def _login(self, role: str) -> dict[str, str]:
        admin = {"ADMIN_DATABASE_URL": admin_url()} if role == "backup" else {}
        return {"DB_ROLE": role, "DATABASE_URL": role_url(role, self.database), **admin}

    def _process(self, name: str, *command: str | Path, **environment: str) -> None:
        metrics = {"METRICS_PORT": str(self.port[f"{name} metrics"])}
        process = running(list(command), self.database, **self.environment, **metrics, **environment)
        self.running.enter_context(process)

    def _start_redis(self, name: str, policy: str) -> None:
        user = _service_user()
        server = _Programs(_base_directory(user), user).valkey()
        options = ("--bind", "127.0.0.1", "--save", "", "--maxmemory", "100mb", "--maxmemory-policy", policy)
        command = [server, "--port", str(self.port[name]), *options, "--dir", str(self._make(name))]
        self.running.enter_context(running(command, self.database))

    # What watches it

    def start_watching(self) -> None:
        self._start_edge()
        self._start_exporters()
        self._start("prometheus-alertmanager", "alertmanager", *self._alertmanager(), path="/-/ready")
        data = f"--storage.tsdb.path={self._make('tsdb')}"
        config = f"--config.file={self._prometheus()}"
        self._start("prometheus", "prometheus", config, data, "--log.level=error", path="/-/ready")

    def _start_edge(self) -> None:
        """A little nginx with TLS and a status page, for its exporter and for the look from outside."""
        paths = {"-keyout": self.directory / "key.pem", "-out": self.directory / "certificate.pem"}
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *(
                    "-nodes",
                    "-days",
                    "90",
                    "-subj",
                    "/CN=127.0.0.1",
                    "-addext",
                    "subjectAltName=IP:127.0.0.1",
                ),
                *(str(part) for pair in paths.items() for part in pair),
            ],
            check=True,
            capture_output=True,
        )
        ports = {name: self.port[name] for name in ("edge", "web", "status")}
        configuration = self.directory / "nginx.conf"
        configuration.write_text(NGINX.format(directory=self.directory, **ports))
        nginx = [program("nginx"), "-c", str(configuration), "-p", str(self.directory)]
        self.running.enter_context(running(nginx, self.database))

    def _start_exporters(self) -> None:
        parts = conninfo_to_dict(role_url("monitor", self.database))
        source = " ".join(f"{name}='{value}'" for name, value in parts.items()) + " sslmode=disable"
        self._start("prometheus-postgres-exporter", "postgres-exporter:9187", DATA_SOURCE_NAME=source)
        self._start("prometheus-redis-exporter", "redis-exporter:9121")
        self._start("prometheus-node-exporter", "node-exporter:9100")
        status = f"http://127.0.0.1:{self.port['status']}/status"
        self._start("prometheus-nginx-exporter", "nginx-exporter:9113", f"-nginx.scrape-uri={status}")
        modules = yaml.safe_load((MONITORING / "blackbox.yml").read_text())
        modules["modules"]["site"]["http"]["tls_config"] = {
            "ca_file": str(self.directory / "certificate.pem")
        }
        (self.directory / "blackbox.yml").write_text(yaml.dump(modules))
        config = f"--config.file={self.directory / 'blackbox.yml'}"
        self._start("prometheus-blackbox-exporter", "blackbox-exporter:9115", config)

    def _start(
        self, name: str, where: str, *arguments: str, path: str = "/metrics", **environment: str
    ) -> None:
        at = f"127.0.0.1:{self.port[where]}"
        flag = "-web.listen-address" if "redis" in name or "nginx" in name else "--web.listen-address"
        command = [program(name), *arguments, f"{flag}={at}"]
        self.running.enter_context(running(command, self.database, **environment))
        wait_until_ready(f"http://{at}{path}", PATIENCE)

    def _alertmanager(self) -> tuple[str, ...]:
        """The configuration as it is, but for the secret's place and its patience."""
        config = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
        (self.directory / "slack").write_text(f"{self.slack.url}/services/T0/B0/secret")
        config["global"]["slack_api_url_file"] = str(self.directory / "slack")
        config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        path = self.directory / "alertmanager.yml"
        path.write_text(yaml.dump(config))
        storage = f"--storage.path={self._make('alertmanager')}"
        return f"--config.file={path}", storage, "--cluster.listen-address=", "--log.level=error"

    def _prometheus(self) -> Path:
        """The configuration and the rules as they are, but for addresses and patience."""
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        # Longer would be a long test; shorter, and a busy machine looks like one that is down.
        config["global"] |= {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"}
        site = self.directory / "site.yml"
        site.write_text(yaml.dump([{"targets": [f"https://127.0.0.1:{self.port['edge']}/health"]}]))
        for job in config["scrape_configs"]:
            job.pop("scrape_interval", None)
            for group in job.get("static_configs", []):
                group["targets"] = [self._local(target) for target in group["targets"]]
            for rule in job.get("relabel_configs", []):
                if "replacement" in rule:
                    rule["replacement"] = self._local(rule["replacement"])
            if "file_sd_configs" in job:
                job["file_sd_configs"] = [{"files": [str(site)]}]
        managers = config["alerting"]["alertmanagers"][0]["static_configs"][0]
        managers["targets"] = [self._local(target) for target in managers["targets"]]
        config["rule_files"] = [str(self._make("rules") / "*.yml")]
        for path in (MONITORING / "rules").glob("*.yml"):
            rules = yaml.safe_load(path.read_text())
            for group in rules["groups"]:
                for rule in group["rules"]:
                    if "for" in rule:
                        rule["for"] = "10s"
            (self.directory / "rules" / path.name).write_text(yaml.dump(rules))
        path = self.directory / "prometheus.yml"
        path.write_text(yaml.dump(config))
        return path

    def _local(self, target: str) -> str:
        """Where on this machine a container's address is."""
        scheme, _, place = target.rpartition("://")
        service = place.partition(":")[0]
        name = {
            "localhost": "prometheus",
            "web-blue": "web metrics",
            "ws-blue": "ws metrics",
            **{name: f"{name} metrics" for name in ("platform", "worker", "beat", "backup")},
        }.get(service, service if service in ("redis", "redis-cache", "alertmanager") else place)
        return f"{scheme}://127.0.0.1:{self.port[name]}" if scheme else f"127.0.0.1:{self.port[name]}"

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers. Raises on an expression that it does not understand."""
        query = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.port['prometheus']}/api/v1/query?{query}"
        answer = httpx.get(url, timeout=30).json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def _make(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(exist_ok=True)
        return path


class _Ports(dict[str, int]):
    """A free port for each name that is asked for."""

    def __missing__(self, name: str) -> int:
        self[name] = free_port()
        return self[name]


@contextlib.contextmanager
def stack(database: str, directory: Path) -> Iterator[Stack]:
    with Slack() as slack:
        found = Stack(database, directory, slack)
        with found.running, found.web_process:  # which show what processes said, should the body fail
            yield found


class Till:
    """Asks the web process over HTTP, as somebody who is signed in."""

    def __init__(self, url: str, restaurant_id: int, token: str) -> None:
        self.client = httpx.Client(
            base_url=f"{url}/api/v1/restaurants/{restaurant_id}/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.client.post(path, json=body or {}, headers={"Idempotency-Key": str(uuid7())})


def _environ(database: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": role_url("app", database)}


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `condition` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.3)
    return found
