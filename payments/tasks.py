"""What the worker does about money, by the clock and when told."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


@shared_task
def sweep_payments() -> None:
    """Finish what was left half way, in every restaurant that has something due: every few seconds."""
    from .services import sweeping

    for restaurant_id in sweeping.restaurants_due():
        sweep_restaurant.delay(restaurant_id)


@shared_task
def sweep_restaurant(restaurant_id: int) -> None:
    """The same in one restaurant. It opens its transactions itself: providers are asked between them."""
    from .services import sweeping

    sweeping.sweep_restaurant(restaurant_id)


@shared_task
def measure_payments() -> None:
    """Tell Prometheus how much stands open."""
    from .services import watching

    watching.measure()


@shared_task
def verify_journal() -> None:
    """Check that the money adds up, in every active restaurant: every night."""
    from .services import watching

    watching.verify_all()


@shared_task
def renew_square_tokens() -> None:
    """Renew what Square's OAuth gave us, long before it runs out: every night."""
    from .services import onboarding, reconciling

    for restaurant_id in reconciling.restaurants_with_accounts():
        onboarding.renew_square_tokens(restaurant_id)


@shared_task
def reconcile_payments() -> None:
    """Compare every account with its provider: every night."""
    from .services import reconciling

    for restaurant_id in reconciling.restaurants_with_accounts():
        reconcile_restaurant.delay(restaurant_id)


@shared_task
def reconcile_restaurant(restaurant_id: int) -> None:
    """The same for the accounts of one restaurant."""
    from .services import reconciling

    reconciling.reconcile_restaurant(restaurant_id)


def sweep_soon(restaurant_id: int) -> None:
    """Have the worker look at a restaurant now. Without a queue the next sweep does, seconds later."""
    try:
        sweep_restaurant.apply_async((restaurant_id,), retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("The queue is away, so the sweep by the clock has to do: %s", error)
