"""Compare the payment accounts with their providers: `manage.py reconcile_payments`."""

import datetime
import json
import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from tqdm import tqdm

from fynlo.tenancy.scope import restaurant_scope
from payments.models import ReconciliationIssue, ReconciliationRun
from payments.services import reconciling

# The exit codes that all operations commands share.
MISCONFIGURED, CHECK_FAILED, UNREACHABLE = 2, 3, 6

COLUMNS = ["matched", "ours_only", "theirs_only", "different", "adopted", "unknown", "payouts"]


class Command(BaseCommand):
    help = (
        "Compares every account's payments, refunds, fees and payouts with our books, from three days before "
        "the last time up to now, and books what we had missed. May be repeated. Exit codes: 0 nothing is "
        "left to look at, 3 issues are open, 6 a provider or the database does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--restaurant", type=int, metavar="ID", help="Only this one's accounts.")
        parser.add_argument("--account", type=UUID, metavar="UUID", help="Only this account.")
        parser.add_argument("--since", type=_day, metavar="DATE", help="From this day (UTC).")
        parser.add_argument("--until", type=_day, metavar="DATE", help="Up to the end of this day (UTC).")
        parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")

    def handle(self, *, restaurant: int | None, account: UUID | None, **options: Any) -> None:
        until = options["until"] + datetime.timedelta(days=1) if options["until"] else None
        if account and restaurant is None:
            raise CommandError("Name the account's --restaurant too.", returncode=MISCONFIGURED)
        try:
            restaurants = [restaurant] if restaurant is not None else reconciling.restaurants_with_accounts()
            found: list[dict[str, Any]] = []
            for restaurant_id in tqdm(restaurants, unit="restaurant", disable=options["json"] or None):
                runs = reconciling.reconcile_restaurant(
                    restaurant_id, account_id=account, since=options["since"], until=until
                )
                found += [_outcome(restaurant_id, run) for run in runs]
            issues = sum(_open_issues(restaurant_id) for restaurant_id in restaurants)
        except OperationalError as error:
            raise CommandError(f"The database does not answer: {error}", returncode=UNREACHABLE) from error
        if options["json"]:
            self.stdout.write(json.dumps({"accounts": found, "open_issues": issues}))
        else:
            self._report(found, issues)
        if any(row["error"] for row in found):
            sys.exit(UNREACHABLE)
        if issues:
            sys.exit(CHECK_FAILED)

    def _report(self, found: list[dict[str, Any]], issues: int) -> None:
        heading = "".join(f"{name.replace('_', ' '):>13}" for name in COLUMNS)
        self.stdout.write(f"{'account':46}{heading}")
        for row in found:
            shown = row["error"] or "".join(f"{row[name]:>13}" for name in COLUMNS)
            self.stdout.write(f"restaurant {row['restaurant']:<6} {row['account'][-28:]:<28}{shown}")
        self.stdout.write(f"{len(found)} accounts, {issues} open issues.")


def _outcome(restaurant_id: int, run: ReconciliationRun) -> dict[str, Any]:
    return {
        "restaurant": restaurant_id,
        "account": str(run.account_id),
        "since": run.since.isoformat(),
        "until": run.until.isoformat(),
        "error": run.error,
        **dict.fromkeys(COLUMNS, 0),
        **run.counts,
    }


def _open_issues(restaurant_id: int) -> int:
    with restaurant_scope(restaurant_id):
        return ReconciliationIssue.objects.filter(resolved_at=None).count()


def _day(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
