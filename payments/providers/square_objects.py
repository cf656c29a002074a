"""Square's payments, refunds and disputes as the payment machine's own.

References. A charge is named by its payment's id as soon as there is a payment. Until then a Terminal
checkout is "checkout:<id>" and a payment link is "link:<link id>:<order id>", so one attempt's reference
changes once, to the payment's id, and either is understood for good. Our own ids travel as
`reference_id` (a payment's and a checkout's), `payment_note` (a link's) and at the end of a refund's
`reason`, the only text of a refund that Square keeps.
"""

import datetime
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from square.types.payment import Payment
from square.types.payment_refund import PaymentRefund

from .base import (
    ChargeRequest,
    DisputeSnapshot,
    Outcome,
    ProviderTransaction,
    RefundOutcome,
    RefundSnapshot,
    Snapshot,
)
from .errors import UnknownOutcome
from .wire import as_uuid

CHECKOUT = "checkout:"
LINK = "link:"
REASON_LENGTH = 192
UUID_LENGTH = 36

OUTCOMES = {
    "COMPLETED": Outcome.SUCCEEDED,
    "APPROVED": Outcome.AUTHORIZED,
    "PENDING": Outcome.PENDING,
    "CANCELED": Outcome.CANCELED,
    "FAILED": Outcome.DECLINED,
}
# Of several payments under one reference, such as a declined card and then another one, the first
# of these tells how the charge stands.
RANKS = tuple(OUTCOMES)

REFUND_OUTCOMES = {
    "PENDING": RefundOutcome.PENDING,
    "COMPLETED": RefundOutcome.SUCCEEDED,
    "REJECTED": RefundOutcome.FAILED,
    "FAILED": RefundOutcome.FAILED,
}
DISPUTES = {"WON": "won", "INQUIRY_CLOSED": "won", "LOST": "lost", "ACCEPTED": "lost"}
# In these Square holds the money back; a bank's mere inquiry takes none.
HELD_BACK = frozenset({"EVIDENCE_REQUIRED", "PROCESSING", "LOST", "ACCEPTED"})
TO_ANSWER = frozenset({"EVIDENCE_REQUIRED", "INQUIRY_EVIDENCE_REQUIRED"})
STATUSES = {
    "COMPLETED": "succeeded",
    "APPROVED": "pending",
    "PENDING": "pending",
    "CANCELED": "canceled",
    "FAILED": "failed",
    "REJECTED": "failed",
}


def amount_of(money: Any) -> int:
    """The minor units of Square's money, 0 where there is none."""
    return int(money.amount) if money is not None and money.amount is not None else 0


def money(amount_minor: int, currency: str) -> Any:
    return {"amount": amount_minor, "currency": currency}


def moment(text: str | None) -> datetime.datetime:
    if not text:
        raise UnknownOutcome("Square left out when it was.")
    return datetime.datetime.fromisoformat(text)


def best_of(payments: Iterable[Payment]) -> Payment | None:
    """The payment that tells how the charge stands."""
    known = [payment for payment in payments if payment.status in RANKS]
    return min(known, key=lambda payment: RANKS.index(str(payment.status)), default=None)


def charge(
    payment: Payment,
    request: ChargeRequest | None = None,
    *,
    refunds: tuple[RefundSnapshot, ...] = (),
    disputes: tuple[DisputeSnapshot, ...] = (),
) -> Snapshot:
    """How a payment stands. A link's price includes the tip that was agreed before: there it is split off."""
    outcome = OUTCOMES.get(str(payment.status))
    if outcome is None or not payment.id:
        raise UnknownOutcome(f"Square calls a payment {payment.status!r}.")
    taken = outcome is Outcome.SUCCEEDED
    tip = _tip_of(payment, request) if taken else 0
    card = payment.card_details.card if payment.card_details else None
    code, message = _why_declined(payment) if outcome is Outcome.DECLINED else ("", "")
    return Snapshot(
        outcome,
        captured_minor=amount_of(payment.total_money) - tip if taken else 0,
        tip_minor=tip,
        provider_ref=payment.id,
        refunded_minor=_refunded(payment, refunds),
        fee_minor=fee_of(payment),
        application_fee_minor=amount_of(payment.app_fee_money),
        code=code,
        message=message,
        card_brand=str(card.card_brand or "").lower()[:20] if card else "",
        card_last4=str(card.last4 or "") if card else "",
        refunds=refunds,
        disputes=disputes,
    )


