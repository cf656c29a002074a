"""The end of the day: X and Z agree with the books to the penny, and what is closed stays closed."""

import datetime
import logging

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection
from django.utils import timezone

from accounts.models import Role
from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments.figures import differences, figures_from_books, figures_from_rows
from payments.models import (
    CashDrawer,
    DayClose,
    DrawerSession,
    LedgerTransaction,
    PaymentAttempt,
    PaymentIntent,
)
from payments.providers import Outcome, Snapshot
from payments.services import settle
from restaurants.models import Restaurant
from tests import factories
from tests.client import ApiClient

from .bills import all_at_once, close, kinds_of_events, open_bill, paid_and_closed, patiently, pay
from .drawers import accounts, all_cash, close_day_of, count, later, make_drawer, move, open_with, today_of


@pytest.fixture
def boss(manager):
    return ApiClient(manager)


@pytest.fixture
def day(restaurant):
    return today_of(restaurant)


@pytest.fixture
def busy(restaurant, till, boss, scene, manager):
    """An evening with a drawer: split payments, tips, a voided line and bill, a refund of half a bill in
    cash, a drop, a pay-in and a pay-out, and a drawer that is 5p short."""
    drawer = make_drawer(restaurant)
    session = open_with(till, drawer, 10000).json()
    dinner = open_bill(till, scene.order(scene.burger(2, "Bacon"), scene.line("Lager")))  # 34.10
    assert pay(till, dinner, amount_minor=1000, tip_minor=150).status_code == 201
    assert external(till, dinner, tip_minor=90).status_code == 201  # 24.10
    assert close(till, dinner).status_code == 200
    paid_and_closed(till, scene.takeaway(scene.burger(), scene.line("Cake")))  # 18.45, cake at 0 %
    lunch = open_bill(till, scene.order(scene.line("Fries"), scene.line("Lager")))  # 10.35
    boss.post(f"orders/{lunch['id']}/items/{lunch['items'][0]['id']}/void", {"reason": "Cold"})
    payment = pay(till, lunch).json()  # 6.10
    assert close(till, lunch).status_code == 200
    refunded = patiently(
        boss, f"payments/{payment['id']}/refunds", {"id": str(uuid7()), "amount_minor": 305, "reason": "Flat"}
    )
    assert refunded.status_code in (200, 201), refunded.content
    left = open_bill(till, scene.takeaway(scene.line("Fries")))
    assert boss.post(f"orders/{left['id']}/void", {"reason": "Left"}).status_code == 200
    move(till, session, "drop", 3000)
    move(till, session, "pay_in", 500)
    move(boss, session, "pay_out", 120)
    # 100.00 + 11.50 + 18.45 + 6.10 - 3.05 - 30.00 + 5.00 - 1.20 = 106.80
    assert count(till, session, 10675, note="Five pence").json()["variance_minor"] == -5
    return session


def external(till, bill, **fields):
    body = {"id": str(uuid7()), "method": "external", "reference": "T-1234", **fields}
    return patiently(till, f"orders/{bill['id']}/payments", body)


def both_ways(restaurant, day):
    with restaurant_scope(restaurant.pk):
        return figures_from_rows(day), figures_from_books(day)


# The figures


def test_a_busy_day_comes_out_the_same_both_ways(restaurant, busy, day):
    rows, books = both_ways(restaurant, day)
    assert differences(rows, books) == []
    assert rows.sales == {"20": (2842 + 1042 + 508, 568 + 208 + 102), "0": (595, 0)}
    assert rows.taken == {"cash": (1000 + 1845 + 610, 150), "external": (2410, 90)}
    assert rows.given_back == {"cash": (305, 0)}
    assert rows.returned == {"20": (254, 51)}
    assert (rows.receipts, rows.owed, rows.over_short) == (3410 + 1845 + 610, 0, -5)
    assert rows.drawers == {
        busy["id"]: {
            "float": 10000,
            "sale": 1150 + 1845 + 610,
            "refund": -305,
            "pay_in": 500,
            "pay_out": -120,
            "drop": -3000,
            "counted": 10675,
            "variance": -5,
        }
    }


