"""What a receipt says, and how it looks on paper."""

import datetime
import zoneinfo
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string

from orders.models import Order, OrderItem
from orders.pricing import percent_text
from restaurants.models import Restaurant

from .models import PaymentIntent, Receipt
from .payloads import time_text

# Up to this much with VAT, a receipt that shows what VAT Regulations 1995 reg. 16A lists (supplier's name,
# address and VAT number, time, description, total, and gross and rate for each rate) is a VAT invoice.
# Above it the guest's own name and address belong on one (reg. 14), which a till does not ask for.
SIMPLIFIED_INVOICE_LIMIT_MINOR = 250_00


def receipt_content(
    restaurant: Restaurant,
    order: Order,
    payments: Iterable[PaymentIntent],
    *,
    number: int,
    issued_at: datetime.datetime,
) -> dict[str, Any]:
    """The receipt in full, ready for JSON, so that it can be frozen as it was issued.

    Load `order` with_details(). Rates have letters, from the highest down.
    """
    rates = sorted(order.tax_lines, key=lambda line: Decimal(line["percent"]), reverse=True)
    letters = {line["percent"]: chr(ord("A") + n) for n, line in enumerate(rates)}
    paid = list(payments)
    local = issued_at.astimezone(zoneinfo.ZoneInfo(restaurant.timezone))
    return {
        "number": number,
        "issued_at": time_text(issued_at),
        "local_time": local.replace(tzinfo=None).isoformat(timespec="seconds"),
        "is_vat_invoice": is_vat_invoice(restaurant, order),
        "seller": {
            "name": restaurant.name,
            "address": restaurant.address,
            "phone": restaurant.phone,
            "vat_number": restaurant.vat_number,
        },
        "order": {
            "id": str(order.pk),
            "number": order.number,
            "kind": order.kind,
            "table": order.table.name if order.table else None,
            "covers": order.covers,
            "customer_name": order.customer_name,
            "served_by": order.opened_by.name,
        },
        "currency": order.currency,
        "lines": [_line(item, letters) for item in order.lines if item.status != OrderItem.Status.VOIDED],
        "total_minor": order.total_minor,
        "tax_minor": order.tax_minor,
        "taxes": [{"letter": letters[line["percent"]], **line} for line in rates],
        "payments": [_payment(payment) for payment in paid],
        "tip_minor": sum(payment.tip_captured_minor for payment in paid),
    }


def is_vat_invoice(restaurant: Restaurant, order: Order) -> bool:
    """Whether the receipt does as a simplified VAT invoice under UK law."""
    return (
        order.currency == "GBP"
        and bool(restaurant.vat_number and restaurant.address)
        and order.total_minor <= SIMPLIFIED_INVOICE_LIMIT_MINOR
    )


def _line(item: OrderItem, letters: dict[str, str]) -> dict[str, Any]:
    percent = percent_text(item.tax_percent)
    return {
        "name": item.name,
        "modifiers": [modifier["name"] for modifier in item.modifiers],
        "quantity": item.quantity,
        "unit_price_minor": item.unit_price_minor,
        "total_minor": item.total_minor,
        "tax_percent": percent,
        "tax_letter": letters.get(percent, ""),  # a line given away has no rate of its own
    }


def _payment(payment: PaymentIntent) -> dict[str, Any]:
    return {
        "id": str(payment.pk),
        "method": payment.method,
        "amount_minor": payment.captured_minor,
        "tip_minor": payment.tip_captured_minor,
        "tendered_minor": payment.tendered_minor,
        "change_minor": payment.change_minor,
    }


def render_receipt(receipt: Receipt, *, copy: bool) -> str:
    """The receipt as a page for an 80 mm roll; a copy says so."""
    content = receipt.content
    methods = dict(PaymentIntent.Method.choices)
    context = {
        **content,
        "copy": copy,
        "local_time": datetime.datetime.fromisoformat(content["local_time"]),
        "net_minor": content["total_minor"] - content["tax_minor"],
        "payments": [
            {**payment, "method_name": str(methods[payment["method"]]).lower()}
            for payment in content["payments"]
        ],
        "tax_name": "VAT" if content["seller"]["vat_number"] else "Tax",
        "shows_taxes": bool(content["seller"]["vat_number"] or content["tax_minor"]),
    }
    return render_to_string("receipts/receipt.html", context)
