"""What a till took without a connection happened, so it is recorded, whatever became of the bill (T13)."""

import datetime

import pytest
from django.utils import timezone

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments import metrics
from payments.figures import differences, figures_from_books, figures_from_rows
from payments.models import CashMovement, PaymentIntent, ReconciliationIssue
from tests.client import ApiClient
from tests.orders.scene import refused

from .bills import all_at_once, close, in_books, kinds_of_events, open_bill, paid_and_closed, patiently, pay
from .drawers import accounts, close_day_of, count, make_drawer, open_with, today_of

FRIES = 425


@pytest.fixture
def boss(manager):
    return ApiClient(manager)


@pytest.fixture
def day(restaurant):
    return today_of(restaurant)


@pytest.fixture
def bill(till, scene):
    """Fries for £4.25."""
    return open_bill(till, scene.takeaway(scene.line("Fries")))


def offline(till, bill, *, amount_minor=FRIES, minutes_ago=5, **fields):
    taken_at = timezone.now() - datetime.timedelta(minutes=minutes_ago)
    return pay(
        till, bill, **{"amount_minor": amount_minor, "taken_offline_at": taken_at.isoformat()} | fields
    )


def issues(restaurant):
    """Those that are open: (kind, what our books say, what was taken)."""
    with restaurant_scope(restaurant.pk):
        rows = ReconciliationIssue.objects.filter(resolved_at=None).order_by("kind")
        return list(rows.values_list("kind", "ours_minor", "theirs_minor"))


def agree(restaurant, day):
    with restaurant_scope(restaurant.pk):
        rows, books = figures_from_rows(day), figures_from_books(day)
    assert differences(rows, books) == []
    return rows