def test_the_report_says_all_of_it(restaurant, waiter, busy, day, boss):
    report = boss.get("reports/x").json()
    assert report["business_date"] == day.isoformat()
    assert (report["currency"], report["agrees_with_books"], report["is_closed"]) == ("GBP", True, False)
    assert report["orders"] == {
        "closed": 3,
        "covers": 5,
        "voided": 1,
        "open": 0,
        "service_charge_minor": 0,
        "voided_items": 2,
        "voided_items_minor": 850,
    }
    assert report["sales"] == {
        "rates": [
            {"percent": "20", "net_minor": 4392, "tax_minor": 878, "gross_minor": 5270},
            {"percent": "0", "net_minor": 595, "tax_minor": 0, "gross_minor": 595},
        ],
        "net_minor": 4987,
        "tax_minor": 878,
        "gross_minor": 5865,
        "untaxed_service_charge_minor": 0,
        "total_minor": 5865,
    }
    assert report["returned"]["total_minor"] == 305
    cash, card = report["methods"]
    assert cash == {
        "method": "cash",
        "name": "Cash",
        "payments": 3,
        "amount_minor": 3455,
        "tip_minor": 150,
        "refunds": 1,
        "refunded_minor": 305,
        "tip_refunded_minor": 0,
    }
    assert (card["method"], card["amount_minor"], card["tip_minor"]) == ("external", 2410, 90)
    assert [(each["provider"], each["total_minor"]) for each in report["providers"]] == [
        ("cash", 3300),
        ("external", 2500),
    ]
    assert report["receipts"] == {"first": 1, "last": 3, "count": 3, "total_minor": 5865}
    assert (report["open"], report["over_short_minor"], report["owed_minor"]) == ([], -5, 0)
    [drawer] = report["drawers"]
    assert (drawer["drawer"], drawer["expected_minor"], drawer["counted_minor"]) == ("Bar", 10680, 10675)
    assert (drawer["variance_minor"], drawer["closed_by"]) == (-5, waiter.name)


def test_looking_changes_nothing(restaurant, busy, boss, day):
    before = all_cash(restaurant)
    for query in ("", f"?business_date={day}", "?business_date=2015-01-01"):
        assert boss.get(f"reports/x{query}").status_code == 200
    assert all_cash(restaurant) == before
    quiet = boss.get("reports/x?business_date=2015-01-01").json()
    assert (quiet["sales"]["total_minor"], quiet["methods"], quiet["open"]) == (0, [], [])


def test_an_optional_service_charge_bears_no_vat(restaurant, till, scene, day):
    with restaurant_scope(restaurant.pk):
        Restaurant.objects.filter(pk=restaurant.pk).update(
            service_charge_kind="optional", service_charge_percent="12.5"
        )
    bill = open_bill(till, scene.order(scene.line("Lager", 4)))  # 24.40 and 3.05
    assert pay(till, bill).status_code == 201
    assert close(till, bill).status_code == 200
    rows, books = both_ways(restaurant, day)
    assert differences(rows, books) == []
    assert (rows.service_charge, rows.receipts) == (305, 2745)
    assert rows.sales == {"20": (2033, 407)}


def test_money_paid_ahead_is_what_guests_are_owed(restaurant, till, scene, day):
    bill = open_bill(till, scene.order(scene.burger()))
    pay(till, bill, amount_minor=500)
    rows, books = both_ways(restaurant, day)
    assert differences(rows, books) == []
    assert rows.owed == -500


# The Z report


def test_a_day_is_closed_with_what_it_came_to(restaurant, manager, busy, boss, day):
    x = boss.get("reports/x").json()
    answer = close_day_of(boss, day)
    assert answer.status_code == 201, answer.content
    z = answer.json()
    assert (z["number"], z["business_date"], z["closed_by"]) == (1, day.isoformat(), manager.name)
    assert (z["overrides"], z["reason"]) == ([], "")
    assert {**z["report"], "made_at": x["made_at"]} == {**x, "is_closed": True}
    assert boss.get(f"days/{day}").json() == z
    assert boss.get("days").json()["results"] == [z]
    with restaurant_scope(restaurant.pk):
        assert Restaurant.objects.get(pk=restaurant.pk).closed_through == day
        event = Event.objects.get(kind="day.closed")
    assert (event.payload, event.actor) == (z, manager.actor)


