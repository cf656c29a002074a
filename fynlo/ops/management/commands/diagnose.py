"""What is going on: `manage.py diagnose db`."""

from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops.command import Exit, OpsCommand, Outcome
from fynlo.ops.diagnose import TOPICS


class Command(OpsCommand):
    help = (
        "Shows the state of one part and what is wrong with it. Reads only, so it may be run at any time. "
        "Of other logins' sessions the database tells little. Exit codes: 0 nothing "
        "is wrong, 3 something is, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("topic", choices=sorted(TOPICS))

    def run(self, *, topic: str, **options: Any) -> Outcome:
        found, problems = TOPICS[topic]()
        if not options["json"]:
            self._show(found)
        for problem in problems:
            self.say(f"! {problem}")
        data = {"topic": topic, "found": found, "problems": problems}
        if problems:
            return Outcome(f"{topic}: {len(problems)} things are wrong.", data, Exit.CHECK_FAILED)
        return Outcome(f"{topic}: nothing is wrong.", data)

    def _show(self, found: dict[str, Any], indent: str = "") -> None:
        for name, value in found.items():
            if isinstance(value, dict) and value:
                self.stdout.write(f"{indent}{name}:")
                self._show(value, f"{indent}    ")
            elif isinstance(value, list) and value:
                self.stdout.write(f"{indent}{name}:")
                for row in value:
                    line = "  ".join(f"{key}={_short(cell)}" for key, cell in row.items())
                    self.stdout.write(f"{indent}    {line}")
            else:
                self.stdout.write(f"{indent}{name}: {_short(value)}")


def _short(value: Any) -> str:
    if value in (None, "", [], {}):
        return "-"
    return f"{value:,.0f}" if isinstance(value, float) else str(value)
