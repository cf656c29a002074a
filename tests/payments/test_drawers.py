"""Drawers: the float, what goes in and out, the blind count, and where a till's cash goes."""

import datetime

import pytest

from accounts.models import Role
from fynlo.errors import NotAllowed
from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.errors_cash import DrawerNotOpen, NoSuchDrawer, NoSuchDrawerSession
from payments.models import CashMovement, PaymentIntent
from payments.services import drawers, pay_cash
from tests import factories
from tests.client import ApiClient

from .bills import all_at_once, in_books, kinds_of_events, open_bill, pay
from .drawers import accounts, all_cash, at_till, booked, close_day_of, count, make_drawer, move, open_with


@pytest.fixture
def drawer(restaurant):
    return make_drawer(restaurant)


@pytest.fixture
def boss(manager):
    return ApiClient(manager)


@pytest.fixture
def session(till, drawer):
    """The bar's drawer, opened by the waiter with 100.00."""
    answer = open_with(till, drawer)
    assert answer.status_code == 201, answer.content
    return answer.json()


@pytest.fixture
def bill(till, scene):
    """A burger and a lager at T1: 18.60."""
    return open_bill(till, scene.order(scene.burger(), scene.line("Lager")))


# The float


def test_opening_a_drawer_takes_its_float_from_the_safe(restaurant, waiter, drawer, till):
    session_id = str(uuid7())
    answer = open_with(till, drawer, 12050, id=session_id)
    assert answer.status_code == 201
    opened = answer.json()
    assert opened.pop("opened_at")
    assert opened.pop("business_date")
    assert opened == {
        "id": session_id,
        "drawer_id": str(drawer.pk),
        "drawer": "Bar",
        "status": "open",
        "currency": "GBP",
        "float_minor": 12050,
        "opened_by": waiter.name,
        "counted_minor": None,
        "expected_minor": None,
        "variance_minor": None,
        "count_note": "",
        "closed_by": None,
        "closed_at": None,
    }
    assert booked(restaurant, f"float:{session_id}") == {f"cash:{session_id}": 12050, "safe": -12050}
    assert kinds_of_events(restaurant, "drawer.") == ["drawer.opened"]
    listed = till.get("drawers").json()["results"]
    assert [(each["name"], each["open_session"]["id"]) for each in listed] == [("Bar", session_id)]


def test_the_same_opening_again_is_the_same_session(restaurant, drawer, till, session):
    before = all_cash(restaurant)
    again = open_with(till, drawer, id=session["id"])
    assert (again.status_code, again.json()) == (200, session)
    other = make_drawer(restaurant, "Terrace")
    after = all_cash(restaurant) | {"drawers": before["drawers"]}
    assert after == before
    for where, amount in [(drawer, 9999), (other, 10000)]:
        refused = open_with(till, where, amount, id=session["id"])
        assert (refused.status_code, refused.json()["code"]) == (422, "cash_id_reused")


def test_a_drawer_is_open_once(restaurant, drawer, till, session):
    before = all_cash(restaurant)
    refused = open_with(till, drawer)
    assert (refused.status_code, refused.json()["code"]) == (409, "drawer_already_open")
    assert all_cash(restaurant) == before


def test_only_drawers_in_use_are_opened(restaurant, till):
    retired = make_drawer(restaurant, "Old", is_active=False)
    for drawer_id in (retired.pk, uuid7()):
        answer = till.post(f"drawers/{drawer_id}/sessions", {"id": str(uuid7()), "float_minor": 1})
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_drawer")


def test_a_tills_drawer_is_its_own(restaurant, waiter, manager):
    mine, other = factories.device(restaurant), factories.device(restaurant)
    drawer = make_drawer(restaurant, device=mine)
    with pytest.raises(NotAllowed), restaurant_scope(restaurant.pk):
        drawers.open_drawer(drawer.pk, id=uuid7(), float_minor=0, by=at_till(waiter, other))
    with restaurant_scope(restaurant.pk):
        session = drawers.open_drawer(drawer.pk, id=uuid7(), float_minor=0, by=at_till(waiter, mine))
    with pytest.raises(NotAllowed), restaurant_scope(restaurant.pk):
        drawers.count_drawer(session.pk, counted_minor=0, by=at_till(waiter, other))
    with restaurant_scope(restaurant.pk):
        counted = drawers.count_drawer(session.pk, counted_minor=0, by=at_till(manager, other))
    assert (counted.status, counted.variance_minor) == ("closed", 0)


