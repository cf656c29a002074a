"""The report of a business day as a document, ready for JSON: an X at any time, the Z when it is closed.

Amounts are in minor units of `currency`; what went back to guests is positive.
"""

import datetime
import logging
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from fynlo.tenancy.scope import require_restaurant_id
from orders.models import Order, OrderItem
from restaurants.models import Restaurant

from .figures import Figures, differences, figures_from_books, figures_from_rows
from .models import DrawerSession, PaymentAttempt, PaymentIntent, Receipt, Refund
from .payloads import time_text
from .payloads_cash import session_payload

logger = logging.getLogger(__name__)

# Sales may come in between the two looks at them.
LOOKS = 3


def day_report(restaurant: Restaurant, day: datetime.date) -> tuple[dict[str, Any], list[str]]:
    """The report, and where the rows and the books differ: nowhere, unless something is wrong."""
    for _ in range(LOOKS):
        rows, books = figures_from_rows(day), figures_from_books(day)
        if not (differing := differences(rows, books)):
            break
    if differing:
        logger.error("Restaurant %s, %s: %s", require_restaurant_id(), day, "; ".join(differing))
    document = {
        "business_date": day.isoformat(),
        "currency": restaurant.currency,
        "made_at": time_text(timezone.now()),
        "is_closed": restaurant.closed_through is not None and day <= restaurant.closed_through,
        "agrees_with_books": not differing,
        "seller": {
            "name": restaurant.name,
            "address": restaurant.address,
            "phone": restaurant.phone,
            "vat_number": restaurant.vat_number,
        },
        "orders": _orders(day),
        "sales": _sales(rows.sales, rows.service_charge),
        "returned": _sales(rows.returned, rows.returned_service_charge),
        "methods": _methods(day),
        "providers": _providers(rows),
        "drawers": _drawers(day, rows),
        "over_short_minor": rows.over_short,
        "receipts": {**_receipts(day), "total_minor": rows.receipts},
        "owed_minor": rows.owed,
        "open": standing_open(day),
    }
    return document, differing


def _orders(day: datetime.date) -> dict[str, int]:
    of_day = Order.objects.filter(business_date=day)
    closed, voided = Q(status=Order.Status.CLOSED), Q(status=Order.Status.VOIDED)
    orders = of_day.aggregate(
        closed=Count("pk", filter=closed),
        covers=Sum("covers", filter=closed, default=0),
        voided=Count("pk", filter=voided),
        open=Count("pk", filter=Q(status=Order.Status.OPEN)),
        service_charge_minor=Sum("service_charge_minor", filter=closed, default=0),
    )
    items = OrderItem.objects.filter(order__business_date=day, status=OrderItem.Status.VOIDED)
    return {
        **orders,
        **items.aggregate(
            voided_items=Sum("quantity", default=0), voided_items_minor=Sum("total_minor", default=0)
        ),
    }


def _sales(rates: dict[str, tuple[int, int]], untaxed: int) -> dict[str, Any]:
    """By rate, the highest first; what bears no VAT at all is the service charge that may be declined."""
    net, tax = (sum(pair[n] for pair in rates.values()) for n in (0, 1))
    return {
        "rates": [
            {"percent": rate, "net_minor": n, "tax_minor": t, "gross_minor": n + t}
            for rate, (n, t) in sorted(rates.items(), key=lambda item: -float(item[0]))
        ],
        "net_minor": net,
        "tax_minor": tax,
        "gross_minor": net + tax,
        "untaxed_service_charge_minor": untaxed,
        "total_minor": net + tax + untaxed,
    }


def _methods(day: datetime.date) -> list[dict[str, Any]]:
    paid = PaymentIntent.objects.filter(business_date=day, captured_minor__gt=0)
    back = Refund.objects.filter(business_date=day, state=Refund.State.SUCCEEDED)
    found: dict[str, dict[str, Any]] = {}
    rows: list[Any] = [
        *paid.values("method").annotate(
            payments=Count("pk"), amount_minor=Sum("captured_minor"), tip_minor=Sum("tip_captured_minor")
        ),
        *back.values(method=F("intent__method")).annotate(
            refunds=Count("pk"), refunded_minor=Sum("amount_minor"), tip_refunded_minor=Sum("tip_minor")
        ),
    ]
    for row in rows:
        found[row["method"]] = {**found.get(row["method"], _method(row["method"])), **row}
    order = PaymentIntent.Method.values
    return sorted(found.values(), key=lambda row: order.index(row["method"]))


