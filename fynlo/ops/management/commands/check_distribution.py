"""Check that the tables could be distributed by restaurant: `manage.py check_distribution`."""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError, OperationalError

from fynlo.ops.command import Exit, OpsCommand, Outcome
from fynlo.ops.distribution import distribution_problems, rehearse, tenant_tables


class Command(OpsCommand):
    help = (
        "Checks that every restaurant's rows could be moved to another machine today (Citus, or a cell of "
        "their own). Reads only. With --rehearse it changes every primary key and takes it back, under "
        "exclusive locks: on a restored copy, as DB_ROLE=migrator. Exit codes: 0 they could, 3 they could "
        "not, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--rehearse", action="store_true", help="Change the keys and roll back.")

    def run(self, *, rehearse: bool, **options: Any) -> Outcome:
        tables = [name for _, name, _, _ in tenant_tables()]
        problems = distribution_problems()
        if rehearse and not problems:
            problems = _rehearsal_problems()
        for problem in problems:
            self.say(problem)
        data = {"tables": tables, "problems": problems, "rehearsed": rehearse}
        if problems:
            return Outcome(f"{len(problems)} problems in {len(tables)} tables.", data, Exit.CHECK_FAILED)
        how = "were rehearsed" if rehearse else "could be distributed"
        return Outcome(f"All {len(tables)} tables of restaurants {how}.", data)


def _rehearsal_problems() -> list[str]:
    try:
        rehearse()
    except OperationalError:
        raise
    except DatabaseError as error:
        return [str(error).strip()]
    return []
