"""Tell the Slack channel: `manage.py notify --event deploy-done --version V`."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from fynlo.ops.command import OpsCommand, Outcome
from fynlo.ops.notify import EVENTS, message, tell_slack


class Command(OpsCommand):
    help = (
        "Posts one line to SLACK_WEBHOOK. Exit codes: 0 told, 2 usage or no webhook set, 3 Slack refused it, "
        "6 Slack does not answer."
    )

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """--version is the release's here, not Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **options)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--event", choices=sorted(EVENTS), required=True)
        parser.add_argument("--version", dest="release", default="", metavar="V")
        parser.add_argument("--text", default="", help="What else to say.")

    def run(self, *, event: str, release: str, text: str, **options: Any) -> Outcome:
        said = message(event, release or settings.VERSION, text)
        tell_slack(said)
        return Outcome(f"Told Slack: {said}", {"event": event, "text": said})
