"""Drawers: the float goes in, cash comes and goes, and somebody counts it.

Amounts are in minor units of the restaurant's currency. A session's row is locked by whoever changes it
or counts it, after the order's and the payment's. Ids are made by the till: a repeat is the same.
"""

import datetime
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from accounts.models import Role
from accounts.staff import Staff
from fynlo.errors import NotAllowed
from fynlo.events.log import record_event
from fynlo.tenancy.scope import require_restaurant_id
from orders.services.rows import new_row
from payments import books
from payments.errors_cash import (
    CashIdReused,
    DrawerAlreadyOpen,
    DrawerCounted,
    DrawerNotCounted,
    DrawerNotOpen,
    NoSuchDrawer,
    NoSuchDrawerSession,
)
from payments.models import CashDrawer, CashMovement, DrawerSession, LedgerTransaction, PaymentIntent, Refund
from payments.payloads_cash import movement_payload, session_payload
from payments.rows import insert_rows
from restaurants.errors import DayClosed
from restaurants.models import Restaurant

Kind = CashMovement.Kind

EVENTS = {
    Kind.PAY_IN: "drawer.paid_in",
    Kind.PAY_OUT: "drawer.paid_out",
    Kind.DROP: "drawer.dropped",
    Kind.NO_SALE: "drawer.opened_without_sale",
}


@transaction.atomic(savepoint=False)
def open_drawer(drawer_id: UUID, *, id: UUID, float_minor: int, by: Staff) -> DrawerSession:
    """Put the float from the safe into a drawer and begin a session of it.

    Repeated with the same id and float it answers with that session (`is_repeat`). Raises NoSuchDrawer,
    DrawerAlreadyOpen, NotAllowed at another till, and CashIdReused.
    """
    drawer = CashDrawer.objects.select_for_update(no_key=True).filter(pk=drawer_id, is_active=True).first()
    if drawer is None:
        raise NoSuchDrawer
    known = _sessions().filter(pk=id).first()
    if known is not None:
        if (known.drawer_id, known.float_minor) != (drawer_id, float_minor):
            raise CashIdReused(field="id")
        known.is_repeat = True
        return known
    _check_till(drawer, by)
    if drawer.sessions.filter(status=DrawerSession.Status.OPEN).exists():
        raise DrawerAlreadyOpen
    session = DrawerSession.objects.create(
        id=id,
        drawer=drawer,
        business_date=books.lock_today()[1],
        currency=Restaurant.objects.values_list("currency", flat=True).get(pk=by.restaurant_id),
        float_minor=float_minor,
        opened_by_id=by.membership_id,
        opened_at=timezone.now(),
    )
    books.book_float(session)
    _record("drawer.opened", session, by)
    return session


@transaction.atomic(savepoint=False)
def pay_in(session_id: UUID, *, id: UUID, amount_minor: int, reason: str, by: Staff) -> CashMovement:
    """Put cash into an open drawer that no guest paid. Raises as `move_cash` does."""
    return _move(session_id, Kind.PAY_IN, amount_minor, id=id, reason=reason, by=by)


@transaction.atomic(savepoint=False)
def pay_out(session_id: UUID, *, id: UUID, amount_minor: int, reason: str, by: Staff) -> CashMovement:
    """Pay something small out of an open drawer. Managers and owners only."""
    return _move(session_id, Kind.PAY_OUT, -amount_minor, id=id, reason=reason, by=by)


@transaction.atomic(savepoint=False)
def drop_cash(session_id: UUID, *, id: UUID, amount_minor: int, reason: str, by: Staff) -> CashMovement:
    """Take cash out of an open drawer into the safe."""
    return _move(session_id, Kind.DROP, -amount_minor, id=id, reason=reason, by=by)


@transaction.atomic(savepoint=False)
def open_without_sale(session_id: UUID, *, id: UUID, reason: str, by: Staff) -> CashMovement:
    """Open the drawer with nothing to put in or take out. Managers and owners only."""
    return _move(session_id, Kind.NO_SALE, 0, id=id, reason=reason, by=by)


