"""The demonstration's test terminal, as a process: paid through the same adapter as Square itself."""

import contextlib
import re
import subprocess
import sys
import time
import urllib.request

import pytest

from fynlo.tenancy.scope import restaurant_scope
from payments.models import Terminal
from payments.services import accounts
from tests.databases import ROOT
from tests.payments.bills import open_bill
from tests.payments.cards.house import Card
from tests.processes import free_port


@pytest.fixture
def terminal(restaurant, point_at):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "script/_terminal.py", str(port)], cwd=ROOT)
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


def press(terminal, button):
    page = urllib.request.urlopen(terminal.peer).read().decode()
    assert "no real card, no real money" in page
    checkout = re.search(r'checkout=([^"]+)"', page).group(1)
    urllib.request.urlopen(f"{terminal.peer}/{button}?checkout={checkout}", data=b"")


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