def test_the_same_day_closed_again_is_the_same_report(restaurant, owner, busy, boss, day):
    first = close_day_of(boss, day).json()
    before = all_cash(restaurant)
    again = close_day_of(ApiClient(owner), day, reason="Once more")
    assert (again.status_code, again.json()) == (200, first)
    assert all_cash(restaurant) == before


def test_reports_are_numbered_without_gaps_whatever_is_refused(restaurant, till, boss, scene, day):
    bill = open_bill(till, scene.takeaway(scene.line("Lager")))
    assert close_day_of(boss, day).json()["code"] == "bill_open"
    pay(till, bill)
    close(till, bill)
    assert close_day_of(boss, day).json()["number"] == 1
    with later(days=1):
        assert close_day_of(boss, day + datetime.timedelta(days=1)).json()["number"] == 2


@pytest.mark.parametrize(("days", "code"), [(1, "day_not_over"), (30, "day_not_over"), (-1, None)])
def test_only_days_that_have_begun_are_closed(restaurant, boss, day, days, code):
    before = all_cash(restaurant)
    answer = close_day_of(boss, day + datetime.timedelta(days=days))
    assert answer.json().get("code") == code
    if code:
        assert (answer.status_code, all_cash(restaurant)) == (409, before)


def test_a_day_that_was_passed_over_is_closed(restaurant, boss, day):
    close_day_of(boss, day)
    refused = close_day_of(boss, day - datetime.timedelta(days=1))
    assert (refused.status_code, refused.json()["code"]) == (409, "day_closed")
    assert boss.get(f"days/{day - datetime.timedelta(days=1)}").json()["code"] == "no_such_day"


def test_waiters_and_the_kitchen_close_no_day_and_see_no_report(restaurant, waiter, cook, busy, day):
    before = all_cash(restaurant)
    for who in (waiter, cook):
        client = ApiClient(who)
        assert close_day_of(client, day).status_code == 403
        for path in ("reports/x", "days", f"days/{day}"):
            assert client.get(path).status_code == 403
    assert all_cash(restaurant) == before


def test_strangers_find_nothing_here_and_are_kept_out_there(restaurant, stranger, busy, boss, day):
    close_day_of(boss, day)
    before = all_cash(restaurant)
    at_home, here = ApiClient(stranger), ApiClient(stranger, restaurant_id=restaurant.pk)
    assert at_home.get("days").json()["results"] == []
    assert at_home.get(f"days/{day}").status_code == 404
    assert at_home.get("reports/x").json()["sales"]["total_minor"] == 0
    for path in ("reports/x", "days", f"days/{day}"):
        assert here.get(path).status_code in (401, 403)
    assert close_day_of(here, day).status_code in (401, 403)
    assert close_day_of(at_home, day).json()["number"] == 1
    assert all_cash(restaurant) == before


def test_days_are_closed_in_order(restaurant, till, boss, scene, day):
    close_day_of(boss, day - datetime.timedelta(days=1))
    paid_and_closed(till, scene.takeaway(scene.line("Lager")))
    tomorrow = day + datetime.timedelta(days=1)
    with later(days=1):
        refused = close_day_of(boss, tomorrow, "earlier_day_open", reason="Hurry")
        assert (refused.status_code, refused.json()["code"]) == (409, "earlier_day_open")
        assert refused.json()["earlier"] == day.isoformat()
        assert close_day_of(boss, day).status_code == 201
        assert close_day_of(boss, tomorrow).status_code == 201


def test_the_first_report_ever_may_pass_over_what_was_brought_in(restaurant, owner, boss, scene, day):
    past = datetime.datetime(2015, 6, 5, 20, 0, tzinfo=datetime.UTC)
    client = ApiClient(owner)
    bill = open_bill(client, scene.takeaway(scene.line("Fries"), opened_at=past.isoformat()))
    pay(client, bill, paid_at=past.isoformat())
    close(client, bill, closed_at=past.isoformat())
    assert close_day_of(boss, day).json()["earlier"] == "2015-06-05"
    z = close_day_of(boss, day, "earlier_day_open", reason="Brought in from the old till").json()
    assert [(each["what"], each["detail"]) for each in z["overrides"]] == [
        ("earlier_day_open", "Days from 2015-06-05 on have no report of their own.")
    ]


