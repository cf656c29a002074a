"""The front page, the lists and the papers: exact figures, and only one's own."""

import datetime
import re
import uuid

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Membership, Role
from fynlo.backoffice import SECTIONS, bars
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from orders.reports import Day
from orders.services import sales
from restaurants.models import Floor, Restaurant
from tests import factories
from tests.client import ApiClient
from tests.orders.scene import look_at
from tests.payments.bills import paid_and_closed
from tests.reports.scene import make_order

LISTS = [
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for model in sorted(admin.site._registry, key=lambda model: model._meta.label)
    if model is not Restaurant
]


def sell(restaurant, owner):
    """A burger at T1, paid and closed: 12.50."""
    scene = look_at(restaurant)
    return paid_and_closed(ApiClient(owner), scene.order(scene.burger()))


def test_the_front_page_has_todays_figures_and_the_month(restaurant, owner, office):
    today = restaurant.business_date(timezone.now())
    with restaurant_scope(restaurant.pk):
        make_order(today, 1000, tax_minor=167, covers=2)
        make_order(today, 250, tax_minor=42, covers=1)
        make_order(today, 700, status="open")
        make_order(today - datetime.timedelta(days=29), 5000)
        make_order(today - datetime.timedelta(days=30), 99)
    sales.drain_sales()
    page = office(owner).get("/admin/").content.decode()
    figures = dict(re.findall(r'data-figure="(\w+)">([^<]*)<', page))
    assert figures == {
        "taken": "£12.50",
        "closed": "2",
        "average": "£6.25",
        "tax": "£2.09",
        "covers": "3",
        "open": "1",
        "running": "£7.00",
    }
    assert "The last 30 days: £62.50" in page
    assert len(re.findall('<rect class="bar"', page)) == 30
    assert "<style" not in page
    assert "style=" not in page
    assert "<script>" not in page


def test_bars_are_as_high_as_the_days():
    day = datetime.date(2026, 3, 1)
    drawn = bars([Day(day, 1, 200), Day(day, 2, 400), Day(day)], "GBP")
    assert [(bar.x, bar.y, bar.height, bar.text) for bar in drawn] == [
        (3, 90, 90, "£2.00"),
        (27, 0, 180, "£4.00"),
        (51, 180, 0, "£0.00"),
    ]


def test_every_page_has_a_place_on_the_front_page(owner, office):
    named = {model for models in SECTIONS.values() for model in models}
    assert named == {model.__name__ for model in admin.site._registry}
    page = office(owner).get("/admin/").content.decode()
    assert all(title in page for title in SECTIONS)


def test_the_accountants_file(restaurant, other_restaurant, manager, office):
    today = restaurant.business_date(timezone.now())
    with restaurant_scope(other_restaurant.pk):
        make_order(today, 99_999)
    with restaurant_scope(restaurant.pk):
        make_order(today, 123_450, tax_minor=20_575, kind="dine_in")
        make_order(today, 50)
    sales.drain_sales()
    answer = office(manager).get("/admin/revenue.csv")
    first = today - datetime.timedelta(days=29)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="revenue-{first}-{today}.csv"'
    lines = answer.content.decode().splitlines()
    assert lines[0] == "Business day,Bills,Taken,Tax in it,Eaten in,Taken away,Currency"
    assert lines[1] == f"{first},0,0.00,0.00,0.00,0.00,GBP"
    assert lines[-1] == f"{today},2,1235.00,205.75,1234.50,0.50,GBP"
    assert len(lines) == 31
    assert len(office(manager).get("/admin/revenue.csv?days=365").content.decode().splitlines()) == 366
    assert len(office(manager).get("/admin/revenue.csv?days=x").content.decode().splitlines()) == 31


@pytest.mark.parametrize("page", LISTS)
def test_lists_cost_the_same_with_more_rows(restaurant, owner, office, page):
    client = office(owner)
    costs = []
    for _ in range(2):
        sell(restaurant, owner)
        factories.device(restaurant)
        factories.staff(restaurant, Role.WAITER)
        with restaurant_scope(restaurant.pk):
            Floor.objects.create(name=uuid.uuid4().hex)
        client.get(page)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(page).status_code == 200
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_an_orders_page_shows_all_of_it_and_leads_to_the_receipt(restaurant, owner, stranger, office):
    bill = sell(restaurant, owner)
    client = office(owner)
    page = client.get(f"/admin/orders/order/{bill['id']}/change/").content.decode()
    for text in ("Burger", "Rare", "Grill", "Cash", "£12.50", "order.opened", "order.closed"):
        assert text in page
    link = re.search(r'href="(/admin/payments/receipt/[^"]+/page/)"', page)[1]
    receipt = client.get(link).content.decode()
    assert "The Copper Pot" in receipt
    assert "copy" not in receipt.lower()
    assert "copy" in client.get(link).content.decode().lower()
    assert office(stranger).get(link).status_code == 404
    assert client.get(f"/admin/payments/receipt/{uuid.uuid4()}/page/").status_code == 404


