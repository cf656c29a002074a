"""After a release: does what serves do what it must. Asked over the network, as a till would."""

import base64
import json
import os
import secrets
import socket
import ssl
import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import psycopg
import redis
from django.conf import settings
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from fynlo.redis_servers import connect
from fynlo.tenancy.scope import restaurant_scope
from orders.consumers import NOT_SIGNED_IN, PROTOCOL
from restaurants.models import Restaurant

from . import Checklist, Failed, Skipped

AFTER = Checklist()

CALLS = 50
SLOWEST = 0.5  # seconds, of 95 in 100 calls
LEAST_DAYS = 14  # of the certificate: renewing begins at 30
MOST_ERRORS = 0.001
QUEUE = "celery"
QUEUE_PATIENCE = 20.0  # seconds
KITCHEN = "/ws/v1/restaurants/1/kitchen"


@dataclass
class Context:
    """What is asked. `base_url` may be a process inside: then we say what its proxy would."""

    base_url: str
    expect_version: str = ""
    ws_url: str = ""
    prometheus: str = ""
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        public = urlsplit(settings.BASE_URL)
        headers = {"User-Agent": "fynlo-verify-deployment"}
        if not self.is_public:
            headers |= {"Host": public.netloc, "X-Forwarded-Proto": public.scheme}
        self.client = httpx.Client(
            base_url=self.base_url, headers=headers, timeout=10, follow_redirects=False
        )

    @property
    def is_public(self) -> bool:
        return urlsplit(self.base_url).netloc == urlsplit(settings.BASE_URL).netloc

    @property
    def is_tls(self) -> bool:
        return self.base_url.startswith("https://")

    def get(self, path: str, **options: object) -> httpx.Response:
        try:
            return self.client.get(path, **options)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            raise Failed(f"GET {path}: {error or type(error).__name__}") from None


@AFTER.check("health", "It says that it is well")
def health(context: Context) -> str:
    answer = context.get("/health")
    body = _json(answer)
    if answer.status_code != 200 or body.get("status") not in ("ok", "degraded"):
        raise Failed(
            f"/health: {answer.status_code} {body.get('status', '')} {body.get('checks', '')}".strip()
        )
    if body["status"] == "degraded":
        raise Failed(f"/health: degraded, {body.get('checks', 'Redis does not answer')}")
    return "ok"


@AFTER.check("version", "It is the version that was deployed")
def version(context: Context) -> str:
    body = _json(context.get("/version"))
    found = body.get("version", "")
    if context.expect_version and found != context.expect_version:
        raise Failed(f"it is {found or 'nothing known'}, expected {context.expect_version}")
    return " ".join(part for part in (found, body.get("colour", ""), body.get("git_sha", "")[:12]) if part)


@AFTER.check("tls", "Its certificate is valid, and for two more weeks")
def tls(context: Context) -> str:
    if not context.is_tls:
        raise Skipped("asked inside, where there is no TLS")
    parts = urlsplit(context.base_url)
    host = parts.hostname or ""
    try:
        with (
            socket.create_connection((host, parts.port or 443), timeout=10) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
        ):
            certificate, protocol = secure.getpeercert(), secure.version()
    except OSError as error:
        raise Failed(str(error)) from None
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str((certificate or {})["notAfter"])), UTC)
    days = (ends - datetime.now(UTC)).days
    if days < LEAST_DAYS:
        raise Failed(f"the certificate ends in {days} days: deploy/host/renew-certificate.sh")
    return f"{protocol}, {days} days"


HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'",
}


@AFTER.check("headers", "Pages carry their security headers, each once")
def headers(context: Context) -> str:
    answer = context.get("/admin/login/")
    problems = []
    wanted = dict(HEADERS)
    if context.is_tls:
        wanted["Strict-Transport-Security"] = "max-age="
    for name, beginning in wanted.items():
        values = answer.headers.get_list(name)
        if len(values) != 1:
            problems.append(f"{name} stands there {len(values)} times")
        elif not values[0].startswith(beginning):
            problems.append(f"{name} is {values[0]!r}")
    policy = answer.headers.get("Content-Security-Policy", "")
    if "unsafe-inline" in policy or "unsafe-eval" in policy:
        problems.append("Content-Security-Policy allows inline or evaluated code")
    if problems:
        raise Failed("; ".join(problems))
    return f"{len(wanted)} headers"


