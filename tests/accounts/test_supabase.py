"""Signing in by Supabase, against a server that speaks its protocol on loopback."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.db import transaction

from accounts import supabase
from accounts.models import User
from fynlo.ratelimit import LIMITS
from tests.client import ApiClient

from .conftest import row

PATH = "/api/v1/sign-in/supabase"


class Supabase:
    """The part of Supabase Auth that Fynlo asks: its public keys, and whom a token belongs to."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.published = {"k1": self.key}
        self.person = {"id": "u-1", "email": "", "email_confirmed_at": "2026-01-01T00:00:00Z"}
        self.asked = []
        self.status = 200
        self.body = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("apikey"), self.headers.get("Authorization")))
                document = outer.person if self.path == "/auth/v1/user" else outer.jwks()
                body = outer.body or json.dumps(document).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def jwks(self):
        ours = {"alg": "ES256", "use": "sig"}
        make = jwt.algorithms.ECAlgorithm.to_jwk
        return {
            "keys": [
                {**make(k.public_key(), as_dict=True), **ours, "kid": i} for i, k in self.published.items()
            ]
        }

    def token(self, key=None, algorithm="ES256", kid="k1", **changes):
        claims = {
            **{"aud": "authenticated", "iss": f"{self.url}/auth/v1", "sub": "u-1", "exp": time.time() + 600},
            **{"email": "of-the-token@example.test", "user_metadata": {"email_verified": True}},
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def cloud(settings, monkeypatch):
    made = Supabase()
    settings.SUPABASE_URL, settings.SUPABASE_ANON_KEY = made.url, "anon-key"
    monkeypatch.setattr(supabase, "keys", supabase._Keys())
    yield made
    made.server.shutdown()


@pytest.fixture
def ada(cloud, waiter):
    """A waiter whom Supabase knows by the same address, written differently."""
    cloud.person["email"] = row(waiter).user.email.upper()
    return waiter


def sign_in(token, **more):
    return ApiClient().post(PATH, {"access_token": token, **more})


def test_a_member_signs_in_and_the_session_is_ours(cloud, ada, events, api):
    answer = sign_in(cloud.token())
    assert answer.status_code == 200, answer.content
    assert answer.json()["staff"]["id"] == str(ada.membership_id)
    client = api(restaurant_id=ada.restaurant_id)
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    assert client.get("me").json()["staff"]["id"] == str(ada.membership_id)
    assert [(e.kind, e.payload["method"]) for e in events()] == [("staff.signed_in", "supabase")]
    assert [(path, key) for path, key, _ in cloud.asked] == [
        ("/auth/v1/.well-known/jwks.json", "anon-key"),
        ("/auth/v1/user", "anon-key"),
    ]


STRANGE_EC = ec.generate_private_key(ec.SECP256R1())
STRANGE_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda c: c.token(STRANGE_EC), id="signed by somebody else"),
        pytest.param(lambda c: c.token(STRANGE_RSA, "RS256"), id="another kind of key"),
        pytest.param(lambda c: c.token("x" * 32, "HS256"), id="a shared secret"),
        pytest.param(lambda c: jwt.encode({"sub": "u-1"}, None, "none"), id="unsigned"),
        pytest.param(lambda c: c.token(kid="k2"), id="an unknown key"),
        pytest.param(lambda c: c.token(aud="anon"), id="another audience"),
        pytest.param(lambda c: c.token(iss="https://evil.example/auth/v1"), id="another issuer"),
        pytest.param(lambda c: c.token(exp=time.time() - 60), id="expired"),
        pytest.param(lambda c: c.token(exp=None), id="for ever"),
        pytest.param(lambda c: c.token(sub="u-2"), id="somebody else's"),
        pytest.param(lambda c: "not.a.token", id="nonsense"),
    ],
)
def test_nothing_else_is_believed(cloud, ada, events, token):
    answer = sign_in(token(cloud))
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_failed")
    assert events() == []


@pytest.mark.parametrize("change", [{"email_confirmed_at": None}, {"email": ""}, {"email": None}])
def test_an_address_counts_only_once_supabase_has_verified_it(cloud, ada, change):
    cloud.person.update(change)
    assert sign_in(cloud.token()).json()["code"] == "sign_in_failed"


def test_whoever_signed_out_there_is_out(cloud, ada):
    assert sign_in(cloud.token()).status_code == 200
    cloud.status = 403
    assert sign_in(cloud.token()).json()["code"] == "sign_in_failed"


def test_only_members_and_active_people(cloud, ada, dba):
    cloud.person["email"] = "nobody-here@example.test"
    assert sign_in(cloud.token()).json()["code"] == "sign_in_failed"
    assert not User.objects.filter(email="nobody-here@example.test").exists()
    cloud.person["email"] = row(ada).user.email
    dba.execute("UPDATE accounts_user SET is_active = false WHERE id = %s", [row(ada).user.pk])
    assert sign_in(cloud.token()).json()["code"] == "sign_in_failed"


def test_another_restaurant_is_refused(cloud, ada, stranger):
    answer = sign_in(cloud.token(), restaurant_id=stranger.restaurant_id)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_a_member")


def test_keys_are_fetched_once_and_again_for_a_new_one(cloud, ada, monkeypatch):
    def fetches():
        return len([path for path, *_ in cloud.asked if path.endswith("jwks.json")])

    for _ in range(3):
        assert sign_in(cloud.token()).status_code == 200
    assert fetches() == 1
    for _ in range(3):  # a stranger's tokens do not make us ask each time
        sign_in(cloud.token(kid="nonsense"))
    assert fetches() == 1
    monkeypatch.setattr(supabase, "KEYS_PAUSE", 0.0)
    cloud.published["k2"] = new = ec.generate_private_key(ec.SECP256R1())
    assert sign_in(cloud.token(new, kid="k2")).status_code == 200
    assert fetches() == 2
    monkeypatch.setattr(supabase, "KEYS_LIFE", 0.0)
    del cloud.published["k1"]
    assert sign_in(cloud.token()).status_code == 401  # taken back there


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"x" * 70_000])
def test_nonsense_from_there_is_as_good_as_silence(cloud, ada, body):
    cloud.body = body
    answer = sign_in(cloud.token())
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "supabase_away", "5")


def test_silence_from_there_says_so(cloud, ada, settings):
    cloud.status = 500
    assert sign_in(cloud.token()).status_code == 503
    settings.SUPABASE_URL = "http://127.0.0.1:1"
    assert sign_in(cloud.token()).status_code == 503


def test_it_is_not_there_unless_it_is_configured(settings):
    settings.SUPABASE_URL = ""
    assert sign_in("x").status_code == 404


def test_it_is_limited_by_address(cloud, limits_in_force, monkeypatch):
    monkeypatch.setitem(LIMITS, "supabase", 1)
    client = ApiClient()
    answers = [client.post(PATH, {"access_token": "x"}).status_code for _ in range(2)]
    assert answers == [401, 429]


def test_never_inside_a_transaction(cloud):
    with transaction.atomic(), pytest.raises(RuntimeError):
        supabase.verified_email("x")
