"""A run over an account: which ones and which time, the provider's lists, the steps, the sums at the end.

What goes wrong with one account is kept on its run and stops no other.
"""

import datetime
import logging
from dataclasses import asdict
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from fynlo.tenancy.scope import bind_restaurant, require_restaurant_id, restaurant_scope
from payments.models import PaymentAttempt, ProviderAccount, ReconciliationIssue, ReconciliationRun
from payments.providers import PROVIDERS
from payments.providers.base import Account, ListsDisputes, ProviderPayout, ProviderTransaction
from payments.providers.errors import InvalidRequest, ProviderError
from payments.services import accounts, payouts
from payments.services.calling import call
from payments.services.issues import raise_again, resolve_issue

from .charges import compare_charge
from .comparison import CLOCKS, Comparison, Progress
from .disputes import look_at_disputes
from .refunds import compare_refund
from .unlisted import look_for_bills_without_money, look_for_ours

logger = logging.getLogger(__name__)

Kind = ReconciliationIssue.Kind
State = PaymentAttempt.State

WINDOW = datetime.timedelta(days=3)
STILL_PAYS_OUT = datetime.timedelta(days=14)  # how long after its last payment an account may
AT_MOST = 50_000  # transactions of one account in one run
FEE_DRIFT_PERCENT = 2
FEE_DRIFT_MINOR = 100
UNEXPECTED = "unexpected"


def restaurants_with_accounts() -> list[int]:
    """The restaurants that have payment accounts. Opens a transaction of its own."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT definer.restaurants_with_accounts()")
        return [restaurant_id for (restaurant_id,) in cursor.fetchall()]


def reconcile_restaurant(
    restaurant_id: int,
    *,
    account_id: UUID | None = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    progress: Progress | None = None,
) -> list[ReconciliationRun]:
    """Reconcile the restaurant's accounts, or one. One that cannot be asked does not stop the others.

    `progress` is called for every transaction of the provider's that was compared.
    """
    with bind_restaurant(restaurant_id):
        with restaurant_scope(restaurant_id):
            ids = [account_id] if account_id else _accounts_in_use()
        runs = [reconcile_account(one, since=since, until=until, progress=progress) for one in ids]
        if runs and account_id is None:
            with restaurant_scope(restaurant_id):
                look_for_bills_without_money(min(run.since for run in runs))
        return runs


def reconcile_account(
    account_id: UUID,
    *,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    progress: Progress | None = None,
) -> ReconciliationRun:
    """Compare one account with our books, from three days before the last time up to now.

    What goes wrong is kept on the run. Opens transactions of its own; none may be open.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        until = until or timezone.now() + CLOCKS
        since = since or _since(account_id, until)
        run = ReconciliationRun.objects.create(
            account_id=account_id, since=since, until=until, started_at=timezone.now()
        )
    try:
        with restaurant_scope(restaurant_id):
            account = accounts.load_account(account_id)
            comparison = Comparison(account, _same_accounts(account_id), since, until, progress)
        _compare_all(comparison)
        run.counts = asdict(comparison.counts)
    except ProviderError as error:
        logger.warning("Account %s could not be reconciled: %s", account_id, error)
        run.error = f"{error.error_class}: {error}"[:300]
    except Exception as error:  # one account's odd row is no reason not to compare the others
        logger.exception("Account %s could not be reconciled", account_id)
        run.error = f"{UNEXPECTED}: {type(error).__name__}: {error}"[:300]
    run.finished_at = timezone.now()
    with restaurant_scope(restaurant_id):
        run.save(update_fields=["counts", "error", "finished_at"])
    return run


def _accounts_in_use() -> list[UUID]:
    """All accounts but those that were disconnected and pay nothing out any more."""
    recent = PaymentAttempt.objects.filter(settled_at__gte=timezone.now() - STILL_PAYS_OUT)
    in_use = Q(pk__in=recent.filter(state=State.CAPTURED).values("account"))
    rows = ProviderAccount.objects.filter(mode=accounts.mode_here()).exclude(
        kind=ProviderAccount.Kind.SQUARE_OAUTH, credentials_sealed=""
    )
    return list(
        rows.filter(in_use | ~Q(status=ProviderAccount.Status.DISCONNECTED)).values_list("pk", flat=True)
    )


def _same_accounts(account_id: UUID) -> list[UUID]:
    row = accounts.row_of(account_id)
    same = {name: getattr(row, name) for name in ("provider", "mode", "external_account_id")}
    return list(ProviderAccount.objects.filter(**same).values_list("pk", flat=True))


