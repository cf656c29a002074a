"""Make a production host's environment file: `manage.py generate_secrets --output FILE`."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops import env_file
from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome


class Command(OpsCommand):
    help = (
        "Writes an environment file (0600) with every secret made, and every variable of fynlo/env.py in it. "
        "Without --output it goes to stdout. The private key of backups is shown apart, on stderr, once. "
        "Needs no environment and no database. Exit codes: 0 done, 2 usage, 5 the file is there already."
    )
    requires_system_checks: list[str] = []
    keeps_record = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--output", type=Path, metavar="FILE", help="Where to; never overwritten.")
        parser.add_argument(
            "--template", action="store_true", help="Print the file without secrets, for the repository."
        )

    def run(self, *, output: Path | None, template: bool, **options: Any) -> Outcome:
        if options["json"] and output is None:
            raise OpsError(Exit.USAGE, "--json needs --output: secrets do not belong in a report.")
        if template:
            self.stdout.write(env_file.render(None), ending="")
            return Outcome("")
        values, identity = env_file.make_values()
        text = env_file.render(values)
        if output is None:
            self.stdout.write(text, ending="")
        else:
            env_file.write_new(output, text)
        self._show_identity(identity)
        to_fill_in = env_file.needed()
        next_step = f"Fill in {', '.join(to_fill_in)}, and of the empty ones what you use."
        if output is None:
            self.say(next_step)
            return Outcome("")
        return Outcome(
            f"{output} is written. {next_step} Then: deploy/host/install-secrets {output}",
            {"output": str(output), "to_fill_in": to_fill_in, "recipient": values[env_file.RECIPIENT]},
        )

    def _show_identity(self, identity: str) -> None:
        """On stderr by itself, so that it lands in no file and no log with the rest."""
        self.say(
            "\nThe key that opens the backups. It is shown this once. Keep it in a password manager and on\n"
            "paper, off this server: whoever breaks in here must not be able to read the backups, and\n"
            f"without it nobody can ever restore one.\n\n    {identity}\n"
        )