# In and out


def test_what_goes_in_and_out_is_booked_with_its_reason(restaurant, manager, boss, session):
    cash = f"cash:{session['id']}"
    for kind, amount, account, signed in [
        ("pay_in", 2000, "cash_in", 2000),
        ("pay_out", 350, "petty_cash", -350),
        ("drop", 5000, "safe", -5000),
    ]:
        answer = move(boss, session, kind, amount, reason=f"Because of {kind}")
        assert answer.status_code == 201, answer.content
        moved = answer.json()
        assert moved.pop("created_at")
        assert moved == {
            "id": moved["id"],
            "session_id": session["id"],
            "kind": kind,
            "amount_minor": signed,
            "reason": f"Because of {kind}",
            "payment_id": None,
            "by": manager.name,
        }
        assert booked(restaurant, f"cash_movement:{moved['id']}") == {cash: signed, account: -signed}
    opened = move(boss, session, "no_sale")
    assert (opened.status_code, opened.json()["amount_minor"]) == (201, 0)
    assert kinds_of_events(restaurant, "drawer.") == [
        "drawer.opened",
        "drawer.paid_in",
        "drawer.paid_out",
        "drawer.dropped",
        "drawer.opened_without_sale",
    ]
    assert accounts(restaurant) == {cash: 6650, "safe": -5000, "cash_in": -2000, "petty_cash": 350}


def test_the_same_movement_again_moves_nothing(restaurant, till, session):
    first = move(till, session, "drop", 3000)
    before = all_cash(restaurant)
    same = move(till, session, "drop", 3000, id=first.json()["id"])
    assert (same.status_code, same.json()) == (200, first.json())
    for kind, amount, reason in [("drop", 3001, "Milk"), ("pay_in", 3000, "Milk"), ("drop", 3000, "Tea")]:
        refused = move(till, session, kind, amount, reason=reason, id=first.json()["id"])
        assert (refused.status_code, refused.json()["code"]) == (422, "cash_id_reused")
    assert all_cash(restaurant) == before


