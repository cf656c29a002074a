"""The real nginx with our files, before an application that tells what it heard."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.databases import ROOT

from .stage import Stage

GIXY = "gixy-ng==0.2.59"

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here: script/tools edge, as root")


class Teller(BaseHTTPRequestHandler):
    """Answers what it was asked, as JSON; paths of their own get other statuses."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        self.rfile.read(size)
        told = {"name": self.server.name, "path": self.path, "size": size, "headers": dict(self.headers)}
        told["padding"] = "x" * 2000
        body = json.dumps(told).encode()
        self.send_response(401 if self.path.startswith("/api/v1/sign-in") else 200)
        self.send_header(
            "Content-Type", "text/html" if self.path.startswith("/admin") else "application/json"
        )
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Strict-Transport-Security", "max-age=1")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def telling(name: str, port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), Teller)
    server.daemon_threads = True
    server.name = name  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def edge() -> Iterator[Stage]:
    """nginx with blue in use, and green and the console beside it."""
    directory = Path(tempfile.mkdtemp(prefix="fynlo-nginx-"))
    directory.chmod(0o755)
    stage = Stage(directory, "none")
    static = directory / "web/static/kitchen"
    static.mkdir(parents=True)
    (static / "screen.js").write_text("1;")
    (static / "screen.0123456789ab.js").write_text("2;")
    (static / "screen.0123456789ab.js.gz").write_bytes(b"packed")
    (directory / "web/media/items").mkdir(parents=True)
    (directory / "web/media/items/soup.svg").write_text("<svg onload='alert()'/>")
    (directory / "web/acme/.well-known/acme-challenge").mkdir(parents=True)
    (directory / "web/acme/.well-known/acme-challenge/token").write_text("proof")
    with contextlib.ExitStack() as stack:
        for colour in ("blue", "green"):
            stack.enter_context(telling(colour, stage.port("web", colour)))
        stack.enter_context(telling("console", stage.platform))
        stack.callback(shutil.rmtree, directory)
        stack.enter_context(stage.nginx())
        yield stage


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


def ask(
    edge: Stage,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    host: str = "localhost",
    source: str = "127.0.0.1",
    **headers: str,
) -> Answer:
    context = edge.tls
    connection = http.client.HTTPSConnection(
        "127.0.0.1", edge.https, timeout=30, context=context, source_address=(source, 0)
    )
    raw = socket.create_connection(("127.0.0.1", edge.https), timeout=30, source_address=(source, 0))
    connection.sock = context.wrap_socket(raw, server_hostname=host)
    with contextlib.closing(connection):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Host": host, **sent})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


# The files


def test_nginx_accepts_them_and_gixy_finds_nothing(edge):
    configuration = edge.directory / "nginx/nginx.conf"
    tested = subprocess.run(["nginx", "-t", "-c", configuration], capture_output=True, text=True)
    assert (tested.returncode, "[warn]" in tested.stderr) == (0, False), tested.stderr
    looked = subprocess.run([gixy(), configuration], capture_output=True, text=True)
    assert "No issues found." in looked.stdout, looked.stdout + looked.stderr


def gixy() -> Path:
    """In an environment of its own: it and its relatives overwrite each other."""
    program = ROOT / ".data/gixy/bin/gixy"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", ROOT / ".data/gixy"], check=True)
        command = [ROOT / ".data/gixy/bin/pip", "install", "--quiet", GIXY]
        installed = subprocess.run(command, capture_output=True, text=True)
        if installed.returncode:
            shutil.rmtree(ROOT / ".data/gixy")
            pytest.skip(f"gixy cannot be installed here: {installed.stderr[-300:]}")
    return program


def test_newer_nginx_gets_what_the_older_does_not_know(tmp_path):
    (tmp_path / "bin").mkdir()
    newer = tmp_path / "bin/nginx"
    newer.write_text("#!/bin/sh\necho 'nginx version: nginx/1.28.1' >&2\n")
    newer.chmod(0o755)
    environment = {
        "PATH": f"{newer.parent}:{os.environ['PATH']}",
        "BASE_URL": "https://pos.example",
        "RUN": str(tmp_path / "run"),
        "CERTIFICATES": str(tmp_path / "none"),
        "HSTS_SECONDS": "63072000",
    }
    subprocess.run([ROOT / "deploy/nginx/render.sh", tmp_path / "out"], env=environment, check=True)
    text = {path.name: path.read_text() for path in (tmp_path / "out").rglob("*.conf")}
    assert text["fynlo.conf"].count("http2 on;") == 2
    assert "ssl http2" not in text["fynlo.conf"]
    assert "keepalive_min_timeout" in text["nginx.conf"]
    assert "max-age=63072000; includeSubDomains; preload" in text["fynlo.conf"]
    assert "console.conf" not in text or "CONSOLE" not in text["console.conf"]
    assert not [name for name, content in text.items() if re.search(r"@[A-Z_]+@", content)]