def _tip_of(payment: Payment, request: ChargeRequest | None) -> int:
    if payment.tip_money is None and request is not None and request.method == "link":
        return min(request.tip_minor, amount_of(payment.total_money))
    return amount_of(payment.tip_money)


def _refunded(payment: Payment, refunds: tuple[RefundSnapshot, ...]) -> int:
    # Square's own total counts what is still pending.
    if refunds:
        return sum(refund.amount_minor for refund in refunds if refund.outcome is RefundOutcome.SUCCEEDED)
    return 0 if payment.refund_ids else amount_of(payment.refunded_money)


def _why_declined(payment: Payment) -> tuple[str, str]:
    found = (payment.card_details.errors or []) if payment.card_details else []
    return (str(found[0].code), str(found[0].detail or "")) if found else ("FAILED", "")


def fee_of(row: Payment | PaymentRefund) -> int | None:
    """What Square keeps, once it says so: that comes some time after the payment."""
    if not row.processing_fee:
        return None
    return sum(amount_of(fee.amount_money) for fee in row.processing_fee)


def reason_with(reason: str, refund_id: UUID) -> str:
    """A reason for Square's own pages that ends in our refund's id."""
    return f"{reason[: REASON_LENGTH - UUID_LENGTH - 1]} {refund_id}".strip()


def refund_id_in(reason: str | None) -> UUID | None:
    return as_uuid((reason or "")[-UUID_LENGTH:])


def refunded(refund: PaymentRefund) -> RefundSnapshot:
    outcome = REFUND_OUTCOMES.get(str(refund.status))
    if outcome is None or not refund.id:
        raise UnknownOutcome(f"Square calls a refund {refund.status!r}.")
    return RefundSnapshot(
        outcome,
        provider_ref=refund.id,
        amount_minor=amount_of(refund.amount_money),
        refund_id=refund_id_in(refund.reason),
        code=str(refund.status) if outcome is RefundOutcome.FAILED else "",
        fee_back_minor=_negative(fee_of(refund)),
        application_fee_back_minor=amount_of(refund.app_fee_money),
    )


def _negative(amount_minor: int | None) -> int | None:
    return None if amount_minor is None else -amount_minor


def disputed(dispute: Any) -> DisputeSnapshot:
    state = str(dispute.state)
    return DisputeSnapshot(
        provider_ref=str(dispute.id or dispute.dispute_id),
        amount_minor=amount_of(dispute.amount_money),
        status=DISPUTES.get(state, "open"),
        taken_minor=amount_of(dispute.amount_money) if state in HELD_BACK else 0,
        reason=str(dispute.reason or "").lower(),
        evidence_due_at=moment(dispute.due_at) if dispute.due_at and state in TO_ANSWER else None,
    )


def payment_row(payment: Payment) -> ProviderTransaction:
    return ProviderTransaction(
        provider_ref=str(payment.id),
        kind="charge",
        amount_minor=amount_of(payment.total_money),
        currency=str(payment.total_money.currency) if payment.total_money else "",
        status=STATUSES.get(str(payment.status), "pending"),
        created_at=moment(payment.created_at),
        tip_minor=amount_of(payment.tip_money),
        fee_minor=fee_of(payment),
        application_fee_minor=amount_of(payment.app_fee_money),
        reference=payment.reference_id or str(as_uuid(payment.note) or ""),
        description=payment.note or "",
    )


def refund_row(refund: PaymentRefund) -> ProviderTransaction:
    return ProviderTransaction(
        provider_ref=refund.id,
        kind="refund",
        amount_minor=amount_of(refund.amount_money),
        currency=str(refund.amount_money.currency),
        status=STATUSES.get(str(refund.status), "pending"),
        created_at=moment(refund.created_at),
        fee_minor=fee_of(refund),
        application_fee_minor=-amount_of(refund.app_fee_money),
        reference=str(refund_id_in(refund.reason) or ""),
        payment_ref=refund.payment_id or "",
        description=refund.reason or "",
    )
