"""An order and a kitchen ticket as documents: what the API answers, events carry and screens show.

Values are ready for JSON: ids and times are text, money is in minor units.
"""

import datetime
from typing import Any
from uuid import UUID

from accounts.models import Membership
from restaurants.models import Table

from .models import KitchenTicket, Order, OrderItem
from .pricing import percent_text


def order_payload(order: Order) -> dict[str, Any]:
    """The order in full, with its lines in the order they were added. Load it `with_details()`."""
    return {
        "id": str(order.pk),
        "number": order.number,
        "kind": order.kind,
        "status": order.status,
        "version": order.version,
        "table_id": _id(order.table_id),
        "table": _name(order.table),
        "covers": order.covers,
        "customer_name": order.customer_name,
        "note": order.note,
        "currency": order.currency,
        "business_date": order.business_date.isoformat(),
        "total_minor": order.total_minor,
        "tax_minor": order.tax_minor,
        "tax_lines": order.tax_lines,
        "service_charge_kind": order.service_charge_kind,
        "service_charge_percent": percent_text(order.service_charge_percent),
        "service_charge_minor": order.service_charge_minor,
        "reserved_minor": order.reserved_minor,
        "captured_minor": order.captured_minor,
        "refunded_minor": order.refunded_minor,
        "paid_minor": order.paid_minor,
        "balance_due_minor": order.balance_due_minor,
        "opened_by_id": str(order.opened_by_id),
        "opened_by": order.opened_by.name,
        "opened_at": _time(order.opened_at),
        "closed_at": _time(order.closed_at),
        "voided_by": _name(order.voided_by),
        "voided_at": _time(order.voided_at),
        "void_reason": order.void_reason,
        "split": order.shown_split,
        "items": [item_payload(item) for item in order.lines],
    }


def item_payload(item: OrderItem) -> dict[str, Any]:
    """One line of an order. `unit_price_minor` includes the modifiers."""
    return {
        "id": str(item.pk),
        "menu_item_id": str(item.menu_item_id),
        "name": item.name,
        "quantity": item.quantity,
        "unit_price_minor": item.unit_price_minor,
        "total_minor": item.total_minor,
        "tax_percent": percent_text(item.tax_percent),
        "modifiers": item.modifiers,
        "note": item.note,
        "seat": item.seat,
        "course": item.course,
        "status": item.status,
        "station_id": str(item.station_id),
        "ticket_id": _id(item.ticket_id),
        "added_by": item.added_by.name,
        "added_at": _time(item.added_at),
        "done_at": _time(item.done_at),
        "voided_by": _name(item.voided_by),
        "voided_at": _time(item.voided_at),
        "void_reason": item.void_reason,
    }


def floor_order_payload(order: Order) -> dict[str, Any]:
    """An open order as the floor's screen shows it on its table."""
    return {
        "id": str(order.pk),
        "number": order.number,
        "covers": order.covers,
        "total_minor": order.total_minor,
        "balance_due_minor": order.balance_due_minor,
        "opened_at": _time(order.opened_at),
    }


def ticket_payload(ticket: KitchenTicket) -> dict[str, Any]:
    """A kitchen ticket in full, as a screen shows it: no prices. Load it `with_details()`."""
    order = ticket.order
    return {
        "id": str(ticket.pk),
        "order_id": str(order.pk),
        "order_number": order.number,
        "order_kind": order.kind,
        "table": _name(order.table),
        "covers": order.covers,
        "waiter": order.opened_by.name,
        "customer_name": order.customer_name,
        "order_note": order.note,
        "station_id": str(ticket.station_id),
        "station": ticket.station.name,
        "number": ticket.number,
        "status": ticket.status,
        "version": ticket.version,
        "is_add_on": ticket.is_add_on,
        "is_recalled": ticket.is_recalled,
        "sent_at": _time(ticket.sent_at),
        "bumped_at": _time(ticket.bumped_at),
        "items": [
            {
                "id": str(item.pk),
                "name": item.name,
                "quantity": item.quantity,
                "modifiers": [modifier["name"] for modifier in item.modifiers],
                "note": item.note,
                "seat": item.seat,
                "course": item.course,
                "status": item.status,
                "done_at": _time(item.done_at),
            }
            for item in ticket.lines
        ],
    }


def _id(value: UUID | None) -> str | None:
    return str(value) if value else None


def _name(row: Table | Membership | None) -> str | None:
    return row.name if row else None


def _time(moment: datetime.datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