@transaction.atomic(savepoint=False)
def count_drawer(session_id: UUID, *, counted_minor: int, note: str = "", by: Staff) -> DrawerSession:
    """Count a drawer blind, and close it: only now is it said what should have been there.

    The first count stands, whatever it is: a second look at a count that is off would be no blind one. A
    note may come with it, or later by `explain_variance`. What was counted goes to the safe. The same
    count again answers with the session (`is_repeat`). Raises NoSuchDrawerSession, DrawerCounted, and
    NotAllowed at another till.
    """
    session = _lock(session_id)
    if session.status == DrawerSession.Status.CLOSED:
        if session.counted_minor != counted_minor or note not in ("", session.count_note):
            raise DrawerCounted
        session.is_repeat = True
        return session
    _check_till(session.drawer, by)
    expected = expected_cash(session)
    session.status = DrawerSession.Status.CLOSED
    session.counted_minor = counted_minor
    session.expected_minor = expected
    session.variance_minor = counted_minor - expected
    session.count_note = note
    session.closed_by_id = by.membership_id
    session.closed_at = timezone.now()
    _save_count(session)
    books.book_count(session, n=_counts(session) + 1, at=session.closed_at)
    session = _sessions().get(pk=session_id)
    _record("drawer.counted", session, by)
    return session


@transaction.atomic(savepoint=False)
def explain_variance(session_id: UUID, *, note: str, by: Staff) -> DrawerSession:
    """Say why a count was what it was, or say it better. Managers and owners, until the day is closed.

    The event keeps what had been said. Raises NoSuchDrawerSession, NotAllowed, DrawerNotCounted, DayClosed.
    """
    session = _lock(session_id)
    _check_manages(by, "A manager or the owner explains what a count was over or short.")
    if session.status != DrawerSession.Status.CLOSED:
        raise DrawerNotCounted
    if session.count_note == note:
        session.is_repeat = True
        return session
    _check_day_open(session)
    before = {"count_note": session.count_note}
    session.count_note = note
    session.save(update_fields=["count_note"])
    _record("drawer.explained", session, by, before=before)
    return session


@transaction.atomic(savepoint=False)
def reopen_drawer(session_id: UUID, *, reason: str, by: Staff) -> DrawerSession:
    """Take a count back, so that the drawer is counted again. Managers and owners, until the day is closed.

    The event keeps what had been counted. Raises NoSuchDrawerSession, NotAllowed, DayClosed, and
    DrawerAlreadyOpen where the drawer has a later session.
    """
    session = _lock(session_id)
    _check_manages(by, "A manager or the owner may open a counted drawer again.")
    if session.status == DrawerSession.Status.OPEN:
        session.is_repeat = True
        return session
    _check_day_open(session)
    if session.drawer.sessions.filter(status=DrawerSession.Status.OPEN).exists():
        raise DrawerAlreadyOpen
    counted = {"counted_minor": session.counted_minor, "variance_minor": session.variance_minor}
    books.book_reopening(session, n=_counts(session), at=timezone.now())
    session.status = DrawerSession.Status.OPEN
    session.counted_minor = session.expected_minor = session.variance_minor = None
    session.closed_by = session.closed_at = None
    session.count_note = ""
    _save_count(session)
    _record("drawer.reopened", session, by, reason=reason, before=counted)
    return session


# Cash of guests


def cash_session_for(by: Staff) -> DrawerSession | None:
    """The session that cash goes into here, held open until the transaction ends.

    That of the till's own drawer; without a till (signed in by password) the only one that is open. None
    where the restaurant keeps no drawers. Raises DrawerNotOpen.
    """
    sessions = _open_sessions(by.device_id)
    if len(sessions) == 1:
        return sessions[0]
    if CashDrawer.objects.filter(is_active=True).exists():
        raise DrawerNotOpen
    return None


def record_cash_sale(session: DrawerSession, payment: PaymentIntent) -> None:
    """A guest's cash, with its tip, went into the drawer. The payment is booked by itself."""
    _insert(
        session,
        Kind.SALE,
        payment.amount_minor + payment.tip_minor,
        id=payment.pk,
        by_id=payment.taken_by_id,
        at=payment.created_at,
        payment_id=payment.pk,
    )


def record_cash_refund(session: DrawerSession, refund: Refund) -> None:
    """Cash went back to a guest out of the drawer. The refund is booked by itself."""
    _insert(
        session,
        Kind.REFUND,
        -(refund.amount_minor + refund.tip_minor),
        id=refund.pk,
        by_id=refund.requested_by_id,
        at=refund.created_at,
        payment_id=refund.intent_id,
        refund_id=refund.pk,
    )


def expected_cash(session: DrawerSession) -> int:
    """What is in the drawer if nobody made a mistake: its float and all that moved."""
    moved: int | None = session.movements.aggregate(moved=models.Sum("amount_minor"))["moved"]
    return session.float_minor + (moved or 0)


# Rows