def _since(account_id: UUID, until: datetime.datetime) -> datetime.datetime:
    last = ReconciliationRun.objects.filter(account=account_id, error="", finished_at__isnull=False).first()
    return min(last.until if last else until, until) - WINDOW


def _compare_all(comparison: Comparison) -> None:
    """Read the provider's lists, compare, sum up. Raises ProviderError."""
    account = comparison.account
    theirs = call("list_transactions", _list_transactions, account, comparison.since, comparison.until)
    with restaurant_scope(account.restaurant_id):
        since = payouts.first_to_ask_for(account.id, comparison.since)
    paid_out = call("list_payouts", _list_payouts, account, since, comparison.until)
    disputed = call("list_disputes", _list_disputes, account, comparison.since, comparison.until)
    comparison.listed = frozenset(row.provider_ref for row in theirs if _is_charge(row))
    for row in sorted(theirs, key=lambda row: row.created_at):
        if row.kind == "refund":
            compare_refund(comparison, row)
        elif _is_charge(row):
            compare_charge(comparison, row)
        if comparison.progress:
            comparison.progress()
    look_at_disputes(comparison, disputed)
    look_for_ours(comparison)
    if not comparison.is_shared:
        for payout in paid_out:
            comparison.counts.payouts += payouts.take_over(account, comparison.account_ids, payout)
    with restaurant_scope(account.restaurant_id):
        _sum_up(comparison)


def _list_transactions(
    account: Account, since: datetime.datetime, until: datetime.datetime
) -> list[ProviderTransaction]:
    found = []
    for row in PROVIDERS[account.provider].list_transactions(account, since, until):
        found.append(row)
        if len(found) > AT_MOST:
            raise InvalidRequest(f"More than {AT_MOST} transactions: reconcile a shorter time.")
    return found


def _list_disputes(account: Account, since: datetime.datetime, until: datetime.datetime) -> list[str]:
    provider = PROVIDERS[account.provider]
    if not isinstance(provider, ListsDisputes):
        return []
    return list(provider.disputed_charges(account, since, until))


def _list_payouts(
    account: Account, since: datetime.datetime, until: datetime.datetime
) -> list[ProviderPayout]:
    return list(PROVIDERS[account.provider].list_payouts(account, since, until))


def _is_charge(row: ProviderTransaction) -> bool:
    return row.kind == "charge" and row.status == "succeeded"


def _sum_up(comparison: Comparison) -> None:
    """Fees expected and kept, what nobody knows yet, and what the provider still holds by our books."""
    account, counts = comparison.account, comparison.counts
    taken = PaymentAttempt.objects.filter(
        account=account.id,
        state=State.CAPTURED,
        settled_at__gte=comparison.since,
        settled_at__lt=comparison.until,
        fee_minor__isnull=False,
    )
    for estimated, actual in taken.values_list("fee_estimated_minor", "fee_minor"):
        counts.fee_estimated_minor += estimated
        counts.fee_minor += actual or 0
    counts.unknown = PaymentAttempt.objects.filter(
        account=account.id, state__in=[State.UNKNOWN, State.CANCEL_PENDING]
    ).count()
    counts.clearing_minor = _held_minor(account)
    _compare_fees(comparison)


def _held_minor(account: Account) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(amount_minor), 0) FROM payments_ledgerentry"
            " WHERE restaurant_id = %s AND account = %s",
            [account.restaurant_id, f"clearing:{account.id}"],
        )
        return int(cursor.fetchone()[0])


def _compare_fees(comparison: Comparison) -> None:
    """Where an account's fees are estimated at all, and drift."""
    account, counts = comparison.account, comparison.counts
    drift = abs(counts.fee_minor - counts.fee_estimated_minor)
    subject = f"fees:{account.id}"
    is_much = drift > FEE_DRIFT_MINOR and drift * 100 > counts.fee_minor * FEE_DRIFT_PERCENT
    if not (counts.fee_estimated_minor and is_much):
        resolve_issue(Kind.FEE_DIFFERS, subject, "The fees are as expected now.")
        return
    raise_again(
        Kind.FEE_DIFFERS,
        subject,
        detail=f"From {comparison.since:%Y-%m-%d} to {comparison.until:%Y-%m-%d}",
        account_id=account.id,
        ours_minor=counts.fee_estimated_minor,
        theirs_minor=counts.fee_minor,
        currency=account.currency,
    )
