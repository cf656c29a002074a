"""What Prometheus is told of the rows, over all restaurants: how much stands open, whether the books hold."""

import logging

from django.db import connection, transaction

from fynlo.tenancy.scope import restaurant_scope
from payments import metrics
from payments.invariants import broken_invariants

logger = logging.getLogger(__name__)

IMBALANCE = "SELECT coalesce(sum(amount_minor), 0) FROM payments_ledgerentry WHERE restaurant_id = %s"


def measure() -> None:
    """Set the gauges from the rows. Opens a transaction of its own."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM definer.watch_payments()")
        rows = cursor.fetchall()
        cursor.execute("SELECT * FROM definer.watch_deadlines()")
        deadlines = cursor.fetchall()
    webhooks = {state: (number, seconds) for what, _, state, number, seconds in rows if what == "webhooks"}
    metrics.WEBHOOK_BACKLOG.set(webhooks.get("new", (0, 0))[0])
    metrics.WEBHOOK_OLDEST.set(webhooks.get("new", (0, 0))[1])
    metrics.WEBHOOK_DEAD.set(webhooks.get("dead", (0, 0))[0])
    metrics.OPEN.clear()
    metrics.OLDEST_OPEN.clear()
    metrics.OLDEST_REFUND.clear()
    metrics.DISPUTE_DUE.clear()
    metrics.TERMINALS_ONLINE.clear()
    for what, provider, state, number, seconds in rows:
        if what == "open":
            metrics.OPEN.labels(provider, state).set(number)
            metrics.OLDEST_OPEN.labels(provider, state).set(seconds)
        elif what == "reserved":
            metrics.RESERVED.set(number)
        elif what == "terminals":
            metrics.TERMINALS_ONLINE.labels(provider).set(number)
    for what, provider, _, seconds in deadlines:
        gauge = metrics.OLDEST_REFUND if what == "refunds" else metrics.DISPUTE_DUE
        gauge.labels(provider).set(seconds)


def verify_all() -> int:
    """Check the invariants of every active restaurant. Returns how many rows break one, each logged."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT definer.active_restaurants()")
        restaurants = [restaurant_id for (restaurant_id,) in cursor.fetchall()]
    broken, imbalance = 0, 0
    for restaurant_id in restaurants:
        with restaurant_scope(restaurant_id), connection.cursor() as cursor:
            for problem in broken_invariants():
                broken += 1
                metrics.INVARIANT_VIOLATIONS.labels(problem.check).inc()
                logger.error("Restaurant %s: %s", restaurant_id, problem)
            cursor.execute(IMBALANCE, [restaurant_id])
            imbalance += abs(cursor.fetchone()[0])
    metrics.LEDGER_IMBALANCE.set(imbalance)
    return broken