# A share lock: sales into one drawer do not wait for each other, only for its count.
OPEN_SESSIONS = """
    SELECT s.* FROM payments_drawersession s
      JOIN payments_cashdrawer d ON d.restaurant_id = s.restaurant_id AND d.id = s.drawer_id
     WHERE s.restaurant_id = %(restaurant)s AND s.status = 'open' AND d.is_active
       AND (%(device)s::uuid IS NULL OR d.device_id = %(device)s)
     ORDER BY s.id FOR SHARE OF s
"""


def _open_sessions(device_id: UUID | None) -> list[DrawerSession]:
    values = {"restaurant": require_restaurant_id(), "device": device_id}
    return list(DrawerSession.objects.raw(OPEN_SESSIONS, values))


def _sessions() -> models.QuerySet[DrawerSession]:
    return DrawerSession.objects.select_related("drawer", "opened_by", "closed_by")


def _lock(session_id: UUID) -> DrawerSession:
    """The session, locked first and read after."""
    locked = DrawerSession.objects.select_for_update(no_key=True).filter(pk=session_id)
    if not locked.values_list("pk"):
        raise NoSuchDrawerSession
    return _sessions().get(pk=session_id)


def _save_count(session: DrawerSession) -> None:
    session.save(
        update_fields=[
            *["status", "counted_minor", "expected_minor", "variance_minor"],
            *["count_note", "closed_by", "closed_at"],
        ]
    )


def _counts(session: DrawerSession) -> int:
    """How often it has been counted, those taken back included."""
    return LedgerTransaction.objects.filter(key__startswith=f"count:{session.pk}:").count()


def _move(
    session_id: UUID, kind: CashMovement.Kind, amount_minor: int, *, id: UUID, reason: str, by: Staff
) -> CashMovement:
    """Record what went in or out and open the drawer for it.

    Raises NoSuchDrawerSession, DrawerCounted, CashIdReused, and NotAllowed at another till or by role.
    """
    session = _lock(session_id)
    known = CashMovement.objects.select_related("by").filter(client_key=id).first()
    if known is not None:
        if (known.session_id, known.kind, known.amount_minor, known.reason) != (
            session_id,
            kind,
            amount_minor,
            reason,
        ):
            raise CashIdReused(field="id")
        known.is_repeat = True
        return known
    if kind in (Kind.PAY_OUT, Kind.NO_SALE):
        _check_manages(by, "A manager or the owner opens the drawer for this.")
    if session.status != DrawerSession.Status.OPEN:
        raise DrawerCounted
    _check_till(session.drawer, by)
    movement = _insert(
        session, kind, amount_minor, id=id, by_id=by.membership_id, at=timezone.now(), reason=reason
    )
    books.book_cash_movement(session, movement)
    movement = CashMovement.objects.select_related("by").get(pk=id)
    record_event(EVENTS[kind], movement.pk, movement_payload(movement), actor=by.actor)
    return movement


def _insert(
    session: DrawerSession,
    kind: CashMovement.Kind,
    amount_minor: int,
    *,
    id: UUID,
    by_id: UUID | None,
    at: datetime.datetime,
    reason: str = "",
    payment_id: UUID | None = None,
    refund_id: UUID | None = None,
) -> CashMovement:
    movement = new_row(
        CashMovement,
        id=id,
        restaurant_id=session.restaurant_id,
        session_id=session.pk,
        kind=kind,
        amount_minor=amount_minor,
        reason=reason,
        payment_id=payment_id,
        refund_id=refund_id,
        client_key=id,
        by_id=by_id,
        created_at=at,
    )
    insert_rows([movement])
    return movement


def _record(kind: str, session: DrawerSession, by: Staff, **extra: object) -> None:
    record_event(kind, session.pk, {**session_payload(session), **extra}, actor=by.actor)


# Checks


def _check_manages(by: Staff, detail: str) -> None:
    if not by.has_role(Role.MANAGER, Role.OWNER):
        raise NotAllowed(detail)


def _check_day_open(session: DrawerSession) -> None:
    closed_through, _ = books.lock_today()
    if closed_through and session.business_date <= closed_through:
        raise DayClosed


def _check_till(drawer: CashDrawer, by: Staff) -> None:
    """A till's drawer is its own; managers may from anywhere."""
    elsewhere = by.device_id and drawer.device_id and by.device_id != drawer.device_id
    if elsewhere and not by.has_role(Role.MANAGER, Role.OWNER):
        raise NotAllowed("This is the drawer of another till.")
