"""The reports over the API."""

import datetime
from datetime import date

import pytest
from django.utils import timezone

from accounts.models import Role
from fynlo.tenancy.scope import restaurant_scope
from orders.reports import today_live
from orders.services import sales
from tests import factories
from tests.reports.scene import make_order


@pytest.fixture
def sold(restaurant, other_restaurant):
    with restaurant_scope(other_restaurant.pk):
        make_order(date(2026, 3, 1), 99_999)
    with restaurant_scope(restaurant.pk):
        make_order(date(2026, 2, 28), 55)
        make_order(date(2026, 3, 1), 1250, tax_minor=208, kind="dine_in")
        make_order(date(2026, 3, 1), 425, tax_minor=71)
        make_order(date(2026, 3, 3), 600, tax_minor=100)
        make_order(date(2026, 3, 4), 77)
    sales.drain_sales()


def test_daily_revenue_of_a_period_has_every_day(sold, owner, api):
    answer = api(owner).get("reports/daily-revenue?from=2026-03-01&to=2026-03-03")
    assert answer.status_code == 200
    assert answer.json() == {
        "currency": "GBP",
        "orders": 3,
        "revenue_minor": 2275,
        "tax_minor": 379,
        "days": [
            {
                "business_date": "2026-03-01",
                "orders": 2,
                "revenue_minor": 1675,
                "tax_minor": 279,
                "dine_in_minor": 1250,
                "takeaway_minor": 425,
            },
            {
                "business_date": "2026-03-02",
                "orders": 0,
                "revenue_minor": 0,
                "tax_minor": 0,
                "dine_in_minor": 0,
                "takeaway_minor": 0,
            },
            {
                "business_date": "2026-03-03",
                "orders": 1,
                "revenue_minor": 600,
                "tax_minor": 100,
                "dine_in_minor": 0,
                "takeaway_minor": 600,
            },
        ],
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "from"),
        ("from=2026-03-01", "to"),
        ("from=yesterday&to=2026-03-01", "from"),
        ("from=2026-03-02&to=2026-03-01", "to"),
        ("from=2025-01-01&to=2026-03-01", "to"),
        ("from=2026-03-01&to=2026-03-01&restaurant_id=1", "restaurant_id"),
    ],
)
def test_a_wrong_period_is_refused_by_name(owner, api, query, field):
    answer = api(owner).get(f"reports/daily-revenue?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


def test_today_is_live(restaurant, owner, api):
    now = timezone.now()
    today = restaurant.business_date(now)
    with restaurant_scope(restaurant.pk):
        make_order(today, 1000, tax_minor=167, covers=2)
        make_order(today, 501, tax_minor=84, covers=3)
        make_order(today, 700, status="open", covers=4)
        make_order(today, 9999, status="voided", covers=9)
        make_order(today - datetime.timedelta(days=1), 8888, status="open")
        make_order(today - datetime.timedelta(days=1), 7777)
    assert api(owner).get("reports/today").json() == {
        "currency": "GBP",
        "business_date": today.isoformat(),
        "open_orders": 1,
        "open_minor": 700,
        "open_covers": 4,
        "closed_orders": 2,
        "closed_minor": 1501,
        "closed_tax_minor": 251,
        "closed_covers": 5,
        "average_minor": 751,
        "carried_over": 1,
    }


def test_a_day_without_orders_is_all_zero(restaurant, in_restaurant):
    day = today_live(restaurant).as_dict
    assert {name: value for name, value in day.items() if value} == {
        "business_date": restaurant.business_date(timezone.now())
    }


@pytest.mark.parametrize("path", ["reports/today", "reports/daily-revenue?from=2026-03-01&to=2026-03-01"])
def test_managers_and_owners_only(restaurant, stranger, api, path):
    answers = {
        role: api(factories.staff(restaurant, role)).get(path).status_code
        for role in (Role.OWNER, Role.MANAGER, Role.WAITER, Role.KITCHEN)
    }
    assert answers == {Role.OWNER: 200, Role.MANAGER: 200, Role.WAITER: 403, Role.KITCHEN: 403}
    assert api(stranger, restaurant_id=restaurant.pk).get(path).status_code == 403
    assert api(factories.device(restaurant)).get(path).status_code == 403
