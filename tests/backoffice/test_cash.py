"""Drawers, reports and the closing of a day in the back office, without any JavaScript."""

import datetime
import os
import pathlib
import re

import pytest

from fynlo.tenancy.scope import restaurant_scope
from payments.models import CashDrawer, DayClose
from restaurants.models import Restaurant
from tests.client import ApiClient
from tests.orders.scene import look_at
from tests.payments.bills import close, open_bill, paid_and_closed, pay
from tests.payments.drawers import all_cash, count, make_drawer, move, open_with, today_of

CLOSE = "/admin/payments/dayclose/close/"
X = "/admin/payments/dayclose/x/"


@pytest.fixture
def day(restaurant):
    return today_of(restaurant)


@pytest.fixture
def scene(restaurant):
    return look_at(restaurant)


@pytest.fixture
def till(waiter):
    return ApiClient(waiter)


@pytest.fixture
def evening(restaurant, till, manager, scene):
    """A burger for 12.50 and 1.50 of a tip into a drawer of 100.00, 20.00 of it dropped, counted 10p short;
    a lager at T1 that is still open."""
    session = open_with(till, make_drawer(restaurant)).json()
    bill = open_bill(till, scene.takeaway(scene.burger()))
    pay(till, bill, tip_minor=150)
    close(till, bill)
    move(till, session, "drop", 2000)
    count(till, session, 9390, note="Ten pence under the mat")
    return open_bill(till, scene.order(scene.line("Lager")))


def keep(name: str, page: bytes) -> None:
    """For looking at pages: KEEP_PAGES=/tmp/pages keeps them."""
    if where := os.environ.get("KEEP_PAGES"):
        pathlib.Path(where, f"{name}.html").write_bytes(page)