@AFTER.check("fence", "One restaurant sees no row of another, and writes none")
def fence(context: Context) -> str:
    if settings.DB_ROLE != "app":
        raise Skipped(f"DB_ROLE is {settings.DB_ROLE}; the application's own login has to ask")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM definer.active_restaurants() LIMIT 2")
        ids = [restaurant_id for (restaurant_id,) in cursor.fetchall()]
    if len(ids) < 2:
        raise Skipped(f"there are {len(ids)} restaurants, and two are needed to look")
    for own, other in (ids, ids[::-1]):
        _sees_only_its_own(own, other)
    _sees_nothing_outside()
    return f"restaurants {ids[0]} and {ids[1]}, each way, and nobody"


def _sees_only_its_own(own: int, other: int) -> None:
    with restaurant_scope(own), connection.cursor() as cursor:
        if list(Restaurant.objects.filter(pk__in=[own, other]).values_list("pk", flat=True)) != [own]:
            raise Failed(f"restaurant {own} sees restaurant {other}, or not itself: stop serving")
        for table in ("orders_order", "payments_paymentintent", "restaurants_menuitem"):
            cursor.execute(f"SELECT count(*) FROM {table} WHERE restaurant_id <> %s", [own])  # noqa: S608
            if cursor.fetchone() != (0,):
                raise Failed(f"restaurant {own} sees others' rows of {table}: stop serving")
    try:
        with restaurant_scope(own), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO restaurants_kitchenstation (id, restaurant_id, name, position)"
                " VALUES (gen_random_uuid(), %s, 'probe', 0)",
                [other],
            )
            transaction.set_rollback(True)
    except ProgrammingError as error:
        if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
            return
        raise
    raise Failed(f"restaurant {own} could write a row of restaurant {other}: stop serving")


def _sees_nothing_outside() -> None:
    """Past our own guard, which would refuse to ask at all."""
    with transaction.atomic(), connection.cursor() as cursor:
        if cursor.cursor.execute("SELECT count(*) FROM orders_order").fetchone() != (0,):
            raise Failed("without a restaurant, orders are seen: stop serving")


@AFTER.check("websocket", "A websocket opens, and refuses a stranger")
def websocket(context: Context) -> str:
    url = context.ws_url or _ws_url(context)
    status, code = _handshake(f"{url}{KITCHEN}")
    if status != 101:
        raise Failed(f"{url}: answered {status or 'nothing'}, not 101")
    if code != NOT_SIGNED_IN:
        raise Failed(f"{url}: closed a stranger's socket with {code or 'nothing'}, not with {NOT_SIGNED_IN}")
    return f"opened, and closed with {NOT_SIGNED_IN}"


@AFTER.check("webhook", "A webhook that its provider did not sign is refused")
def webhook(context: Context) -> str:
    headers = {"Stripe-Signature": "t=1,v1=00", "Content-Type": "application/json"}
    try:
        answer = context.client.post("/webhooks/stripe", content=b"{}", headers=headers)
    except httpx.HTTPError as error:
        raise Failed(str(error)) from None
    if answer.status_code == 404:
        raise Skipped("the platform has no Stripe account of its own")
    if answer.status_code != 400:
        raise Failed(f"answered {answer.status_code}, not 400")
    return "400"


@AFTER.check("static", "Static files are served, to be kept for a year")
def static(context: Context) -> str:
    from django.contrib.staticfiles.storage import staticfiles_storage

    path = staticfiles_storage.url("fynlo/page.css")
    answer = context.get(path)
    if answer.status_code != 200 and not context.is_public and settings.PRODUCTION:
        raise Skipped(f"{path}: nginx serves these, and this is inside")
    if answer.status_code != 200 or not answer.headers.get("Content-Type", "").startswith("text/css"):
        raise Failed(f"{path}: {answer.status_code} {answer.headers.get('Content-Type', '')}")
    if settings.PRODUCTION and "max-age=31536000" not in answer.headers.get("Cache-Control", ""):
        raise Failed(f"{path}: Cache-Control is {answer.headers.get('Cache-Control', 'not there')}")
    return path


@AFTER.check("queue", "A task goes through the queue and is done by a worker")
def queue(context: Context) -> str:
    from fynlo.ops.tasks import echo

    token, clock = secrets.token_hex(8), time.monotonic()
    key = f"fynlo:echo:{token}"
    try:
        with connect(settings.REDIS_URL, socket_timeout=30, socket_connect_timeout=2) as client:
            echo.apply_async((token,), expires=QUEUE_PATIENCE, queue=QUEUE)
            if client.blpop([key], timeout=QUEUE_PATIENCE) is None:
                raise Failed(
                    f"no worker took it within {QUEUE_PATIENCE:.0f} s: is the worker up? (diagnose redis)"
                )
    except redis.RedisError as error:
        raise Failed(f"Redis: {error}") from None
    return f"{time.monotonic() - clock:.2f} s"


