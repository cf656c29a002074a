"""The end of a business day: an X report to look at, and the Z report that closes it for good."""

import datetime
from collections.abc import Sequence
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Role
from accounts.staff import Staff
from fynlo.errors import NotAllowed
from fynlo.events.log import NewEvent, record_events
from fynlo.tenancy.scope import require_restaurant_id
from orders.models import Order
from orders.payloads import order_payload
from payments.day_report import (
    BILL_OPEN,
    DRAWER_UNCOUNTED,
    PAYMENT_UNKNOWN,
    day_report,
    open_attempts,
    open_bills,
    refunds_in_doubt,
    standing_open,
    uncounted_drawers,
)
from payments.errors_cash import (
    BillOpen,
    BooksDisagree,
    DayNotOver,
    DrawerUncounted,
    EarlierDayOpen,
    NotSettled,
    PaymentUnknown,
    ReasonMissing,
)
from payments.models import DayClose, DrawerSession, LedgerTransaction, PaymentIntent, Refund
from payments.payloads_cash import session_payload, z_payload
from restaurants.errors import DayClosed
from restaurants.models import Counter, Restaurant
from restaurants.services import next_number

EARLIER_DAY = EarlierDayOpen.code
UNSETTLED: dict[str, type[NotSettled]] = {
    BILL_OPEN: BillOpen,
    PAYMENT_UNKNOWN: PaymentUnknown,
    DRAWER_UNCOUNTED: DrawerUncounted,
}
SIGNABLE = (*UNSETTLED, EARLIER_DAY)

DEADLOCK = "40P01"
TRIES = 4


def x_report(business_date: datetime.date | None = None) -> dict[str, Any]:
    """The report of a business day as it stands, of today unless told otherwise. Changes nothing."""
    restaurant = Restaurant.objects.get(pk=require_restaurant_id())
    return day_report(restaurant, business_date or restaurant.open_business_date(timezone.now()))[0]


def day_to_close() -> datetime.date:
    """The day that is to be closed next: the oldest with business and no report, or else today's."""
    restaurant = Restaurant.objects.get(pk=require_restaurant_id())
    today = restaurant.open_business_date(timezone.now())
    if restaurant.closed_through is None:
        return today
    return _first_with_business(restaurant.closed_through, today, counting_open=True) or today


@transaction.atomic(savepoint=False)
def close_day(
    business_date: datetime.date, *, by: Staff, sign_for: Sequence[str] = (), reason: str = ""
) -> DayClose:
    """Close a business day with its Z report; nothing of the day changes after that.

    What stands open refuses it, unless it is signed for by its code: then a reason is asked for, the
    report names it with who signed, and it is carried over to the next day. Days are closed in order; of
    a first report ever, `earlier_day_open` may be signed for, which is how past orders were brought in.
    Repeated it answers with the same report (`is_repeat`). Managers and owners only. Raises NotAllowed,
    DayNotOver, DayClosed, EarlierDayOpen, BillOpen, PaymentUnknown, DrawerUncounted, ReasonMissing and
    BooksDisagree.
    """
    if not by.has_role(Role.MANAGER, Role.OWNER):
        raise NotAllowed("A manager or the owner closes the day.")
    # Tills lock a bill and then the restaurant, for a moment, as every row is added to it; this locks all
    # bills and then the restaurant. A bill opened in between may still lock the two against each other.
    for _ in range(TRIES - 1):
        try:
            with transaction.atomic():
                return _close(business_date, by=by, sign_for=sign_for, reason=reason)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != DEADLOCK:
                raise
    return _close(business_date, by=by, sign_for=sign_for, reason=reason)


def _close(day: datetime.date, *, by: Staff, sign_for: Sequence[str], reason: str) -> DayClose:
    _lock(day)
    restaurant = Restaurant.objects.select_for_update().get(pk=by.restaurant_id)
    if closed := DayClose.objects.select_related("closed_by").filter(business_date=day).first():
        closed.is_repeat = True
        return closed
    overrides = _check(restaurant, day, sign_for, reason)
    events = _carry_over(day, day + datetime.timedelta(days=1))
    report, differing = day_report(restaurant, day)
    if differing:
        raise BooksDisagree
    Counter.objects.get_or_create(name="z")
    closed = DayClose.objects.create(
        number=next_number("z"),
        business_date=day,
        content={**report, "is_closed": True},
        overrides=overrides,
        reason=reason if overrides else "",
        closed_by_id=by.membership_id,
        closed_at=timezone.now(),
    )
    restaurant.closed_through = day
    restaurant.save(update_fields=["closed_through"])
    record_events([*events, NewEvent("day.closed", closed.pk, z_payload(closed))], actor=by.actor)
    return closed