# What stands open


def test_open_things_are_named_and_refuse(restaurant, waiter, till, boss, scene, day):
    session = open_with(till, make_drawer(restaurant)).json()
    bill = open_bill(till, scene.order(scene.burger()))
    before = all_cash(restaurant)
    refused = close_day_of(boss, day)
    assert (refused.status_code, refused.json()["code"]) == (409, "bill_open")
    assert refused.json()["open"] == [
        {"code": "bill_open", "id": bill["id"], "what": "Order 1, T1", "amount_minor": 1250},
        {
            "code": "drawer_uncounted",
            "id": session["id"],
            "what": f"Bar, opened by {waiter.name}",
            "amount_minor": None,
        },
    ]
    only_one = close_day_of(boss, day, "bill_open", reason="Regulars")
    assert only_one.json()["code"] == "drawer_uncounted"
    no_reason = close_day_of(boss, day, "bill_open", "drawer_uncounted")
    assert (no_reason.status_code, no_reason.json()["code"]) == (422, "reason_missing")
    assert close_day_of(boss, day, "books_disagree", reason="Never mind").status_code == 400
    assert all_cash(restaurant) == before


def test_what_is_signed_for_is_carried_over(restaurant, till, boss, scene, day):
    tomorrow = day + datetime.timedelta(days=1)
    session = open_with(till, make_drawer(restaurant)).json()
    bill = open_bill(till, scene.order(scene.burger()))
    pay(till, bill, amount_minor=250)
    z = close_day_of(boss, day, "bill_open", "drawer_uncounted", reason="A late party").json()
    assert z["reason"] == "A late party"
    assert [(each["what"], each["detail"], each["amount_minor"]) for each in z["overrides"]] == [
        ("bill_open", "Order 1, T1", 1000),
        ("drawer_uncounted", z["overrides"][1]["detail"], None),
    ]
    assert (z["report"]["owed_minor"], z["report"]["open"], z["report"]["drawers"]) == (-250, [], [])
    with restaurant_scope(restaurant.pk):
        order = Order.objects.get(pk=bill["id"])
        assert (order.business_date, order.version) == (tomorrow, bill["version"] + 3)
        assert DrawerSession.objects.get(pk=session["id"]).business_date == tomorrow
    assert kinds_of_events(restaurant, "order.carried") == ["order.carried_over"]
    assert kinds_of_events(restaurant, "drawer.carried") == ["drawer.carried_over"]

    assert pay(till, bill).json()["business_date"] == tomorrow.isoformat()
    assert close(till, bill).status_code == 200
    assert count(till, session, 11250).json()["variance_minor"] == 0
    with later(days=1):
        z = close_day_of(boss, tomorrow).json()
    assert (z["number"], z["report"]["sales"]["total_minor"], z["report"]["owed_minor"]) == (2, 1250, 250)
    assert [each["amount_minor"] for each in z["report"]["methods"]] == [1000]
    assert z["report"]["drawers"][0]["sale_minor"] == 1250
    assert accounts(restaurant) == {"safe": 1250, "sales:20": -1042, "vat:20": -208}


def test_a_payment_that_nobody_knows_of_is_waited_for(restaurant, waiter, till, boss, scene, day):
    bill = open_bill(till, scene.order(scene.burger()))
    make_unknown(restaurant, waiter, bill)
    refused = close_day_of(boss, day, "bill_open", reason="x")
    assert refused.json()["code"] == "payment_unknown"
    z = close_day_of(boss, day, "bill_open", "payment_unknown", reason="The network is down").json()
    assert [each["what"] for each in z["overrides"]] == ["bill_open", "payment_unknown"]
    with restaurant_scope(restaurant.pk):
        tomorrow = day + datetime.timedelta(days=1)
        assert PaymentIntent.objects.get().business_date == tomorrow
    settle_unknown(restaurant, waiter)
    assert close(till, bill).status_code == 200
    rows, books = both_ways(restaurant, day)
    assert differences(rows, books) == []
    assert rows.taken == {}
    rows, books = both_ways(restaurant, tomorrow)
    assert differences(rows, books) == []
    assert rows.taken == {"external": (1250, 0)}


