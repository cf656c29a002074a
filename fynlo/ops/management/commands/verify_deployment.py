"""Does what serves do what it must: `manage.py verify_deployment --base-url URL`."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from fynlo.ops.checks.after import AFTER, Context
from fynlo.ops.command import Exit, OpsError

from .check_deploy import Command as CheckDeploy


class Command(CheckDeploy):
    help = (
        "Goes through the second half of deploy/CHECKLIST.md, over the network. Run it with the app's own "
        "login (DB_ROLE=app): it also looks whether that sees other restaurants' rows. Exit codes: 0 "
        "nothing failed, 2 usage, 3 something failed, 6 no database."
    )
    checklist = AFTER

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--base-url", default=settings.BASE_URL, help=f"What to ask ({settings.BASE_URL})."
        )
        parser.add_argument("--expect-version", default="", metavar="V", help="The version it must be.")
        parser.add_argument("--ws-url", default="", help="The websocket server, if it is elsewhere.")
        parser.add_argument(
            "--prometheus", default="", metavar="URL", help="Where to ask for the error rate."
        )

    def context(self, **options: Any) -> Any:
        url = options["base_url"].rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise OpsError(Exit.USAGE, f"--base-url must be an http or https address, not {url!r}.")
        names = ("expect_version", "ws_url", "prometheus")
        return Context(base_url=url, **{name: options[name] for name in names})
