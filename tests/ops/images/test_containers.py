"""The images are built, the stack of docker/compose.yaml comes up, and an order goes through it.

script/containers runs this: it takes minutes and both processors, so script/test alone leaves it out.
"""

import contextlib
import http.client
import json
import os
import secrets
import shutil
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

from fynlo.tenancy.fields import uuid7
from tests.databases import ROOT
from tests.ops.images.engine import Engine, Images, build_images, engine, say
from tests.processes import free_port

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("TEST_CONTAINERS"), reason="takes minutes: script/containers runs it"
    ),
    pytest.mark.timeout(900),
]

VERSION, GIT_SHA = "1.0.0-test", "0123456789abcdef0123456789abcdef01234567"
HOST = "pos.fynlo.test"
APPLICATION = ("web-blue", "ws-blue", "platform", "worker", "beat", "backup")
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

    def id(self, service: str) -> str:
        return self.compose("ps", "--quiet", "--all", service)

    def inspect(self, service: str) -> dict[str, Any]:
        return json.loads(self.engine.docker("inspect", self.id(service)))[0]

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any, Any]:
        """Status, document (or bytes) and headers."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
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


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with engine() as running, tempfile.TemporaryDirectory(prefix="fynlo-stack-") as place:
        images = build_images(running, VERSION, GIT_SHA)
        directory = Path(place)
        directory.chmod(0o755)  # the containers' users look into it
        for part in ("docker", "deploy"):
            shutil.copytree(ROOT / part, directory / part, symlinks=True)
        active = directory / "deploy/nginx/upstreams/active.conf"
        active.unlink(missing_ok=True)
        active.symlink_to("blue.conf")
        if not (directory / "deploy/postgres/postgresql.conf").exists():  # XXX
            (directory / "deploy/postgres").mkdir(exist_ok=True)
            (directory / "deploy/postgres/postgresql.conf").write_text(
                "listen_addresses='*'\nmax_connections=100\nhba_file='/var/lib/postgresql/data/pg_hba.conf'\nident_file='/var/lib/postgresql/data/pg_ident.conf'\n"
            )
        (directory / "log/nginx").mkdir(parents=True)
        values = environment_file(directory, running, images)
        made = Stack(running, images, directory, compose_environment(directory, images), values)
        try:
            start(made)
            yield made
        finally:
            made.compose("--profile", "*", "down", "--volumes", "--timeout", "5", check=False)


def compose_environment(directory: Path, images: Images) -> dict[str, str]:
    """What docker/.env would say on a host."""
    return {
        "COMPOSE_PROJECT_NAME": f"fynlo-test-{secrets.token_hex(4)}",
        "FYNLO_VERSION": VERSION,
        "FYNLO_IMAGE": images.api.rpartition(":")[0],
        "FYNLO_BACKUP_IMAGE": images.api.rpartition(":")[0],
        "FYNLO_POSTGRES_IMAGE": images.postgres,
        "REDIS_IMAGE": images.servers,
        "NGINX_IMAGE": images.servers,
        "FYNLO_ETC": str(directory / "etc"),
        "FYNLO_LOGS": str(directory / "log"),
        "FYNLO_LISTEN": "127.0.0.1:",
        "FYNLO_HTTP": str(free_port()),
        "FYNLO_HTTPS": str(free_port()),
    }


def environment_file(directory: Path, engine: Engine, images: Images) -> dict[str, str]:
    """A new installation's, made by the image itself and put in place as on a host; returns its values."""
    text = engine.docker(
        "run", "--rm", "--read-only", "--network", "none", images.api, "manage", "generate_secrets"
    )
    text = text.replace("\nBASE_URL=\n", f"\nBASE_URL=https://{HOST}\n")
    path = directory / "environment"
    path.write_text(text)
    subprocess.run([ROOT / "deploy/host/install-secrets", path, directory / "etc"], check=True)
    path.unlink()
    lines = [line.partition("=") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in lines if value}


def start(stack: Stack) -> None:
    """As deploy/README.md says it for a new server, with a demonstration in the end."""
    say("starting the database and both Redis")
    stack.compose("up", "--detach", "--no-build", "--wait", "postgres", "redis", "redis-cache")
    say("making roles and tables")
    stack.compose("run", "--rm", "manage", "manage", "bootstrap_roles")
    stack.compose("run", "--rm", "migrate", "manage", "migrate", "--verbosity", "0")
    stack.compose("run", "--rm", "collect")
    demo = ("-e", "ENVIRONMENT=development", "platform", "manage", "load_demo")
    stack.compose("run", "--rm", "--no-deps", *demo)
    say("starting everything else")
    stack.compose("--profile", "blue", "up", "--detach", "--no-build", "--wait", "--wait-timeout", "180")


def test_every_container_is_healthy(stack: Stack) -> None:
    health = {name: stack.inspect(name)["State"]["Health"]["Status"] for name in (*APPLICATION, *SERVERS)}

    assert health == dict.fromkeys((*APPLICATION, *SERVERS), "healthy")


def test_an_order_goes_through(stack: Stack) -> None:
    """Through nginx with TLS to web, written by fynlo_app, paid and closed."""
    status, signed_in, _ = stack.call(
        "POST", "/api/v1/sign-in", {"email": "owner@demo.example", "password": "demo-owner-2026"}
    )
    assert status == 200, signed_in
    token, base = signed_in["token"], f"/api/v1/restaurants/{signed_in['restaurant']['id']}"
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
