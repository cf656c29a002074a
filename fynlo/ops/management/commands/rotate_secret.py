"""Change a secret without an outage: `manage.py rotate_secret SECRET_KEY --file FILE`."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops import env_file
from fynlo.ops.command import OpsCommand, Outcome

RESTART = "deploy/host/install-secrets {file}, and restart all processes (deploy/bin/deploy.sh VERSION)"


class Command(OpsCommand):
    help = (
        "Puts a new secret into an environment file, beside the old one, which stays valid. Later, with "
        "--finish, takes the old one out. Says what to do next. Needs no environment and no database. Exit "
        "codes: 0 done, 2 usage or the file is not as expected."
    )
    requires_system_checks: list[str] = []
    keeps_record = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", choices=sorted(env_file.ROTATIONS))
        parser.add_argument("--file", type=Path, required=True, help="The environment file.")
        parser.add_argument("--finish", action="store_true", help="Take the old values out.")

    def run(self, *, name: str, file: Path, finish: bool, **options: Any) -> Outcome:
        rotation = env_file.ROTATIONS[name]
        restart = RESTART.format(file=file)
        data: dict[str, Any] = {"name": name, "file": str(file)}
        if finish:
            gone = env_file.finish(file, name)
            told = f"{name}: {gone} old values are out of {file}. Now: {restart}."
            return Outcome(told, {**data, "removed": gone})
        env_file.rotate(file, name)
        steps = [restart, *([rotation.then] if rotation.then else [])]
        finish_with = f"rotate_secret {name} --file {file} --finish"
        numbered = "\n".join(f"  {n}. {step}" for n, step in enumerate(steps, 1))
        told = (
            f"{file} has a new {name}; the old one stays valid. Now:\n{numbered}\n"
            f"  {len(steps) + 1}. once {rotation.wait}: {finish_with}"
        )
        return Outcome(told, {**data, "next": [*steps, finish_with]})