def test_waiters_neither_pay_out_nor_open_it_for_nothing(restaurant, till, session):
    before = all_cash(restaurant)
    for kind, amount in [("pay_out", 100), ("no_sale", None)]:
        answer = move(till, session, kind, amount)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert all_cash(restaurant) == before
    assert move(till, session, "pay_in", 100).status_code == 201
    assert move(till, session, "drop", 100).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "drop"},
        {"kind": "drop", "amount_minor": 0},
        {"kind": "drop", "amount_minor": -5},
        {"kind": "no_sale", "amount_minor": 5},
        {"kind": "sale", "amount_minor": 5},
        {"kind": "drop", "amount_minor": 5, "reason": "  "},
    ],
)
def test_odd_movements_are_refused(restaurant, boss, session, body):
    before = all_cash(restaurant)
    answer = boss.post(
        f"drawer-sessions/{session['id']}/movements", {"id": str(uuid7()), "reason": "Milk", **body}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert all_cash(restaurant) == before


# Guests' cash


def test_a_sale_goes_into_the_drawer_with_its_tip(restaurant, waiter, till, session, bill):
    payment = pay(till, bill, tip_minor=140, tendered_minor=2000).json()
    with restaurant_scope(restaurant.pk):
        row = PaymentIntent.objects.get(pk=payment["id"])
        movement = CashMovement.objects.get()
    assert str(row.drawer_session_id) == session["id"]
    assert (movement.kind, movement.amount_minor, movement.payment_id) == ("sale", 2000, row.pk)
    assert in_books(restaurant, bill) == {
        "capture": {f"cash:{session['id']}": 2000, "receivable": -1860, "tips_payable": -140}
    }


def test_cash_without_drawers_stays_plain_cash(restaurant, till, bill):
    make_drawer(restaurant, "Old", is_active=False)
    assert pay(till, bill).status_code == 201
    assert in_books(restaurant, bill) == {"capture": {"cash": 1860, "receivable": -1860}}


def test_no_cash_is_taken_into_a_drawer_that_is_not_open(restaurant, till, drawer, bill):
    before = all_cash(restaurant)
    answer = pay(till, bill)
    assert (answer.status_code, answer.json()["code"]) == (409, "drawer_not_open")
    assert all_cash(restaurant) == before


def test_cash_goes_into_the_drawer_of_its_till(restaurant, waiter, till, scene):
    tills = [factories.device(restaurant) for _ in range(3)]
    sessions = []
    for device, name in zip(tills[:2], ["Bar", "Terrace"], strict=True):
        drawer = make_drawer(restaurant, name, device)
        with restaurant_scope(restaurant.pk):
            sessions.append(
                drawers.open_drawer(drawer.pk, id=uuid7(), float_minor=0, by=at_till(waiter, device)).pk
            )
    bills = [open_bill(till, scene.takeaway(scene.line("Fries"))) for _ in range(3)]
    for bill, device, session in zip(bills[:2], tills[:2], sessions, strict=True):
        with restaurant_scope(restaurant.pk):
            payment = pay_cash(bill["id"], client_key=uuid7(), by=at_till(waiter, device))
            assert payment.drawer_session_id == session
    for by in (at_till(waiter, tills[2]), waiter):  # a till without a drawer; which of two, by password
        with pytest.raises(DrawerNotOpen), restaurant_scope(restaurant.pk):
            pay_cash(bills[2]["id"], client_key=uuid7(), by=by)


def test_a_payment_of_the_past_went_into_no_drawer_of_now(restaurant, owner, drawer, scene):
    past = datetime.datetime(2015, 6, 5, 20, 0, tzinfo=datetime.UTC)
    bill = open_bill(ApiClient(owner), scene.takeaway(scene.line("Fries"), opened_at=past.isoformat()))
    with restaurant_scope(restaurant.pk):
        payment = pay_cash(bill["id"], client_key=uuid7(), by=owner, at=past)
        assert payment.drawer_session_id is None


# The count


def test_a_count_is_blind_and_tells_afterwards(restaurant, waiter, till, boss, session, bill):
    pay(till, bill)
    move(till, session, "drop", 5000)
    seen = till.get(f"drawer-sessions/{session['id']}").json()
    assert seen["expected_minor"] is None
    assert [moved["kind"] for moved in seen["movements"]] == ["drop"]
    seen = boss.get(f"drawer-sessions/{session['id']}").json()
    assert [(moved["kind"], moved["amount_minor"]) for moved in seen["movements"]] == [
        ("sale", 1860),
        ("drop", -5000),
    ]

    answer = count(till, session, 6850, note="A coin fell behind the bar")
    assert answer.status_code == 200
    counted = answer.json()
    assert counted.pop("closed_at")
    assert counted == {
        **{name: value for name, value in session.items() if name != "closed_at"},
        "status": "closed",
        "counted_minor": 6850,
        "expected_minor": 6860,
        "variance_minor": -10,
        "count_note": "A coin fell behind the bar",
        "closed_by": waiter.name,
    }
    assert booked(restaurant, f"count:{session['id']}:1") == {
        "safe": 6850,
        "cash_over_short": 10,
        f"cash:{session['id']}": -6860,
    }
    with restaurant_scope(restaurant.pk):
        event = Event.objects.get(kind="drawer.counted")
    assert (event.payload["variance_minor"], event.actor) == (-10, waiter.actor)
    whole = till.get(f"drawer-sessions/{session['id']}").json()
    assert [moved["kind"] for moved in whole["movements"]] == ["sale", "drop"]


def test_the_same_count_again_is_the_same(restaurant, till, boss, session):
    first = count(till, session, 10000).json()
    before = all_cash(restaurant)
    assert count(till, session, 10000).json() == first
    assert count(till, session, 10000).json() == first
    for counted, note in [(9999, "Less"), (10000, "Other")]:
        refused = count(till, session, counted, note=note)
        assert (refused.status_code, refused.json()["code"]) == (409, "drawer_counted")
    assert move(boss, session, "drop", 1).json()["code"] == "drawer_counted"
    assert all_cash(restaurant) == before


def test_the_first_count_stands_so_that_nobody_can_find_the_figure_by_guessing(restaurant, till, session):
    first = count(till, session, 9990)
    assert (first.status_code, first.json()["variance_minor"], first.json()["count_note"]) == (200, -10, "")
    before = all_cash(restaurant)
    for guess in (9995, 10000, 10005):
        refused = count(till, session, guess, note="Counted again")
        assert (refused.status_code, refused.json()["code"]) == (409, "drawer_counted")
        assert not {"expected_minor", "variance_minor"} & set(refused.json())
    assert all_cash(restaurant) == before
    assert accounts(restaurant) == {"safe": -10, "cash_over_short": 10}


def test_a_manager_says_later_why_it_was_off(restaurant, manager, till, boss, session):
    place = f"drawer-sessions/{session['id']}/note"
    assert boss.post(place, {"note": "Too early"}).json()["code"] == "drawer_not_counted"
    counted = count(till, session, 9990).json()
    assert till.post(place, {"note": "Mine"}).status_code == 403
    assert boss.post(place, {"note": " "}).status_code == 400
    for note in ("A coin fell", "A coin fell", "Found behind the bar"):
        assert boss.post(place, {"note": note}).json() == {**counted, "count_note": note}
    with restaurant_scope(restaurant.pk):
        said = Event.objects.filter(kind="drawer.explained").order_by("seq")
        assert [(event.payload["before"]["count_note"], event.actor) for event in said] == [
            ("", manager.actor),
            ("A coin fell", manager.actor),
        ]
    assert close_day_of(boss, counted["business_date"]).status_code in (200, 201)
    before = all_cash(restaurant)
    refused = boss.post(place, {"note": "Too late"})
    assert (refused.status_code, refused.json()["code"]) == (409, "day_closed")
    assert all_cash(restaurant) == before


def test_a_manager_has_it_counted_again(restaurant, manager, till, boss, session, bill):
    pay(till, bill)
    count(till, session, 1860, note="Forgot the float")
    refused = till.post(f"drawer-sessions/{session['id']}/reopen", {"reason": "Miscounted"})
    assert refused.status_code == 403
    answer = boss.post(f"drawer-sessions/{session['id']}/reopen", {"reason": "Miscounted"})
    assert (answer.status_code, answer.json()) == (200, session)
    again = boss.post(f"drawer-sessions/{session['id']}/reopen", {"reason": "Miscounted"})
    assert (again.status_code, again.json()) == (200, session)
    assert count(till, session, 11860).json()["variance_minor"] == 0
    assert accounts(restaurant) == {"safe": 1860, "receivable": -1860}
    with restaurant_scope(restaurant.pk):
        event = Event.objects.get(kind="drawer.reopened")
    assert event.payload["reason"] == "Miscounted"
    assert event.payload["before"] == {"counted_minor": 1860, "variance_minor": -10000}


def test_a_counted_drawer_is_not_opened_again_under_a_later_session(restaurant, till, boss, drawer, session):
    count(till, session, 10000)
    open_with(till, drawer, 500)
    before = all_cash(restaurant)
    refused = boss.post(f"drawer-sessions/{session['id']}/reopen", {"reason": "Miscounted"})
    assert (refused.status_code, refused.json()["code"]) == (409, "drawer_already_open")
    assert all_cash(restaurant) == before


def test_an_empty_drawer_that_holds_something_is_over(restaurant, till, drawer):
    session = open_with(till, drawer, 0).json()
    assert count(till, session, 25, note="Found").json()["variance_minor"] == 25
    assert accounts(restaurant) == {"safe": 25, "cash_over_short": -25}


# Who


def test_strangers_find_nothing_here_and_are_kept_out_there(restaurant, stranger, drawer, session):
    before = all_cash(restaurant)
    at_home, here = ApiClient(stranger), ApiClient(stranger, restaurant_id=restaurant.pk)
    paths = [
        (f"drawers/{drawer.pk}/sessions", {"id": str(uuid7()), "float_minor": 1}),
        (
            f"drawer-sessions/{session['id']}/movements",
            {"id": str(uuid7()), "kind": "drop", "amount_minor": 1, "reason": "x"},
        ),
        (f"drawer-sessions/{session['id']}/count", {"counted_minor": 10000}),
        (f"drawer-sessions/{session['id']}/note", {"note": "x"}),
        (f"drawer-sessions/{session['id']}/reopen", {"reason": "x"}),
    ]
    for path, body in paths:
        assert at_home.post(path, body).status_code == 404
        assert here.post(path, body).status_code in (401, 403)
    assert at_home.get("drawers").json() == {"results": []}
    assert at_home.get(f"drawer-sessions/{session['id']}").status_code == 404
    assert here.get("drawers").status_code in (401, 403)
    assert all_cash(restaurant) == before


def test_the_kitchen_has_no_drawer(cook, drawer, session):
    kitchen = ApiClient(cook)
    assert kitchen.get("drawers").status_code == 403
    assert open_with(kitchen, drawer).status_code == 403
    assert count(kitchen, session, 10000).status_code == 403


def test_the_list_costs_the_same_however_long(restaurant, till, django_assert_num_queries):
    for drawers_there in (1, 3):
        while len(till.get("drawers").json()["results"]) < drawers_there:
            open_with(till, make_drawer(restaurant, str(uuid7())))
        with django_assert_num_queries(4):  # BEGIN, who calls, drawers, sessions
            assert len(till.get("drawers").json()["results"]) == drawers_there


# At once


def test_of_eight_tills_opening_one_drawer_one_does(restaurant, manager, drawer):
    tills = [ApiClient(factories.staff(restaurant, Role.WAITER)) for _ in range(8)]
    codes = [a.json().get("code") for a in all_at_once(8, lambda n: open_with(tills[n], drawer, n))]
    assert sorted(code or "" for code in codes) == ["", *["drawer_already_open"] * 7]


def test_a_sale_is_counted_or_refused(restaurant, scene, till, drawer):
    tills = [ApiClient(factories.staff(restaurant, Role.WAITER)) for _ in range(6)]
    session = open_with(till, drawer, 0).json()
    bills = [open_bill(till, scene.takeaway(scene.line("Fries"))) for _ in range(5)]

    def act(n):
        return count(tills[n], session, 1, note="At a glance") if n == 5 else pay(tills[n], bills[n])

    answers = all_at_once(6, act)
    taken = sum(answer.status_code == 201 for answer in answers[:5])
    assert {a.json().get("code") for a in answers[:5]} <= {None, "drawer_not_open"}
    assert answers[5].json()["expected_minor"] == 425 * taken


def test_two_counts_at_once_are_one(restaurant, till, session):
    tills = [ApiClient(factories.staff(restaurant, Role.WAITER)) for _ in range(4)]
    answers = all_at_once(4, lambda n: count(tills[n], session, 10000 + n, note="Counted"))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert kinds_of_events(restaurant, "drawer.") == ["drawer.opened", "drawer.counted"]


def test_services_refuse_what_is_not_there(restaurant, manager):
    for act in (
        lambda: drawers.open_drawer(uuid7(), id=uuid7(), float_minor=0, by=manager),
        lambda: drawers.count_drawer(uuid7(), counted_minor=0, by=manager),
        lambda: drawers.explain_variance(uuid7(), note="x", by=manager),
        lambda: drawers.reopen_drawer(uuid7(), reason="x", by=manager),
        lambda: drawers.open_without_sale(uuid7(), id=uuid7(), reason="x", by=manager),
    ):
        with pytest.raises((NoSuchDrawer, NoSuchDrawerSession)), restaurant_scope(restaurant.pk):
            act()
