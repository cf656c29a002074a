"""Writes about a restaurant itself."""

import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from accounts.models import Membership, Role, User
from fynlo.events.models import StreamHead
from fynlo.tenancy.scope import bind_restaurant, require_restaurant_id

from .models import Counter, Restaurant, TaxRate

SERIES = ("order", "receipt")


@transaction.atomic
def create_restaurant(*, name: str, slug: str, owner: User, **fields: Any) -> Restaurant:
    """Make a restaurant with its number series, its event stream and its owner's membership.

    Only the platform's database login may. Raises ValidationError for a bad or taken field.
    """
    restaurant = Restaurant(name=name, slug=slug, **fields)
    restaurant.full_clean()
    restaurant.save()
    with bind_restaurant(restaurant.pk):
        StreamHead.objects.create()
        Counter.objects.bulk_create([Counter(name=series) for series in SERIES])
        Membership.objects.create(user=owner, name=owner.name or owner.email, role=Role.OWNER)
    return restaurant


def next_number(series: str) -> int:
    """The next number of a gap-free series; the row stays locked until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE restaurants_counter SET value = value + 1 WHERE restaurant_id = %s AND name = %s RETURNING value",
            [require_restaurant_id(), series],
        )
        (number,) = cursor.fetchone()
    return int(number)


def tax_percents(on: datetime.date, dining_mode: str) -> dict[UUID, Decimal]:
    """The percentage of each tax class for a dining mode on a business date."""
    rates = TaxRate.objects.filter(
        valid_from__lte=on, dining_mode__in=[TaxRate.DiningMode.ANY, dining_mode]
    ).order_by("valid_from")
    found: dict[UUID, Decimal] = {}
    specific = TaxRate.DiningMode(dining_mode)
    for rate in sorted(rates, key=lambda rate: (rate.valid_from, rate.dining_mode == specific)):
        found[rate.tax_class_id] = rate.percent
    return found


