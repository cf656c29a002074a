"""Receipts by e-mail, against a loopback server that takes mail as Resend does."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import ReceiptDelivery
from payments.providers.errors import CallInsideTransaction
from payments.services import mailing
from tests import factories
from tests.client import ApiClient
from tests.payments.bills import paid_and_closed
from tests.peers.loopback import LoopbackServer, Received, Sent


class Resend(LoopbackServer):
    """POST /emails, as Resend's API documents it; answers with `status`."""

    def __init__(self) -> None:
        self.mails: list[dict] = []
        self.status = 200
        super().__init__()

    def respond(self, request: Received) -> Sent:
        if (request.method, request.target) != ("POST", "/emails"):
            return Sent(404, b"{}", {"content-type": "application/json"})
        if self.status != 200:
            return Sent(self.status, b'{"message": "no"}', {"content-type": "application/json"})
        self.mails.append(json.loads(request.raw))
        answer = {"id": f"mail-{len(self.mails)}"}
        return Sent(200, json.dumps(answer).encode(), {"content-type": "application/json"})


@pytest.fixture
def resend(settings):
    with Resend() as server:
        settings.EMAIL_BACKEND = "anymail.backends.resend.EmailBackend"
        settings.ANYMAIL = {"RESEND_API_KEY": "re_test", "RESEND_API_URL": f"{server.url}/"}
        yield server


@pytest.fixture
def closed(till, scene):
    return paid_and_closed(till, scene.takeaway(scene.burger()))


def ask(till, order, address="guest@example.com"):
    return till.post(f"orders/{order['id']}/receipt/mail", {"address": address})


def send(restaurant):
    with bind_restaurant(restaurant.pk):
        return mailing.send_due_receipts()


def deliveries(restaurant):
    with restaurant_scope(restaurant.pk):
        return list(ReceiptDelivery.objects.order_by("created_at"))


def bring_forward(restaurant):
    with restaurant_scope(restaurant.pk):
        ReceiptDelivery.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))


def test_a_guest_gets_it(resend, till, closed, restaurant):
    answer = ask(till, closed)
    assert (answer.status_code, answer.json()["address_hint"]) == (202, "g…@example.com")
    assert resend.mails == []
    assert send(restaurant) == 1
    (mail,) = resend.mails
    assert mail["to"] == ["guest@example.com"]
    assert mail["subject"] == "Your receipt from The Copper Pot"
    assert "Total: £12.50" in mail["text"]
    assert "£12.50" in mail["html"]
    (row,) = deliveries(restaurant)
    assert (row.state, row.address, row.message_id) == ("sent", "", "mail-1")
    assert send(restaurant) == 0


def test_asked_twice_in_a_minute_it_is_one_mail(resend, till, closed, restaurant):
    assert ask(till, closed).json()["id"] == ask(till, closed, "Guest@example.com").json()["id"]
    send(restaurant)
    assert len(resend.mails) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_it_is_tried_again_and_given_up_after_the_fifth_time(resend, till, closed, restaurant, status):
    ask(till, closed)
    resend.status = status
    for tries in range(1, 6):
        assert send(restaurant) == 0
        (row,) = deliveries(restaurant)
        assert row.tries == tries
        bring_forward(restaurant)
    assert (row.state, row.address, row.last_error) == ("failed", "", f"HTTP {status}")
    assert send(restaurant) == 0


def test_after_a_failure_it_goes_out_once(resend, till, closed, restaurant):
    ask(till, closed)
    resend.status = 500
    send(restaurant)
    assert send(restaurant) == 0  # not before its minute is over
    resend.status = 200
    bring_forward(restaurant)
    assert send(restaurant) == 1
    assert len(resend.mails) == 1


def test_a_refused_address_is_not_tried_again(resend, till, closed, restaurant):
    ask(till, closed)
    resend.status = 422
    send(restaurant)
    assert deliveries(restaurant)[0].state == "failed"


@pytest.mark.parametrize("address", ["nobody", "a@b", "", "x" * 250 + "@example.com", 7])
def test_what_is_no_address_is_refused(till, closed, restaurant, address):
    answer = ask(till, closed, address)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["field"] == "address"
    assert deliveries(restaurant) == []


def test_a_stranger_mails_nothing(till, closed, restaurant, other_restaurant):
    stranger = ApiClient(factories.staff(other_restaurant, "owner"))
    assert ask(stranger, closed).status_code == 404
    assert deliveries(restaurant) == []


def test_no_mail_leaves_inside_a_transaction(resend, till, closed, restaurant):
    ask(till, closed)
    with restaurant_scope(restaurant.pk), pytest.raises(CallInsideTransaction):
        mailing.send_due_receipts()
    assert resend.mails == []
