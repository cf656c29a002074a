"""Stripe's objects, as plain dicts, read into our own."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from .base import (
    Account,
    ChargeRequest,
    DisputeSnapshot,
    Outcome,
    ProviderPayoutLine,
    ProviderTransaction,
    RefundOutcome,
    RefundSnapshot,
    Snapshot,
)
from .errors import UnknownOutcome
from .stripe_client import Answer
from .stripe_codes import is_decline

# Stripe counts these in hundredths, though ISO 4217 gives them none.
HUNDREDFOLD = frozenset({"ISK"})

INTENT_OUTCOMES = {
    "requires_payment_method": Outcome.PAYABLE,
    "requires_confirmation": Outcome.PAYABLE,
    "requires_reauthorization": Outcome.PAYABLE,
    "requires_action": Outcome.REQUIRES_ACTION,
    "processing": Outcome.PENDING,
    "requires_capture": Outcome.AUTHORIZED,
    "succeeded": Outcome.SUCCEEDED,
    "canceled": Outcome.CANCELED,
    "expired": Outcome.CANCELED,
}
REFUND_OUTCOMES = {
    "pending": RefundOutcome.PENDING,
    "requires_action": RefundOutcome.PENDING,
    "succeeded": RefundOutcome.SUCCEEDED,
    "failed": RefundOutcome.FAILED,
    "canceled": RefundOutcome.FAILED,
}
DISPUTE_STATUSES = {"won": "won", "lost": "lost", "prevented": "won"}
REFUND_TYPES = frozenset({"payment_failure_refund", "payment_refund", "refund", "refund_failure"})


def to_stripe(amount_minor: int, currency: str) -> int:
    return amount_minor * 100 if currency.upper() in HUNDREDFOLD else amount_minor


def from_stripe(amount: int, currency: str) -> int:
    return round(amount / 100) if currency.upper() in HUNDREDFOLD else amount


def read_intent(
    account: Account, request: ChargeRequest, intent: Answer, disputes: Iterable[Answer] = ()
) -> Snapshot:
    """How a PaymentIntent stands, its latest charge expanded.

    One that waits for a card is PAYABLE, after a decline DECLINED; one that the guest confirms on the
    page itself (no `source_token`) REQUIRES_ACTION either way, as the page may try another card.
    """
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {}
    failure = intent.get("last_payment_error") or {}
    outcome = _intent_outcome(request, intent, failure)
    captured, tip = split_tip(request, intent) if outcome == Outcome.SUCCEEDED else (0, 0)
    refunds = tuple(read_refund(refund) for refund in (charge.get("refunds") or {}).get("data", []))
    card = card_of(charge)
    confirms = outcome == Outcome.REQUIRES_ACTION and request.method == "card_online"
    return Snapshot(
        outcome,
        captured,
        tip,
        intent["id"],
        refunded_minor=sum(r.amount_minor for r in refunds if r.outcome == RefundOutcome.SUCCEEDED),
        fee_minor=fee_of(charge.get("balance_transaction"), request.currency),
        application_fee_minor=from_stripe(charge.get("application_fee_amount") or 0, request.currency)
        if charge
        else None,
        code=failure.get("decline_code") or failure.get("code") or "",
        message=failure.get("message") or "",
        card_brand=card.get("brand") or "",
        card_last4=card.get("last4") or "",
        next_action=confirm_on_page(account, intent) if confirms else {},
        refunds=refunds,
        disputes=tuple(read_dispute(dispute) for dispute in disputes),
        request_id=intent.get("_request_id", ""),
    )


def _intent_outcome(request: ChargeRequest, intent: Answer, failure: Answer) -> Outcome:
    outcome = INTENT_OUTCOMES.get(intent["status"])
    if outcome is None:
        raise UnknownOutcome(f"Stripe says {intent['status']}.", code="unknown_status")
    if outcome != Outcome.PAYABLE:
        return outcome
    if request.method == "card_online" and not request.source_token:
        return Outcome.REQUIRES_ACTION
    if is_decline(failure.get("code") or "", failure.get("decline_code") or ""):
        return Outcome.DECLINED
    return outcome


def confirm_on_page(account: Account, intent: Answer) -> dict[str, str]:
    """What Stripe.js needs to have the guest confirm; with Connect it has to name the account, too."""
    action = {
        "type": "confirm",
        "client_secret": intent["client_secret"],
        "publishable_key": account.secrets.get("publishable_key", ""),
    }
    if account.kind == "stripe_connect":
        action["stripe_account"] = account.external_account_id
    return action


def split_tip(request: ChargeRequest, intent: Answer) -> tuple[int, int]:
    """What was received, as (bill, tip). A tip chosen on the reader came on top of what was asked.

    Where less was captured than asked, the bill comes first. Any other difference stays in the bill's
    part, for whoever compares it with what was asked.
    """
    total = from_stripe(intent["amount_received"], request.currency)
    on_reader = from_stripe(reader_tip(intent), request.currency)
    tip = request.tip_minor + on_reader if request.tip_on_reader else max(request.tip_minor, on_reader)
    if total < request.amount_minor + tip:
        tip = max(total - request.amount_minor, 0)
    return total - tip, tip


def reader_tip(intent: Answer) -> int:
    """The tip that Stripe knows of, in Stripe's units."""
    return ((intent.get("amount_details") or {}).get("tip") or {}).get("amount") or 0


