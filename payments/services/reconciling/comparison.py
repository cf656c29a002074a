"""What every step of a run is handed and adds to, and the few words and questions that they share."""

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from fynlo.money import format_money
from payments.models import ProviderAccount
from payments.providers.base import Account, ProviderTransaction
from payments.providers.errors import InvalidRequest
from payments.services import cards

logger = logging.getLogger(__name__)

CLOCKS = datetime.timedelta(minutes=1)  # providers count in whole seconds, by clocks of their own

Progress = Callable[[], None]


@dataclass
class Counts:
    """What a run found; see `ReconciliationRun`. `clearing_minor` is what the provider holds by our books."""

    matched: int = 0
    ours_only: int = 0
    theirs_only: int = 0
    different: int = 0
    adopted: int = 0
    unknown: int = 0
    payouts: int = 0
    fee_estimated_minor: int = 0
    fee_minor: int = 0
    clearing_minor: int = 0


@dataclass
class Comparison:
    """One run in hand: whose account, which time, what was found so far.

    `account_ids` are all of the restaurant's that stand for this one at the provider: it may have been
    disconnected and added anew. `listed` are the charges in the provider's list; `attempts` and
    `refunds` are ours that were found there.
    """

    account: Account
    account_ids: list[UUID]
    since: datetime.datetime
    until: datetime.datetime
    progress: Progress | None = None
    counts: Counts = field(default_factory=Counts)
    listed: frozenset[str] = frozenset()
    attempts: set[UUID] = field(default_factory=set)
    refunds: set[UUID] = field(default_factory=set)

    @property
    def is_shared(self) -> bool:
        """Whether other restaurants' payments are in the provider's list, which are none of this one's."""
        return self.account.kind == ProviderAccount.Kind.PLATFORM_ENV


def ask(attempt_id: UUID) -> None:
    """Ask what became of an attempt. That one cannot be asked about does not stop the comparison."""
    try:
        cards.check(attempt_id)
    except InvalidRequest:
        logger.exception("Attempt %s cannot be asked about", attempt_id)


def words(row: ProviderTransaction) -> str:
    """What a person finds a transaction at the provider by."""
    tip = f"tip {format_money(row.tip_minor, row.currency)}" if row.tip_minor else ""
    parts = [row.description, tip, row.provider_ref, f"{row.created_at:%Y-%m-%d %H:%M} UTC"]
    return ", ".join(part for part in parts if part)[:300]


def subject_of(account: Account, row: ProviderTransaction) -> str:
    """What an issue about a transaction of the provider's is one issue by, however often it is found."""
    return f"{row.kind}:{account.id}:{row.provider_ref}"[:160]
