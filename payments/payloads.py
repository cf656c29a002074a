"""A payment and a receipt as documents: what the API answers and the event log keeps.

Values are ready for JSON: ids and times are text, money is in minor units.
"""

import datetime
from typing import Any

from .models import (
    PaymentAttempt,
    PaymentIntent,
    ProviderAccount,
    Receipt,
    ReceiptDelivery,
    ReconciliationIssue,
    Refund,
    Terminal,
)


def payment_payload(payment: PaymentIntent) -> dict[str, Any]:
    """The payment, and how its order stands now. Load it by `PaymentIntent.objects.with_details()`.

    What the guest still has to do is not in it: it may hold a secret, and events are kept.
    """
    order = payment.order
    attempt = payment.shown_try
    return {
        "id": str(payment.pk),
        "order_id": str(order.pk),
        "order_number": order.number,
        "method": payment.method,
        "state": payment.state,
        "currency": order.currency,
        "amount_minor": payment.amount_minor,
        "tip_minor": payment.tip_minor,
        "captured_minor": payment.captured_minor,
        "tip_captured_minor": payment.tip_captured_minor,
        "refunded_minor": payment.refunded_minor,
        "tip_refunded_minor": payment.tip_refunded_minor,
        "refundable_minor": payment.refundable_minor,
        "tip_refundable_minor": payment.tip_refundable_minor,
        "tendered_minor": payment.tendered_minor,
        "change_minor": payment.change_minor,
        "reference": payment.reference,
        "part_id": str(payment.part_id) if payment.part_id else None,
        **_attempt(attempt),
        "balance_due_minor": order.balance_due_minor,
        "business_date": payment.business_date.isoformat(),
        "taken_by_id": str(payment.taken_by_id),
        "taken_by": payment.taken_by.name,
        "device_id": str(payment.device_id) if payment.device_id else None,
        "taken_offline_at": time_text(payment.taken_offline_at) if payment.taken_offline_at else None,
        "created_at": time_text(payment.created_at),
        "settled_at": time_text(payment.settled_at) if payment.settled_at else None,
    }


def payment_with_action(payment: PaymentIntent) -> dict[str, Any]:
    """The payment for the till that takes it: with what the guest has to do now."""
    return {**payment_payload(payment), "next_action": payment.shown_try.next_action or None}


def refund_payload(refund: Refund) -> dict[str, Any]:
    """The refund, and what is left of its payment. Load it by `refunds.load_refund`."""
    payment = refund.intent
    requested_by, approved_by = refund.requested_by, refund.approved_by
    return {
        "id": str(refund.pk),
        "payment_id": str(payment.pk),
        "order_id": str(payment.order_id),
        "state": refund.state,
        "made_at": refund.source,
        "method": payment.method,
        "currency": payment.order.currency,
        "amount_minor": refund.amount_minor,
        "tip_minor": refund.tip_minor,
        "tax_lines": refund.tax_lines,
        "items": refund.items,
        "reason": refund.reason,
        "requested_by": requested_by.name if requested_by else None,
        "approved_by": approved_by.name if approved_by else None,
        "failure_code": refund.provider_code,
        "business_date": refund.business_date.isoformat(),
        "refundable_minor": payment.refundable_minor,
        "tip_refundable_minor": payment.tip_refundable_minor,
        "created_at": time_text(refund.created_at),
        "settled_at": time_text(refund.settled_at) if refund.settled_at else None,
    }


def _attempt(attempt: PaymentAttempt) -> dict[str, Any]:
    """How the last try to take a payment stands."""
    return {
        "provider": attempt.provider,
        "account_id": str(attempt.account_id) if attempt.account_id else None,
        "terminal_id": str(attempt.terminal_id) if attempt.terminal_id else None,
        "attempt": attempt.n,
        "attempt_state": attempt.state,
        "failure_class": attempt.error_class,
        "failure_code": attempt.provider_code,
        "card_brand": attempt.card_brand,
        "card_last4": attempt.card_last4,
    }


def receipt_payload(receipt: Receipt) -> dict[str, Any]:
    """The receipt as it was issued."""
    return {"id": str(receipt.pk), "order_id": str(receipt.order_id), **receipt.content}


def delivery_payload(delivery: ReceiptDelivery) -> dict[str, Any]:
    """A receipt on its way by mail; the address itself is nobody's business. Load its receipt with it."""
    return {
        "id": str(delivery.pk),
        "order_id": str(delivery.receipt.order_id),
        "receipt_id": str(delivery.receipt_id),
        "address_hint": delivery.address_hint,
        "state": delivery.state,
        "tries": delivery.tries,
        "created_at": time_text(delivery.created_at),
        "sent_at": time_text(delivery.sent_at) if delivery.sent_at else None,
    }


def account_payload(row: ProviderAccount, webhook_url: str) -> dict[str, Any]:
    """Load it with its terminals."""
    return {
        "id": str(row.pk),
        "provider": row.provider,
        "connection": row.kind,
        "mode": row.mode,
        "account_status": row.status,
        "status_detail": row.status_detail,
        "external_account_id": row.external_account_id,
        "key_hint": row.key_hint,
        "priority": row.priority,
        "webhook_url": webhook_url,
        "terminals": [terminal_payload(t, row.provider) for t in row.terminals.all() if t.is_active],
    }


def terminal_payload(row: Terminal, provider: str) -> dict[str, Any]:
    return {"id": str(row.pk), "name": row.label, "provider": provider, "is_online": row.is_online}


def issue_payload(row: ReconciliationIssue) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "about": row.kind,
        "subject": row.subject,
        "detail": row.detail,
        "order_id": str(row.order_id) if row.order_id else None,
        "payment_id": str(row.payment_id) if row.payment_id else None,
        "refund_id": str(row.refund_id) if row.refund_id else None,
        "ours_minor": row.ours_minor,
        "theirs_minor": row.theirs_minor,
        "currency": row.currency,
        "found_at": time_text(row.found_at),
        "resolved_at": time_text(row.resolved_at) if row.resolved_at else None,
        "resolution": row.resolution,
    }


def time_text(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
