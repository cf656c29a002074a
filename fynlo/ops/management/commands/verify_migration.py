"""Check that the database is as the migrations want it: `manage.py verify_migration`."""

from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops.command import Exit, OpsCommand, Outcome
from fynlo.ops.schema.verify import schema_problems


class Command(OpsCommand):
    help = (
        "Checks that no migration is missing, no index invalid, every constraint validated, row security "
        "forced on every restaurant's table, and every view filled. Reads only. Exit codes: 0 all is well, "
        "3 it is not, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--leave-contract",
            action="store_true",
            help="Migrations that wait for the next release are no problem.",
        )

    def run(self, *, leave_contract: bool, **options: Any) -> Outcome:
        problems = schema_problems(leave_contract=leave_contract)
        for problem in problems:
            self.say(problem)
        if problems:
            return Outcome(
                f"{len(problems)} problems: {problems[0]}", {"problems": problems}, Exit.CHECK_FAILED
            )
        return Outcome("The schema is as the migrations want it.", {"problems": []})
