"""Sentry is told of errors, with ids and without people; a good request costs nothing."""

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.conf import settings

from tests import factories

DRIVE = """
import cProfile, json, pstats, sys
import django
django.setup()
import sentry_sdk
from django.test import Client
from accounts.views import MeView

url, token, card = sys.argv[1:]
client = Client(raise_request_exception=False)
headers = {"Host": "localhost", "Cookie": "fynlo_device=c00kie"}
headers |= {"Authorization": f"Bearer {token}", "X-Request-ID": "request-of-the-test"}
assert client.get(url, headers=headers).status_code == 200
profile = cProfile.Profile()
profile.runcall(client.get, url, headers=headers)
ours = [name for name in pstats.Stats(profile).stats if "sentry_sdk" in name[0]]

def fail(self, request, restaurant_id):
    customer = "Ada Lovelace-Byron"
    raise ValueError(f"cannot serve ada@example.test with {card}")

MeView.get = fail
assert client.get(url + "?q=in-the-query", headers=headers).status_code == 500
sentry_sdk.flush(20)
print(json.dumps({"calls": ours, "integrations": sorted(sentry_sdk.get_client().integrations)}))
"""


@pytest.fixture
def ingest():
    """Sentry's ingestion, as far as its client can tell: keeps the envelopes."""
    envelopes = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            envelopes.append((self.path, body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://public@127.0.0.1:{server.server_address[1]}/7", envelopes
    server.shutdown()


def test_an_error_arrives_with_ids_and_without_people(ingest, waiter):
    dsn, envelopes = ingest
    token = factories.token_of(waiter)
    env = {**os.environ, "SENTRY_DSN": dsn, "GIT_SHA": "abc1234", "DJANGO_SETTINGS_MODULE": "fynlo.settings"}
    url = f"/api/v1/restaurants/{waiter.restaurant_id}/me"
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, url, token, "4242 4242 4242 4242"],
        cwd=settings.BASE_DIR,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome == {"calls": [], "integrations": ["logging"]}

    events = [
        json.loads(line)
        for path, body in envelopes
        if path == "/api/7/envelope/"
        for line in body.splitlines()
        if b'"event_id"' in line and b'"level"' in line
    ]
    (event,) = events
    assert (event["release"], event["environment"], event["level"]) == ("abc1234", "test", "error")
    assert event["tags"] == {
        "request_id": "request-of-the-test",
        "restaurant_id": str(waiter.restaurant_id),
        "membership_id": str(waiter.membership_id),
    }
    (raised,) = event["exception"]["values"]
    assert (raised["type"], raised["value"]) == (
        "ValueError",
        "cannot serve [e-mail] with [card number]",
    )
    assert raised["stacktrace"]["frames"][-1]["function"] == "fail"
    assert not {"user", "request", "extra", "breadcrumbs", "server_name"} & event.keys()
    text = b"".join(body for _, body in envelopes).decode()
    for personal in ("Lovelace", "example.test", "4242", "c00kie", token, "in-the-query", "REMOTE_ADDR"):
        assert personal not in text, personal
