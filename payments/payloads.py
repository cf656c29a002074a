"""A payment and a receipt as documents: what the API answers and the event log keeps.

Values are ready for JSON: ids and times are text, money is in minor units.
"""

import datetime
from typing import Any

from .models import PaymentIntent, Receipt


def payment_payload(payment: PaymentIntent) -> dict[str, Any]:
    """The payment, and how its order stands now. Load it by `PaymentIntent.objects.with_details()`."""
    order = payment.order
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
        "tendered_minor": payment.tendered_minor,
        "change_minor": payment.change_minor,
        "balance_due_minor": order.balance_due_minor,
        "business_date": payment.business_date.isoformat(),
        "taken_by_id": str(payment.taken_by_id),
        "taken_by": payment.taken_by.name,
        "device_id": str(payment.device_id) if payment.device_id else None,
        "created_at": time_text(payment.created_at),
        "settled_at": time_text(payment.settled_at) if payment.settled_at else None,
    }


def receipt_payload(receipt: Receipt) -> dict[str, Any]:
    """The receipt as it was issued."""
    return {"id": str(receipt.pk), "order_id": str(receipt.order_id), **receipt.content}


def time_text(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
