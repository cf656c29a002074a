"""What the worker does for operations, by the clock."""

from celery import shared_task


@shared_task
def measure_operations() -> None:
    """Tell Prometheus of commands and queues, and that beat lives: several times a minute."""
    from . import watching

    watching.measure_operations()


@shared_task
def measure_backups() -> None:
    """Tell Prometheus of the backups. For the queue `backup`, whose worker can see them."""
    from . import watching

    watching.measure_backups()
