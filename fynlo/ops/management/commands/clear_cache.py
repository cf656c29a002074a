"""Make the cache forget: `manage.py clear_cache [--restaurant ID]`."""

from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops.cache import forget
from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome


class Command(OpsCommand):
    help = (
        "Removes what Fynlo itself put into the cache's Redis, or one restaurant's part of it. The queue "
        "and every other key stay: nothing is flushed. Safe at any time; pages are slower for a minute. Exit "
        "codes: 0 done, 2 usage, 6 the cache does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--restaurant", type=int, metavar="ID", help="Only this one's.")

    def run(self, *, restaurant: int | None, **options: Any) -> Outcome:
        if restaurant is not None and restaurant < 1:
            raise OpsError(Exit.USAGE, "--restaurant must be a restaurant's id.")
        removed = forget(restaurant)
        whose = f"of restaurant {restaurant}" if restaurant else "of Fynlo"
        return Outcome(f"{removed} keys {whose} are out of the cache.", {"removed": removed})
