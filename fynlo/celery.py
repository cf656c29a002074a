"""The worker: `celery -A fynlo worker`, and its clock: `celery -A fynlo beat`."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_after_setup, setup_logging, worker_init, worker_ready
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fynlo.settings")

BACKUP = "backup"  # the queue, and the role of the only worker that takes its tasks

app = Celery("fynlo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["accounts", "restaurants", "orders", "payments", "fynlo.ops"])


@setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """Django's LOGGING stands; without a receiver Celery would set up its own."""


@worker_init.connect
@beat_init.connect
def refuse_unsafe_role(**kwargs: Any) -> None:
    """Exit rather than raise: Celery logs what a signal's receiver raises, and goes on."""
    from django.conf import settings

    from fynlo.tenancy.checks import refuse_unsafe_role

    if settings.DB_ROLE == BACKUP:
        return  # its login sees every restaurant: `refuse_other_queues` keeps the others' tasks from it
    try:
        refuse_unsafe_role()
    except ImproperlyConfigured as error:
        sys.exit(str(error))


@celeryd_after_setup.connect
def refuse_other_queues(instance: Any, **kwargs: Any) -> None:
    """The worker with the backup's login takes backups, and no other worker does."""
    from django.conf import settings

    queues = set(instance.app.amqp.queues.consume_from)
    if (settings.DB_ROLE == BACKUP) != (BACKUP in queues) or (BACKUP in queues and len(queues) > 1):
        sys.exit(f"DB_ROLE={settings.DB_ROLE} must not take tasks of {', '.join(sorted(queues))}.")


@worker_init.connect
@beat_init.connect
def serve_metrics(**kwargs: Any) -> None:
    from fynlo.ops.metrics import serve_metrics

    serve_metrics()


@worker_ready.connect
def watch_tasks(**kwargs: Any) -> None:
    from fynlo.ops.watching import watch_tasks

    watch_tasks(app)
