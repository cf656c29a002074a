"""What SumUp's answers mean for the money. SumUp lists no error codes: HTTP's status leads."""

from .base import Outcome
from .errors import InvalidRequest, Misconfigured, ProviderError, Retryable, UnknownOutcome

STATUSES: dict[int, type[ProviderError]] = {
    400: InvalidRequest,
    401: Misconfigured,
    403: Misconfigured,
    404: InvalidRequest,
    422: InvalidRequest,
    429: Retryable,
}
# A reader that is busy or away has not begun anything; the same may be asked of it later.
READER_LATER = frozenset({"READER_BUSY", "READER_OFFLINE"})

# A transaction that was refunded in part is called REFUNDED, too.
TRANSACTIONS = {
    "PENDING": Outcome.PENDING,
    "SUCCESSFUL": Outcome.SUCCEEDED,
    "REFUNDED": Outcome.SUCCEEDED,
    "FAILED": Outcome.DECLINED,
    "CANCELLED": Outcome.CANCELED,
}
READER_CHECKOUTS = {
    "failed": Outcome.DECLINED,
    "cancelled": Outcome.CANCELED,
    "canceled": Outcome.CANCELED,
    "expired": Outcome.CANCELED,
}
LISTED = {
    "SUCCESSFUL": "succeeded",
    "REFUNDED": "succeeded",
    "PENDING": "pending",
    "FAILED": "failed",
    "CANCELLED": "canceled",
}
PAYOUT_LINES = {"PAYOUT": "charge", "REFUND_DEDUCTION": "refund", "CHARGE_BACK_DEDUCTION": "dispute"}

# SumUp's readers count these currencies whole, whatever ISO 4217 says.
WITHOUT_MINOR_UNIT = frozenset({"CLP", "COP", "HUF"})


def class_of(status: int | None, code: str) -> type[ProviderError]:
    """The class of an answer that was an error. 409 is for the caller to look into."""
    if code in READER_LATER:
        return Retryable
    return STATUSES.get(status or 0, UnknownOutcome)
