"""How well the promise was kept: `manage.py slo_report --prometheus URL`."""

import re
from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome
from fynlo.ops.slo import AVAILABLE, ERROR_RATIO, FAST, P95, REQUESTS, NoAnswer, ask


class Command(OpsCommand):
    help = (
        "Says how many requests failed and how long 95 of 100 took, against 99.9 % and half a second. Exit "
        "codes: 0 kept, 2 usage or no Prometheus given, 3 missed, 6 Prometheus does not answer, 75 it has no "
        "data yet."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--prometheus", default="", metavar="URL")
        parser.add_argument("--window", default="30d", help="Up to now, such as 30d, 24h or 15m.")

    def run(self, *, prometheus: str, window: str, **options: Any) -> Outcome:
        if not re.fullmatch(r"[1-9][0-9]*[mhdw]", window):
            raise OpsError(Exit.USAGE, "--window is a number and m, h, d or w.")
        if not prometheus:
            raise OpsError(Exit.USAGE, "There is no Prometheus to ask: give --prometheus URL.")
        try:
            requests, ratio, p95 = (
                ask(prometheus, query.format(window=window)) for query in (REQUESTS, ERROR_RATIO, P95)
            )
        except NoAnswer as error:
            raise OpsError(Exit.UNREACHABLE, str(error)) from None
        if not requests or ratio is None or p95 is None:
            raise OpsError(Exit.LATER, f"Prometheus has seen no requests in {window}.")
        return _report(window, requests, ratio, p95)


def _report(window: str, requests: float, ratio: float, p95: float) -> Outcome:
    budget = ratio / (1 - AVAILABLE)
    data = {
        "window": window,
        "requests": round(requests),
        "available": 1 - ratio,
        "budget_used": budget,
        "p95_seconds": p95,
    }
    told = (
        f"{window}: {requests:,.0f} requests, {1 - ratio:.3%} answered ({AVAILABLE:.1%} promised, "
        f"{budget:.0%} of the error budget used), p95 {p95 * 1000:.0f} ms ({FAST * 1000:.0f} ms promised)."
    )
    missed = budget > 1 or p95 > FAST
    return Outcome(told, data, Exit.CHECK_FAILED if missed else Exit.OK)