@AFTER.check("speed", "95 of 100 calls are answered within half a second")
def speed(context: Context) -> str:
    times = []
    for _ in range(CALLS):
        clock = time.monotonic()
        status = context.get("/version").status_code
        times.append(time.monotonic() - clock)
        if status != 200:
            raise Failed(f"/version: {status} at call {len(times)}")
    p95 = statistics.quantiles(times, n=20)[-1]
    told = f"p95 of {CALLS} calls {p95 * 1000:.0f} ms"
    if p95 > SLOWEST:
        raise Failed(f"{told}, more than {SLOWEST * 1000:.0f} ms")
    return told


@AFTER.check("errors", "Fewer than one request in a thousand failed in the last five minutes")
def errors(context: Context) -> str:
    if not context.prometheus:
        raise Skipped("no --prometheus URL to ask")
    from fynlo.ops.slo import ERROR_RATIO, NoAnswer, ask

    try:
        ratio = ask(context.prometheus, ERROR_RATIO.format(window="5m"))
    except NoAnswer as error:
        raise Failed(str(error)) from None
    if ratio is None:
        raise Skipped("Prometheus has seen no request in five minutes")
    if ratio > MOST_ERRORS:
        raise Failed(f"{ratio:.2%} of requests failed")
    return f"{ratio:.3%} of requests failed"


@AFTER.check("cache", "The cache answers and keeps what it is given")
def cache(context: Context) -> str:
    from django.core.cache import cache as shared

    token = secrets.token_hex(8)
    shared.set("global:verify-deployment", token, 30)
    if shared.get("global:verify-deployment") != token:
        raise Failed("it forgets at once or is down: the service works without it, slower (diagnose redis)")
    return "answers; warm_cache fills it"


@AFTER.check("notified", "Somebody is told: Slack or the status page is set up")
def notified(context: Context) -> str:
    notify = settings.ENV.notify
    places = [
        name
        for name, is_there in (
            ("Slack", notify.slack_webhook),
            ("the status page", notify.statuspage_id and notify.statuspage_component),
        )
        if is_there
    ]
    if not places:
        raise Skipped("neither SLACK_WEBHOOK nor STATUSPAGE_ID is set")
    return " and ".join(places)


AFTER.ask("support", "Support has been told that it is done, and watches for an hour")


def _json(answer: httpx.Response) -> dict[str, str]:
    try:
        body = answer.json()
    except json.JSONDecodeError:
        raise Failed(f"{answer.url.path}: {answer.status_code}, and not JSON") from None
    return dict(body)


# --- a websocket's handshake, without a library of the tests in production


def _ws_url(context: Context) -> str:
    """Behind nginx the same address; inside, the container beside web-blue is ws-blue."""
    if context.is_public and settings.WEBSOCKET_URL:
        return str(settings.WEBSOCKET_URL)
    parts = urlsplit(context.base_url)
    host = parts.hostname or ""
    if host.startswith("web-"):
        return f"ws://ws-{host.removeprefix('web-')}:8001"
    if settings.WEBSOCKET_URL:
        return str(settings.WEBSOCKET_URL)
    return f"{'wss' if context.is_tls else 'ws'}://{parts.netloc}"


def _handshake(url: str) -> tuple[int, int]:
    """The status of the upgrade, and the code with which the server then closes (0 where it does not)."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "wss"
    public = urlsplit(settings.BASE_URL)
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {parts.path} HTTP/1.1\r\nHost: {public.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n"
        f"Authorization: Bearer nobody\r\nX-Forwarded-Proto: {public.scheme}\r\n\r\n"
    )
    try:
        with socket.create_connection(
            (parts.hostname, parts.port or (443 if is_tls else 80)), timeout=10
        ) as plain:
            stream = plain
            if is_tls:
                stream = ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
            stream.sendall(request.encode())
            with stream.makefile("rb") as reader:
                status = int([*reader.readline().split(), b"0", b"0"][1])
                while reader.readline() not in (b"\r\n", b""):
                    pass
                return status, _closing_code(reader) if status == 101 else 0
    except (OSError, ValueError) as error:
        raise Failed(f"{url}: {error}") from None


def _closing_code(reader) -> int:  # type: ignore[no-untyped-def]
    """Read frames up to the one that closes (RFC 6455, 5.2; a server's frames have no mask)."""
    while True:
        head = reader.read(2)
        if len(head) < 2:
            return 0
        length = head[1] & 0x7F
        if length == 126:
            length = int.from_bytes(reader.read(2), "big")
        payload = reader.read(length)
        if head[0] & 0x0F == 0x8:
            return int.from_bytes(payload[:2], "big")
