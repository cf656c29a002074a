"""Check that the money adds up, on the live database: `manage.py verify_journal`."""

from typing import Any

from django.core.management.base import CommandParser
from tqdm import tqdm

from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome
from fynlo.tenancy.scope import restaurant_scope
from payments import metrics
from payments.invariants import PROVIDER_CHECKS, broken_invariants
from restaurants.models import Restaurant


class Command(OpsCommand):
    help = (
        "Checks the invariants of money (I1 to I10 and the receipts' numbers) for every restaurant, or one, "
        "and names each row that breaks one. Reads only. I1, that the providers' books agree, is as the last "
        "reconciliation found it. Exit codes: 0 all hold, 2 usage, 3 some are broken, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--restaurant", type=int, metavar="ID", help="Only this one.")

    def run(self, *, restaurant: int | None, **options: Any) -> Outcome:
        ids = _restaurants(restaurant)
        problems = []
        for restaurant_id in tqdm(ids, unit="restaurant", disable=options["json"] or None):
            problems += _broken(restaurant_id)
        for found in problems:
            self.say(f"restaurant {found['restaurant']}: {found['check']} {found['row']}: {found['detail']}")
        broken = f"{len(problems)} rows break an invariant" if problems else "every invariant holds"
        return Outcome(
            f"{len(ids)} restaurants: {broken}.",
            {"restaurants": len(ids), "problems": problems},
            Exit.CHECK_FAILED if problems else Exit.OK,
        )


def _restaurants(only: int | None) -> list[int]:
    restaurants = Restaurant.objects.order_by("pk").values_list("pk", flat=True)
    ids = list(restaurants.filter(pk=only) if only is not None else restaurants)
    if only is not None and not ids:
        raise OpsError(Exit.USAGE, f"There is no restaurant {only}.")
    return ids


def _broken(restaurant_id: int) -> list[dict[str, Any]]:
    found = []
    with restaurant_scope(restaurant_id):
        for problem in broken_invariants(also=PROVIDER_CHECKS):
            metrics.INVARIANT_VIOLATIONS.labels(problem.check).inc()
            found.append(
                {
                    "restaurant": restaurant_id,
                    "check": problem.check,
                    "row": problem.row,
                    "detail": problem.detail,
                }
            )
    return found
