"""A restaurant's own row, its number series and its taxes."""

import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from accounts.models import Membership, Role, User
from accounts.staff import Staff
from fynlo.events.log import record_event
from fynlo.events.models import StreamHead
from fynlo.tenancy.scope import bind_restaurant, require_restaurant_id
from restaurants.errors import CurrencyIsFixed
from restaurants.models import Counter, Restaurant, TaxRate
from restaurants.payloads import restaurant_payload

SERIES = ("order", "receipt")


@transaction.atomic
def create_restaurant(*, name: str, slug: str, owner: User, **fields: Any) -> Restaurant:
    """Make a restaurant with its number series, its event stream and its owner's membership.

    Only the platform's database login may. Raises ValidationError, naming each bad or taken field.
    """
    restaurant = Restaurant(name=name, slug=slug, **fields)
    restaurant.full_clean()
    restaurant.save()
    with bind_restaurant(restaurant.pk):
        StreamHead.objects.create()
        Counter.objects.bulk_create([Counter(name=series) for series in SERIES])
        member_name = (owner.name or owner.email)[: Membership._meta.get_field("name").max_length]
        Membership.objects.create(user=owner, name=member_name, role=Role.OWNER)
    return restaurant


@transaction.atomic
def update_restaurant(changes: dict[str, Any], *, by: Staff) -> Restaurant:
    """Change the restaurant's own details; `changes` maps column to value.

    Amounts are stored in minor units of the currency, so it is fixed by the first order: raises
    CurrencyIsFixed then.
    """
    restaurant = Restaurant.objects.select_for_update(no_key=True).get(pk=require_restaurant_id())
    changed = [name for name, value in changes.items() if getattr(restaurant, name) != value]
    if not changed:
        return restaurant
    if "currency" in changed and _has_orders():
        raise CurrencyIsFixed
    for name in changed:
        setattr(restaurant, name, changes[name])
    restaurant.save(update_fields=changed)
    payload = {**restaurant_payload(restaurant), "changed": changed}
    record_event("restaurant.changed", restaurant.public_id, payload, actor=by.actor)
    return restaurant


def _has_orders() -> bool:
    """Whether an order was ever numbered; one that is being opened just now is waited for."""
    return Counter.objects.select_for_update().get(name="order").value > 0


def next_number(series: str) -> int:
    """The next number of a gap-free series; the row stays locked until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE restaurants_counter SET value = value + 1"
            " WHERE restaurant_id = %s AND name = %s RETURNING value",
            [require_restaurant_id(), series],
        )
        row = cursor.fetchone()
    if row is None:
        raise LookupError(f"This restaurant has no series {series!r}.")
    return int(row[0])


def tax_percents(on: datetime.date, dining_mode: str) -> dict[UUID, Decimal]:
    """The percentage of each tax class for a dining mode on a business date.

    The newest rate wins; of two from the same date the one for just this dining mode does. A class
    without a rate yet is not in the answer.
    """
    rates = TaxRate.objects.filter(valid_from__lte=on, dining_mode__in=[TaxRate.DiningMode.ANY, dining_mode])
    oldest_first = sorted(rates, key=lambda rate: (rate.valid_from, rate.dining_mode == dining_mode))
    return {rate.tax_class_id: rate.percent for rate in oldest_first}
