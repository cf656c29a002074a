"""The demonstration's test terminal, as a process: paid through the same adapter as Square itself."""

import contextlib
import datetime
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from django.utils import timezone

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from orders.models import Order
from payments.models import PaymentAttempt, ReconciliationIssue, Terminal, WebhookEvent
from payments.services import accounts, cards, inbox, sweeping
from tests.databases import ROOT
from tests.payments.bills import open_bill, pay
from tests.payments.cards.house import Card
from tests.processes import free_port, running, wait_until_ready, web_server


@pytest.fixture
def terminal(restaurant, point_at):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "script/_terminal.py", str(port), "--let-go", "2"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=2)
                break
            time.sleep(0.1)
        point_at(square_base_url=url)
        with restaurant_scope(restaurant.pk):
            account = accounts.add_account(provider="square", secrets={"access_token": "demo-square-token"})
            row = Terminal.objects.create(account=account, reader_id="test-terminal", label="Test terminal")
        yield Card(restaurant, account, row, url)
    finally:
        process.terminate()
        process.wait(timeout=10)


def page_of(terminal):
    page = urllib.request.urlopen(terminal.peer).read().decode()
    assert "no real card, no real money" in page
    return page


def press(terminal, button):
    place = re.search(rf'action="(/{button}\?checkout=[^"]+)"', page_of(terminal)).group(1)
    urllib.request.urlopen(f"{terminal.peer}{place}", data=b"")


def sweep(restaurant):
    """As the worker does, once everything is due."""
    with restaurant_scope(restaurant.pk):
        PaymentAttempt.objects.filter(settled_at=None).update(next_check_at=timezone.now(), lease_until=None)
    assert sweeping.sweep_restaurant(restaurant.pk) == 1


@pytest.mark.parametrize(
    ("button", "state", "taken", "tip"),
    [
        ("approve", "paid", 1250, 0),
        ("tip", "paid", 1250, 125),
        ("decline", "canceled", 0, 0),
        ("time-out", "canceled", 0, 0),
        ("late", "paid", 1250, 0),
    ],
)
def test_what_the_guest_does_is_what_the_till_sees(terminal, till, scene, button, state, taken, tip):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = terminal.begin(till, bill).json()
    assert payment["next_action"] == {"type": "tap", "reader_id": "test-terminal"}
    if button == "late":
        cancelled = till.post(f"payments/{payment['id']}/cancel").json()
        assert cancelled["attempt_state"] == "cancel_pending"
    press(terminal, button)
    seen = till.post(f"payments/{payment['id']}/check").json()
    assert (seen["state"], seen["captured_minor"], seen["tip_captured_minor"]) == (state, taken, tip)


def test_the_sweeper_alone_finds_the_tap(terminal, till, scene, restaurant):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = terminal.begin(till, bill).json()
    press(terminal, "tip")
    sweep(restaurant)
    paid = till.get(f"payments/{payment['id']}").json()
    assert (paid["state"], paid["captured_minor"], paid["tip_captured_minor"]) == ("paid", 1250, 125)


def test_what_the_waiter_gave_up_is_let_go_of(terminal, till, scene, restaurant):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = terminal.begin(till, bill).json()
    till.post(f"payments/{payment['id']}/cancel")
    assert "The waiter gave up" in page_of(terminal)
    cash = till.post(f"orders/{bill['id']}/payments", {"id": str(uuid7()), "method": "cash"})
    assert (cash.status_code, cash.json()["code"]) == (409, "amount_not_due")
    time.sleep(2.6)
    sweep(restaurant)
    assert till.get(f"payments/{payment['id']}").json()["state"] == "canceled"


def test_a_charge_that_is_known_of_too_late_is_booked_and_overpays(terminal, till, scene, restaurant):
    """Given up for certain and paid in cash; then the card company says that it took the money after all."""
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = terminal.begin(till, bill).json()
    press(terminal, "time-out")
    assert till.post(f"payments/{payment['id']}/check").json()["state"] == "canceled"
    assert pay(till, bill).status_code == 201
    press(terminal, "late")
    with bind_restaurant(restaurant.pk):
        cards.check(terminal.attempt(payment).pk)  # as the webhook has it done
    late = till.get(f"payments/{payment['id']}").json()
    assert (late["state"], late["captured_minor"]) == ("paid", 1250)
    with restaurant_scope(restaurant.pk):
        assert [issue.kind for issue in ReconciliationIssue.objects.filter(resolved_at=None)] == ["overpaid"]
        assert Order.objects.get(pk=bill["id"]).captured_minor == 2500


def test_a_button_on_another_page_presses_nothing(terminal, till, scene):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = terminal.begin(till, bill).json()
    place = re.search(r'action="(/approve[^"]+)"', page_of(terminal)).group(1)
    forged = urllib.request.Request(f"{terminal.peer}{place}", b"", {"origin": "https://elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(forged)
    assert till.post(f"payments/{payment['id']}/check").json()["state"] == "open"


def test_a_terminal_that_forgot_a_payment_gives_it_up(terminal, till, scene, restaurant):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = terminal.begin(till, bill).json()
    with restaurant_scope(restaurant.pk):
        PaymentAttempt.objects.update(provider_ref="checkout:term_of_yesterday")
    sweep(restaurant)
    with restaurant_scope(restaurant.pk):
        PaymentAttempt.objects.update(created_at=timezone.now() - datetime.timedelta(minutes=2))
    sweep(restaurant)
    assert till.get(f"payments/{payment['id']}").json()["state"] == "canceled"


def test_it_says_what_happened_by_signed_webhooks(restaurant, till, scene, point_at, test_database):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    merchant = {"external_account_id": "MLB95006C94960", "location_id": "LB95006C949600"}
    point_at(square_base_url=address)
    with restaurant_scope(restaurant.pk):
        account = accounts.add_account(
            provider="square", secrets={"access_token": "demo-square-token"}, **merchant
        )
        row = Terminal.objects.create(account=account, reader_id="test-terminal", label="Test terminal")
    env = {"SQUARE_BASE_URL": address, "SQUARE_WEBHOOK_SIGNATURE_KEY": "demo-square-key"}
    with web_server(test_database, **env) as web:
        hook = f"{web}/webhooks/square"
        command = [sys.executable, "script/_terminal.py", str(port), "--webhook", hook]
        with running(command, test_database):
            wait_until_ready(address)
            card = Card(restaurant, account, row, address)
            payment = card.begin(till, open_bill(till, scene.takeaway(scene.burger()))).json()
            press(card, "approve")
            seen = wait_for_event(restaurant)
            assert (seen.kind, seen.object_ref) == (
                "terminal.checkout.updated",
                card.attempt(payment).provider_ref,
            )
            with bind_restaurant(restaurant.pk):
                inbox.work_off()
            assert till.get(f"payments/{payment['id']}").json()["state"] == "paid"
    with restaurant_scope(restaurant.pk):  # the merchant is the demonstration's: leave it to other tests
        accounts.disconnect_account(account.pk)


def wait_for_event(restaurant):
    for _ in range(100):
        with restaurant_scope(restaurant.pk):
            if event := WebhookEvent.objects.first():
                return event
        time.sleep(0.1)
    raise TimeoutError
