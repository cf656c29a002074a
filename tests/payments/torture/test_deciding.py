"""What no provider says within a day a manager says, at the till or in the back office."""

import re

import pytest

from tests.backoffice.conftest import office
from tests.client import ApiClient
from tests.payments.bills import open_bill

__all__ = ["office"]

BURGER = 1250
ISSUES = "/admin/payments/reconciliationissue/"
ROW = f"{ISSUES}[0-9a-f-]+/change/"


@pytest.fixture
def unknown(rig, till, scene):
    """A burger for £12.50 by card, and a provider that has not answered for a day."""
    payment = rig.house.begin(till, open_bill(till, scene.takeaway(scene.burger()))).json()
    rig.fail("fetch", "500_before")
    rig.sweep("25 hours")
    assert rig.house.attempt(payment).state == "unknown"
    assert rig.issues() == ["unknown_too_long"]
    return payment


def decide(client, payment, **said):
    return client.post(f"payments/{payment['id']}/decide", {"reason": "Looked it up", **said})


def test_the_money_is_there(rig, owner, unknown):
    rig.house.tap(unknown)
    answer = decide(ApiClient(owner), unknown, was_taken=True)
    assert (answer.status_code, answer.json()["state"]) == (200, "paid")
    assert rig.issues() == []
    assert rig.audit() == BURGER


def test_nothing_was_taken_and_what_comes_late_is_booked(rig, owner, unknown):
    answer = decide(ApiClient(owner), unknown, was_taken=False)
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    assert (rig.issues(), rig.audit()) == ([], 0)
    rig.house.tap(unknown)
    rig.look(unknown)
    assert rig.payment(unknown["id"]).state == "paid"
    assert rig.audit() == BURGER


def test_a_waiter_does_not_decide_and_nobody_does_within_a_day(rig, till, owner, unknown):
    assert decide(till, unknown, was_taken=True).json()["code"] == "permission_denied"
    assert rig.house.attempt(unknown).state == "unknown"
    rig.dba.execute(
        "UPDATE payments_paymentattempt SET created_at = now() - interval '23 hours' WHERE intent_id = %s",
        [unknown["id"]],
    )
    refused = decide(ApiClient(owner), unknown, was_taken=True)
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_not_unknown")
    assert rig.payment(unknown["id"]).state == "open"


@pytest.mark.parametrize(("said", "state", "held"), [("yes", "paid", BURGER), ("no", "canceled", 0)])
def test_it_is_said_in_the_back_office(rig_of, square, till, scene, manager, office, said, state, held):
    rig = rig_of(square)
    payment = square.begin(till, open_bill(till, scene.takeaway(scene.burger()))).json()
    if said == "yes":
        square.tap(payment)
    rig.fail("fetch", "500_before")
    rig.sweep("25 hours")
    client = office(manager)
    link = next(part for part in client.get(ISSUES).content.decode().split('"') if re.match(ROW, part))
    page = client.get(link).content.decode()
    assert "Look for it in the provider" in page
    assert client.post(link, {"resolution": "Looked it up"}).status_code == 200  # and says what is missing
    assert rig.payment(payment["id"]).state == "open"
    done = client.post(link, {"resolution": "Looked it up", "was_taken": said})
    assert done.status_code == 302
    assert rig.payment(payment["id"]).state == state
    assert rig.issues() == []
    assert f"{manager.name}: Looked it up" in client.get(link).content.decode()
    assert rig.audit() == held