def _lock(day: datetime.date) -> None:
    """Lock the rows that are about to be carried over, in the order in which everybody locks."""
    doubtful = [*open_attempts(day).values_list("intent__order_id", flat=True)]
    doubtful += refunds_in_doubt(day).values_list("intent__order_id", flat=True)
    bills = Order.objects.filter(pk__in=[*open_bills(day).values_list("pk", flat=True), *doubtful])
    list(bills.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    sessions = DrawerSession.objects.filter(business_date__lte=day, status=DrawerSession.Status.OPEN)
    list(sessions.select_for_update(no_key=True).order_by("pk").values_list("pk"))


# Checks


def _check(
    restaurant: Restaurant, day: datetime.date, sign_for: Sequence[str], reason: str
) -> list[dict[str, Any]]:
    """What stood open and was signed for."""
    if day > restaurant.business_date(timezone.now()):
        raise DayNotOver
    if restaurant.closed_through is not None and day <= restaurant.closed_through:
        raise DayClosed
    overrides = _earlier_days(restaurant, day, sign_for)
    standing = standing_open(day)
    for code, refusal in UNSETTLED.items():
        if code not in sign_for and any(each["code"] == code for each in standing):
            raise refusal(standing)
    overrides += [
        {"what": each["code"], "detail": each["what"], "id": each["id"], "amount_minor": each["amount_minor"]}
        for each in standing
    ]
    if overrides and not reason.strip():
        raise ReasonMissing(field="reason")
    return overrides


def _earlier_days(
    restaurant: Restaurant, day: datetime.date, sign_for: Sequence[str]
) -> list[dict[str, Any]]:
    """Refuse while an earlier day has business and no report; an empty one needs none."""
    found = _first_with_business(restaurant.closed_through or datetime.date.min, day)
    if found is None:
        return []
    if restaurant.closed_through is not None or EARLIER_DAY not in sign_for:
        raise EarlierDayOpen(found.isoformat())
    detail = f"Days from {found.isoformat()} on have no report of their own."
    return [{"what": EARLIER_DAY, "detail": detail, "id": None, "amount_minor": None}]


def _first_with_business(
    after: datetime.date, before: datetime.date, *, counting_open: bool = False
) -> datetime.date | None:
    """The first day between the two with any business; what is open can still be carried over from it."""
    orders, sessions = Order.objects.all(), DrawerSession.objects.all()
    if not counting_open:
        orders = orders.exclude(status=Order.Status.OPEN)
        sessions = sessions.exclude(status=DrawerSession.Status.OPEN)
    business: list[QuerySet[Any]] = [orders, sessions, LedgerTransaction.objects.all()]
    days = [
        rows.filter(business_date__gt=after, business_date__lt=before)
        .order_by("business_date")
        .values_list("business_date", flat=True)
        .first()
        for rows in business
    ]
    return min((day for day in days if day), default=None)


# Carrying over


def _carry_over(day: datetime.date, to: datetime.date) -> list[NewEvent]:
    """Move what was signed for to the next day, which takes the money that is still to come."""
    Refund.objects.filter(state__in=Refund.OPEN_STATES, business_date__lte=day).update(business_date=to)
    intents = open_attempts(day).values_list("intent_id", flat=True)
    PaymentIntent.objects.filter(pk__in=list(intents)).update(business_date=to)
    events = []
    for bill in list(open_bills(day).values_list("pk", flat=True)):
        order = Order.objects.lock(bill)
        order.business_date = to
        order.version += 1
        order.save(update_fields=["business_date", "version"])
        events.append(NewEvent("order.carried_over", order.pk, order_payload(order)))
    for session in uncounted_drawers(day).select_related("drawer", "opened_by", "closed_by"):
        session.business_date = to
        session.save(update_fields=["business_date"])
        events.append(NewEvent("drawer.carried_over", session.pk, session_payload(session)))
    return events
