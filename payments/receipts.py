"""What a receipt says, and how it looks as a page. `escpos.py` writes the same for receipt printers."""

import datetime
import zoneinfo
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.template.loader import render_to_string

from orders.errors import NoSuchPart
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
    taxes = _lettered(order.tax_lines)
    letters = {line["percent"]: line["letter"] for line in taxes}
    paid = list(payments)
    split = _split(order, letters)
    labels = {part["id"]: part["label"] for part in split["parts"]} if split else {}
    return {
        "number": number,
        "issued_at": time_text(issued_at),
        "local_time": _local_time(restaurant, issued_at),
        "is_vat_invoice": is_vat_invoice(restaurant, order),
        "seller": _seller(restaurant),
        "order": _order(order),
        "currency": order.currency,
        "lines": [_line(item, letters) for item in order.lines if item.status != OrderItem.Status.VOIDED],
        "service_charge": _service_charge(order),
        "total_minor": order.total_minor,
        "tax_minor": order.tax_minor,
        "taxes": taxes,
        "split": split,
        "payments": [_payment(payment, labels) for payment in paid],
        "tip_minor": sum(payment.tip_captured_minor for payment in paid),
    }


def part_bill(
    restaurant: Restaurant, order: Order, part_id: UUID, *, at: datetime.datetime
) -> dict[str, Any]:
    """What one guest of a divided bill owes as it stands, for them to check before they pay: no receipt.

    Load `order` with_details(). Letters of rates are the whole bill's; a service charge is within the
    total. Raises NoSuchPart.
    """
    parts = order.shown_split["parts"] if order.shown_split else []
    part = next((part for part in parts if part["id"] == str(part_id)), None)
    if part is None:
        raise NoSuchPart
    letters = {tax["percent"]: tax["letter"] for tax in _lettered(order.tax_lines)}
    charge = _service_charge(order)
    return {
        "local_time": _local_time(restaurant, at),
        "seller": _seller(restaurant),
        "order": _order(order),
        "currency": order.currency,
        "part": {name: part[name] for name in ("id", "number", "label")},
        "items": part["items"],
        "service_charge": {**charge, "amount_minor": part["service_charge_minor"]} if charge else None,
        "total_minor": part["amount_minor"],
        "taxes": _lettered(part["tax_lines"], letters),
        "tax_minor": sum(line["tax_minor"] for line in part["tax_lines"]),
        "paid_minor": part["captured_minor"] - part["refunded_minor"],
        "balance_due_minor": part["balance_due_minor"],
    }


def render_part_bill(bill: dict[str, Any]) -> str:
    """The bill of one part as a page for an 80 mm roll."""
    charge = bill["service_charge"]
    named = {**charge, "name": charge_name(charge)} if charge and charge["amount_minor"] else None
    return render_to_string("receipts/bill.html", {**bill, **_names_and_taxes(bill), "service_charge": named})


def is_vat_invoice(restaurant: Restaurant, order: Order) -> bool:
    """Whether the receipt does as a simplified VAT invoice under UK law."""
    return (
        order.currency == "GBP"
        and bool(restaurant.vat_number and restaurant.address)
        and order.total_minor <= SIMPLIFIED_INVOICE_LIMIT_MINOR
    )


def _seller(restaurant: Restaurant) -> dict[str, Any]:
    return {
        "name": restaurant.name,
        "address": restaurant.address,
        "phone": restaurant.phone,
        "vat_number": restaurant.vat_number,
    }


def _order(order: Order) -> dict[str, Any]:
    return {
        "id": str(order.pk),
        "number": order.number,
        "kind": order.kind,
        "table": order.table.name if order.table else None,
        "covers": order.covers,
        "customer_name": order.customer_name,
        "served_by": order.opened_by.name,
    }


def _local_time(restaurant: Restaurant, at: datetime.datetime) -> str:
    local = at.astimezone(zoneinfo.ZoneInfo(restaurant.timezone))
    return local.replace(tzinfo=None).isoformat(timespec="seconds")


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


def _lettered(
    lines: Iterable[Mapping[str, Any]], letters: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """From the highest rate down; of a part with the letters of the whole bill."""
    rates = sorted(lines, key=lambda line: Decimal(line["percent"]), reverse=True)
    letters = letters or {line["percent"]: chr(ord("A") + n) for n, line in enumerate(rates)}
    return [{"letter": letters[line["percent"]], **line} for line in rates]


def _split(order: Order, letters: dict[str, str]) -> dict[str, Any] | None:
    """Who had what of a bill that was divided, without what was due of it when."""
    if order.shown_split is None:
        return None
    names = ("id", "number", "label", "amount_minor", "service_charge_minor", "items")
    parts = [
        {**{name: part[name] for name in names}, "taxes": _lettered(part["tax_lines"], letters)}
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
    charge = content.get("service_charge")
    return {
        **content,
        **_names_and_taxes(content),
        "items_minor": sum(line["total_minor"] for line in content["lines"]),
        "service_charge": {**charge, "name": charge_name(charge)} if charge else None,
        "payments": [{**payment, "name": payment_name(payment)} for payment in content["payments"]],
    }


def _names_and_taxes(content: Mapping[str, Any]) -> dict[str, Any]:
    """What receipts/seller.html and taxes.html show of a receipt and of a bill alike."""
    is_registered = bool(content["seller"]["vat_number"])
    return {
        "local_time": datetime.datetime.fromisoformat(content["local_time"]),
        "tax_name": "VAT" if is_registered else "Tax",
        "shows_taxes": is_registered or bool(content["tax_minor"]),
        "net_minor": sum(tax["net_minor"] for tax in content["taxes"]),
        "taxed_minor": sum(tax["gross_minor"] for tax in content["taxes"]),
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
