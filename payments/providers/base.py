"""What the payment machine asks of a provider, and what a provider answers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID


class Outcome(StrEnum):
    """What became of the money, in the provider's own definite words."""

    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """Take `amount_minor` and `tip_minor` for one attempt."""

    attempt_id: UUID
    amount_minor: int
    tip_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a charge stands at the provider. What was captured is a fact, whatever was asked."""

    outcome: Outcome
    captured_minor: int
    tip_minor: int


class PaymentProvider(Protocol):
    """Whoever moves the money: a drawer, a card company."""

    name: ClassVar[str]

    def execute(self, request: ChargeRequest) -> Snapshot:
        """Move the money, at most once for an attempt."""
