"""What a receipt says, and how it looks as a page. `escpos.py` writes the same for receipt printers."""

import datetime
import zoneinfo
from collections.abc import Iterable, Mapping
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

# To a guest a card is a card, whoever's machine it was.
METHOD_NAMES = {
    PaymentIntent.Method.CASH: "cash",
    PaymentIntent.Method.CARD_PRESENT: "card",
    PaymentIntent.Method.CARD_ONLINE: "card online",
    PaymentIntent.Method.LINK: "payment link",
    PaymentIntent.Method.EXTERNAL: "card",
}


def receipt_content(
    restaurant: Restaurant,
    order: Order,
    payments: Iterable[PaymentIntent],
    *,
    number: int,
    issued_at: datetime.datetime,
) -> dict[str, Any]:
    """The receipt in full, ready for JSON, so that it can be frozen as it was issued.

    Load `order` and `payments` with_details(). Rates have letters, from the highest down. A service charge
    is within the total; a compulsory one within `taxes` too.
    """
    rates = sorted(order.tax_lines, key=lambda line: Decimal(line["percent"]), reverse=True)
    letters = {line["percent"]: chr(ord("A") + n) for n, line in enumerate(rates)}
    paid = list(payments)
    split = _split(order, letters)
    labels = {part["id"]: part["label"] for part in split["parts"]} if split else {}
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
        "service_charge": _service_charge(order),
        "total_minor": order.total_minor,
        "tax_minor": order.tax_minor,
        "taxes": _taxes(rates, letters),
        "split": split,
        "payments": [_payment(payment, labels) for payment in paid],
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


def _service_charge(order: Order) -> dict[str, Any] | None:
    if not order.service_charge_minor:
        return None
    return {
        "kind": order.service_charge_kind,
        "percent": percent_text(order.service_charge_percent),
        "amount_minor": order.service_charge_minor,
    }


def _taxes(lines: Iterable[Mapping[str, Any]], letters: dict[str, str]) -> list[dict[str, Any]]:
    return [{"letter": letters[line["percent"]], **line} for line in lines]


def _split(order: Order, letters: dict[str, str]) -> dict[str, Any] | None:
    """Who had what of a bill that was divided, without what was due of it when."""
    if order.shown_split is None:
        return None
    names = ("id", "number", "label", "amount_minor", "service_charge_minor", "items")
    parts = [
        {**{name: part[name] for name in names}, "taxes": _taxes(part["tax_lines"], letters)}
        for part in order.shown_split["parts"]
    ]
    return {"kind": order.shown_split["kind"], "parts": parts}


def _payment(payment: PaymentIntent, labels: dict[str, str]) -> dict[str, Any]:
    """`part` is the label of the part it paid, where the bill is divided."""
    return {
        "id": str(payment.pk),
        "method": payment.method,
        "part": labels.get(str(payment.part_id), ""),
        "card_brand": payment.shown_try.card_brand,
        "card_last4": payment.shown_try.card_last4,
        "amount_minor": payment.captured_minor,
        "tip_minor": payment.tip_captured_minor,
        "tendered_minor": payment.tendered_minor,
        "change_minor": payment.change_minor,
    }


def render_receipt(receipt: Receipt, *, copy: bool) -> str:
    """The receipt as a page for an 80 mm roll; a copy says so."""
    return render_to_string("receipts/receipt.html", {**shown(receipt.content), "copy": copy})


def shown(content: dict[str, Any]) -> dict[str, Any]:
    """A receipt's content with what page, mail and printer add to it: names, sums and the local time."""
    charge, taxes = content.get("service_charge"), content["taxes"]
    return {
        **content,
        "local_time": datetime.datetime.fromisoformat(content["local_time"]),
        "items_minor": sum(line["total_minor"] for line in content["lines"]),
        "service_charge": {**charge, "name": charge_name(charge)} if charge else None,
        "net_minor": sum(tax["net_minor"] for tax in taxes),
        "taxed_minor": sum(tax["gross_minor"] for tax in taxes),
        "payments": [{**payment, "name": payment_name(payment)} for payment in content["payments"]],
        "tax_name": "VAT" if content["seller"]["vat_number"] else "Tax",
        "shows_taxes": bool(content["seller"]["vat_number"] or content["tax_minor"]),
    }


def charge_name(charge: Mapping[str, Any]) -> str:
    """Such as "Optional service charge 12.5%": a guest is told what may be declined."""
    optional = "Optional service charge" if charge["kind"] == "optional" else "Service charge"
    return f"{optional} {charge['percent']}%"


def payment_name(payment: Mapping[str, Any]) -> str:
    """Such as "Paid by card, Visa **** 4242", and for which part of a divided bill."""
    name = f"Paid by {METHOD_NAMES[PaymentIntent.Method(payment['method'])]}"
    if payment.get("card_last4"):
        name += f", {payment.get('card_brand') or 'card'} **** {payment['card_last4']}".replace("_", " ")
    return f"{name} ({payment['part']})" if payment.get("part") else name
