"""Fill what the first requests of a release would wait for: `manage.py warm_cache`."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from fynlo.ops.cache import warm
from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome


class Command(OpsCommand):
    help = (
        "Asks for each restaurant's menu, as its tills do, with the application's login. May be repeated. "
        "Exit codes: 0 done, 2 usage, 3 some could not be had, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--restaurant", type=int, metavar="ID", help="Only this one's.")

    def run(self, *, restaurant: int | None, **options: Any) -> Outcome:
        if settings.DB_ROLE != "app":
            raise OpsError(
                Exit.USAGE, f"DB_ROLE is {settings.DB_ROLE}: the cache is the application's (app)."
            )
        warmed, failed = warm(restaurant, self.say)
        told = f"{warmed} restaurants' menus are warm."
        data = {"restaurants": warmed, "failed": failed}
        if failed:
            return Outcome(f"{told} {len(failed)} could not be had.", data, Exit.CHECK_FAILED)
        return Outcome(told, data)
