"""Migrate a database that serves: `manage.py migrate_safely --phase expand`."""

import re
from typing import Any

from django.core.management.base import CommandParser
from django.db.migrations import Migration

from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome, only_one
from fynlo.ops.schema import migrate
from fynlo.ops.schema.plan import before_contract, is_contract, label, pending
from fynlo.ops.schema.verify import schema_problems

EXPAND, CONTRACT, ALL = "expand", "contract", "all"


class Command(OpsCommand):
    help = (
        "Lints, backs up, applies and verifies, as DB_ROLE=migrator. The phase `expand` is for before a "
        "release: it stops at the first migration that the running release could not bear, which `contract` "
        "applies once that release is gone. Exit codes: 0 done, 2 usage or no backup possible, 3 applied but "
        "not as it must be, 4 another run is under way, 5 refused as unsafe, 6 no database, 75 no lock to be "
        "had: try again later."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--phase", choices=[EXPAND, CONTRACT, ALL], required=True)
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done, and lint it.")
        parser.add_argument(
            "--lock-timeout", default="2s", help="How long one try may wait for a lock, and others behind it."
        )
        parser.add_argument("--retries", type=int, default=30, help="How many more tries a migration has.")

    def run(self, *, phase: str, dry_run: bool, **options: Any) -> Outcome:
        lock_timeout, retries = options["lock_timeout"], options["retries"]
        if not re.fullmatch(r"[1-9][0-9]*(ms|s|min)", lock_timeout) or retries < 0:
            raise OpsError(Exit.USAGE, "--lock-timeout is like 500ms, 2s or 1min, --retries not negative.")
        migrate.refuse_other_login()
        with only_one("migrate"):
            chosen, left = _choose(phase)
            migrate.refuse_unsafe(chosen, self.say)
            names = [label(migration) for migration in chosen]
            data: dict[str, Any] = {"applied": names, "left": left, "backup": "", "phase": phase}
            if dry_run:
                for name in names:
                    self.say(f"would apply {name}")
                told = f"Would apply {len(names)} migrations.{_told(left)} Nothing was changed."
                return Outcome(told, {**data, "applied": [], "would_apply": names})
            if chosen:
                data["backup"] = migrate.back_up_first(self.say)
                migrate.apply(chosen, lock_timeout=lock_timeout, retries=retries, say=self.say)
            return self._verified(data)

    def _verified(self, data: dict[str, Any]) -> Outcome:
        problems = schema_problems(leave_contract=data["phase"] == EXPAND)
        for problem in problems:
            self.say(problem)
        told = f"{len(data['applied'])} migrations applied.{_told(data['left'])}"
        if problems:
            return Outcome(
                f"{told} But {len(problems)} problems: {problems[0]}",
                {**data, "problems": problems},
                Exit.CHECK_FAILED,
            )
        return Outcome(f"{told} The schema is as it must be.", {**data, "problems": []})


def _choose(phase: str) -> tuple[list[Migration], list[str]]:
    """What this phase applies, and the names of what it leaves for later."""
    plan = pending()
    safe = before_contract(plan)
    if phase == CONTRACT and safe:
        raise OpsError(
            Exit.UNSAFE,
            f"{label(safe[0])} is not applied yet: `--phase expand` comes first, with its release.",
        )
    chosen = safe if phase == EXPAND else plan
    return chosen, [label(migration) for migration in plan[len(chosen) :] if is_contract(migration)]


def _told(left: list[str]) -> str:
    return f" Left for the next release: {', '.join(left)}." if left else ""
