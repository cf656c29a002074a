"""What the worker does about orders, by the clock."""

import datetime
import logging

from celery import shared_task
from django.utils import timezone

logger = logging.getLogger(__name__)

CHECKED_DAYS = 35


@shared_task
def drain_sales() -> None:
    """Bring daily revenue up to date: every few seconds."""
    from .services import sales

    sales.drain_sales()


@shared_task
def check_sales() -> None:
    """Compare the last days with their orders, and put right what differs: every night.

    Nothing ever should, so it is logged as an error.
    """
    from .services import sales

    since = timezone.now().date() - datetime.timedelta(days=CHECKED_DAYS)
    for day in sales.mark_sales_differences(since):
        logger.error(
            "Daily revenue of restaurant %s on %s was not that of its orders",
            *(day.restaurant_id, day.business_date),
        )
    sales.drain_sales()


@shared_task
def refresh_platform_revenue() -> None:
    """Sum up all restaurants for the platform console: every few minutes."""
    from .services import sales

    if days := sales.refresh_platform_revenue():
        logger.error("Platform revenue differs from the sum of the restaurants' on %s days", days)