def make_unknown(restaurant, waiter, bill):
    """A card payment of all of the bill that nobody knows the outcome of."""
    with restaurant_scope(restaurant.pk):
        order = Order.objects.get(pk=bill["id"])
        payment = PaymentIntent.objects.create(
            order=order,
            method="external",
            amount_minor=order.total_minor,
            client_key=uuid7(),
            request_hash="",
            business_date=order.business_date,
            taken_by_id=waiter.membership_id,
            created_at=order.opened_at,
        )
        PaymentAttempt.objects.create(
            intent=payment, provider="external", state="unknown", created_at=order.opened_at
        )
        Order.objects.filter(pk=order.pk).update(reserved_minor=order.total_minor)


def settle_unknown(restaurant, waiter):
    with restaurant_scope(restaurant.pk):
        attempt = PaymentAttempt.objects.select_related("intent").get()
        told = Snapshot(Outcome.SUCCEEDED, captured_minor=attempt.intent.amount_minor)
        settle(attempt, told, at=timezone.now(), actor=waiter.actor)


# What is closed stays closed


@pytest.fixture
def closed(busy, boss, day):
    assert close_day_of(boss, day).status_code == 201


def test_orders_of_now_belong_to_the_next_day(restaurant, till, boss, scene, closed, day):
    tomorrow = (day + datetime.timedelta(days=1)).isoformat()
    bill = open_bill(till, scene.order(scene.burger()))
    assert bill["business_date"] == tomorrow
    session = open_with(till, _only_drawer(restaurant)).json()
    assert session["business_date"] == tomorrow
    assert pay(till, bill).json()["business_date"] == tomorrow
    assert boss.get("reports/x").json()["business_date"] == tomorrow


def _only_drawer(restaurant):
    with restaurant_scope(restaurant.pk):
        return CashDrawer.objects.get()


def test_nothing_is_brought_into_a_closed_day(restaurant, owner, scene, closed):
    before = all_cash(restaurant)
    past = "2015-06-05T20:00:00Z"
    answer = ApiClient(owner).post("orders", scene.takeaway(scene.line("Fries"), opened_at=past))
    assert (answer.status_code, answer.json()["code"]) == (409, "day_closed")
    assert all_cash(restaurant) == before


def test_a_counted_drawer_of_a_closed_day_stays_counted(restaurant, boss, busy, closed):
    before = all_cash(restaurant)
    refused = boss.post(f"drawer-sessions/{busy['id']}/reopen", {"reason": "Miscounted"})
    assert (refused.status_code, refused.json()["code"]) == (409, "day_closed")
    assert all_cash(restaurant) == before


