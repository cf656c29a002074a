"""Let the processes of a colour leave in good order."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from fynlo.ops.command import OpsCommand, Outcome
from fynlo.ops.draining import move_sockets, start_draining, stop_draining


class Command(OpsCommand):
    help = (
        "Processes of a colour on this machine or in this container: /health answers 503, and kitchen "
        "screens are asked, a few at a time, to connect anew."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--colour", choices=("blue", "green"), help="Which; else this process's own.")
        parser.add_argument("--undo", action="store_true", help="They stay after all: /health is as it was.")

    def run(self, *args: Any, **options: Any) -> Outcome:
        colour = options["colour"] or settings.COLOUR
        name = colour or "all"
        if options["undo"]:
            stop_draining(colour)
            return Outcome(f"{name}: ready again.", {"colour": colour, "draining": False})
        start_draining(colour)
        pids = move_sockets(colour)
        return Outcome(
            f"{name}: draining; {len(pids)} websocket processes let their screens go.",
            {"colour": colour, "draining": True, "websocket_processes": pids},
        )
