"""One payment is taken at two vendors: both are facts, and the books of the day say both."""

import datetime

import pytest
from django.utils import timezone

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.figures import differences, figures_from_books, figures_from_rows
from payments.models import PaymentAttempt
from payments.providers.base import Outcome, Snapshot
from payments.services import cards, settling
from tests.client import ApiClient
from tests.payments.bills import open_bill, pay
from tests.payments.drawers import close_day_of

BURGER = 1250


@pytest.fixture
def boss(owner):
    return ApiClient(owner)


@pytest.fixture
def day(restaurant):
    return restaurant.business_date(timezone.now())


@pytest.fixture
def bill(till, scene):
    """Two burgers for £25."""
    return open_bill(till, scene.takeaway(scene.burger(2)))


@pytest.fixture
def twice(square, sumup, rig_of, till, bill, restaurant):
    """£12.50 of the bill, tapped at Square, which we gave up too soon, then at SumUp.

    With it a function that asks Square again, which is when we hear of the first.
    """
    payment = square.begin(till, bill, amount_minor=BURGER).json()
    first = square.attempt(payment)
    square.tap(payment)
    with restaurant_scope(restaurant.pk):
        settling.record_cancel_pending(first.pk)
        settling.record(first.pk, Snapshot(Outcome.CANCELED))
    again = till.post(
        f"payments/{payment['id']}/retry",
        {"provider": "sumup", "terminal_id": str(sumup.terminal.pk)},
    )
    assert again.status_code == 202, again.content
    sumup.tap(payment)
    assert till.post(f"payments/{payment['id']}/check").json()["state"] == "paid"
    rig = rig_of(square)

    def hear() -> None:
        with rig.scope():
            cards.check(first.pk)

    return payment, str(first.pk), hear


def report(boss, restaurant, day):
    """What each provider took; the rows and the books agree."""
    with restaurant_scope(restaurant.pk):
        rows, books = figures_from_rows(day), figures_from_books(day)
    assert differences(rows, books) == []
    x = boss.get(f"reports/x?business_date={day}").json()
    assert x["agrees_with_books"] is True
    return {each["provider"]: each["total_minor"] for each in x["providers"]}


def issues(boss):
    return [(each["about"], each["subject"]) for each in boss.get("issues").json()["results"]]


def test_both_are_booked_with_one_issue_and_the_day_is_closed(
    twice, till, boss, bill, square, sumup, restaurant, day
):
    payment, other_id, hear = twice
    assert pay(till, bill).status_code == 201  # the other guest's half, in cash
    hear()
    hear()
    assert (square.taken(), sumup.taken()) == (BURGER, BURGER)
    assert report(boss, restaurant, day) == {"cash": BURGER, "square": BURGER, "sumup": BURGER}
    assert issues(boss) == [("overpaid", f"order:{bill['id']}")]
    paid, other = (till.get(f"payments/{each}").json() for each in (payment["id"], other_id))
    assert [(p["state"], p["captured_minor"], p["provider"]) for p in (paid, other)] == [
        ("paid", BURGER, "sumup"),
        ("paid", BURGER, "square"),
    ]
    assert other["balance_due_minor"] == -BURGER

    body = {"id": str(uuid7()), "reason": "Paid twice"}
    assert boss.post(f"payments/{other_id}/refunds", body).status_code in (201, 202)
    square.peer.settle_refunds()
    boss.get(f"payments/{other_id}")
    hear()
    assert (square.taken(), sumup.taken()) == (0, BURGER)
    assert till.post(f"orders/{bill['id']}/close").status_code == 200
    answer = close_day_of(boss, day)
    assert answer.status_code == 201, answer.content
    totals = {row["provider"]: row["total_minor"] for row in answer.json()["report"]["providers"]}
    assert totals == {"cash": BURGER, "square": 0, "sumup": BURGER}


def test_while_another_guest_still_owes_as_much_it_is_named_all_the_same(
    twice, boss, bill, till, restaurant, day
):
    """The bill is paid, but by one guest: nobody else would notice."""
    _, other_id, hear = twice
    hear()
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == 0
    assert issues(boss) == [("overpaid", f"payment:{other_id}")]
    assert report(boss, restaurant, day) == {"square": BURGER, "sumup": BURGER}


def test_after_the_day_was_closed_the_second_is_of_the_day_it_is_known(
    twice, till, boss, bill, restaurant, day
):
    payment, _, hear = twice
    assert pay(till, bill).status_code == 201
    assert till.post(f"orders/{bill['id']}/close").status_code == 200
    assert close_day_of(boss, day).status_code == 201
    z = boss.get(f"days/{day}").json()
    hear()
    tomorrow = day + datetime.timedelta(days=1)
    assert boss.get(f"days/{day}").json() == z
    assert report(boss, restaurant, day) == {"cash": BURGER, "sumup": BURGER}
    assert report(boss, restaurant, tomorrow) == {"square": BURGER}
    assert till.get(f"payments/{payment['id']}").json()["business_date"] == day.isoformat()
    assert issues(boss) == [("overpaid", f"order:{bill['id']}")]
    with restaurant_scope(restaurant.pk):
        states = set(PaymentAttempt.objects.filter(account__isnull=False).values_list("state", flat=True))
    assert states == {"captured"}