def _method(method: str) -> dict[str, Any]:
    numbers = ("payments", "amount_minor", "tip_minor", "refunds", "refunded_minor", "tip_refunded_minor")
    return {"method": method, "name": PaymentIntent.Method(method).label, **dict.fromkeys(numbers, 0)}


def _providers(figures: Figures) -> list[dict[str, Any]]:
    names = sorted({*figures.taken, *figures.given_back})
    rows = []
    for name in names:
        (amount, tip), (back, tip_back) = (
            each.get(name, (0, 0)) for each in (figures.taken, figures.given_back)
        )
        rows.append(
            {
                "provider": name,
                "amount_minor": amount,
                "tip_minor": tip,
                "refunded_minor": back,
                "tip_refunded_minor": tip_back,
                "total_minor": amount + tip - back - tip_back,
            }
        )
    return rows


def _drawers(day: datetime.date, figures: Figures) -> list[dict[str, Any]]:
    """Each session of the day. What should be in an open one is for managers, as this report is."""
    sessions = DrawerSession.objects.select_related("drawer", "opened_by", "closed_by")
    drawers = []
    for session in sessions.filter(business_date=day).order_by("drawer__name", "opened_at"):
        moved = figures.drawers[str(session.pk)]
        sums = {f"{kind}_minor": moved[kind] for kind in ("sale", "refund", "pay_in", "pay_out", "drop")}
        expected = session.float_minor + sum(sums.values())
        drawers.append({**session_payload(session), **sums, "expected_minor": expected})
    return drawers


def _receipts(day: datetime.date) -> dict[str, int | None]:
    receipts = Receipt.objects.filter(order__business_date=day)
    return receipts.aggregate(first=Min("number"), last=Max("number"), count=Count("pk"))


# What stands open

BILL_OPEN = "bill_open"
PAYMENT_UNKNOWN = "payment_unknown"
DRAWER_UNCOUNTED = "drawer_uncounted"

REFUNDS_IN_DOUBT = (Refund.State.CREATED, Refund.State.SUBMITTED, Refund.State.UNKNOWN)


def open_bills(day: datetime.date) -> QuerySet[Order]:
    """Of the day, and of any before it."""
    return Order.objects.open().filter(business_date__lte=day).order_by("number")


def open_attempts(day: datetime.date) -> QuerySet[PaymentAttempt]:
    return PaymentAttempt.objects.filter(settled_at=None, intent__business_date__lte=day).order_by("id")


def refunds_in_doubt(day: datetime.date) -> QuerySet[Refund]:
    """Refunds that a bank has, but has not carried out yet, are in no doubt."""
    return Refund.objects.filter(state__in=REFUNDS_IN_DOUBT, business_date__lte=day).order_by("id")


def uncounted_drawers(day: datetime.date) -> QuerySet[DrawerSession]:
    return DrawerSession.objects.filter(status=DrawerSession.Status.OPEN, business_date__lte=day).order_by(
        "drawer__name"
    )


def standing_open(day: datetime.date) -> list[dict[str, Any]]:
    """What has to be settled, or signed for, before the day is closed."""
    bills = [
        _standing(BILL_OPEN, bill.pk, _bill_name(bill), bill.balance_due_minor)
        for bill in open_bills(day).select_related("table")
    ]
    attempts = [
        _standing(
            PAYMENT_UNKNOWN,
            attempt.pk,
            f"Order {attempt.intent.order.number}: {attempt.get_provider_display()}, "
            f"{attempt.get_state_display().lower()}",
            attempt.intent.amount_minor + attempt.intent.tip_minor,
        )
        for attempt in open_attempts(day).select_related("intent__order")
    ]
    refunds = [
        _standing(
            PAYMENT_UNKNOWN,
            refund.pk,
            f"Order {refund.intent.order.number}: refund, {refund.get_state_display().lower()}",
            refund.amount_minor + refund.tip_minor,
        )
        for refund in refunds_in_doubt(day).select_related("intent__order")
    ]
    drawers = [
        _standing(DRAWER_UNCOUNTED, session.pk, f"{session.drawer.name}, opened by {session.opened_by.name}")
        for session in uncounted_drawers(day).select_related("drawer", "opened_by")
    ]
    return [*bills, *attempts, *refunds, *drawers]


def _standing(code: str, pk: object, what: str, amount_minor: int | None = None) -> dict[str, Any]:
    return {"code": code, "id": str(pk), "what": what, "amount_minor": amount_minor}


def _bill_name(bill: Order) -> str:
    where = bill.table.name if bill.table else bill.customer_name or bill.get_kind_display().lower()
    return f"Order {bill.number}, {where}"
