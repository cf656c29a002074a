"""Our books beside each vendor's: what matches, what is found, what a person has to look at."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from square import Square

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import LedgerEntry, PaymentAttempt, Payout, ReconciliationIssue
from payments.providers.base import Outcome, Snapshot
from payments.providers.errors import UnknownOutcome
from payments.services import reconciling, settling
from tests.payments.bills import close, open_bill


@pytest.fixture
def bill(till, scene):
    return open_bill(till, scene.takeaway(scene.burger()))


@pytest.fixture
def paid(house, till, bill):
    payment = house.begin(till, bill).json()
    house.tap(payment)
    payment = till.post(f"payments/{payment['id']}/check").json()
    assert payment["state"] == "paid"
    return payment


def reconcile(house):
    (run,) = reconciling.reconcile_restaurant(house.restaurant.pk)
    assert run.error == ""
    return run.counts


def issues(house):
    with restaurant_scope(house.restaurant.pk):
        return list(ReconciliationIssue.objects.filter(resolved_at=None).values_list("kind", flat=True))


def test_what_agrees_matches_however_often_it_is_asked(house, paid, restaurant):
    for _ in range(2):
        counts = reconcile(house)
        assert (counts["matched"], counts["theirs_only"], counts["ours_only"]) == (1, 0, 0)
    assert issues(house) == []


def test_money_we_gave_up_is_found_and_booked(house, till, bill, restaurant):
    """The guest paid after we had closed the attempt, and no webhook came."""
    payment = house.begin(till, bill).json()
    house.tap(payment)
    with restaurant_scope(restaurant.pk):
        attempt = house.attempt(payment)

        settling.record_cancel_pending(attempt.pk)
        settling.record(attempt.pk, Snapshot(Outcome.CANCELED))
    assert till.get(f"payments/{payment['id']}").json()["state"] == "canceled"

    counts = reconcile(house)

    assert (counts["adopted"], counts["matched"], counts["theirs_only"]) == (1, 1, 0)
    assert till.get(f"payments/{payment['id']}").json()["state"] == "paid"
    assert house.taken() == 1250
    assert issues(house) == []


def test_money_without_a_bill_is_an_issue_until_somebody_types_it_in(square, till, scene, restaurant):
    seller = square.peer.seller(f"sandbox-{restaurant.pk}")

    dashboard = Square(token=f"sandbox-{restaurant.pk}", base_url=square.peer.url)
    charged = dashboard.payments.create(
        source_id="cnon:card-nonce-ok",
        idempotency_key=str(uuid7()),
        amount_money={"amount": 425, "currency": "GBP"},
        location_id=seller.location_id,
    ).payment
    assert reconcile(square)["theirs_only"] == 1
    assert issues(square) == ["theirs_only"]
    assert reconcile(square)["theirs_only"] == 1
    assert issues(square) == ["theirs_only"]

    fries = open_bill(till, scene.takeaway(scene.line("Fries")))
    body = {"id": str(uuid7()), "method": "external", "reference": charged.id}
    assert till.post(f"orders/{fries['id']}/payments", body).status_code == 201
    counts = reconcile(square)
    assert (counts["theirs_only"], counts["matched"]) == (0, 1)
    assert issues(square) == []


def test_a_refund_at_the_providers_dashboard_is_taken_over(square, till, bill, owner, restaurant):
    payment = square.begin(till, bill).json()
    square.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    close(till, bill)

    dashboard = Square(token=f"sandbox-{restaurant.pk}", base_url=square.peer.url)
    dashboard.refunds.refund_payment(
        idempotency_key=str(uuid7()),
        amount_money={"amount": 500, "currency": "GBP"},
        payment_id=square.attempt(payment).provider_ref,
    )
    square.peer.settle_refunds()
    assert reconcile(square)["adopted"] == 1
    seen = till.get(f"payments/{payment['id']}").json()
    assert (seen["refunded_minor"], seen["refundable_minor"]) == (500, 750)
    assert issues(square) == ["external_refund"]
    assert reconcile(square)["adopted"] == 0


def test_fees_and_payouts_are_booked_once(square, till, bill, restaurant):
    with restaurant_scope(restaurant.pk):
        type(square.account).objects.filter(pk=square.account.pk).update(fee_percent="1.75")
    payment = square.begin(till, bill).json()
    square.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    square.peer.charge_fees()
    square.peer.pay_out(f"sandbox-{restaurant.pk}")
    for _ in range(2):
        counts = reconcile(square)
        assert (counts["payouts"], counts["fee_minor"], counts["fee_estimated_minor"]) == (1, 22, 22)
    with restaurant_scope(restaurant.pk):
        assert Payout.objects.get().amount_minor == 1228
        entries = LedgerEntry.objects.filter(account=f"clearing:{square.account.pk}")
        assert sorted(entries.values_list("amount_minor", flat=True)) == [-1228, -22, 1250]
    assert counts["clearing_minor"] == 0  # the provider holds nothing more
    assert issues(square) == []


def test_a_provider_that_is_away_is_said_so(house, paid, monkeypatch, restaurant):
    def away(*args, **kwargs):
        raise UnknownOutcome("no answer")

    monkeypatch.setattr(type(reconciling.PROVIDERS[house.name]), "list_transactions", away)
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("reconcile_payments", "--restaurant", str(restaurant.pk), "--json", stdout=out)
    assert end.value.code == 6
    assert json.loads(out.getvalue())["accounts"][0]["error"] == "unknown: no answer"


def test_the_command_says_what_it_found(house, paid, restaurant):
    out = StringIO()
    call_command("reconcile_payments", "--restaurant", str(restaurant.pk), "--json", stdout=out)
    (account,) = json.loads(out.getvalue())["accounts"]
    assert (account["matched"], account["error"]) == (1, "")
    out = StringIO()
    call_command("reconcile_payments", "--restaurant", str(restaurant.pk), stdout=out)
    assert "1 accounts, 0 open issues." in out.getvalue()


def test_what_the_provider_does_not_list_is_ours_only(square, till, bill, restaurant, dba):
    payment = square.begin(till, bill).json()
    square.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    dba.execute(
        "UPDATE payments_paymentattempt SET settled_at = now() - interval '1 hour', "
        "created_at = now() - interval '1 hour' WHERE intent_id = %s",
        [payment["id"]],
    )
    square.peer.seller(f"sandbox-{restaurant.pk}").payments.clear()
    assert reconcile(square)["ours_only"] == 1
    assert issues(square) == ["ours_only"]


def test_unknown_ones_are_counted(house, till, bill, restaurant):
    house.begin(till, bill)
    with restaurant_scope(restaurant.pk):
        PaymentAttempt.objects.update(state="unknown")
    assert reconcile(house)["unknown"] == 1
