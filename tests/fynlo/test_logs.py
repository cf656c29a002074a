"""Logs say what happened, where and for which member, and never who a guest or a person is."""

import io
import json
import logging
import re

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import Membership, Role
from accounts.services import password_link
from accounts.views import MeView
from fynlo.logs import ContextFilter, JsonFormatter, redact
from fynlo.mail import MailNotConfigured
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from tests import factories
from tests.accounts.conftest import PASSWORD, give_password, row
from tests.client import ApiClient
from tests.orders.scene import look_at

WANDA = "Wanda Woolf-Nobody"  # by name, so that no line of this file in a traceback holds it


class Logs:
    """What a process in production would have written: its records, and its lines of requests."""

    def __init__(self, capfd):
        self.capfd = capfd
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(JsonFormatter())
        self.handler.addFilter(ContextFilter())

    def read(self):
        """All of it as text, and the lines of requests as documents."""
        written = self.capfd.readouterr().err
        requests = [json.loads(x) for x in written.splitlines() if x.startswith('{"time"')]
        records = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return written + self.stream.getvalue(), [*requests, *records]


@pytest.fixture
def logs(capfd, settings):
    settings.LOG_REQUESTS = True
    found = Logs(capfd)
    root = logging.getLogger()
    levels = root.level
    root.addHandler(found.handler)
    root.setLevel(logging.DEBUG)
    yield found
    root.removeHandler(found.handler)
    root.setLevel(levels)


def test_a_request_leaves_one_line(waiter, api, logs):
    answer = api(waiter).get("me?secret=in-the-query")
    _, lines = logs.read()
    (line,) = [line for line in lines if line["logger"] == "fynlo.requests"]
    assert line.pop("ms") > 0
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", line.pop("time"))
    assert line == {
        "level": "INFO",
        "logger": "fynlo.requests",
        "message": "request",
        "request_id": answer["X-Request-ID"],
        "restaurant_id": waiter.restaurant_id,
        "membership_id": str(waiter.membership_id),
        "device_id": None,
        "method": "GET",
        "route": "api/v1/restaurants/<restaurant_id:restaurant_id>/me",
        "status": 200,
    }


def test_the_next_request_of_the_thread_is_nobodys(waiter, api, logs):
    api(waiter).get("me")
    Client().get("/nowhere/ada@example.test")
    _, lines = logs.read()
    requests = [line for line in lines if line["logger"] == "fynlo.requests"]
    assert [(x["status"], x["route"], x["membership_id"], x["restaurant_id"]) for x in requests[1:]] == [
        (404, None, None, None)
    ]


def test_a_probe_is_worth_no_line_while_all_is_well(logs):
    Client().get("/health/live")
    _, lines = logs.read()
    assert [line for line in lines if line["logger"] == "fynlo.requests"] == []


def test_an_evening_leaves_nobody_in_the_logs(restaurant, waiter, manager, api, logs, monkeypatch):
    email = give_password(waiter)
    wanda = factories.staff(restaurant, Role.WAITER, WANDA)
    link = password_link(row(wanda).user)
    scene, client = look_at(restaurant), api(waiter)

    signed_in = ApiClient().post("/api/v1/sign-in", {"email": email, "password": PASSWORD}).json()
    ApiClient().post("/api/v1/sign-in", {"email": email, "password": "a wrong-password-typed"})
    stranger = ApiClient(restaurant_id=restaurant.pk)
    stranger.headers["Authorization"] = f"Bearer {signed_in['token']}x"
    stranger.get("me")
    order = scene.takeaway(scene.burger(note="for Zacharias"), customer_name="Ada Lovelace-Byron", send=True)
    assert client.post("orders", order).status_code == 201
    client.post("orders", {**order, "customer_name": "Ada Lovelace-Byron" * 9})
    client.post(f"orders/{order['id']}/payments", {"id": str(uuid7()), "method": "cash"})
    client.post(f"orders/{order['id']}/receipt/mail", {"address": "ada@guests.example.test"})
    api(manager).post("staff", {"name": WANDA, "role": "waiter", "email": "w@x.example.test"})
    browser = Client()
    page = browser.get(link.removeprefix("http://127.0.0.1:8000"), follow=True)
    assert page.status_code == 200
    browser.options(link.removeprefix("http://127.0.0.1:8000"))
    Client(enforce_csrf_checks=True).post(link.removeprefix("http://127.0.0.1:8000"), {})
    with restaurant_scope(restaurant.pk), pytest.raises(IntegrityError) as refusal, transaction.atomic():
        Membership.objects.create(name=WANDA, role=Role.WAITER)
    logging.getLogger("tests").error("Refused", exc_info=refusal.value)

    def fail(*args, **kwargs):
        raise ValueError(f"cannot serve {email}")

    monkeypatch.setattr(MeView, "get", fail)
    client.http.raise_request_exception = False
    assert client.get("me").status_code == 500

    text, lines = logs.read()
    token = link.rpartition("/")[2]
    for personal in (
        *("Lovelace", "Zacharias", "Woolf-Nobody", "guests.example.test", "x.example.test", "wrong-password"),
        *(email, PASSWORD, token, signed_in["token"], signed_in["token"].split(".")[2]),
    ):
        assert personal not in text, personal
    assert (lines[0]["route"], lines[0]["membership_id"]) == ("api/v1/sign-in", str(waiter.membership_id))
    failed = [x for x in lines if x["logger"] == "django.request"]
    assert [(x["level"], x["restaurant_id"], x["membership_id"]) for x in failed] == [
        ("ERROR", restaurant.pk, str(waiter.membership_id))
    ]
    assert "ValueError: cannot serve [e-mail]" in failed[0]["exception"]
    assert len([x for x in lines if x["logger"] == "fynlo.requests"]) == 13


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to ada.l+tag@mail.example.co.uk now", "to [e-mail] now"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [token]"),
        ("fyd.7.Zm9vYmFy_-x", "fyd.7.[token]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln", "[token]"),
        ("GET /set-password/MQ/abc-123 failed", "GET /set-password/[token] failed"),
        ("Key (name)=(O'Brien (Jr)) already exists.", "Key (name)=(…) already exists."),
        ("Failing row contains (1, Ada, null).", "Failing row contains (…)."),
        ("4242 4242 4242 4242", "[card number]"),
        ("3 orders at 12:30, 50 % more", "3 orders at 12:30, 50 % more"),
    ],
)
def test_what_is_hidden(text, shown):
    assert redact(text) == shown


def test_without_a_mail_service_nothing_is_printed(settings, capfd):
    settings.EMAIL_BACKEND = "fynlo.mail.EmailBackend"
    with pytest.raises(MailNotConfigured, match="RESEND_API_KEY is not set"):
        mail.send_mail("Your receipt", "Ada", None, ["ada@example.test"])
    assert "Ada" not in "".join(capfd.readouterr())
