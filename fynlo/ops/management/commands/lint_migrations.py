"""Find what is unsafe in migrations: `manage.py lint_migrations`."""

import subprocess
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome
from fynlo.ops.schema.lint import find_squawk, lint
from fynlo.ops.schema.plan import is_gated, label


class Command(OpsCommand):
    help = (
        "Lints every migration made since the gate (fynlo/ops/schema/plan.py), by rules of our own, "
        "django-migration-linter and squawk. Needs a database to ask for its version; changes nothing. "
        "Exit codes: 0 all are safe, 2 usage, 5 some are not, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--base", metavar="REF", help="Only those added since this commit of git.")
        parser.add_argument(
            "--strict", action="store_true", help="Refuse to do without squawk: for continuous integration."
        )

    def run(self, *, base: str | None, strict: bool, **options: Any) -> Outcome:
        squawk = find_squawk() is not None
        if not squawk:
            if strict:
                raise OpsError(Exit.USAGE, "squawk is not installed: it is in requirements-dev.txt.")
            self.say("squawk is not installed here (it lints in CI); the other rules are checked.")
        loader = MigrationLoader(connection, replace_migrations=False)
        chosen = [m for _, m in sorted(loader.disk_migrations.items()) if is_gated(m)]
        if base is not None:
            added = _added_since(base)
            chosen = [m for m in chosen if _path(m) in added]
        findings = [finding for migration in chosen for finding in lint(migration, loader)]
        for finding in findings:
            self.say(str(finding))
        data = {
            "linted": [label(migration) for migration in chosen],
            "findings": [vars(finding) for finding in findings],
            "squawk": squawk,
        }
        if findings:
            return Outcome(f"{len(findings)} findings in {len(chosen)} migrations.", data, Exit.UNSAFE)
        return Outcome(f"{len(chosen)} migrations since the gate: nothing unsafe.", data)


def _path(migration: Migration) -> str:
    return f"{migration.__module__.replace('.', '/')}.py"


def _added_since(base: str) -> set[str]:
    """The files of migrations that the work tree has and REF has not, committed or not."""
    if base.startswith("-"):
        raise OpsError(Exit.USAGE, f"--base {base!r} is no commit.")
    listed = _git("ls-tree", "-r", "--name-only", "--full-tree", base)
    here = _git("ls-files", "--cached", "--others", "--exclude-standard", "--full-name")
    return here - listed


def _git(*arguments: str) -> set[str]:
    try:
        done = subprocess.run(["git", *arguments], cwd=settings.BASE_DIR, capture_output=True, text=True)  # noqa: S607
    except FileNotFoundError as error:
        raise OpsError(Exit.USAGE, "--base needs git.") from error
    if done.returncode:
        raise OpsError(Exit.USAGE, f"git: {done.stderr.strip()}")
    return set(done.stdout.splitlines())
