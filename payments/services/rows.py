"""The rows that every service about money begins with."""

from uuid import UUID

from django.db import connection

from fynlo.tenancy.scope import require_restaurant_id
from orders.errors import NoSuchOrder
from orders.models import Order
from orders.services.rows import new_row

LOCK = """
    SELECT id, number, status, currency, business_date, total_minor, reserved_minor, captured_minor,
           refunded_minor, opened_at, is_split
      FROM orders_order WHERE restaurant_id = %s AND id = %s FOR UPDATE
"""


def lock_order(order_id: UUID) -> Order:
    """The order, locked until the transaction ends, with what payments look at. Raises NoSuchOrder."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [require_restaurant_id(), order_id])
        row = cursor.fetchone()
        if row is None:
            raise NoSuchOrder
        names = [column.name for column in cursor.description]
    return new_row(Order, **dict(zip(names, row, strict=True)))
