"""Check that the money adds up, on the live database: `manage.py verify_journal`."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from tqdm import tqdm

from fynlo.tenancy.scope import restaurant_scope
from payments import metrics
from payments.invariants import PROVIDER_CHECKS, broken_invariants
from restaurants.models import Restaurant

# The exit codes that all operations commands share.
MISCONFIGURED, CHECK_FAILED, UNREACHABLE = 2, 3, 6


class Command(BaseCommand):
    help = (
        "Checks the invariants of money (I1 to I10 and the receipts' numbers) for every restaurant, or one, "
        "and names each row that breaks one. Reads only. I1, that the providers' books agree, is as the last "
        "reconciliation found it. Exit codes: 0 all hold, 3 some are broken, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--restaurant", type=int, metavar="ID", help="Only this one.")
        parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")

    def handle(self, *, restaurant: int | None, **options: Any) -> None:
        try:
            problems = self._check(restaurant, quiet=options["json"])
        except OperationalError as error:
            raise CommandError(f"The database does not answer: {error}", returncode=UNREACHABLE) from error
        if options["json"]:
            self.stdout.write(json.dumps(problems))
        else:
            self._report(problems)
        if any(problems["problems"]):
            sys.exit(CHECK_FAILED)

    def _check(self, only: int | None, *, quiet: bool) -> dict[str, Any]:
        restaurants = Restaurant.objects.order_by("pk").values_list("pk", flat=True)
        ids = list(restaurants.filter(pk=only) if only is not None else restaurants)
        if only is not None and not ids:
            raise CommandError(f"There is no restaurant {only}.", returncode=MISCONFIGURED)
        problems = []
        for restaurant_id in tqdm(ids, unit="restaurant", disable=quiet or None):
            with restaurant_scope(restaurant_id):
                for problem in broken_invariants(also=PROVIDER_CHECKS):
                    metrics.INVARIANT_VIOLATIONS.labels(problem.check).inc()
                    problems.append(
                        {
                            "restaurant": restaurant_id,
                            "check": problem.check,
                            "row": problem.row,
                            "detail": problem.detail,
                        }
                    )
        return {"restaurants": len(ids), "problems": problems}

    def _report(self, outcome: dict[str, Any]) -> None:
        for found in outcome["problems"]:
            self.stdout.write(
                f"restaurant {found['restaurant']}: {found['check']} {found['row']}: {found['detail']}"
            )
        number = len(outcome["problems"])
        broken = f"{number} rows break an invariant" if number else "every invariant holds"
        self.stdout.write(f"{outcome['restaurants']} restaurants: {broken}.")
