"""Every attempt is counted once when it is begun and once when it ends, and what stands open is measured."""

from datetime import timedelta

import pytest
from django.utils import timezone
from prometheus_client import REGISTRY

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import Dispute
from payments.services import refunds, watching
from tests.client import ApiClient
from tests.payments.bills import open_bill, pay

DAY = 86400  # seconds


@pytest.fixture
def bill(till, scene):
    return open_bill(till, scene.takeaway(scene.burger()))


def counted(provider):
    """(attempts, successes, failures) of a provider, over all labels."""
    names = ["payment_attempts_total", "payment_success_total", "payment_failures_total"]
    totals = dict.fromkeys(names, 0.0)
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name in totals and sample.labels.get("provider") == provider:
                totals[sample.name] += sample.value
    return tuple(int(totals[name]) for name in names)


def standing_open(provider):
    watching.measure()
    return sum(
        sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "payment_open" and sample.labels["provider"] == provider
    )


def test_attempts_are_successes_failures_and_open(house, till, scene, bill):
    before, open_before = counted(house.name), standing_open(house.name)
    paid = house.begin(till, bill).json()
    house.tap(paid)
    till.post(f"payments/{paid['id']}/check")
    till.post(f"payments/{paid['id']}/check")
    declined = house.begin(till, open_bill(till, scene.takeaway(scene.line("Fries")))).json()
    house.tap(declined, decline=True)
    till.post(f"payments/{declined['id']}/check")
    house.begin(till, open_bill(till, scene.takeaway(scene.line("Lager"))))

    attempts, successes, failures = (a - b for a, b in zip(counted(house.name), before, strict=True))
    assert (attempts, successes, failures) == (3, 1, 1)
    assert standing_open(house.name) - open_before == 1
    assert attempts == successes + failures + 1


def test_cash_counts_too(till, bill):
    before = counted("cash")
    pay(till, bill)
    assert tuple(a - b for a, b in zip(counted("cash"), before, strict=True)) == (1, 1, 0)


def told(name):
    watching.measure()
    return REGISTRY.get_sample_value(name, {"provider": "square"})


def test_the_oldest_refund_on_its_way_is_told(square, till, owner, bill, restaurant, dba):
    payment = square.begin(till, bill).json()
    square.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    body = {"id": str(uuid7()), "reason": "Cold soup"}
    assert ApiClient(owner).post(f"payments/{payment['id']}/refunds", body).json()["state"] == "pending"
    dba.execute(
        "UPDATE payments_refund SET created_at = now() - interval '6 days' WHERE id = %s", [body["id"]]
    )
    assert told("refund_oldest_open_seconds") == pytest.approx(6 * DAY, abs=60)
    square.peer.settle_refunds()
    with bind_restaurant(restaurant.pk):
        refunds.check_refund(body["id"])
    assert (told("refund_oldest_open_seconds") or 0) < DAY


def test_what_is_left_to_answer_the_next_dispute_is_told(square, till, bill, restaurant):
    payment = square.begin(till, bill).json()
    square.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    now = timezone.now()
    with restaurant_scope(restaurant.pk):
        for days in (-1, 2, 9):
            Dispute.objects.create(
                attempt_id=square.attempt(payment).pk,
                provider_ref=f"dispute-{days}",
                amount_minor=100,
                created_at=now,
                evidence_due_at=now + timedelta(days=days),
            )
    assert told("dispute_due_seconds") == pytest.approx(2 * DAY, abs=60)
    with restaurant_scope(restaurant.pk):
        Dispute.objects.filter(provider_ref="dispute-2").update(status=Dispute.Status.WON)
    assert told("dispute_due_seconds") > 2 * DAY + 60
