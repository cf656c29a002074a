"""Every attempt is counted once when it is begun and once when it ends, and what stands open is measured."""

import pytest
from prometheus_client import REGISTRY

from payments.services import watching
from tests.payments.bills import open_bill, pay


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