# Doors


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_only_tls_1_2_and_1_3_and_only_under_our_name(edge):
    def greet(version: ssl.TLSVersion, host: str = "localhost") -> str:
        context = edge.tls
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.set_alpn_protocols(["h2", "http/1.1"])
        raw = socket.create_connection(("127.0.0.1", edge.https), timeout=30)
        with context.wrap_socket(raw, server_hostname=host) as greeted:
            return f"{greeted.version()} {greeted.selected_alpn_protocol()}"

    assert greet(ssl.TLSVersion.TLSv1_2) == "TLSv1.2 h2"
    assert greet(ssl.TLSVersion.TLSv1_3) == "TLSv1.3 h2"
    with pytest.raises(ssl.SSLError):
        greet(ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        greet(ssl.TLSVersion.TLSv1_3, host="somewhere.else")


def plain(edge: Stage, path: str, host: str) -> Answer:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", edge.http, timeout=30)) as connection:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def test_plain_http_leads_to_https_and_proves_the_name(edge):
    moved = plain(edge, "/kitchen/?station=1", "localhost")
    assert (moved.status, moved.headers["Location"]) == (308, "https://localhost/kitchen/?station=1")
    moved = plain(edge, "/", "console.localhost")
    assert moved.headers["Location"] == "https://console.localhost/"
    assert plain(edge, "/.well-known/acme-challenge/token", "localhost").body == b"proof"
    with pytest.raises(ConnectionResetError):
        plain(edge, "/", "somewhere.else")


def test_the_console_has_its_own_name(edge):
    assert ask(edge, "/", host="console.localhost").told["name"] == "console"
    assert ask(edge, "/").told["name"] == "blue"


def test_staff_may_look_at_the_idle_colour(edge):
    assert ask(edge, "/version", X_Version="idle").told["name"] == "green"
    assert ask(edge, "/version", X_Version="idle", source="127.0.0.9").told["name"] == "blue"
    assert ask(edge, "/version", X_Version="green").told["name"] == "blue"


# What the application hears


def test_what_a_client_says_of_itself_is_overwritten(edge):
    forged = {
        "X_Forwarded_For": "203.0.113.1, 203.0.113.2",
        "X_Forwarded_Proto": "http",
        "X_Forwarded_Host": "evil.example",
        "X_Real_IP": "203.0.113.1",
        "Forwarded": "for=203.0.113.1",
        "X_Request_ID": "mine-mine-mine",
        "X_Version": "idle",
        "Connection": "keep-alive",
    }
    heard = ask(edge, "/api/v1/anything", source="127.0.0.7", **forged).told["headers"]
    assert heard["X-Forwarded-For"] == "127.0.0.7"
    assert heard["X-Forwarded-Proto"] == "https"
    assert re.fullmatch("[0-9a-f]{32}", heard["X-Request-ID"])
    assert heard["Host"] == "localhost"
    assert {"X-Forwarded-Host", "X-Real-Ip", "X-Real-IP", "Forwarded", "X-Version"}.isdisjoint(heard)


def test_bodies_have_a_limit_by_where_they_go(edge):
    body = b"x" * (1024 * 1024 + 1)
    refused = ask(edge, "/api/v1/orders", "POST", body)
    assert (refused.status, refused.headers["Content-Type"]) == (413, "application/problem+json")
    assert (refused.told["status"], refused.told["code"]) == (413, "too_large")
    assert ask(edge, "/admin/import/", "POST", body).told["size"] == len(body)
    photo = "/api/v1/restaurants/7/items/0197f3b2-6b1c-7c3e-8a51-0123456789ab/photo"
    assert ask(edge, photo, "POST", body).told["size"] == len(body)


# What the public gets


def test_each_header_has_one_owner(edge):
    def policies(answer: Answer) -> list[str]:
        names = ("Strict-Transport-Security", "X-Content-Type-Options")
        return [value for name in names for value in answer.headers.get_all(name, [])]

    own = ["max-age=86400", "nosniff"]
    assert policies(ask(edge, "/")) == ["max-age=1", "nosniff"]
    assert policies(ask(edge, "/static/kitchen/screen.js")) == own
    assert policies(ask(edge, "/static/kitchen/screen.0123456789ab.js")) == own
    assert policies(ask(edge, "/media/items/soup.svg")) == own
    assert policies(ask(edge, "/metrics")) == own
    assert policies(ask(edge, "/api/v1/orders", "POST", b"x" * 1100000)) == own
    assert ask(edge, "/").headers["Server"] == "nginx"


def test_static_files_come_from_the_volume_or_else_from_the_application(edge):
    hashed = ask(edge, "/static/kitchen/screen.0123456789ab.js", Accept_Encoding="gzip")
    assert (hashed.body, hashed.headers["Content-Encoding"]) == (b"packed", "gzip")
    assert "immutable" in hashed.headers.get_all("Cache-Control")[-1]
    plain_name = ask(edge, "/static/kitchen/screen.js")
    assert (plain_name.body, plain_name.headers["Cache-Control"]) == (b"1;", None)
    assert ask(edge, "/static/kitchen/other.ba9876543210.js").told["name"] == "blue"


def test_what_people_uploaded_is_shown_and_never_run(edge):
    picture = ask(edge, "/media/items/soup.svg")
    assert (picture.status, picture.body) == (200, b"<svg onload='alert()'/>")
    assert picture.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert ask(edge, "/media/items/none.png").status == 404
    assert ask(edge, "/media/%2e%2e/acme/.well-known/acme-challenge/token").told["name"] == "blue"


def test_the_api_is_compressed_and_pages_are_not(edge):
    assert ask(edge, "/api/v1/menu", Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"
    assert ask(edge, "/admin/", Accept_Encoding="gzip").headers["Content-Encoding"] is None
    assert ask(edge, "/kitchen/", Accept_Encoding="gzip").headers["Content-Encoding"] is None


def test_metrics_are_not_public(edge):
    assert ask(edge, "/metrics").status == 404


def test_a_dead_application_is_told_as_a_problem(edge):
    with dead_green(edge):
        broken = ask(edge, "/api/v1/orders", "POST", b"{}", X_Version="idle")
    assert (broken.status, broken.headers["Content-Type"]) == (503, "application/problem+json")
    assert (broken.told["code"], broken.headers["Retry-After"]) == ("unavailable", "1")


@contextlib.contextmanager
def dead_green(edge: Stage) -> Iterator[None]:
    """nginx looks for green where nobody is."""
    path = edge.directory / "upstreams/blue.conf"
    text = path.read_text()
    nobody = text.replace(f"1 127.0.0.1:{edge.port('web', 'green')}", "1 127.0.0.1:1")
    assert nobody != text
    for content, answers in ((nobody, 502), (text, 200)):
        path.write_text(content)
        edge.shell("driver_reload")
        seen: list[int] = []
        while seen[-5:] != [answers] * 5:  # the old workers take some more
            seen.append(ask(edge, "/version", X_Version="idle").status)
            assert len(seen) < 1000
        if content is nobody:
            yield


# Limits and logs


def test_ten_tills_at_one_address_are_no_flood(edge):
    with contextlib.closing(edge.keeping("127.0.0.20")) as connection:
        assert [status(connection, "GET", "/api/v1/menu") for _ in range(300)] == [200] * 300


def test_a_shift_signs_in_at_once_but_nobody_tries_on_and_on(edge):
    with contextlib.closing(edge.keeping("127.0.0.21")) as connection:
        seen = [status(connection, "POST", "/api/v1/sign-in") for _ in range(200)]
        refused = connection.headers
    assert seen[:60] == [401] * 60
    assert 429 in seen
    assert refused["Content-Type"] == "application/problem+json"
    knocks = (edge.directory / "logs/security.log").read_text().splitlines()
    shape = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 127\.0\.0\.21 (401|429) POST /api/v1/sign-in [0-9a-f]{32}"
    assert [line for line in knocks if " 127.0.0.21 " in line and not re.fullmatch(shape, line)] == []
    assert len([line for line in knocks if " 127.0.0.21 " in line]) == 200


def status(connection: http.client.HTTPSConnection, method: str, path: str) -> int:
    connection.request(method, path, headers={"Host": "localhost"})
    answer = connection.getresponse()
    answer.read()
    connection.headers = answer.headers  # type: ignore[attr-defined]
    return answer.status


def test_the_log_says_what_happened_and_not_who(edge):
    token = "c3VwZXI-secret"
    ask(edge, f"/api/v1/customers?name=Ada+{token}", source="127.0.0.30")
    ask(edge, f"/set-password/MQ/{token}/", source="127.0.0.30")
    ask(edge, '/api/v1/"quoted"\\', source="127.0.0.30")
    log = edge.directory / "logs/access.log"
    deadline = time.monotonic() + 20
    while "quoted" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[-3]["path"] == "/api/v1/customers"
    assert lines[-2]["path"] == "/set-password/"
    assert lines[-1]["path"] == '/api/v1/"quoted"\\'
    assert lines[-1]["status"] == 200
    assert re.fullmatch("[0-9a-f]{32}", lines[-1]["request_id"])
    assert not re.search(rf"{token}|127\.0\.0\.30|Ada", text)
