"""Our books beside each vendor's: what matches, what is found, what a person has to look at."""

import dataclasses
import datetime
import json
import os
import subprocess
import sys
from io import StringIO

import pytest
import stripe as stripe_sdk
from django.core.management import call_command
from django.utils import timezone
from square import Square
from sumup import Sumup

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.invariants import broken_invariants
from payments.models import (
    LedgerEntry,
    PaymentAttempt,
    Payout,
    PayoutLine,
    ProviderAccount,
    ReconciliationIssue,
    ReconciliationRun,
)
from payments.providers import PROVIDERS
from payments.providers.base import (
    Outcome,
    ProviderPayout,
    ProviderPayoutLine,
    RefundOutcome,
    RefundSnapshot,
    Snapshot,
)
from payments.providers.errors import UnknownOutcome
from payments.services import reconciling, refunds, settling
from payments.services.issues import settle_issue
from tests.client import ApiClient
from tests.databases import ROOT, role_url
from tests.payments.bills import close, open_bill, pay
from tests.peers.stripe import PLATFORM


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

    monkeypatch.setattr(type(PROVIDERS[house.name]), "list_transactions", away)
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


def test_unknown_ones_are_counted(house, till, bill, restaurant):
    house.begin(till, bill)
    with restaurant_scope(restaurant.pk):
        PaymentAttempt.objects.update(state="unknown")
    assert reconcile(house)["unknown"] == 1


# At the provider's own dashboard, without us.


