"""What the worker does for operations, by the clock."""

import logging
from typing import Any

from celery import shared_task
from django.conf import settings

logger = logging.getLogger(__name__)

# How long the longest of them may take. A message that was delivered again meanwhile ends by itself, for
# only one may run.
HOURS = 6


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


@shared_task(time_limit=HOURS * 3600)
def run_backup(kind: str) -> None:
    """Take a backup."""
    _command("backup", kind=kind, reason="by the clock")


@shared_task(time_limit=HOURS * 3600)
def verify_backup(*, restore: bool) -> None:
    """Check the newest backups; with `restore` by restoring them, where the private key is."""
    if restore and not settings.ENV.backup.identity:
        logger.info("Without BACKUP_AGE_IDENTITY no restore is rehearsed here: another machine does.")
        return
    _command("verify_backup", latest=True, restore=restore)


@shared_task(time_limit=HOURS * 3600)
def prune_backups() -> None:
    """Remove the backups that nothing asks for any more."""
    _command("prune_backups")


@shared_task(time_limit=HOURS * 3600)
def ship_wal() -> None:
    """Bring the write-ahead log of the last minute off site."""
    from .backup import wal
    from .command import OpsError, only_one

    try:
        with only_one("ship_wal"):
            wal.ship(lambda text: None)
    except OpsError as error:
        if error.outcome.code not in BUSY:
            raise


BUSY = (4, 75)  # of fynlo.ops.command.Exit: another run is under way; try again later


def _command(name: str, **options: Any) -> None:
    """Run an operations command. A failure is a failed task, unless it is only that another one runs."""
    from django.core.management import call_command

    try:
        call_command(name, **options)
    except SystemExit as end:
        if end.code not in BUSY:
            raise CommandFailed(f"{name} ended with {end.code}.") from None


class CommandFailed(Exception):
    """An operations command that the clock ran did not end well; its own line in the log says why."""


@shared_task(expires=60)
def echo(token: str) -> None:
    """Answer verify_deployment, which waits for this at the other end of the queue."""
    from fynlo.redis_servers import connect

    with connect(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=2) as client:
        key = f"fynlo:echo:{token}"
        client.rpush(key, token)
        client.expire(key, 60)
