"""Who can take a payment, by the name that attempts are stored under."""

from .base import ChargeRequest, Outcome, PaymentProvider, Snapshot
from .cash import CashProvider

PROVIDERS: dict[str, PaymentProvider] = {provider.name: provider for provider in (CashProvider(),)}

__all__ = ["PROVIDERS", "ChargeRequest", "Outcome", "PaymentProvider", "Snapshot"]
