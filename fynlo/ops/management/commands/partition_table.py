"""Cut a large table into months: `manage.py partition_table payments_providercall`."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from fynlo.ops.command import OpsCommand, Outcome, only_one
from fynlo.ops.partitioning import cut_by_month


class Command(OpsCommand):
    help = (
        "Cuts a table whose only unique key is its id into months, from the next one on, or adds the months "
        "that are missing. What is there becomes the first partition, unmoved. Runs as DB_ROLE=migrator; may "
        "be repeated. Exit codes: 0 done, 2 no such table, 4 another run is under way, 5 it cannot be cut, "
        "6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("table", help="Its name in the database.")
        parser.add_argument("--ahead", type=int, default=12, help="How many months (12).")

    def run(self, *, table: str, ahead: int, **options: Any) -> Outcome:
        with only_one("partition_table"):
            made = cut_by_month(table, ahead, timezone.now().date())
        months = f"{len(made)} months added, up to {made[-1][-7:]}" if made else "every month is there"
        return Outcome(f"{table}: {months}.", {"table": table, "partitions": made})