def text_of(page: str) -> str:
    """What a page says, with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_x_report_is_a_page_to_print(restaurant, manager, evening, office, day):
    before = all_cash(restaurant)
    answer = office(manager).get(X)
    keep("x", answer.content)
    page = text_of(answer.content.decode())
    assert answer.status_code == 200
    for said in (
        "X report",
        f"By {manager.name}",
        "Receipts 1 to 1 (1)",
        "Sales £12.50",
        "20% 10.42 2.08 12.50",
        "Cash (1) £12.50",
        "tips on top £1.50",
        "of it tips, for the staff £1.50",
        "Drawer Bar",
        "Sales and tips £14.00",
        "To the safe -£20.00",
        "Should be there £94.00",
        "Short -£0.10",
        "Ten pence under the mat",
        "Still open Order 2, T1: £6.10",
        "Not the end of the day",
    ):
        assert said in page, said
    assert all_cash(restaurant) == before
    assert office(manager).get(f"{X}?day=2015-01-01").status_code == 200
    assert office(manager).get(f"{X}?day=yesterday").status_code == 404


def test_a_manager_signs_and_closes_the_day(restaurant, manager, evening, office, day):
    browser = office(manager)
    answer = browser.get(CLOSE)
    keep("close", answer.content)
    page = answer.content.decode()
    assert (answer.status_code, "Order 2, T1: £6.10" in page) == (200, True)
    assert re.findall(r'name="sign_for" value="(\w+)"', page) == ["bill_open"]
    before = all_cash(restaurant)
    form = {"business_date": day.isoformat(), "reason": "A late guest"}
    refused = browser.post(CLOSE, form)
    keep("close-refused", refused.content)
    assert refused.status_code == 409
    assert "Bills are still open." in refused.content.decode()
    assert 'value="A late guest"' in refused.content.decode()
    signed = browser.post(CLOSE, {**form, "reason": "", "sign_for": ["bill_open"]})
    assert (signed.status_code, "Write why you sign" in signed.content.decode()) == (409, True)
    assert all_cash(restaurant) == before

    done = browser.post(CLOSE, {**form, "sign_for": ["bill_open"]}, follow=True)
    assert "is closed with report number 1." in done.content.decode()
    with restaurant_scope(restaurant.pk):
        closed = DayClose.objects.get()
        assert Restaurant.objects.get(pk=restaurant.pk).closed_through == day
    answer = browser.get(f"/admin/payments/dayclose/{closed.pk}/page/")
    keep("z", answer.content)
    z = text_of(answer.content.decode())
    for said in ("Z report 1", f"Signed for by {manager.name} Order 2, T1: £6.10 A late guest", "£12.50"):
        assert said in z, said
    assert "Still open" not in z
    listed = text_of(browser.get("/admin/payments/dayclose/").content.decode())
    assert "£12.50 -£0.10 Order 2, T1" in listed


def test_every_day_so_far_is_closed(restaurant, manager, office, day):
    browser = office(manager)
    browser.post(CLOSE, {"business_date": day.isoformat()})
    page = browser.get(CLOSE).content.decode()
    assert "this one has not begun" in page
    assert 'type="submit" class="default"' not in page


def test_the_first_report_may_pass_over_what_was_brought_in(restaurant, owner, manager, office, scene, day):
    past = datetime.datetime(2015, 6, 5, 20, 0, tzinfo=datetime.UTC).isoformat()
    client = ApiClient(owner)
    bill = open_bill(client, scene.takeaway(scene.line("Fries"), opened_at=past))
    pay(client, bill, paid_at=past)
    close(client, bill, closed_at=past)
    browser = office(manager)
    assert "earlier_day_open" not in browser.get(CLOSE).content.decode()
    refused = browser.post(CLOSE, {"business_date": day.isoformat()}).content.decode()
    assert "Close 2015-06-05 first" in refused
    assert re.findall(r'name="sign_for" value="(\w+)"', refused) == ["earlier_day_open"]
    form = {"business_date": day.isoformat(), "sign_for": ["earlier_day_open"], "reason": "Brought in"}
    assert "report number 1" in browser.post(CLOSE, form, follow=True).content.decode()


def test_a_drawer_in_use_is_not_retired(restaurant, owner, till, office):
    drawer = make_drawer(restaurant)
    open_with(till, drawer)
    browser = office(owner)
    url = f"/admin/payments/cashdrawer/{drawer.pk}/change/"
    answer = browser.post(url, {"name": "Bar", "device": ""})
    assert "Somebody works with it: count it first." in answer.content.decode()
    assert browser.post("/admin/payments/cashdrawer/add/", {"name": "Bar"}).status_code == 200  # taken
    assert (
        browser.post("/admin/payments/cashdrawer/add/", {"name": "Till", "is_active": "on"}).status_code
        == 302
    )
    with restaurant_scope(restaurant.pk):
        found = list(CashDrawer.objects.values_list("name", "is_active"))
    assert found == [("Bar", True), ("Till", True)]


def test_a_session_is_shown_with_what_moved(restaurant, manager, evening, office):
    with restaurant_scope(restaurant.pk):
        session = CashDrawer.objects.get().sessions.get()
    answer = office(manager).get(f"/admin/payments/drawersession/{session.pk}/change/")
    keep("session", answer.content)
    page = text_of(answer.content.decode())
    for said in ("£94.00", "-£0.10", "Ten pence under the mat", "-£20.00", "Milk"):
        assert said in page, said
    assert "Save" not in page


def test_strangers_and_waiters_see_nothing(restaurant, stranger, waiter, manager, evening, office, day):
    office(manager).post(
        CLOSE, {"business_date": day.isoformat(), "sign_for": ["bill_open"], "reason": "Late"}
    )
    with restaurant_scope(restaurant.pk):
        closed = DayClose.objects.get()
    before = all_cash(restaurant)
    other = office(stranger)
    assert other.get(f"/admin/payments/dayclose/{closed.pk}/page/").status_code == 404
    assert "£12.50" not in other.get(X).content.decode()
    other.post(CLOSE, {"business_date": day.isoformat()})
    assert office(waiter).get(X).status_code == 302
    assert all_cash(restaurant) == before


def test_no_page_needs_a_script(restaurant, manager, owner, till, scene, office):
    paid_and_closed(till, scene.takeaway(scene.line("Fries")))
    for path in (X, CLOSE):
        page = office(manager).get(path).content.decode()
        ours = page[page.index('<div class="close-day"') :] if path == CLOSE else page
        assert not re.search(r"<style|style=|<script(?! src)|\son\w+=", ours)
