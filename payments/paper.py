"""The X and the Z report as pages for an 80 mm roll."""

import datetime
import zoneinfo
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone

from accounts.models import Membership

from .models import DayClose, Provider


def render_x(report: dict[str, Any], *, by: str, at: datetime.datetime) -> str:
    """A day as it stands, for whoever looks."""
    return _render(report, name="X", by=by, at=timezone.localtime(at))


def render_z(closed: DayClose) -> str:
    """A day as it was closed; it comes out the same however often it is printed."""
    zone = zoneinfo.ZoneInfo(closed.restaurant.timezone)
    by: Membership = closed.closed_by
    return _render(
        closed.content,
        name="Z",
        number=closed.number,
        by=by.name,
        at=closed.closed_at.astimezone(zone),
        overrides=closed.overrides,
        reason=closed.reason,
    )


def _render(report: dict[str, Any], **more: Any) -> str:
    sales, returned = report["sales"], report["returned"]
    context = {
        **report,
        **more,
        "day": datetime.date.fromisoformat(report["business_date"]),
        "providers": [
            {**each, "name": dict(Provider.choices).get(each["provider"], each["provider"])}
            for each in report["providers"]
        ],
        "net_sales_minor": sales["total_minor"] - returned["total_minor"],
        "net_tax_minor": sales["tax_minor"] - returned["tax_minor"],
        "tips_minor": sum(each["tip_minor"] - each["tip_refunded_minor"] for each in report["methods"]),
        "taken_minor": sum(each["total_minor"] for each in report["providers"]),
        "tax_name": "VAT" if report["seller"]["vat_number"] else "Tax",
    }
    return render_to_string("receipts/day.html", context)
