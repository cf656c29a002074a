"""Who can take a payment, by the name that attempts are stored under."""

from .base import ChargeRequest, Outcome, PaymentProvider, Snapshot
from .square import SquareProvider
from .stripe import StripeProvider
from .sumup import SumUpProvider

# Those asked over the network. Cash and the restaurant's own card machine are facts once typed in.
PROVIDERS: dict[str, PaymentProvider] = {
    "stripe": StripeProvider(),
    "square": SquareProvider(),
    "sumup": SumUpProvider(),
}

__all__ = ["PROVIDERS", "ChargeRequest", "Outcome", "PaymentProvider", "Snapshot"]
