"""The images are built, the stack of docker/compose.yaml comes up, and an order goes through it.

script/containers runs this: it takes minutes and both processors, so script/test alone leaves it out.
"""

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from fynlo.tenancy.fields import uuid7
from tests.databases import ROOT
from tests.ops.images.engine import Engine, Images, build_api, build_images, engine, program, say

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("TEST_CONTAINERS"), reason="takes minutes: script/containers runs it"
    ),
    pytest.mark.timeout(900),
]

VERSION, GIT_SHA = "1.0.0-test", "0123456789abcdef0123456789abcdef01234567"
HOST = "pos.fynlo.test"
APPLICATION = ("web-blue", "ws-blue", "platform", "worker", "beat", "backup")
SECRET = re.compile(r"SECRET|PASSWORD|_KEYS?$|DATABASE_URL|REDIS_.*URL")
SERVERS = ("postgres", "redis", "redis-cache", "nginx")


@dataclass(frozen=True)
class Stack:
    """`compose(...)` works on the running stack; `call(...)` asks it through nginx, as a till would."""

    engine: Engine
    images: Images
    directory: Path
    environment: dict[str, str]
    secrets: dict[str, str]

    def compose(self, *arguments: str, check: bool = True, **options: Any) -> str:
        done = subprocess.run(
            [
                *(
                    Path(sys.executable).with_name("docker-compose"),
                    "--file",
                    self.directory / "docker/compose.yaml",
                ),
                *("--progress", "plain", "--ansi", "never", *arguments),
            ],
            env={**self.engine.environment, **self.environment},
            capture_output=True,
            text=True,
            **options,
        )
        if check and done.returncode:
            logs = self.compose("logs", "--no-color", "--tail", "30", check=False)
            raise AssertionError(
                f"compose {arguments[0]} ended with {done.returncode}:\n{done.stderr[-4000:]}\n{logs[-8000:]}"
            )
        return done.stdout.strip()

    def script(self, path: str, *arguments: str) -> str:
        """One of the scripts in deploy/, with a docker that has compose."""
        environment = {**self.engine.environment, **self.environment}
        environment["PATH"] = f"{self.directory / 'bin'}:{environment['PATH']}"
        done = subprocess.run(
            [self.directory / path, *arguments], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            logs = self.compose("logs", "--no-color", "--tail", "30", check=False)
            said = f"{done.stdout[-3000:]}\n{done.stderr[-4000:]}"
            raise AssertionError(f"{path} ended with {done.returncode}:\n{said}\n{logs[-8000:]}")
        return done.stdout

    def id(self, service: str) -> str:
        return self.compose("ps", "--quiet", "--all", service)

    def inspect(self, service: str) -> dict[str, Any]:
        return json.loads(self.engine.docker("inspect", self.id(service)))[0]

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any, Any]:
        """Status, document (or bytes) and headers."""
        context = trusting()
        connection = http.client.HTTPSConnection(HOST, context=context, timeout=30)
        port = int(self.environment["FYNLO_HTTPS"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=30)
        connection.sock = context.wrap_socket(plain, server_hostname=HOST)
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            data = answer.read()
        is_json = "json" in (answer.headers["Content-Type"] or "")
        return answer.status, json.loads(data) if is_json else data, answer.headers


def trusting() -> ssl.SSLContext:
    """The certificate is one that nginx made itself."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with engine() as running, tempfile.TemporaryDirectory(prefix="fynlo-stack-") as place:
        images = build_images(running, VERSION, GIT_SHA)
        directory = Path(place)
        directory.chmod(0o755)  # the containers' users look into it
        for part in ("docker", "deploy"):
            shutil.copytree(ROOT / part, directory / part, symlinks=True)
        for left in (directory / "deploy/state").iterdir():  # by whoever deploys from this checkout
            left.unlink()
        docker_with_compose(directory)
        (directory / "log/nginx").mkdir(parents=True)
        values = environment_file(directory, running, images)
        made = Stack(running, images, directory, compose_environment(directory, images), values)
        try:
            start(made)
            yield made
        finally:
            made.compose("--profile", "*", "down", "--volumes", "--timeout", "5", check=False)


def docker_with_compose(directory: Path) -> None:
    """`docker compose`, as hosts have it, of the two programs that are here."""
    both = directory / "bin/docker"
    both.parent.mkdir()
    compose = Path(sys.executable).with_name("docker-compose")
    both.write_text(
        f'#!/bin/sh\n[ "$1" = compose ] || exec {program("docker")} "$@"\nshift\n'
        f'exec {compose} --progress plain --ansi never "$@"\n'
    )
    both.chmod(0o755)


def compose_environment(directory: Path, images: Images) -> dict[str, str]:
    """What docker/.env would say on a host."""
    return {
        "COMPOSE_PROJECT_NAME": f"fynlo-test-{secrets.token_hex(4)}",
        "FYNLO_VERSION": VERSION,
        "FYNLO_IMAGE": images.api.rpartition(":")[0],
        "FYNLO_BACKUP_IMAGE": images.backup.rpartition(":")[0],
        "FYNLO_POSTGRES_IMAGE": images.postgres,
        "REDIS_IMAGE": images.servers,
        "NGINX_IMAGE": images.servers,
        "FYNLO_ETC": str(directory / "etc"),
        "FYNLO_LOGS": str(directory / "log"),
        "FYNLO_LISTEN": "127.0.0.1:",
        "FYNLO_HTTP": str(port_for_later()),
        "FYNLO_HTTPS": str(port_for_later()),
    }


def port_for_later() -> int:
    """A free one, and none of those that the kernel deals out: minutes pass until nginx takes it."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment_file(directory: Path, engine: Engine, images: Images) -> dict[str, str]:
    """A new installation's, made by the image itself and put in place as on a host; returns its values."""
    command = ("run", "--rm", "--read-only", "--network", "none", images.api, "manage", "generate_secrets")
    made = subprocess.run(
        [program("docker"), *command], env=engine.environment, capture_output=True, text=True, check=True
    )
    text = made.stdout
    text = text.replace("\nBASE_URL=\n", f"\nBASE_URL=https://{HOST}\n")
    path = directory / "environment"
    path.write_text(text)
    subprocess.run([ROOT / "deploy/host/install-secrets", path, directory / "etc"], check=True)
    path.unlink()
    lines = [line.partition("=") for line in text.splitlines() if line and not line.startswith("#")]
    (identity,) = re.findall(r"AGE-SECRET-KEY-\w+", made.stderr)  # shown once, on the terminal
    return {name: value for name, _, value in lines if value} | {"BACKUP_AGE_IDENTITY": identity}


def start(stack: Stack) -> None:
    """As deploy/README.md says it for a new server, with a demonstration in the end."""
    say("deploy/host/first-start.sh")
    stack.script("deploy/host/first-start.sh", VERSION)
    say("loading the demonstration")
    demo = ("-e", "ENVIRONMENT=development", "platform", "manage", "load_demo")
    stack.compose("run", "--rm", "--no-deps", *demo)


def sign_in(stack: Stack) -> tuple[str, str]:
    """The owner's token, and the path of the restaurant."""
    person = {"email": "owner@demo.example", "password": "demo-owner-2026"}
    status, signed_in, _ = stack.call("POST", "/api/v1/sign-in", person)
    assert status == 200, signed_in
    return signed_in["token"], f"/api/v1/restaurants/{signed_in['restaurant']['id']}"


def test_every_container_is_healthy(stack: Stack) -> None:
    health = {name: stack.inspect(name)["State"]["Health"]["Status"] for name in (*APPLICATION, *SERVERS)}

    assert health == dict.fromkeys((*APPLICATION, *SERVERS), "healthy")


def test_an_order_goes_through(stack: Stack) -> None:
    """Through nginx with TLS to web, written by fynlo_app, paid and closed."""
    token, base = sign_in(stack)
    menu = stack.call("GET", f"{base}/menu", token=token)[1]
    dishes = [item for category in menu["categories"] for item in category["items"]]
    chips = next(item for item in dishes if item["name"] == "Chips")
    line = {"id": str(uuid7()), "menu_item_id": chips["id"], "quantity": 2, "modifiers": []}
    order = {"id": str(uuid7()), "kind": "takeaway", "items": [line]}

    status, opened, _ = stack.call("POST", f"{base}/orders", order, token)
    assert (status, opened["total_minor"]) == (201, 2 * chips["price_minor"]), opened
    assert stack.call("POST", f"{base}/orders/{order['id']}/send", {}, token)[0] == 200
    payment = {"id": str(uuid7()), "method": "cash", "tendered_minor": opened["total_minor"] + 100}
    status, paid, _ = stack.call("POST", f"{base}/orders/{order['id']}/payments", payment, token)
    assert (status, paid["change_minor"], paid["balance_due_minor"]) == (201, 100, 0), paid
    assert stack.call("POST", f"{base}/orders/{order['id']}/close", {}, token)[0] == 200
    assert stack.call("GET", f"{base}/orders/{order['id']}", token=token)[1]["status"] == "closed"


def test_a_kitchen_screen_connects_through_nginx(stack: Stack) -> None:
    """To the process for sockets, which tells a newcomer what there is."""
    token, base = sign_in(stack)
    port = int(stack.environment["FYNLO_HTTPS"])
    with connect(
        f"wss://{HOST}/ws/v1{base.removeprefix('/api/v1')}/kitchen",
        sock=socket.create_connection(("127.0.0.1", port), timeout=30),
        ssl=trusting(),
        server_hostname=HOST,
        subprotocols=[Subprotocol("fynlo.kitchen.v1")],
        additional_headers={"Authorization": f"Bearer {token}"},
    ) as screen:
        screen.send(json.dumps({"t": "hello", "v": 1, "last_seq": 0, "epoch": None}))
        first = json.loads(screen.recv(timeout=30))

    assert (first["t"], first["v"]) == ("snapshot", 1)
    assert first["seq"] > 0


def test_the_release_says_what_it_is(stack: Stack) -> None:
    """In its labels, and to everybody who asks."""
    labels = json.loads(
        stack.engine.docker("inspect", "--format", "{{json .Config.Labels}}", stack.images.api)
    )

    assert labels == {
        "org.opencontainers.image.title": "Fynlo",
        "org.opencontainers.image.version": VERSION,
        "org.opencontainers.image.revision": GIT_SHA,
        "org.opencontainers.image.created": "2026-11-24T12:00:00Z",
    }
    status, said, _ = stack.call("GET", "/version")
    assert (status, said["version"], said["git_sha"], said["colour"]) == (200, VERSION, GIT_SHA, "blue")


def test_nginx_serves_the_releases_static_files(stack: Stack) -> None:
    """Under names that mean the same for ever, from the volume that `collect` fills."""
    status, page, _ = stack.call("GET", "/admin/login/")
    assert status == 200
    sheet = re.search(rb'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', page)
    assert sheet

    status, _, headers = stack.call("GET", sheet[1].decode())
    assert (status, headers["Server"]) == (200, "nginx")
    assert headers.get_all("Cache-Control") == ["max-age=315360000", "public, immutable"]


@pytest.mark.parametrize("service", APPLICATION)
def test_a_process_can_do_nothing_to_its_host(stack: Stack, service: str) -> None:
    """A number for a user, no capability, no way to get one, no system call of an administrator."""
    status = stack.engine.docker("exec", stack.id(service), "cat", "/proc/1/status")
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

    # The backups' worker is the database's user, whose files it copies.
    assert found["Uid"].split() == ["999" if service == "backup" else "10001"] * 4
    assert found["Gid"].split() == ["10001"] * 4
    assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


@pytest.mark.parametrize("service", APPLICATION)
def test_a_process_cannot_change_its_own_code(stack: Stack, service: str) -> None:
    for path in ("/app/fynlo/settings.py", "/opt/venv/x", "/etc/x", "/run/secrets/SECRET_KEY"):
        done = subprocess.run(
            [program("docker"), "exec", stack.id(service), "sh", "-c", f": >{path}"],
            env=stack.engine.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0, path
        assert re.search("Read-only file system|Permission denied", done.stderr), path
    assert stack.inspect(service)["HostConfig"]["ReadonlyRootfs"] is True


def test_servers_run_without_root_too(stack: Stack) -> None:
    """But nginx's parent, which opens the ports and reads the certificate with four capabilities."""
    for service in ("postgres", "redis", "redis-cache"):
        status = stack.engine.docker("exec", stack.id(service), "cat", "/proc/1/status")
        assert re.search(r"(?m)^Uid:\t999\t999\t999\t999$", status), service
        assert re.search(r"(?m)^CapEff:\t0{16}$", status), service
    nginx = stack.engine.docker("exec", stack.id("nginx"), "cat", "/proc/1/status")
    capabilities = int(dict(re.findall(r"(?m)^(\w+):\t(\w+)", nginx))["CapEff"], 16)
    assert capabilities == 1 << 0 | 1 << 6 | 1 << 7 | 1 << 10  # CHOWN, SETGID, SETUID, NET_BIND_SERVICE


def test_no_secret_can_be_seen_from_outside(stack: Stack) -> None:
    """Not in the image's history or settings, not in what `docker inspect` says of a container."""
    secret = {
        name: value for name, value in stack.secrets.items() if SECRET.search(name) and len(value) >= 20
    }
    assert len(secret) >= 15
    seen = stack.engine.docker("history", "--no-trunc", stack.images.api)
    seen += stack.engine.docker("inspect", stack.images.api)
    for service in (*APPLICATION, *SERVERS):
        seen += json.dumps(stack.inspect(service))

    assert [name for name, value in secret.items() if value in seen] == []
    # And what each process has of them is a file's name.
    environment = stack.engine.docker("exec", stack.id("web-blue"), "cat", "/proc/1/environ")
    assert [name for name, value in secret.items() if value in environment] == []


def test_each_role_has_its_own_secrets_only(stack: Stack) -> None:
    held = {
        service: set(stack.engine.docker("exec", stack.id(service), "ls", "/run/secrets").split())
        for service in APPLICATION
    }

    for service in ("web-blue", "ws-blue", "worker", "beat"):
        assert "DATABASE_URL" in held[service]
        assert not {"ADMIN_DATABASE_URL", "MIGRATION_DATABASE_URL", "BACKUP_DATABASE_URL"} & held[service]
    assert {name for name in held["platform"] if name.endswith("DATABASE_URL")} == {"PLATFORM_DATABASE_URL"}
    assert "POSTGRES_PASSWORD" not in set().union(*held.values())


def test_nothing_is_in_the_image_that_does_not_run(stack: Stack) -> None:
    there = stack.engine.docker("run", "--rm", "--entrypoint", "ls", stack.images.api, "-A", "/app").split()
    assert set(there) - {"__pycache__"} == {
        *("accounts", "fynlo", "orders", "payments", "restaurants", "docker", "static", "templates"),
        *("manage.py", "requirements.txt", "staticfiles"),
    }
    search = (
        "find",
        stack.images.api,
        "/app",
        "/opt/venv",
        "-name",
        ".env*",
        "-o",
        "-name",
        ".git",
        "-o",
        "-name",
        "*.pem",
    )
    found = stack.engine.docker("run", "--rm", "--entrypoint", *search).splitlines()
    assert [path for path in found if "/site-packages/" not in path] == []
    pip = stack.engine.docker("run", "--rm", "--entrypoint", "ls", stack.images.api, "/opt/venv/bin").split()
    assert not {"pip", "pip3"} & set(pip)


def test_an_unknown_role_is_refused(stack: Stack) -> None:
    done = subprocess.run(
        [program("docker"), "run", "--rm", stack.images.api, "webb"],
        env=stack.engine.environment,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (2, "fynlo: there is no role webb.\n")


def test_redis_gives_nothing_away(stack: Stack) -> None:
    """Without a password only PING; with the application's nothing that empties or lists everything."""

    def ask(service: str, *command: str, password: str = "", user: str = "fynlo") -> str:
        login = ("-e", f"REDISCLI_AUTH={password}")
        who = ("--user", user) if password else ()
        return stack.compose("exec", "-T", *login, service, "redis-cli", *who, *command, check=False)

    password = stack.secrets["REDIS_PASSWORD"]
    for service in ("redis", "redis-cache"):
        assert ask(service, "ping") == "PONG"
        assert ask(service, "get", "x").startswith("NOPERM")
        assert ask(service, "set", "x", "1", password=password) == "OK"
        for forbidden in (
            ["flushall"],
            ["keys", "*"],
            ["config", "get", "*"],
            ["shutdown"],
        ):
            assert ask(service, *forbidden, password=password).startswith("NOPERM"), forbidden
        assert ask(service, "del", "x", password=password) == "1"
    policies = [
        re.search(r"(?m)^maxmemory_policy:(\S+)", ask(name, "info", "memory", password=password))
        for name in ("redis", "redis-cache")
    ]
    assert [policy and policy[1] for policy in policies] == ["noeviction", "allkeys-lru"]
    watching = {"password": stack.secrets["REDIS_MONITOR_PASSWORD"], "user": "monitor"}
    assert ask("redis", "llen", "celery", **watching).isdigit()
    assert ask("redis", "config", "get", "maxmemory", **watching).split() == ["maxmemory", str(256 << 20)]
    assert ask("redis", "lpush", "celery", "x", **watching).startswith("NOPERM")


def test_a_worker_that_dies_is_seen(stack: Stack) -> None:
    """The health check asks the process itself, so it fails where the process does not answer."""
    worker = stack.id("worker")
    check = [program("docker"), "exec", worker, "python", "/app/docker/api/healthcheck.py"]
    assert subprocess.run(check, env=stack.engine.environment).returncode == 0

    pids = stack.engine.docker("top", worker, "-o", "pid,args").splitlines()[1:]
    celery = next(line.split()[0] for line in pids if "celery" in line and "docker-init" not in line)
    os.kill(int(celery), signal.SIGSTOP)
    try:
        done = subprocess.run(check, env=stack.engine.environment, capture_output=True, text=True)
    finally:
        os.kill(int(celery), signal.SIGCONT)
    assert (done.returncode, done.stderr) == (1, "timed out\n")


def test_a_backup_is_taken_and_restored(stack: Stack) -> None:
    """By the backups' container, which reads the database's files; the private key comes for this once."""
    stack.compose("exec", "-T", "backup", "fynlo", "manage", "backup", "--kind", "logical")
    key = f"BACKUP_AGE_IDENTITY={stack.secrets['BACKUP_AGE_IDENTITY']}"
    verify = ("fynlo", "manage", "verify_backup", "--latest", "--restore", "--json")

    outcome = json.loads(stack.compose("exec", "-T", "-e", key, "backup", *verify))

    (verified,) = outcome["backups"]
    assert (outcome["exit"], verified["kind"]) == (0, "logical")
    assert verified["rows"] > 100


def test_the_next_release_comes_and_goes_by_its_scripts(stack: Stack) -> None:
    """deploy.sh with its own driver: green serves, blue is kept; rollback.sh: blue again, with all orders."""
    following = "1.0.1-test"
    image = build_api(stack.engine, stack.images.debian, stack.images.wheels, following, GIT_SHA)
    stack.engine.docker("tag", stack.images.backup, f"{stack.images.backup.rpartition(':')[0]}:{following}")
    token, base = sign_in(stack)
    before = stack.call("GET", f"{base}/orders", token=token)[1]

    stack.script("deploy/bin/deploy.sh", following, "--bake", "5")

    assert image.endswith(f":{following}")
    said = stack.call("GET", "/version")[1]
    assert (said["version"], said["colour"]) == (following, "green")
    assert stack.inspect("web-blue")["State"]["Status"] == "exited"
    assert stack.inspect("worker")["Config"]["Image"] == image
    assert stack.call("GET", f"{base}/orders", token=token)[1] == before

    stack.script("deploy/bin/rollback.sh")

    said = stack.call("GET", "/version")[1]
    assert (said["version"], said["colour"]) == (VERSION, "blue")
    assert stack.call("GET", f"{base}/orders", token=token)[1] == before
