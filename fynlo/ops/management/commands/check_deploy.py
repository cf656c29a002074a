"""Is this place fit for a release: `manage.py check_deploy`."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from fynlo.ops.checks import SKIP, Result, summary
from fynlo.ops.checks.before import BEFORE, Context
from fynlo.ops.checks.page import render
from fynlo.ops.command import Exit, OpsCommand, Outcome


class Command(OpsCommand):
    help = (
        "Goes through everything in the first half of deploy/CHECKLIST.md. Changes nothing. What only a "
        "person can know is skipped until confirmed. Exit codes: 0 nothing failed, 2 usage, 3 something "
        "failed, 6 no database."
    )
    checklist = BEFORE

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--confirm",
            action="append",
            default=[],
            choices=self.checklist.questions,
            metavar="NAME",
            help=f"A person says that this is so: {', '.join(self.checklist.questions)}.",
        )
        parser.add_argument("--page", action="store_true", help="Print deploy/CHECKLIST.md instead.")
        parser.add_argument("--strict", action="store_true", help="What is skipped fails too.")

    def context(self, **options: Any) -> Any:
        default = settings.BASE_DIR / "deploy" / "state"
        return Context(state=Path(os.environ.get("DEPLOY_STATE") or default))

    def run(self, *, confirm: list[str], strict: bool, page: bool, **options: Any) -> Outcome:
        if page:
            self.stdout.write(render(), ending="")
            return Outcome("")
        results = self.checklist.run(self.context(**options), confirmed=confirm, told=self._tell)
        told, data = summary(results)
        failed = data["counts"]["fail"] or (strict and data["counts"][SKIP])
        return Outcome(told, data, Exit.CHECK_FAILED if failed else Exit.OK)

    def _tell(self, result: Result) -> None:
        self.say(f"{result.status:4}  {result.name:12}  {result.detail}")
