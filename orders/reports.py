"""What a restaurant takes: by day from the roll-up, and today's live from the orders. Reads only."""

import datetime
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from fynlo.tenancy.replica import reading_from_replica
from restaurants.models import Restaurant

from .models import DailyRevenue, Order


@dataclass(frozen=True, slots=True)
class Day:
    """A business day's closed orders. Amounts are in minor units and include tax."""

    business_date: datetime.date
    orders: int = 0
    revenue_minor: int = 0
    tax_minor: int = 0
    dine_in_minor: int = 0
    takeaway_minor: int = 0


@dataclass(frozen=True, slots=True)
class Today:
    """The business day up to now. `carried_over` counts bills of earlier days that are still open."""

    business_date: datetime.date
    open_orders: int
    open_minor: int
    open_covers: int
    closed_orders: int
    closed_minor: int
    closed_tax_minor: int
    closed_covers: int
    carried_over: int

    @property
    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "average_minor": self.average_minor}

    @property
    def average_minor(self) -> int:
        """Of a closed order, to the nearest minor unit."""
        return (
            (2 * self.closed_minor + self.closed_orders) // (2 * self.closed_orders)
            if self.closed_orders
            else 0
        )


@dataclass(frozen=True, slots=True)
class PlatformDay:
    """A calendar day's business days over all restaurants of one currency."""

    business_date: datetime.date
    currency: str
    restaurants: int
    orders: int
    revenue_minor: int
    tax_minor: int


@reading_from_replica()
def revenue_by_day(first: datetime.date, last: datetime.date) -> list[Day]:
    """Each day from `first` to `last`, also those without sales; seconds behind the orders."""
    found = (
        DailyRevenue.objects.filter(business_date__range=(first, last))
        .values("business_date")
        .annotate(
            all_orders=Sum("orders"),
            revenue=Sum("revenue_minor"),
            tax=Sum("tax_minor"),
            dine_in=Coalesce(Sum("revenue_minor", filter=Q(kind=Order.Kind.DINE_IN)), 0),
            takeaway=Coalesce(Sum("revenue_minor", filter=Q(kind=Order.Kind.TAKEAWAY)), 0),
        )
        .values_list("business_date", "all_orders", "revenue", "tax", "dine_in", "takeaway")
    )
    by_date = {row[0]: Day(row[0], *map(int, row[1:])) for row in found}
    dates = (first + datetime.timedelta(days=n) for n in range((last - first).days + 1))
    return [by_date.get(date, Day(date)) for date in dates]


def today_live(restaurant: Restaurant) -> Today:
    """The restaurant's business day at this moment, straight from its orders."""
    today = restaurant.business_date(timezone.now())
    is_open, is_closed = Q(status=Order.Status.OPEN), Q(status=Order.Status.CLOSED)

    def total(field: str, which: Q) -> Any:
        return Coalesce(Sum(field, filter=which), 0)

    sums = Order.objects.filter(business_date=today).aggregate(
        open_orders=Count("pk", filter=is_open),
        open_minor=total("total_minor", is_open),
        open_covers=total("covers", is_open),
        closed_orders=Count("pk", filter=is_closed),
        closed_minor=total("total_minor", is_closed),
        closed_tax_minor=total("tax_minor", is_closed),
        closed_covers=total("covers", is_closed),
    )
    carried_over = Order.objects.open().filter(business_date__lt=today).count()
    return Today(today, **{name: int(value) for name, value in sums.items()}, carried_over=carried_over)


def platform_revenue_by_day(first: datetime.date, last: datetime.date) -> list[PlatformDay]:
    """Newest first; only the platform's login may."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT business_date, currency, restaurants, orders, revenue_minor, tax_minor"
            "  FROM definer.platform_daily_revenue WHERE business_date BETWEEN %s AND %s"
            " ORDER BY business_date DESC, currency",
            [first, last],
        )
        return [PlatformDay(*row) for row in cursor.fetchall()]
