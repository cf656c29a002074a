"""Bring the sums up to date now, and prove them: `manage.py refresh_views`."""

import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from fynlo.ops.command import Exit, OpsCommand, Outcome, only_one
from orders.services import sales
from orders.tasks import CHECKED_DAYS

DAILY, PLATFORM = "daily_revenue", "platform_daily_revenue"
EVER = datetime.date(1, 1, 1)


class Command(OpsCommand):
    help = (
        "Sums up what changed, then compares the sums of the last days with the orders themselves. May be "
        "repeated. Exit codes: 0 they agree, 3 they differ, 4 another run is under way, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", nargs="?", choices=[DAILY, PLATFORM], help="Only this one.")
        parser.add_argument(
            "--full",
            action="store_true",
            help=f"Put right what differs, and compare all of history, not {CHECKED_DAYS} days.",
        )

    def run(self, *, name: str | None, full: bool, **options: Any) -> Outcome:
        with only_one("refresh_views"):
            views = self._refresh([name] if name else [DAILY, PLATFORM], full)
        message = "; ".join(
            f"{view}: " + ", ".join(f"{value} {what}" for what, value in result.items())
            for view, result in views.items()
        )
        differs = any(result["days_different"] for result in views.values())
        return Outcome(message, {"views": views}, Exit.CHECK_FAILED if differs else Exit.OK)

    def _refresh(self, names: list[str], full: bool) -> dict[str, dict[str, int]]:
        outcome = {}
        if DAILY in names:
            since = EVER if full else timezone.now().date() - datetime.timedelta(days=CHECKED_DAYS)
            repaired = sales.mark_sales_differences(since) if full else []
            drained = sales.drain_sales()
            different = sales.sales_differences(since)
            for day in different:
                self.say(f"Restaurant {day.restaurant_id} differs on {day.business_date}.")
            outcome[DAILY] = {
                "days_summed": drained,
                "days_repaired": len(repaired),
                "days_different": len(different),
            }
        if PLATFORM in names:
            outcome[PLATFORM] = {"days_different": sales.refresh_platform_revenue()}
        return outcome
