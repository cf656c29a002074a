"""Drawers as documents: what the API answers and the event log keeps. Ready for JSON."""

from typing import Any

from .models import CashDrawer, CashMovement, DayClose, DrawerSession
from .payloads import time_text


def drawer_payload(drawer: CashDrawer, open_session: DrawerSession | None) -> dict[str, Any]:
    return {
        "id": str(drawer.pk),
        "name": drawer.name,
        "device_id": str(drawer.device_id) if drawer.device_id else None,
        "is_active": drawer.is_active,
        "open_session": session_payload(open_session) if open_session else None,
    }


def session_payload(session: DrawerSession) -> dict[str, Any]:
    """The session; what should be in the drawer is null until it has been counted."""
    return {
        "id": str(session.pk),
        "drawer_id": str(session.drawer_id),
        "drawer": session.drawer.name,
        "status": session.status,
        "business_date": session.business_date.isoformat(),
        "currency": session.currency,
        "float_minor": session.float_minor,
        "opened_by": session.opened_by.name,
        "opened_at": time_text(session.opened_at),
        "counted_minor": session.counted_minor,
        "expected_minor": session.expected_minor,
        "variance_minor": session.variance_minor,
        "count_note": session.count_note,
        "closed_by": session.closed_by.name if session.closed_by else None,
        "closed_at": time_text(session.closed_at) if session.closed_at else None,
    }


def movement_payload(movement: CashMovement) -> dict[str, Any]:
    return {
        "id": str(movement.pk),
        "session_id": str(movement.session_id),
        "kind": movement.kind,
        "amount_minor": movement.amount_minor,
        "reason": movement.reason,
        "payment_id": str(movement.payment_id) if movement.payment_id else None,
        "by": movement.by.name,
        "created_at": time_text(movement.created_at),
    }


def z_payload(closed: DayClose) -> dict[str, Any]:
    """A Z report as it was made, with who closed the day and what they signed for."""
    return {
        "id": str(closed.pk),
        "number": closed.number,
        "business_date": closed.business_date.isoformat(),
        "closed_by": closed.closed_by.name,
        "closed_at": time_text(closed.closed_at),
        "overrides": closed.overrides,
        "reason": closed.reason,
        "report": closed.content,
    }
