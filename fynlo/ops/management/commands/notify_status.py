"""Set the component on the status page: `manage.py notify_status operational`."""

from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops.command import OpsCommand, Outcome
from fynlo.ops.notify import STATUSES, set_component_status


class Command(OpsCommand):
    help = (
        "Sets the state of the component API_COMPONENT_ID on Statuspage. A deployment is none: use "
        "under_maintenance only for what guests notice. Exit codes: 0 done, 2 usage, 3 refused, "
        "6 no answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("status", choices=STATUSES)

    def run(self, *, status: str, **options: Any) -> Outcome:
        set_component_status(status)
        return Outcome(f"The status page says {status}.", {"component_status": status})
