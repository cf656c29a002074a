"""Work webhooks off once more: `manage.py replay_webhooks`."""

import datetime
import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import WebhookEvent
from payments.services import inbox, reconciling

# The exit codes that all operations commands share.
UNREACHABLE = 6


class Command(BaseCommand):
    help = (
        "Takes webhooks up again, the dead ones unless told otherwise, and asks the providers about them. "
        "Harmless, as often as wanted: what is booked is what the provider says. Exit codes: 0 done, 6 no "
        "database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--restaurant", type=int, metavar="ID", help="Only this one's.")
        parser.add_argument("--event", type=UUID, metavar="UUID", help="Only this one.")
        parser.add_argument(
            "--since",
            type=_day,
            metavar="DATE",
            help="All that came since this day (UTC), not just dead ones.",
        )
        parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")

    def handle(self, *, restaurant: int | None, **options: Any) -> None:
        try:
            restaurants = [restaurant] if restaurant is not None else reconciling.restaurants_with_accounts()
            counts = [self._replay(found, options["event"], options["since"]) for found in restaurants]
        except OperationalError as error:
            raise CommandError(f"The database does not answer: {error}", returncode=UNREACHABLE) from error
        replayed = sum(counts)
        if options["json"]:
            self.stdout.write(json.dumps({"restaurants": len(restaurants), "replayed": replayed}))
        else:
            self.stdout.write(f"{len(restaurants)} restaurants, {replayed} webhooks taken up again.")

    def _replay(self, restaurant_id: int, event: UUID | None, since: datetime.datetime | None) -> int:
        with restaurant_scope(restaurant_id):
            events = WebhookEvent.objects.all()
            if event:
                events = events.filter(pk=event)
            elif since:
                events = events.filter(received_at__gte=since)
            else:
                events = events.filter(state=WebhookEvent.State.DEAD)
            ids = list(events.values_list("pk", flat=True))
            for event_id in ids:
                inbox.replay(event_id)
        with bind_restaurant(restaurant_id):
            while inbox.work_off():
                pass
        return len(ids)


def _day(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