def test_nobody_changes_an_order_by_post(restaurant, owner, office):
    with restaurant_scope(restaurant.pk):
        order = make_order(datetime.date(2026, 3, 1), 1000)
    client = office(owner)
    place = f"/admin/orders/order/{order.pk}/"
    assert client.post(f"{place}change/", {"total_minor": "1", "status": "voided"}).status_code == 403
    assert client.post(f"{place}delete/", {"post": "yes"}).status_code == 403
    with restaurant_scope(restaurant.pk):
        found = Order.objects.get(pk=order.pk)
    assert (found.total_minor, found.status) == (1000, "closed")


def test_a_manager_changes_the_telephone_but_not_what_the_law_looks_at(restaurant, manager, office):
    client = office(manager)
    form = {"phone": "020 1", "warn_after_seconds": "300", "late_after_seconds": "600"}
    legal = {"name": "Mine", "vat_number": "GB1", "address": "Here", "timezone": "Asia/Tokyo"}
    place = f"/admin/restaurants/restaurant/{restaurant.pk}/change/"
    assert client.post(place, {**form, **legal, "business_day_cutoff": "05:00"}).status_code == 302
    with restaurant_scope(restaurant.pk):
        row = Restaurant.objects.get()
    assert (row.phone, row.warn_after_seconds) == ("020 1", 300)
    assert (row.name, row.vat_number, row.address, row.timezone) == (
        "The Copper Pot",
        "",
        "",
        "Europe/London",
    )
    assert row.business_day_cutoff == datetime.time(4)


def test_a_manager_cannot_touch_an_owner(restaurant, manager, office):
    with restaurant_scope(restaurant.pk):
        boss = Membership.objects.filter(role=Role.OWNER).first()
    place = f"/admin/accounts/membership/{boss.pk}/change/"
    for change in (
        {"role": "waiter", "is_active": "on"},
        {"role": "owner"},
        {"role": "owner", "pin": "4711"},
    ):
        answer = office(manager).post(place, {"name": boss.name, **change})
        assert answer.status_code == 200
        assert "Only an owner may make or change an owner." in answer.content.decode()
    with restaurant_scope(restaurant.pk):
        now = Membership.objects.get(pk=boss.pk)
    assert (now.role, now.is_active, now.pin_hash) == ("owner", True, "")


def test_history_and_recent_actions_stay_in_the_restaurant(
    restaurant, other_restaurant, owner, stranger, office
):
    """One person who works in both sees in each what was done there."""
    client = office(owner)
    with restaurant_scope(other_restaurant.pk):
        theirs = Membership.objects.get(pk=stranger.membership_id)
        theirs.role = Role.WAITER
        theirs.save()
    with restaurant_scope(restaurant.pk):
        user = Membership.objects.select_related("user").get(pk=owner.membership_id).user
    with restaurant_scope(other_restaurant.pk):
        Membership.objects.create(user=user, name="Visitor", role=Role.MANAGER)
    client.get("/admin/")
    client.post("/admin/choose/", {"restaurant_id": restaurant.pk})
    answer = client.post(
        "/admin/restaurants/kitchenstation/add/", {"name": "Secret station", "position": "9"}
    )
    assert answer.status_code == 302
    client.get("/admin/")  # the message is shown
    with CaptureQueriesContext(connection):
        assert _logged(restaurant) == ["Secret station"]
    client.post("/admin/choose/", {"restaurant_id": other_restaurant.pk})
    assert "Secret station" not in client.get("/admin/").content.decode()
    assert _logged(other_restaurant) == []


def _logged(restaurant):
    from django.contrib.admin.models import LogEntry

    with restaurant_scope(restaurant.pk):
        return list(LogEntry.objects.values_list("object_repr", flat=True))


def test_an_empty_list_says_what_to_do(owner, office):
    page = office(owner).get("/admin/orders/order/").content.decode()
    assert "No orders yet: they appear here as the tills take them." in page
    assert "Nothing matches." in office(owner).get("/admin/orders/order/?q=7").content.decode()


def test_times_are_the_restaurants(owner, office, restaurant):
    with restaurant_scope(restaurant.pk):
        Restaurant.objects.update(timezone="Asia/Tokyo")
        order = make_order(datetime.date(2026, 3, 1), 100)
        at = datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.UTC)
        Order.objects.filter(pk=order.pk).update(opened_at=at)
    page = office(owner).get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    assert "1 Mar 2026, 21:30" in page
