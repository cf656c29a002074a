"""Bring the sums up to date now, and prove them: `manage.py refresh_views`."""

import datetime
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from django.utils import timezone

from orders.services import sales
from orders.tasks import CHECKED_DAYS

# The exit codes that all operations commands share.
CHECK_FAILED, ANOTHER_RUNS, UNREACHABLE = 3, 4, 6

DAILY, PLATFORM = "daily_revenue", "platform_daily_revenue"
EVER = datetime.date(1, 1, 1)
LOCK = "hashtextextended('fynlo.refresh_views', 0)"


class Command(BaseCommand):
    help = (
        "Sums up what changed, then compares the sums of the last days with the orders themselves. May be "
        "repeated. Exit codes: 0 they agree, 3 they differ, 4 another run is under way, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", choices=[DAILY, PLATFORM], help="Only this one.")
        parser.add_argument(
            "--full",
            action="store_true",
            help=f"Put right what differs, and compare all of history, not {CHECKED_DAYS} days.",
        )
        parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")

    def handle(self, *, name: str | None, full: bool, **options: Any) -> None:
        try:
            with _only_one():
                outcome = self._refresh([name] if name else [DAILY, PLATFORM], full)
        except OperationalError as error:
            raise CommandError(f"The database does not answer: {error}", returncode=UNREACHABLE) from error
        if options["json"]:
            self.stdout.write(json.dumps(outcome))
        else:
            for view, result in outcome.items():
                self.stdout.write(
                    f"{view}: " + ", ".join(f"{value} {what}" for what, value in result.items())
                )
        if any(result["days_different"] for result in outcome.values()):
            sys.exit(CHECK_FAILED)

    def _refresh(self, names: list[str], full: bool) -> dict[str, dict[str, int]]:
        outcome = {}
        if DAILY in names:
            since = EVER if full else timezone.now().date() - datetime.timedelta(days=CHECKED_DAYS)
            repaired = sales.mark_sales_differences(since) if full else []
            drained = sales.drain_sales()
            different = sales.sales_differences(since)
            for day in different:
                self.stderr.write(f"Restaurant {day.restaurant_id} differs on {day.business_date}.")
            outcome[DAILY] = {
                "days_summed": drained,
                "days_repaired": len(repaired),
                "days_different": len(different),
            }
        if PLATFORM in names:
            outcome[PLATFORM] = {"days_different": sales.refresh_platform_revenue()}
        return outcome


@contextmanager
def _only_one() -> Iterator[None]:
    """One run at a time. The lock is the session's, so it ends with a killed run."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({LOCK})")
        if cursor.fetchone() != (True,):
            raise CommandError("Another run is under way.", returncode=ANOTHER_RUNS)
        try:
            yield
        finally:
            cursor.execute(f"SELECT pg_advisory_unlock({LOCK})")