def test_a_refund_of_a_closed_day_is_of_the_day_it_is_made(restaurant, till, boss, closed, day):
    z = boss.get(f"days/{day}").json()
    open_with(till, _only_drawer(restaurant))
    with restaurant_scope(restaurant.pk):
        payment = PaymentIntent.objects.get(amount_minor=1845)
    refunded = patiently(
        boss, f"payments/{payment.pk}/refunds", {"id": str(uuid7()), "amount_minor": 1845, "reason": "Cold"}
    )
    assert refunded.status_code in (200, 201), refunded.content
    tomorrow = day + datetime.timedelta(days=1)
    rows, books = both_ways(restaurant, tomorrow)
    assert differences(rows, books) == []
    assert rows.given_back == {"cash": (1845, 0)}
    assert rows.returned == {"20": (1042, 208), "0": (595, 0)}
    assert boss.get(f"days/{day}").json() == z
    rows, books = both_ways(restaurant, day)
    assert differences(rows, books) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orders_order SET total_minor = total_minor + 1",
        "UPDATE orders_order SET tax_minor = 0, tax_lines = '[]'",
        "UPDATE orders_order SET status = 'voided'",
        "UPDATE orders_order SET business_date = business_date + 1",
        "UPDATE payments_drawersession SET counted_minor = 1",
        "UPDATE payments_dayclose SET number = 7",
        "DELETE FROM payments_dayclose",
    ],
)
def test_the_database_itself_refuses(restaurant, closed, change):
    before = all_cash(restaurant)
    with (
        pytest.raises((IntegrityError, ProgrammingError)) as refused,
        restaurant_scope(restaurant.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute(change)
    assert isinstance(
        refused.value.__cause__, psycopg.errors.CheckViolation | psycopg.errors.InsufficientPrivilege
    )
    assert all_cash(restaurant) == before


def test_nothing_is_booked_on_a_closed_day(restaurant, closed, day):
    with pytest.raises(IntegrityError, match="closed"), restaurant_scope(restaurant.pk):
        LedgerTransaction.objects.create(key="capture:late", business_date=day, created_at=timezone.now())
    with pytest.raises(IntegrityError, match="closed"), restaurant_scope(restaurant.pk):
        order = Order.objects.filter(status="closed").first()
        order.pk, order.number = uuid7(), 999
        order.save(force_insert=True)


def test_books_that_disagree_close_no_day(restaurant, busy, boss, day, dba, caplog):
    tip = (
        "UPDATE payments_paymentintent SET tip_captured_minor = %s"
        " WHERE restaurant_id = %s AND tip_minor = 150"
    )
    dba.execute(tip, [151, restaurant.pk])
    before = all_cash(restaurant)
    with caplog.at_level(logging.ERROR, logger="payments.day_report"):
        refused = close_day_of(boss, day)
    assert (refused.status_code, refused.json()["code"]) == (409, "books_disagree")
    assert "taken: the rows say {'cash': (3455, 151)" in caplog.text
    assert boss.get("reports/x").json()["agrees_with_books"] is False
    assert all_cash(restaurant) == before
    dba.execute(tip, [150, restaurant.pk])


def test_the_list_of_days_costs_the_same_however_long(boss, day, django_assert_num_queries):
    closed = 0
    for days in (1, 3):
        while closed < days:
            with later(days=closed):
                assert close_day_of(boss, day + datetime.timedelta(days=closed)).status_code == 201
            closed += 1
        with django_assert_num_queries(3):  # BEGIN, who calls, and the reports
            assert len(boss.get("days").json()["results"]) == days


# At once


def test_a_payment_while_the_day_is_closed_is_in_the_report_or_in_the_next(
    restaurant, manager, till, scene, day
):
    tomorrow = day + datetime.timedelta(days=1)
    tills = [ApiClient(factories.staff(restaurant, Role.WAITER)) for _ in range(5)]
    boss = ApiClient(manager)
    bills = [open_bill(till, scene.takeaway(scene.line("Fries"))) for _ in range(4)]

    def act(n):
        if n == 5:
            return close_day_of(boss, day, "bill_open", reason="Carried over")
        if n == 4:
            return tills[n].post("orders", scene.takeaway(scene.line("Lager"), send=True))
        return pay(tills[n], bills[n])

    answers = all_at_once(6, act)
    assert {a.status_code for a in answers[:4]} == {201}
    assert answers[4].status_code in (201, 409, 503), answers[4].content
    z = answers[5].json()
    days = [a.json()["business_date"] for a in answers[:4]]
    assert set(days) <= {day.isoformat(), tomorrow.isoformat()}
    taken = sum(row["amount_minor"] for row in z["report"]["methods"])
    assert taken == 425 * days.count(day.isoformat())
    for when in (day, tomorrow):
        rows, books = both_ways(restaurant, when)
        assert differences(rows, books) == []
    with restaurant_scope(restaurant.pk):
        assert not Order.objects.filter(status="open", business_date__lte=day).exists()


def test_two_managers_close_a_day_once(restaurant, day):
    bosses = [ApiClient(factories.staff(restaurant, Role.MANAGER)) for _ in range(4)]
    answers = all_at_once(4, lambda n: close_day_of(bosses[n], day))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    with restaurant_scope(restaurant.pk):
        assert DayClose.objects.count() == 1