def give_back(boss, payment, **fields):
    body = {"id": str(uuid7()), "reason": "Paid twice", **fields}
    answer = patiently(boss, f"payments/{payment['id']}/refunds", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_what_is_still_due_is_paid_by_it(restaurant, till, bill, day):
    """As any other payment, with the time at which the till took it."""
    answer = offline(
        till, bill, tip_minor=75, tendered_minor=1000, taken_offline_at="2026-11-24T12:00:00+01:00"
    )
    assert answer.status_code == 201, answer.content
    payment = answer.json()
    assert payment["taken_offline_at"] == "2026-11-24T11:00:00Z"
    assert (payment["captured_minor"], payment["tip_captured_minor"]) == (FRIES, 75)
    assert (payment["change_minor"], payment["balance_due_minor"]) == (500, 0)
    assert issues(restaurant) == []
    assert close(till, bill).status_code == 200
    assert agree(restaurant, day).taken == {"cash": (FRIES, 75)}


@pytest.mark.parametrize("method", ["cash", "external"])
def test_a_bill_that_was_paid_meanwhile_is_overpaid_and_given_back(restaurant, till, boss, bill, day, method):
    fields = {"method": method} | ({"reference": "T-1"} if method == "external" else {})
    assert pay(till, bill).status_code == 201
    counted = metrics.OVERPAID.labels(method)._value.get()
    answer = offline(till, bill, **fields)
    assert answer.status_code == 201, answer.content
    payment = answer.json()
    assert (payment["state"], payment["balance_due_minor"]) == ("paid", -FRIES)
    assert metrics.OVERPAID.labels(method)._value.get() == counted + 1
    assert issues(restaurant) == [("overpaid", FRIES, 2 * FRIES)]
    [issue] = boss.get("issues").json()["results"]
    assert (issue["order_id"], issue["payment_id"]) == (bill["id"], payment["id"])
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == -FRIES
    refused(close(till, bill), 409, "balance_not_zero")
    agree(restaurant, day)

    give_back(boss, payment)
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == 0
    assert issues(restaurant) == []  # nobody has to look at it any more
    assert close(till, bill).status_code == 200
    rows = agree(restaurant, day)
    assert sum(amount for amount, _ in rows.taken.values()) == 2 * FRIES
    assert rows.given_back == {method: (FRIES, 0)}
    assert kinds_of_events(restaurant, "payment.") == ["payment.captured", "payment.captured"]


def test_told_again_and_again_it_is_one_payment(restaurant, till, bill):
    tap = str(uuid7())
    first = offline(till, bill, id=tap)
    again = offline(till, bill, id=tap, minutes_ago=4)  # the till's clock was put right
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    answers = all_at_once(4, lambda n: offline(till, bill, id=tap))
    assert {answer.status_code for answer in answers} == {200}
    with restaurant_scope(restaurant.pk):
        assert PaymentIntent.objects.count() == 1
    assert issues(restaurant) == []


@pytest.mark.parametrize("asked", [{}, {"amount_minor": FRIES}, {"tendered_minor": 500}])
def test_one_that_was_asked_for_before_the_connection_was_lost_is_that_one(restaurant, till, bill, asked):
    """The till never heard the answer, so it tells what happened; the other way round it is the same."""
    tap = str(uuid7())
    assert pay(till, bill, id=tap, **asked).status_code == 201
    told = offline(till, bill, id=tap)
    assert (told.status_code, told.json()["taken_offline_at"]) == (200, None)
    other = offline(till, bill, id=tap, amount_minor=300)
    refused(other, 422, "payment_id_reused", "id")
    refused(offline(till, bill, id=tap, method="external", reference="T-1"), 422, "payment_id_reused", "id")
    with restaurant_scope(restaurant.pk):
        assert PaymentIntent.objects.count() == 1


def test_asked_for_again_after_it_was_told_it_is_that_one(restaurant, till, bill):
    tap = str(uuid7())
    assert offline(till, bill, id=tap).status_code == 201
    assert pay(till, bill, id=tap, amount_minor=FRIES).status_code == 200


def test_a_closed_bill_takes_it_and_its_refund_undoes_no_sale(restaurant, till, boss, scene, day):
    bill = paid_and_closed(till, scene.takeaway(scene.line("Fries")))
    receipt = bill["receipt"]
    payment = offline(till, bill, tip_minor=100).json()
    assert issues(restaurant) == [("overpaid", FRIES, 2 * FRIES)]
    rows = agree(restaurant, day)
    assert (rows.taken, rows.owed) == ({"cash": (2 * FRIES, 100)}, -FRIES)
    refund = give_back(boss, payment)
    assert (refund["amount_minor"], refund["tip_minor"], refund["tax_lines"]) == (FRIES, 100, [])
    rows = agree(restaurant, day)
    assert (rows.owed, rows.returned) == (0, {})
    assert till.get(f"orders/{bill['id']}/receipt").json() == receipt


def test_a_voided_bill_takes_it_and_owes_all_of_it(restaurant, till, boss, bill, day):
    assert boss.post(f"orders/{bill['id']}/void", {"reason": "Left"}).status_code == 200
    payment = offline(till, bill)
    assert payment.status_code == 201, payment.content
    assert issues(restaurant) == [("overpaid", 0, FRIES)]
    agree(restaurant, day)
    give_back(boss, payment.json())
    assert agree(restaurant, day).owed == 0


def test_after_the_day_was_closed_it_is_of_the_day_it_is_known(restaurant, till, boss, scene, day):
    """The Z report stays as it is; X of the next day agrees with the books."""
    bill = paid_and_closed(till, scene.takeaway(scene.line("Fries")))
    assert close_day_of(boss, day).status_code == 201
    z = boss.get(f"days/{day}").json()
    tomorrow = day + datetime.timedelta(days=1)
    payment = offline(till, bill)
    assert payment.status_code == 201, payment.content
    assert payment.json()["business_date"] == tomorrow.isoformat()
    assert boss.get(f"days/{day}").json() == z
    assert agree(restaurant, day).taken == {"cash": (FRIES, 0)}
    assert agree(restaurant, tomorrow).taken == {"cash": (FRIES, 0)}
    assert issues(restaurant) == [("overpaid", FRIES, 2 * FRIES)]


def test_of_a_bill_that_is_no_longer_divided_it_is_of_the_bill(restaurant, till, bill):
    seen = till.get(f"orders/{bill['id']}")
    split = till.post(f"orders/{bill['id']}/split", {"kind": "even", "ways": 2}, If_Match=seen["ETag"])
    assert split.status_code in (200, 201), split.content
    first, second = split.json()["split"]["parts"]
    assert offline(till, bill, amount_minor=213, part_id=first["id"]).json()["part_id"] == first["id"]
    assert offline(till, bill, amount_minor=100, part_id=str(uuid7())).json()["part_id"] is None
    assert offline(till, bill, amount_minor=112).json()["balance_due_minor"] == 0
    assert issues(restaurant) == []
    twice = offline(till, bill, amount_minor=212, part_id=second["id"]).json()
    assert (twice["part_id"], twice["balance_due_minor"]) == (second["id"], -212)
    assert issues(restaurant) == [("overpaid", FRIES, FRIES + 212)]


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"amount_minor": None}, 400, "amount_minor"),
        ({"amount_minor": 0}, 400, "amount_minor"),
        ({"paid_at": "2026-11-20T12:00:00Z"}, 400, "paid_at"),
        ({"taken_offline_at": "yesterday"}, 400, "taken_offline_at"),
        ({"taken_offline_at": "9999-12-31T23:59:59-14:00"}, 400, "taken_offline_at"),
        ({"tendered_minor": 100}, 422, "tendered_minor"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(restaurant, till, bill, scene, fields, status, field):
    body = {"id": str(uuid7()), "method": "cash", "amount_minor": FRIES}
    body |= {"taken_offline_at": "2026-11-24T12:00:00Z"} | fields
    body = {name: value for name, value in body.items() if value is not None}
    with scene.nothing_changes():
        answer = till.post(f"orders/{bill['id']}/payments", body)
    assert answer.status_code == status, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_strangers_and_the_kitchen_tell_nothing(stranger, cook, till, bill, scene):
    with scene.nothing_changes():
        assert offline(ApiClient(stranger), bill).status_code == 404
        assert offline(ApiClient(cook), bill).status_code == 403


# Drawers


def test_it_goes_into_the_drawer_that_was_open_all_the_time(restaurant, till, bill):
    session = open_with(till, make_drawer(restaurant)).json()
    payment = offline(till, bill, minutes_ago=0).json()
    with restaurant_scope(restaurant.pk):
        assert str(PaymentIntent.objects.get(pk=payment["id"]).drawer_session_id) == session["id"]
        assert CashMovement.objects.get().amount_minor == FRIES
    assert in_books(restaurant, bill) == {"capture": {f"cash:{session['id']}": FRIES, "receivable": -FRIES}}
    assert issues(restaurant) == []
    assert count(till, session, 10000 + FRIES).json()["variance_minor"] == 0


@pytest.mark.parametrize("opens_again", [False, True])
def test_a_count_that_had_it_in_stays_as_it_was(restaurant, till, boss, bill, day, opens_again):
    """The drawer was counted with the cash in it, over by it; a session of now never held it."""
    drawer = make_drawer(restaurant)
    session = open_with(till, drawer).json()
    counted = count(till, session, 10000 + FRIES, note="Too much").json()
    assert counted["variance_minor"] == FRIES
    if opens_again:
        session = open_with(till, drawer).json()
    payment = offline(till, bill)
    assert payment.status_code == 201, payment.content
    with restaurant_scope(restaurant.pk):
        assert PaymentIntent.objects.get().drawer_session_id is None
        assert CashMovement.objects.count() == 0
    assert in_books(restaurant, bill) == {"capture": {"cash": FRIES, "receivable": -FRIES}}
    assert issues(restaurant) == [("cash_without_drawer", FRIES, None)]
    assert agree(restaurant, day).over_short == FRIES
    if opens_again:
        assert count(till, session, 10000).json()["variance_minor"] == 0
    assert accounts(restaurant)["cash_over_short"] == -FRIES
    [issue] = boss.get("issues").json()["results"]
    body = {"resolution": "In the first count, which was over by it"}
    assert boss.post(f"issues/{issue['id']}/settle", body).status_code == 200
    assert offline(till, bill, id=payment.json()["id"]).status_code == 200
    assert issues(restaurant) == []


def test_a_till_that_asks_still_needs_an_open_drawer(restaurant, till, bill, scene):
    make_drawer(restaurant)
    with scene.nothing_changes():
        refused(pay(till, bill), 409, "drawer_not_open")


def test_a_day_is_closed_with_it(restaurant, till, boss, bill, day):
    """Overpaid, given back, closed: the Z report says all three."""
    assert pay(till, bill).status_code == 201
    give_back(boss, offline(till, bill).json())
    assert close(till, bill).status_code == 200
    answer = close_day_of(boss, day)
    assert answer.status_code == 201, answer.content
    [cash] = answer.json()["report"]["providers"]
    assert (cash["amount_minor"], cash["refunded_minor"], cash["total_minor"]) == (2 * FRIES, FRIES, FRIES)
    with restaurant_scope(restaurant.pk):
        assert Order.objects.get().captured_minor == 2 * FRIES
