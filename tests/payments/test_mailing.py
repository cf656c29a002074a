"""Receipts by e-mail, through the mail service's own library to a peer that speaks its API."""

import datetime
import email.header
import email.utils
import itertools
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.mail import get_connection
from django.utils import timezone

from fynlo.events.models import Event
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import Receipt, ReceiptDelivery
from payments.providers.errors import CallInsideTransaction
from payments.services.mailing import WAITS, hint_of, send_due_receipts
from tests import factories
from tests.client import ApiClient
from tests.orders.scene import refused
from tests.peers.faults import Faults
from tests.peers.loopback import LoopbackServer, Received, Sent

from .bills import everything, paid_and_closed
from .test_receipts import SELLER

GUEST = "Olive.Oyl@example.com"


class Resend(LoopbackServer):
    """As resend.com answers POST /emails: an id, or a problem with statusCode, name and message."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.mails: list[dict[str, Any]] = []
        self.refuses = 0

    def respond(self, request: Received) -> Sent:
        assert (request.method, request.path) == ("POST", "/emails")
        assert request.headers["authorization"] == "Bearer re_test"
        if self.refuses:
            text = f"Invalid `to` field: {GUEST}"
            body = {"statusCode": self.refuses, "name": "validation_error", "message": text}
            return Sent.of_json(self.refuses, body)
        self.mails.append(json.loads(request.raw))
        return Sent.of_json(200, {"id": str(uuid.UUID(int=len(self.mails)))})


@pytest.fixture
def resend(settings) -> Iterator[Resend]:
    with Resend(Faults(slow_seconds=2)) as peer:
        settings.EMAIL_BACKEND = "anymail.backends.resend.EmailBackend"
        settings.ANYMAIL = {
            "RESEND_API_KEY": "re_test",
            "RESEND_API_URL": peer.url,
            "REQUESTS_TIMEOUT": 0.5,
        }
        settings.DEFAULT_FROM_EMAIL = "Fynlo <receipts@fynlo.example>"
        yield peer


@pytest.fixture
def restaurant():
    return factories.make_restaurant("Café £5", **SELLER)


@pytest.fixture
def closed(restaurant, till, scene) -> dict:
    return paid_and_closed(till, scene.order(scene.burger(2, "Bacon")), tendered_minor=5000)


def ask(client: ApiClient, order: dict, address: Any = GUEST):
    return client.post(f"orders/{order['id']}/receipt/mail", {"address": address})


def send(restaurant) -> int:
    with bind_restaurant(restaurant.pk):
        return send_due_receipts()


def deliveries(restaurant) -> list[ReceiptDelivery]:
    with restaurant_scope(restaurant.pk):
        return list(ReceiptDelivery.objects.order_by("created_at"))


def make_due(restaurant) -> None:
    with restaurant_scope(restaurant.pk):
        ReceiptDelivery.objects.update(next_try_at=timezone.now())


def events(restaurant) -> list[tuple[str, str, int]]:
    with restaurant_scope(restaurant.pk):
        found = Event.objects.filter(kind__startswith="receipt.mail").order_by("seq")
        return [(event.kind, event.payload["state"], event.payload["tries"]) for event in found]


def test_a_receipt_is_queued_then_sent_and_the_address_forgotten(restaurant, resend, till, closed):
    answer = ask(till, closed)
    assert answer.status_code == 202, answer.content
    shown = answer.json()
    (delivery,) = deliveries(restaurant)
    assert shown == {
        "id": str(delivery.pk),
        "order_id": closed["id"],
        "receipt_id": closed["receipt"]["id"],
        "address_hint": "O…@example.com",
        "state": "queued",
        "tries": 0,
        "created_at": shown["created_at"],
        "sent_at": None,
    }
    assert resend.mails == []
    assert send(restaurant) == 1
    (mail,) = resend.mails
    assert mail["to"] == [GUEST]
    name, sender = email.utils.parseaddr(mail["from"])
    shown = email.header.make_header(email.header.decode_header(name))
    assert (str(shown), sender) == ("Café £5", "receipts@fynlo.example")
    assert mail["subject"] == "Your receipt from Café £5"
    for passage in ["Receipt 1,", "2 x Burger, Rare, Bacon: £28.00 A", "Total: £28.00", "Change: £22.00"]:
        assert passage in mail["text"]
    assert "A 20%: net 23.33, VAT 4.67, gross 28.00" in mail["text"]
    for passage in ["<td>Paid by cash</td>", "<strong>£28.00</strong>", "This is a VAT invoice."]:
        assert passage in mail["html"]
    (delivery,) = deliveries(restaurant)
    assert (delivery.state, delivery.address, delivery.address_hint) == ("sent", "", "O…@example.com")
    assert delivery.message_id == str(uuid.UUID(int=1))
    assert delivery.sent_at is not None
    assert events(restaurant) == [("receipt.mail_queued", "queued", 0), ("receipt.mailed", "sent", 1)]
    assert send(restaurant) == 0
    with restaurant_scope(restaurant.pk):
        assert Receipt.objects.get().printed_at is None
        assert not any(GUEST in json.dumps(event.payload) for event in Event.objects.all())


def test_asked_twice_while_it_waits_it_is_one_mail(restaurant, resend, till, closed):
    first, second = ask(till, closed), ask(till, closed, GUEST.lower())
    assert first.json() == second.json()
    other = ask(till, closed, "bluto@example.com")
    assert other.json()["id"] != first.json()["id"]
    assert send(restaurant) == 2
    assert sorted(mail["to"] for mail in resend.mails) == [[GUEST], ["bluto@example.com"]]
    with restaurant_scope(restaurant.pk):
        hour = timezone.now() - datetime.timedelta(hours=1)
        ReceiptDelivery.objects.update(state="queued", address=GUEST, created_at=hour)
    assert ask(till, closed).json()["id"] not in {first.json()["id"], other.json()["id"]}


@pytest.mark.parametrize("fault", ["500_before", "429", "drop_before", "garbage_after", "slow_after"])
def test_what_fails_is_tried_again_later(restaurant, resend, till, closed, fault):
    ask(till, closed)
    resend.faults.next(fault)
    before = timezone.now()
    assert send(restaurant) == 0
    (delivery,) = deliveries(restaurant)
    assert (delivery.state, delivery.tries, delivery.address) == ("queued", 1, GUEST)
    assert delivery.last_error != ""
    assert GUEST not in delivery.last_error
    assert before + WAITS[0] <= delivery.next_try_at <= timezone.now() + WAITS[0]
    assert send(restaurant) == 0  # not yet due
    make_due(restaurant)
    assert send(restaurant) == 1
    assert events(restaurant)[-1] == ("receipt.mailed", "sent", 2)


def test_after_the_last_try_it_has_failed(restaurant, resend, till, closed):
    ask(till, closed)
    waits = []
    for _ in range(5):
        resend.faults.next("500_before")
        make_due(restaurant)
        before = timezone.now()
        assert send(restaurant) == 0
        (delivery,) = deliveries(restaurant)
        waits.append(round((delivery.next_try_at - before).total_seconds() / 60))
    assert waits[:4] == [1, 5, 30, 120]
    assert (delivery.state, delivery.tries, delivery.address) == ("failed", 5, "")
    assert delivery.last_error == "HTTP 500"
    assert delivery.sent_at is None
    make_due(restaurant)
    assert send(restaurant) == 0
    assert resend.mails == []
    assert events(restaurant)[-1] == ("receipt.mail_failed", "failed", 5)


def test_a_refused_address_fails_at_once(restaurant, resend, till, closed):
    ask(till, closed)
    resend.refuses = 422
    assert send(restaurant) == 0
    (delivery,) = deliveries(restaurant)
    assert (delivery.state, delivery.tries, delivery.last_error) == ("failed", 1, "HTTP 422")
    resend.refuses = 401  # the key, not the mail
    ask(till, closed)
    assert send(restaurant) == 0
    assert [(d.state, d.last_error) for d in deliveries(restaurant)] == [
        ("failed", "HTTP 422"),
        ("queued", "HTTP 401"),
    ]


def test_one_that_fails_does_not_hold_up_the_next(restaurant, resend, till, closed):
    for address in ("a@example.com", "b@example.com", "c@example.com"):
        ask(till, closed, address)
    resend.faults.next("500_before")
    assert send(restaurant) == 2
    assert [mail["to"][0][0] for mail in resend.mails] == ["b", "c"]


def test_two_workers_send_each_mail_once(restaurant, resend, till, closed):
    from .bills import all_at_once

    for n in range(6):
        ask(till, closed, f"guest{n}@example.com")
    assert sum(all_at_once(3, lambda n: send(restaurant))) == 6
    assert sorted(mail["to"][0] for mail in resend.mails) == [f"guest{n}@example.com" for n in range(6)]


def test_mail_is_never_sent_inside_a_transaction(restaurant, resend, till, closed):
    ask(till, closed)
    with restaurant_scope(restaurant.pk), pytest.raises(CallInsideTransaction):
        send_due_receipts()
    assert deliveries(restaurant)[0].tries == 0


def test_what_is_no_address_or_no_receipt_is_refused(restaurant, till, scene, closed):
    bill = till.post("orders", scene.order(scene.burger())).json()
    before = everything(restaurant)
    for address in ("", "x", "a@b", "a@example.com\nBcc: b@example.com", f"{'a' * 250}@example.com", None, 7):
        refused(ask(till, closed, address), 400, "invalid", "address")
    refused(ask(till, bill), 404, "no_receipt")
    assert everything(restaurant) == before
    assert deliveries(restaurant) == []


def test_a_stranger_mails_nothing(restaurant, other_restaurant, stranger, till, scene, cook, closed):
    before = everything(restaurant)
    refused(ask(ApiClient(stranger, restaurant_id=restaurant.pk), closed), 403, "wrong_restaurant")
    refused(ask(ApiClient(stranger), closed), 404, "no_receipt")
    refused(ask(ApiClient(cook), closed), 403, "permission_denied")
    refused(ask(ApiClient(restaurant_id=restaurant.pk), closed), 401, "not_authenticated")
    assert everything(restaurant) == before
    assert deliveries(restaurant) == []


def test_another_restaurants_mail_is_not_ours_to_send(restaurant, other_restaurant, resend, till, closed):
    ask(till, closed)
    assert send(other_restaurant) == 0
    assert (resend.mails, deliveries(restaurant)[0].tries) == ([], 0)


def test_an_address_is_kept_as_a_hint():
    assert hint_of("olive@example.com") == "o…@example.com"
    assert len(hint_of(f"o@{'x' * 200}.com")) == 120
    assert list(itertools.pairwise(WAITS)) == sorted(itertools.pairwise(WAITS))


def test_the_mail_service_is_given_ten_seconds():
    """As the settings have it, not as the peer above is asked: a worker's thread waits no longer."""
    backend = get_connection("anymail.backends.resend.EmailBackend", api_key="re_test")
    assert backend.timeout == 10
