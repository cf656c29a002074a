"""Finishing what was left half way: the rows are the queue, so this alone is enough, without Redis.

Each restaurant's due rows are taken with a lease, so that two workers do not ask at once; losing one
harms nothing, since the provider settles what is done twice and our rows record it once.
"""

import logging
from collections.abc import Callable
from uuid import UUID

from django.db import connection, transaction

from fynlo.tenancy.scope import bind_restaurant, require_restaurant_id, restaurant_scope

from . import cards, inbox, mailing, refunds

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60
AT_ONCE = 20

# By the database's clock: the application's may be wrong.
TAKE = """
    UPDATE {table} SET lease_until = now() + make_interval(secs => %(lease)s), checks = checks + 1,
           next_check_at = now() + make_interval(secs => %(lease)s)
     WHERE restaurant_id = %(restaurant)s AND id IN (
           SELECT id FROM {table}
            WHERE restaurant_id = %(restaurant)s AND settled_at IS NULL AND next_check_at <= now()
              AND (lease_until IS NULL OR lease_until < now())
            ORDER BY next_check_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING id
"""


def restaurants_due() -> list[int]:
    """The restaurants in which something waits to be looked at. Opens a transaction of its own."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT definer.restaurants_with_payments_due()")
        return [restaurant_id for (restaurant_id,) in cursor.fetchall()]


def sweep_all() -> int:
    """Sweep every restaurant that needs it, one after the other. Returns how many rows were taken up."""
    return sum(sweep_restaurant(restaurant_id) for restaurant_id in restaurants_due())


def sweep_restaurant(restaurant_id: int) -> int:
    """Ask about what is due in one restaurant: webhooks, attempts, refunds; send its mail."""
    with bind_restaurant(restaurant_id):
        taken = inbox.work_off()
        for attempt_id in _take("payments_paymentattempt"):
            taken += _safely("attempt", attempt_id, cards.check)
        for refund_id in _take("payments_refund"):
            taken += _safely("refund", refund_id, refunds.check_refund)
        taken += mailing.send_due_receipts()
    return taken


def _take(table: str) -> list[UUID]:
    values = {"restaurant": require_restaurant_id(), "lease": LEASE_SECONDS, "limit": AT_ONCE}
    with restaurant_scope(require_restaurant_id()), connection.cursor() as cursor:
        cursor.execute(TAKE.format(table=table), values)
        return [row_id for (row_id,) in cursor.fetchall()]


def _safely(what: str, row_id: UUID, check: Callable[[UUID], None]) -> int:
    """One that cannot be looked at does not keep the others from being looked at."""
    try:
        check(row_id)
    except Exception:
        logger.exception("The %s %s could not be looked at", what, row_id)
    return 1
