"""Work webhooks off once more: `manage.py replay_webhooks`."""

import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import WebhookEvent
from payments.services import inbox, reconciling


class Command(OpsCommand):
    help = (
        "Takes webhooks up again, the dead ones unless told otherwise, and asks the providers about them. "
        "Harmless, as often as wanted: what is booked is what the provider says. Exit codes: 0 done, 2 no "
        "such restaurant or webhook, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--restaurant", type=int, metavar="ID", help="Only this one's.")
        parser.add_argument("--event", type=UUID, metavar="UUID", help="Only this one.")
        parser.add_argument(
            "--since",
            type=_day,
            metavar="DATE",
            help="All that came since this day (UTC), not just dead ones.",
        )

    def run(self, *, restaurant: int | None, **options: Any) -> Outcome:
        restaurants = reconciling.restaurants_with_accounts()
        if restaurant is not None:
            if restaurant not in restaurants:
                raise OpsError(Exit.USAGE, f"There is no restaurant {restaurant} with a payment account.")
            restaurants = [restaurant]
        replayed = sum(self._replay(found, options["event"], options["since"]) for found in restaurants)
        if options["event"] and not replayed:
            raise OpsError(Exit.USAGE, f"There is no webhook {options['event']}.")
        return Outcome(
            f"{len(restaurants)} restaurants, {replayed} webhooks taken up again.",
            {"restaurants": len(restaurants), "replayed": replayed},
        )

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