def card_of(charge: Answer) -> Answer:
    details = charge.get("payment_method_details") or {}
    found: Answer = details.get("card_present") or details.get("card") or details.get("interac_present") or {}
    return found


def fee_of(movement: Any, currency: str) -> int | None:
    """What Stripe keeps, without the platform's own fee; None where unknown, or in another currency."""
    if not isinstance(movement, dict) or movement["currency"].upper() != currency.upper():
        return None
    return from_stripe(movement["fee"] - _platforms_part(movement), currency)


def application_fee_of(movement: Any, currency: str) -> int | None:
    """What the platform keeps, negative for what it gives back; None where unknown."""
    if not isinstance(movement, dict) or movement["currency"].upper() != currency.upper():
        return None
    return from_stripe(_platforms_part(movement), currency)


def _platforms_part(movement: Answer) -> int:
    return sum(part["amount"] for part in movement["fee_details"] if part["type"] == "application_fee")


def read_refund(refund: Answer) -> RefundSnapshot:
    outcome = REFUND_OUTCOMES.get(refund["status"])
    if outcome is None:
        raise UnknownOutcome(f"Stripe says {refund['status']} of a refund.", code="unknown_status")
    movement, currency = refund.get("balance_transaction"), refund["currency"]
    return RefundSnapshot(
        outcome,
        refund["id"],
        from_stripe(refund["amount"], refund["currency"]),
        uuid_of(refund.get("metadata"), "refund"),
        refund.get("failure_reason") or "",
        refund.get("_request_id", ""),
        fee_back_minor=_negative(fee_of(movement, currency)),
        application_fee_back_minor=_negative(application_fee_of(movement, currency)),
    )


def _negative(amount_minor: int | None) -> int | None:
    return None if amount_minor is None else -amount_minor


def read_dispute(dispute: Answer) -> DisputeSnapshot:
    is_answered = dispute["status"] != "needs_response"
    due = None if is_answered else dispute["evidence_details"].get("due_by")
    movements = dispute["balance_transactions"]  # the money goes, and comes back when the dispute is won
    taken, fees = (sum(movement[name] for movement in movements) for name in ("amount", "fee"))
    return DisputeSnapshot(
        dispute["id"],
        from_stripe(dispute["amount"], dispute["currency"]),
        DISPUTE_STATUSES.get(dispute["status"], "open"),
        from_stripe(-taken, dispute["currency"]),
        from_stripe(fees, dispute["currency"]),
        dispute["reason"],
        moment(due) if due else None,
    )


def read_charge(charge: Answer) -> ProviderTransaction:
    """A charge with its PaymentIntent and balance transaction expanded."""
    currency = charge["currency"].upper()
    intent = charge.get("payment_intent")
    intent = intent if isinstance(intent, dict) else {}
    metadata = charge.get("metadata") or {}
    asked = metadata.get("tip", "0")
    return ProviderTransaction(
        intent.get("id") or charge["id"],
        "charge",
        from_stripe(charge["amount_captured"], currency),
        currency,
        charge["status"],
        moment(charge["created"]),
        (int(asked) if asked.isdecimal() else 0) + from_stripe(reader_tip(intent), currency),
        fee_of(charge.get("balance_transaction"), currency),
        from_stripe(charge.get("application_fee_amount") or 0, currency),
        metadata.get("attempt", ""),
        description=charge.get("description") or "",
    )


def read_refund_transaction(refund: Answer) -> ProviderTransaction:
    """A refund with its balance transaction expanded."""
    currency = refund["currency"].upper()
    status = refund["status"] if refund["status"] != "requires_action" else "pending"
    return ProviderTransaction(
        refund["id"],
        "refund",
        from_stripe(refund["amount"], currency),
        currency,
        status,
        moment(refund["created"]),
        fee_minor=fee_of(refund.get("balance_transaction"), currency),
        application_fee_minor=application_fee_of(refund.get("balance_transaction"), currency),
        reference=(refund.get("metadata") or {}).get("refund", ""),
        payment_ref=refund.get("payment_intent") or refund.get("charge") or "",
    )


def read_payout_line(movement: Answer) -> ProviderPayoutLine:
    """A balance transaction with its source expanded. Its fee is all that was kept, the platform's too."""
    source = movement.get("source")
    source = source if isinstance(source, dict) else {"id": source or movement["id"]}
    kind, reference = movement["type"], source["id"]
    if source.get("object") == "charge" and kind in ("charge", "payment"):
        kind, reference = "charge", source.get("payment_intent") or reference
    elif kind in REFUND_TYPES:
        kind = "refund"
    elif source.get("object") == "dispute":
        kind = "dispute"
    currency = movement["currency"]
    return ProviderPayoutLine(
        reference,
        kind,
        from_stripe(movement["amount"], currency),
        from_stripe(movement["fee"], currency),
    )


def moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def uuid_of(metadata: Mapping[str, str] | None, name: str) -> UUID | None:
    """An id of ours, where the object carries one; anybody with the dashboard can type there."""
    try:
        return UUID((metadata or {}).get(name, ""))
    except ValueError:
        return None