def charge_there(house, amount=425, *, reference=None):
    """Money that somebody takes there. Answers the provider's name of it, as a slip says it."""
    if house.name == "square":
        api = Square(token=f"sandbox-{house.restaurant.pk}", base_url=house.peer.url)
        return api.payments.create(
            source_id="cnon:card-nonce-ok",
            idempotency_key=str(uuid7()),
            amount_money={"amount": amount, "currency": "GBP"},
            location_id=house.account.location_id,
            **({"reference_id": reference} if reference else {}),
        ).payment.id
    if house.name == "stripe":
        api = stripe_sdk.StripeClient("sk_test_boss", base_addresses={"api": house.peer.url}).v1
        asked = {"amount": amount, "currency": "gbp", "payment_method": "pm_card_visa", "confirm": True}
        asked["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
        return api.payment_intents.create(asked).id
    api = Sumup(api_key=f"sup_sk_test_{house.restaurant.pk}", base_url=house.peer.url)
    checkout = api.checkouts.create(
        amount=amount / 100, currency="GBP", merchant_code="MPOT1", checkout_reference=str(uuid7())
    )
    house.peer.pay_checkout(checkout.id)
    return api.checkouts.get(checkout.id).transaction_code


def refund_there(house, payment, amount=500):
    """Money that somebody gives back there."""
    ref = house.attempt(payment).provider_ref
    if house.name == "square":
        api = Square(token=f"sandbox-{house.restaurant.pk}", base_url=house.peer.url)
        money = {"amount": amount, "currency": "GBP"}
        api.refunds.refund_payment(idempotency_key=str(uuid7()), amount_money=money, payment_id=ref)
        house.peer.settle_refunds()
    elif house.name == "stripe":
        api = stripe_sdk.StripeClient("sk_test_boss", base_addresses={"api": house.peer.url}).v1
        api.refunds.create({"payment_intent": ref, "amount": amount})
    else:
        api = Sumup(api_key=f"sup_sk_test_{house.restaurant.pk}", base_url=house.peer.url)
        transaction = api.transactions.get("MPOT1", transaction_code=ref)
        try:
            api.transactions.refund("MPOT1", transaction.id, amount=amount / 100)
        except Exception:
            assert house.peer.taken(str(house.attempt(payment).pk)) == 1250 - amount


def pay_out(house):
    if house.name == "stripe":
        house.peer.pay_out(PLATFORM)
        return
    house.peer.charge_fees()
    house.peer.pay_out({"square": "sandbox-", "sumup": "sup_sk_test_"}[house.name] + str(house.restaurant.pk))


def clearing(house):
    with restaurant_scope(house.restaurant.pk):
        entries = LedgerEntry.objects.filter(account=f"clearing:{house.account.pk}")
        return sum(entries.values_list("amount_minor", flat=True))


def issue(house, kind):
    with restaurant_scope(house.restaurant.pk):
        return ReconciliationIssue.objects.get(kind=kind)


def test_money_taken_there_has_no_bill_until_its_slip_is_typed_in(house, till, scene):
    reference = charge_there(house)
    for _ in range(2):
        counts = reconcile(house)
        assert (counts["theirs_only"], counts["matched"]) == (1, 0)
    assert issues(house) == ["theirs_only"]
    found = issue(house, "theirs_only")
    assert (found.theirs_minor, found.currency, found.ours_minor) == (425, "GBP", None)
    assert reference in found.detail
    fries = open_bill(till, scene.takeaway(scene.line("Fries")))
    assert pay(till, fries, method="external", reference=reference.lower()).status_code == 201
    assert reconcile(house)["theirs_only"] == 0
    assert issues(house) == []


def test_a_slip_typed_in_much_later_settles_it_too(house, till, scene):
    reference = charge_there(house)
    reconcile(house)
    fries = open_bill(till, scene.takeaway(scene.line("Fries")))
    pay(till, fries, method="external", reference=reference)
    later = timezone.now() + datetime.timedelta(days=9)  # its day is compared no more
    reconciling.reconcile_restaurant(house.restaurant.pk, since=later, until=later)
    assert issues(house) == []
    assert (external_clearing(house), clearing(house)) == (0, 425)


def external_clearing(house):
    with restaurant_scope(house.restaurant.pk):
        entries = LedgerEntry.objects.filter(account="clearing:external")
        return sum(entries.values_list("amount_minor", flat=True))


def test_what_was_typed_in_lies_with_the_provider_that_lists_it(house, till, scene, owner):
    """Its fee and its refund, too: after the payout the provider holds what the books say."""
    reference = charge_there(house)
    fries = open_bill(till, scene.takeaway(scene.line("Fries")))
    payment = pay(till, fries, method="external", reference=reference).json()
    close(till, fries)
    assert (external_clearing(house), clearing(house)) == (425, 0)
    reconcile(house)
    assert (external_clearing(house), clearing_without_fees(house)) == (0, 425)
    body = {"id": str(uuid7()), "reason": "Cold chips", "amount_minor": 100}
    assert ApiClient(owner).post(f"payments/{payment['id']}/refunds", body).status_code == 201
    assert external_clearing(house) == -100
    refund_there(house, payment, amount=100)
    pay_out(house)
    for _ in range(2):
        counts = reconcile(house)
        assert (counts["clearing_minor"], counts["theirs_only"]) == (0, 0)
    assert (external_clearing(house), clearing(house)) == (0, 0)
    assert house.attempt(payment).fee_minor > 0
    with restaurant_scope(house.restaurant.pk):
        assert broken_invariants() == []
    assert issues(house) == []


def test_one_slip_is_one_charge(square, till, scene):
    """The house's machine took the money twice, and somebody typed in the one reference."""
    reference = str(uuid7())
    charge_there(square, reference=reference)
    charge_there(square, reference=reference)
    fries = open_bill(till, scene.takeaway(scene.line("Fries")))
    pay(till, fries, method="external", reference=reference)
    for _ in range(2):
        counts = reconcile(square)
        assert (counts["matched"], counts["theirs_only"]) == (1, 1)
    assert (external_clearing(square), clearing(square)) == (0, 425)
    assert issues(square) == ["theirs_only"]


def test_an_open_issue_says_what_is_known_now(square, paid_at_square):
    theirs = square.peer.payment(square.attempt(paid_at_square).provider_ref)
    for amount in (1260, 1300, 1240):
        theirs["total_money"] = {"amount": amount, "currency": "GBP"}
        reconcile(square)
        found = issue(square, "amount_differs")
        assert (found.ours_minor, found.theirs_minor) == (1250, amount)
    assert issues(square) == ["amount_differs"]


def test_another_amount_on_the_slip_settles_nothing(square, till, scene):
    reference = charge_there(square, 426)
    fries = open_bill(till, scene.takeaway(scene.line("Fries")))
    pay(till, fries, method="external", reference=reference)
    assert reconcile(square)["theirs_only"] == 1
    assert issues(square) == ["theirs_only"]


def test_what_a_person_settled_stays_settled(house, manager):
    charge_there(house)
    reconcile(house)
    with restaurant_scope(house.restaurant.pk):
        settle_issue(issue_id := ReconciliationIssue.objects.get().pk, resolution="A gift card", by=manager)
    assert reconcile(house)["theirs_only"] == 1
    assert issues(house) == []
    with restaurant_scope(house.restaurant.pk):
        assert ReconciliationIssue.objects.get(pk=issue_id).resolution == "A gift card"


def test_a_second_charge_for_the_same_payment_is_no_match(square, paid_at_square):
    attempt = square.attempt(paid_at_square)
    charge_there(square, 1250, reference=str(attempt.pk))
    for _ in range(2):
        counts = reconcile(square)
        assert (counts["matched"], counts["theirs_only"]) == (1, 1)
    found = issue(square, "theirs_only")
    assert found.detail.startswith("The guest was charged a second time.")
    assert (str(found.payment_id), found.theirs_minor) == (paid_at_square["id"], 1250)
    assert square.attempt(paid_at_square).provider_ref == attempt.provider_ref


@pytest.fixture
def paid_at_square(square, till, bill):
    payment = square.begin(till, bill).json()
    square.tap(payment)
    payment = till.post(f"payments/{payment['id']}/check").json()
    assert payment["state"] == "paid"
    return payment


def test_a_refund_made_there_is_taken_over(house, till, paid, bill):
    close(till, bill)
    refund_there(house, paid)
    assert reconcile(house)["adopted"] == 1
    seen = till.get(f"payments/{paid['id']}").json()
    assert (seen["refunded_minor"], seen["refundable_minor"]) == (500, 750)
    assert issues(house) == ["external_refund"]
    counts = reconcile(house)
    assert (counts["adopted"], counts["matched"]) == (0, 2)
    assert house.taken() == clearing_without_fees(house) == 750


def clearing_without_fees(house):
    """What was taken and given back by our books, before the provider's own fees."""
    with restaurant_scope(house.restaurant.pk):
        fees = LedgerEntry.objects.filter(account="fees").values_list("amount_minor", flat=True)
        return clearing(house) + sum(fees)


def test_a_refund_that_we_gave_up_is_found_and_booked(
    house, till, bill, paid, owner, restaurant, monkeypatch
):
    """It was made, its answer was lost, and for a while the provider did not find it."""
    close(till, bill)
    provider = type(PROVIDERS[house.name])
    make = provider.refund

    def lost(self, account, request):
        make(self, account, request)
        raise UnknownOutcome("no answer")

    monkeypatch.setattr(provider, "refund", lost)
    body = {"id": str(uuid7()), "reason": "Cold soup", "amount_minor": 500}
    asked = ApiClient(owner).post(f"payments/{paid['id']}/refunds", body).json()
    assert asked["state"] == "unknown"
    with restaurant_scope(restaurant.pk):
        refunds.settle_refund(asked["id"], RefundSnapshot(RefundOutcome.FAILED, code="never_arrived"))
    if house.name == "square":
        house.peer.settle_refunds()
    assert reconcile(house)["adopted"] == 1
    seen = till.get(f"payments/{paid['id']}").json()
    assert (seen["refunded_minor"], seen["refundable_minor"]) == (500, 750)
    # SumUp keeps no id of ours: there it cannot be told from one that somebody else made.
    assert issues(house) == (["external_refund"] if house.name == "sumup" else [])
    counts = reconcile(house)
    assert (counts["adopted"], counts["matched"], counts["theirs_only"]) == (0, 2, 0)


def test_a_refund_that_came_back_is_found(square, till, bill, paid_at_square, owner, restaurant):
    close(till, bill)
    body = {"id": str(uuid7()), "reason": "Cold soup", "amount_minor": 500}
    asked = ApiClient(owner).post(f"payments/{paid_at_square['id']}/refunds", body).json()
    square.peer.settle_refunds()
    with bind_restaurant(restaurant.pk):
        refunds.check_refund(asked["id"])
    with restaurant_scope(restaurant.pk):
        refund = refunds.load_refund(asked["id"])
    assert refund.state == "succeeded"
    square.peer.bounce_refund(refund.provider_ref)
    for _ in range(2):
        reconcile(square)
        assert issues(square) == ["refund_failed"]
    assert till.get(f"payments/{paid_at_square['id']}").json()["refunded_minor"] == 0


def test_what_the_list_leaves_out_is_asked_about_by_name(house, paid, restaurant, dba, monkeypatch):
    make_older(dba, paid)
    monkeypatch.setattr(type(PROVIDERS[house.name]), "list_transactions", lambda *a: iter(()))
    counts = reconcile(house)
    assert (counts["matched"], counts["ours_only"]) == (1, 0)
    assert issues(house) == []


def make_older(dba, payment):
    """Old enough for its provider to list it."""
    dba.execute(
        "UPDATE payments_paymentattempt SET settled_at = now() - interval '1 hour', "
        "created_at = now() - interval '1 hour' WHERE intent_id = %s",
        [payment["id"]],
    )


def test_ours_only_is_looked_at_again_until_it_is_there(square, paid_at_square, restaurant, dba):
    make_older(dba, paid_at_square)
    payments = square.peer.seller(f"sandbox-{restaurant.pk}").payments
    kept = dict(payments)
    payments.clear()
    assert reconcile(square)["ours_only"] == 1
    found = issue(square, "ours_only")
    assert (found.ours_minor, str(found.payment_id)) == (1250, paid_at_square["id"])
    payments.update(kept)
    later = timezone.now() + datetime.timedelta(days=9)
    (run,) = reconciling.reconcile_restaurant(restaurant.pk, since=later, until=later)
    assert (run.error, run.counts["ours_only"]) == ("", 0)
    assert issues(square) == []


def test_amounts_that_differ_are_an_issue_as_long_as_they_do(square, paid_at_square):
    theirs = square.peer.payment(square.attempt(paid_at_square).provider_ref)
    theirs["total_money"] = {"amount": 1260, "currency": "GBP"}
    for _ in range(2):
        counts = reconcile(square)
        assert (counts["different"], counts["matched"]) == (1, 0)
    found = issue(square, "amount_differs")
    assert (found.ours_minor, found.theirs_minor) == (1250, 1260)
    theirs["total_money"] = {"amount": 1250, "currency": "GBP"}
    theirs["tip_money"] = {"amount": 10, "currency": "GBP"}
    assert reconcile(square)["different"] == 1
    del theirs["tip_money"]
    assert reconcile(square)["matched"] == 1
    assert issues(square) == []


def test_after_a_payout_the_provider_holds_what_our_books_say(house, till, scene, paid):
    pay_out(house)
    for _ in range(2):
        counts = reconcile(house)
        assert (counts["payouts"], counts["clearing_minor"]) == (1, 0)
    assert counts["fee_minor"] > 0
    assert clearing(house) == 0
    fries = open_bill(till, scene.takeaway(scene.line("Fries")))
    payment = house.begin(till, fries).json()
    house.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    fee = house.attempt(payment).fee_minor or 0  # Stripe's is known at once
    assert reconcile(house)["clearing_minor"] == 425 - fee
    assert issues(house) == []


def test_fees_that_drift_are_an_issue_until_they_are_estimated_right(square, till, scene, restaurant):
    with restaurant_scope(restaurant.pk):
        ProviderAccount.objects.update(fee_percent="1")
    payment = square.begin(till, open_bill(till, scene.takeaway(scene.burger(20)))).json()
    square.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    square.peer.charge_fees()
    for _ in range(2):
        counts = reconcile(square)
        assert (counts["fee_estimated_minor"], counts["fee_minor"]) == (250, 438)
    assert issues(square) == ["fee_differs"]
    found = issue(square, "fee_differs")
    assert (found.ours_minor, found.theirs_minor) == (250, 438)
    with restaurant_scope(restaurant.pk):
        entries = LedgerEntry.objects.filter(account="fees")
        assert list(entries.values_list("amount_minor", flat=True)) == [438]
        PaymentAttempt.objects.update(fee_estimated_minor=437)
    reconcile(square)
    assert issues(square) == []


PAYOUT = ProviderPayout(
    "po_1",
    1228,
    "GBP",
    "in_transit",
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    lines=(ProviderPayoutLine("x", "charge", 1250, 22),),
)


@pytest.fixture
def payouts_say(square, monkeypatch):
    """`payouts_say(payout, …)` is what Square lists; answers since when it was asked for them."""
    asked = []

    def say(*payouts):
        def listed(provider, account, since, until):
            asked.append(since)
            return iter(payouts)

        monkeypatch.setattr(type(PROVIDERS["square"]), "list_payouts", listed)
        return asked

    return say


def under_way(**changes):
    return dataclasses.replace(PAYOUT, created_at=timezone.now() - datetime.timedelta(days=8), **changes)


def test_a_payout_is_asked_for_until_it_is_paid(square, payouts_say, restaurant):
    payout = under_way()
    payouts_say(payout)
    reconcile(square)
    assert clearing(square) == 0
    asked = payouts_say(under_way(status="paid"))
    reconcile(square)
    assert asked[-1] <= payout.created_at + datetime.timedelta(seconds=1)
    assert clearing(square) == -1228
    reconcile(square)
    assert clearing(square) == -1228
    assert asked[-1] > payout.created_at + datetime.timedelta(days=4)
    with restaurant_scope(restaurant.pk):
        assert [(p.status, p.amount_minor) for p in Payout.objects.all()] == [("paid", 1228)]
    assert issues(square) == []


def test_a_payout_that_comes_back_or_is_not_its_lines_is_an_issue(square, payouts_say):
    payouts_say(under_way(status="paid", amount_minor=1200))
    reconcile(square)
    found = issue(square, "payout_differs")
    assert (found.ours_minor, found.theirs_minor) == (1228, 1200)
    payouts_say(under_way(status="paid", amount_minor=1200, lines=()))
    reconcile(square)
    assert issues(square) == []
    payouts_say(under_way(status="failed", amount_minor=1200, lines=()))
    reconcile(square)
    found = issue(square, "payout_differs")
    assert (found.ours_minor, found.theirs_minor) == (1200, 0)
    assert clearing(square) == -1200


def test_equal_lines_of_a_payout_are_kept_together(square, payouts_say, restaurant):
    lines = (
        ProviderPayoutLine("x", "charge", 2000, 22),
        ProviderPayoutLine("x", "refund", -300),
        ProviderPayoutLine("x", "refund", -450),
    )
    payouts_say(under_way(status="paid", lines=lines))
    reconcile(square)
    with restaurant_scope(restaurant.pk):
        kept = PayoutLine.objects.order_by("kind").values_list("kind", "amount_minor", "fee_minor")
        assert list(kept) == [("charge", 2000, 22), ("refund", -750, 0)]
    assert issues(square) == []


def test_an_account_that_was_added_anew_is_the_same_at_the_provider(square, paid_at_square, restaurant):
    square.peer.charge_fees()
    square.peer.pay_out(f"sandbox-{restaurant.pk}")
    with restaurant_scope(restaurant.pk):
        old = ProviderAccount.objects.get()
        old.status = "disconnected"
        old.save(update_fields=["status"])
        old.pk, old.status, old.public_id = uuid7(), "active", uuid7()
        old._state.adding = True
        old.save()
    runs = reconciling.reconcile_restaurant(restaurant.pk)
    assert [(run.error, run.counts["theirs_only"], run.counts["matched"]) for run in runs] == [("", 0, 1)] * 2
    assert sum(run.counts["payouts"] for run in runs) == 1
    assert issues(square) == []
    with restaurant_scope(restaurant.pk):
        booked = LedgerEntry.objects.filter(account="bank").values_list("amount_minor", flat=True)
        assert list(booked) == [1228]


def test_an_account_given_up_long_ago_is_not_asked(square, restaurant):
    with restaurant_scope(restaurant.pk):
        ProviderAccount.objects.update(status="disconnected")
    assert reconciling.reconcile_restaurant(restaurant.pk) == []


def test_of_a_shared_account_other_restaurants_money_is_none_of_ours(square, restaurant):
    with restaurant_scope(restaurant.pk):
        ProviderAccount.objects.update(kind="platform_env")
    charge_there(square)
    square.peer.charge_fees()
    square.peer.pay_out(f"sandbox-{restaurant.pk}")
    counts = reconcile(square)
    assert (counts["theirs_only"], counts["payouts"], counts["clearing_minor"]) == (0, 0, 0)
    assert issues(square) == []


def test_a_bill_without_its_money_is_named(square, till, scene, restaurant, dba):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    pay(till, bill)
    close(till, bill)
    take = "UPDATE orders_order SET captured_minor = captured_minor - %s WHERE id = %s"
    dba.execute(take, [1000, bill["id"]])
    reconcile(square)
    found = issue(square, "bill_without_money")
    assert (str(found.order_id), found.ours_minor, found.theirs_minor) == (bill["id"], 1250, 250)
    dba.execute(take, [-1000, bill["id"]])
    reconcile(square)
    assert issues(square) == []


def test_another_restaurant_knows_nothing_of_it(house, paid, other_restaurant, stranger):
    charge_there(house)
    reconcile(house)
    assert reconciling.reconcile_restaurant(other_restaurant.pk) == []
    with restaurant_scope(other_restaurant.pk):
        for model in (ReconciliationRun, ReconciliationIssue, Payout):
            assert model.objects.count() == 0
    assert ApiClient(stranger).get("issues").json()["results"] == []
    out = StringIO()
    with pytest.raises(SystemExit) as refused:
        call_command(
            *("reconcile_payments", "--restaurant", str(other_restaurant.pk)),
            *("--account", str(house.account.pk)),
            stdout=out,
        )
    assert refused.value.code == 2


def test_one_account_that_fails_does_not_stop_the_others(square, sumup, paid_at_square, monkeypatch):
    def broken(*args):
        raise ValueError("an odd row")

    monkeypatch.setattr(type(PROVIDERS["sumup"]), "list_transactions", broken)
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("reconcile_payments", "--restaurant", str(square.restaurant.pk), "--json", stdout=out)
    assert end.value.code == 6  # `call` makes an unknown outcome of it
    found = {row["account"]: row for row in json.loads(out.getvalue())["accounts"]}
    assert found[str(square.account.pk)]["matched"] == 1
    assert "an odd row" in found[str(sumup.account.pk)]["error"]

    monkeypatch.undo()
    monkeypatch.setattr("payments.services.payouts.first_to_ask_for", broken)
    with pytest.raises(SystemExit) as end:
        call_command("reconcile_payments", "--restaurant", str(square.restaurant.pk), stdout=StringIO())
    assert end.value.code == 1


WRONG = [
    ["--restaurant", "2147483000"],
    ["--account", "0192f0c4-0000-7000-8000-000000000000"],
    ["--since", "2026-02-02", "--until", "2026-02-01"],
]


@pytest.mark.parametrize("given", WRONG)
def test_what_is_not_there_is_wrong_usage(square, given):
    with pytest.raises(SystemExit) as refused:
        call_command("reconcile_payments", *given, stdout=StringIO())
    assert refused.value.code == 2


def test_as_a_process(square, paid_at_square, restaurant, test_database):
    charge_there(square)
    command = [sys.executable, "manage.py", "reconcile_payments", "--restaurant", str(restaurant.pk)]
    environment = {**os.environ, "DATABASE_URL": role_url("app", test_database)}
    environment["SQUARE_BASE_URL"] = square.peer.url
    run = subprocess.run(
        [*command, "--json"], cwd=ROOT, env=environment, capture_output=True, timeout=120, check=False
    )
    assert run.returncode == 3, run.stderr.decode()
    outcome = json.loads(run.stdout)
    (row,) = outcome["accounts"]
    assert (row["matched"], row["theirs_only"], row["error"]) == (1, 1, "")
    assert outcome["open_issues"] == 1
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=False)
    assert run.returncode == 3
    assert b"1 accounts, 1 open issues." in run.stderr
    assert b"fees kept" in run.stdout
