"""Orders written straight into the table, for tests that add up many of them."""

import datetime
from typing import Any

from django.db.models import Max
from django.utils import timezone

from accounts.models import Membership
from fynlo.tenancy.scope import require_restaurant_id
from orders.models import Order


def make_order(
    business_date: datetime.date,
    total_minor: int,
    *,
    status: str = Order.Status.CLOSED,
    kind: str = Order.Kind.TAKEAWAY,
    tax_minor: int = 0,
    covers: int = 1,
    **fields: Any,
) -> Order:
    """An order of the restaurant in scope, also where the login is the platform's and sees them all."""
    here = {"restaurant": require_restaurant_id()}
    number = (Order.objects.filter(**here).aggregate(last=Max("number"))["last"] or 0) + 1
    return Order.objects.create(
        number=fields.pop("number", number),
        kind=kind,
        status=status,
        covers=covers,
        currency="GBP",
        business_date=business_date,
        total_minor=total_minor,
        tax_minor=tax_minor,
        opened_by=Membership.objects.filter(**here).order_by("created_at").first(),
        opened_at=timezone.now(),
        **fields,
    )
