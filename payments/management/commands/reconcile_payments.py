"""Compare the payment accounts with their providers: `manage.py reconcile_payments`."""

import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser
from tqdm import tqdm

from fynlo.money import format_money
from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome
from fynlo.tenancy.scope import restaurant_scope
from payments.models import ProviderAccount, ReconciliationIssue, ReconciliationRun
from payments.services import reconciling
from restaurants.models import Restaurant

COLUMNS = ["matched", "ours_only", "theirs_only", "different", "adopted", "unknown", "payouts"]
MONEY = {"fee_estimated_minor": "fees expected", "fee_minor": "fees kept", "clearing_minor": "still held"}


class Command(OpsCommand):
    help = (
        "Compares every account's payments, refunds, fees and payouts with our books, from three days before "
        "the last time up to now, and books what we had missed. May be repeated. Exit codes: 0 nothing is "
        "left to look at, 1 an account could not be compared, 2 usage, 3 issues are open, 6 a provider or "
        "the database does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--restaurant", type=int, metavar="ID", help="Only this one's accounts.")
        parser.add_argument("--account", type=UUID, metavar="UUID", help="Only this account.")
        parser.add_argument("--since", type=_day, metavar="DATE", help="From this day (UTC).")
        parser.add_argument("--until", type=_day, metavar="DATE", help="Up to the end of this day (UTC).")

    def run(self, *, restaurant: int | None, account: UUID | None, **options: Any) -> Outcome:
        since, until = options["since"], options["until"]
        if since and until and until < since:
            raise OpsError(Exit.USAGE, "--until is before --since.")
        until = until + datetime.timedelta(days=1) if until else None
        places = _places(restaurant, account)
        found: list[dict[str, Any]] = []
        with tqdm(places, unit="restaurant", disable=options["json"] or None) as bar:
            count = _Counter(bar)
            for place in bar:
                runs = reconciling.reconcile_restaurant(
                    place, account_id=account, since=since, until=until, progress=count
                )
                found += [_outcome(place, run) for run in runs]
        issues = sum(_open_issues(place) for place in places)
        if not options["json"]:
            self._report(found)
        return Outcome(
            f"{len(found)} accounts, {issues} open issues.",
            {"accounts": found, "open_issues": issues},
            _exit_code(found, issues),
        )

    def _report(self, found: list[dict[str, Any]]) -> None:
        """One line an account, as wide as a screen of 160 columns; one that failed says why."""
        heading = "".join(f"{name.replace('_', ' '):>12}" for name in COLUMNS)
        self.stdout.write(f"{'account':38}{heading}" + "".join(f"{title:>15}" for title in MONEY.values()))
        for row in found:
            name = f"{row['restaurant']}: {row['name']}"[:36]
            if row["error"]:
                self.stdout.write(f"{name:38}  {row['error']}")
                continue
            numbers = "".join(f"{row[column]:>12,}" for column in COLUMNS)
            amounts = "".join(f"{format_money(row[column], row['currency']):>15}" for column in MONEY)
            self.stdout.write(f"{name:38}{numbers}{amounts}")


class _Counter:
    """Says beside the bar how many transactions were compared: one restaurant may have thousands."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.transactions = bar, 0

    def __call__(self) -> None:
        self.transactions += 1
        self.bar.set_postfix(transactions=self.transactions, refresh=self.transactions % 50 == 0)


def _places(restaurant: int | None, account: UUID | None) -> list[int]:
    """The restaurants to look at. Raises OpsError where there is nothing of that name."""
    places = [restaurant] if restaurant is not None else reconciling.restaurants_with_accounts()
    if restaurant is not None:
        with restaurant_scope(restaurant):
            if not Restaurant.objects.filter(pk=restaurant).exists():
                raise OpsError(Exit.USAGE, f"There is no restaurant {restaurant}.")
    if account is not None:
        places = [place for place in places if _has_account(place, account)]
        if not places:
            raise OpsError(Exit.USAGE, f"There is no account {account} here.")
    return places


def _has_account(restaurant_id: int, account_id: UUID) -> bool:
    with restaurant_scope(restaurant_id):
        return ProviderAccount.objects.filter(pk=account_id).exists()


def _outcome(restaurant_id: int, run: ReconciliationRun) -> dict[str, Any]:
    with restaurant_scope(restaurant_id):
        account = ProviderAccount.objects.get(pk=run.account_id)
        currency = Restaurant.objects.values_list("currency", flat=True).get(pk=restaurant_id)
    return {
        "restaurant": restaurant_id,
        "account": str(run.account_id),
        "name": str(account),
        "currency": currency,
        "since": run.since.isoformat(),
        "until": run.until.isoformat(),
        "error": run.error,
        **dict.fromkeys([*COLUMNS, *MONEY], 0),
        **run.counts,
    }


def _exit_code(found: list[dict[str, Any]], issues: int) -> Exit:
    """What went wrong by a mistake of ours comes before a provider that is away, and that before issues."""
    errors = [row["error"] for row in found if row["error"]]
    if any(error.startswith(reconciling.UNEXPECTED) for error in errors):
        return Exit.ERROR
    if errors:
        return Exit.UNREACHABLE
    return Exit.CHECK_FAILED if issues else Exit.OK


def _open_issues(restaurant_id: int) -> int:
    with restaurant_scope(restaurant_id):
        return ReconciliationIssue.objects.filter(resolved_at=None).count()


def _day(text: str) -> datetime.datetime:
    return datetime.datetime.combine(datetime.date.fromisoformat(text), datetime.time(), datetime.UTC)
