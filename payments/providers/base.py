"""What the payment machine asks of a provider, and what a provider answers.

Amounts are integers of minor units of the currency beside them. Whatever a provider's library raises
becomes one of `errors`: the machine knows no vendor's exceptions.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable
from uuid import UUID


class Outcome(StrEnum):
    """What became of the money, in the provider's own definite words."""

    SUCCEEDED = "succeeded"
    AUTHORIZED = "authorized"
    PENDING = "pending"  # the provider is still at it
    REQUIRES_ACTION = "requires_action"  # the guest has to tap, to confirm, to open a page
    PAYABLE = "payable"  # it exists and nobody has paid it, nor is anybody about to
    DECLINED = "declined"
    CANCELED = "canceled"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do. `replay_hours` is how long it remembers an idempotency key."""

    two_step: bool = False  # prepare() makes an object that moves no money yet
    application_fee: bool = False
    methods: frozenset[str] = frozenset()
    replay_hours: int = 23


@dataclass(frozen=True, slots=True)
class Account:
    """A provider's account with its credentials unsealed: never logged, never stored like this.

    `secrets` by provider: stripe {"secret_key", "publishable_key", "webhook_secrets": [current,
    previous]}; square {"access_token", "webhook_signature_keys"}; sumup {"api_key", "affiliate_key",
    "app_id", "webhook_secrets"}.
    """

    id: UUID
    restaurant_id: int
    provider: str
    kind: str
    mode: str
    external_account_id: str
    location_id: str
    public_id: UUID
    currency: str
    secrets: Mapping[str, Any] = field(repr=False)
    base_url: str | None = None  # a test peer's


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """Take `amount_minor` and `tip_minor` for one attempt. Stored with it, so a repeat is the same.

    `reader_id` is the provider's own; `source_token` is the till's or the hosted page's; `return_url` is
    where a guest comes back to from the provider's page.
    """

    attempt_id: UUID
    amount_minor: int
    tip_minor: int
    currency: str
    method: str = "cash"
    idem_key: str = ""
    capture: bool = True
    application_fee_minor: int = 0
    reader_id: str | None = None
    tip_on_reader: bool = False
    source_token: str | None = None
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    return_url: str | None = None
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a charge stands at the provider. What was captured is a fact, whatever was asked.

    `captured_minor` excludes the tip; `refunded_minor` includes what was refunded of it. `fee_minor` is
    what the provider keeps, `application_fee_minor` what the platform does; None is not known yet.
    `next_action` is for the till: {"type": "tap", …}, {"type": "confirm", "client_secret",
    "publishable_key"} or {"type": "open", "url"}.
    """

    outcome: Outcome
    captured_minor: int = 0
    tip_minor: int = 0
    provider_ref: str = ""
    refunded_minor: int = 0
    fee_minor: int | None = None
    application_fee_minor: int | None = None
    code: str = ""
    message: str = ""
    card_brand: str = ""
    card_last4: str = ""
    next_action: Mapping[str, Any] = field(default_factory=dict)
    refunds: tuple["RefundSnapshot", ...] = ()
    disputes: tuple["DisputeSnapshot", ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Give back `amount_minor` (the tip's part included) of a charge."""

    refund_id: UUID
    attempt_id: UUID
    payment_ref: str
    amount_minor: int
    currency: str
    idem_key: str
    reason: str = ""
    refund_application_fee: bool = False
    known_refs: tuple[str, ...] = ()  # of the charge's other refunds, to tell equal ones apart


class RefundOutcome(StrEnum):
    SUCCEEDED = "succeeded"
    PENDING = "pending"
    FAILED = "failed"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class RefundSnapshot:
    """How a refund stands at the provider. `refund_id` is ours, where the provider kept it.

    `fee_back_minor` and `application_fee_back_minor` are what came back of the charge's fees.
    """

    outcome: RefundOutcome
    provider_ref: str = ""
    amount_minor: int = 0
    refund_id: UUID | None = None
    code: str = ""
    request_id: str = ""
    fee_back_minor: int | None = None
    application_fee_back_minor: int | None = None


@dataclass(frozen=True, slots=True)
class DisputeSnapshot:
    """`taken_minor` is what the provider holds back of it now: nothing during an inquiry, or once won.

    `evidence_due_at` is there while an answer is wanted.
    """

    provider_ref: str
    amount_minor: int
    status: str  # open, won, lost
    taken_minor: int
    fee_minor: int = 0
    reason: str = ""
    evidence_due_at: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class VerifiedEvent:
    """A webhook whose signature holds. It is a hint: `object_ref` is what to ask the provider about.

    `attempt_id` is ours, where the object carries it. `account_ref` is the connected account that it is
    about (Stripe's `account`, Square's `merchant_id`).
    """

    event_id: str
    kind: str
    object_ref: str
    livemode: bool | None
    attempt_id: UUID | None = None
    account_ref: str = ""


@dataclass(frozen=True, slots=True)
class ProviderTransaction:
    """One movement on the provider's side, for reconciling. `kind` is charge or refund.

    `amount_minor` is positive in either case and includes the tip; `reference` is our attempt's or
    refund's id, where the provider kept it; `payment_ref` is the charge a refund belongs to. The fees of a
    refund are what came back of the charge's, and negative.
    """

    provider_ref: str
    kind: str
    amount_minor: int
    currency: str
    status: str  # succeeded, pending, failed, canceled
    created_at: datetime.datetime
    tip_minor: int = 0
    fee_minor: int | None = None
    application_fee_minor: int | None = None
    reference: str = ""
    payment_ref: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class ProviderPayout:
    provider_ref: str
    amount_minor: int
    currency: str
    status: str
    created_at: datetime.datetime
    arrives_on: datetime.date | None = None
    lines: tuple["ProviderPayoutLine", ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderPayoutLine:
    """`amount_minor` is before `fee_minor`, negative for what was taken back.

    `provider_ref` is the charge's or refund's.
    """

    provider_ref: str
    kind: str
    amount_minor: int
    fee_minor: int = 0


@dataclass(frozen=True, slots=True)
class Reader:
    reader_id: str
    label: str
    is_online: bool
    location_id: str = ""
    device_type: str = ""


class PaymentProvider(Protocol):
    """Whoever moves the money over the network. Raises only what `errors` lists."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    def prepare(self, account: Account, request: ChargeRequest) -> Snapshot:
        """Make the object that `execute` pays. Moves no money; may be repeated. Two-step providers only."""

    def execute(self, account: Account, ref: str, request: ChargeRequest) -> Snapshot:
        """Move the money, or have the guest asked for it: at most once for a key."""

    def fetch(self, account: Account, request: ChargeRequest, ref: str = "") -> Snapshot:
        """How the charge stands, by the provider's reference or, without one, by our own id.

        Changes nothing.
        """

    def capture(self, account: Account, ref: str, request: ChargeRequest, amount_minor: int) -> Snapshot:
        """Take what was authorised, or less of it."""

    def cancel(self, account: Account, ref: str, request: ChargeRequest) -> Snapshot:
        """See to it that nobody can pay this any more. May find that it was paid: look at the answer."""

    def refund(self, account: Account, request: RefundRequest) -> RefundSnapshot:
        """Give money back, at most once for a key."""

    def fetch_refund(self, account: Account, request: RefundRequest, ref: str = "") -> RefundSnapshot:
        """How a refund stands, by the provider's reference or, without one, by our own id."""

    def parse_webhook(
        self, account: Account, headers: Mapping[str, str], raw: bytes, url: str, now: datetime.datetime
    ) -> VerifiedEvent:
        """The event, if the provider signed it just now. Raises BadSignature or StaleWebhook."""

    def list_transactions(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[ProviderTransaction]: ...

    def list_payouts(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[ProviderPayout]: ...

    def check(self, account: Account) -> None:
        """Ask for something harmless, to learn whether the provider is there and takes our credentials."""


@runtime_checkable
class TerminalProvider(Protocol):
    """A provider with card readers of its own that it is asked to wake."""

    def list_readers(self, account: Account) -> list[Reader]: ...


@runtime_checkable
class NamesAttempts(Protocol):
    """A provider some of whose events name an object that only it can lead back to our attempt."""

    def attempt_of(self, account: Account, ref: str) -> UUID | None: ...


@runtime_checkable
class ListsDisputes(Protocol):
    """A provider that lists its disputes, which come weeks after their charges."""

    def disputed_charges(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[str]:
        """The provider's references of the charges that were disputed in the time."""
