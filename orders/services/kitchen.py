"""What the kitchen does with its tickets: tick off, bump, recall, and say what is on a screen.

Setting what is set already changes nothing and records nothing: two cooks may bump the same ticket.
"""

import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.staff import JoinedDevice, Staff
from fynlo.events.log import record_event
from orders.errors import ItemVoided, NoSuchItem, NoSuchTicket, TicketNotOpen
from orders.models import KitchenScreen, KitchenTicket, Order, OrderItem
from orders.payloads import ticket_payload

Status = KitchenTicket.Status


@transaction.atomic(savepoint=False)
def bump_ticket(ticket_id: UUID, *, by: Staff | JoinedDevice) -> KitchenTicket:
    """Take a ticket off the screens: all of it is made or, where it is voided, the kitchen has seen so."""
    ticket = _lock(ticket_id)
    if ticket.bumped_at is not None:
        return ticket
    now = timezone.now()
    ticket.bumped_at, ticket.bumped_by = now, by.name
    if ticket.status == Status.OPEN:
        ticket.status = Status.BUMPED
        _set_done([line for line in _standing(ticket) if line.done_at is None], now)
    return _changed(ticket, "ticket.bumped", by)


@transaction.atomic(savepoint=False)
def recall_ticket(ticket_id: UUID, *, by: Staff | JoinedDevice) -> KitchenTicket:
    """Put a bumped ticket back, its items as they were before the bump. Raises TicketNotOpen if voided."""
    ticket = _lock(ticket_id)
    if ticket.status == Status.VOIDED:
        raise TicketNotOpen(ticket.status)
    if ticket.status == Status.OPEN:
        return ticket
    # Those that the bump itself marked bear its time.
    _set_done([line for line in ticket.lines if line.done_at == ticket.bumped_at], None)
    ticket.status, ticket.is_recalled = Status.OPEN, True
    ticket.bumped_at, ticket.bumped_by = None, ""
    return _changed(ticket, "ticket.recalled", by)


@transaction.atomic(savepoint=False)
def mark_item_done(
    ticket_id: UUID, item_id: UUID, *, is_done: bool, by: Staff | JoinedDevice
) -> KitchenTicket:
    """Tick an item of an open ticket off, or back on. Raises NoSuchItem, ItemVoided, TicketNotOpen."""
    ticket = _lock(ticket_id)
    line = next((line for line in ticket.lines if line.pk == item_id), None)
    if line is None:
        raise NoSuchItem
    if (line.done_at is not None) == is_done:
        return ticket
    if line.status == OrderItem.Status.VOIDED:
        raise ItemVoided
    if ticket.status != Status.OPEN:
        raise TicketNotOpen(ticket.status)
    _set_done([line], timezone.now() if is_done else None)
    return _changed(ticket, "ticket.changed", by)


def record_shown(device_id: UUID, station_id: UUID | None, *, epoch: UUID, acked_seq: int) -> None:
    """Note that a screen shows everything up to this event."""
    screen = KitchenScreen(
        device_id=device_id,
        station_id=station_id,
        epoch=epoch,
        acked_seq=acked_seq,
        acked_at=timezone.now(),
    )
    KitchenScreen.objects.bulk_create(
        [screen],
        update_conflicts=True,
        unique_fields=["restaurant", "device", "station"],
        update_fields=["epoch", "acked_seq", "acked_at"],
    )


def _lock(ticket_id: UUID) -> KitchenTicket:
    """The ticket with its items, which only who holds its order's row may change."""
    order_id = KitchenTicket.objects.filter(pk=ticket_id).values_list("order_id", flat=True).first()
    if order_id is None:
        raise NoSuchTicket
    Order.objects.select_for_update().only("pk").get(pk=order_id)
    return KitchenTicket.objects.with_details().get(pk=ticket_id)


def _standing(ticket: KitchenTicket) -> list[OrderItem]:
    return [line for line in ticket.lines if line.status != OrderItem.Status.VOIDED]


def _set_done(lines: list[OrderItem], at: datetime.datetime | None) -> None:
    OrderItem.objects.filter(pk__in=[line.pk for line in lines]).update(done_at=at)
    for line in lines:
        line.done_at = at


def _changed(ticket: KitchenTicket, kind: str, by: Staff | JoinedDevice) -> KitchenTicket:
    ticket.version += 1
    ticket.save(update_fields=["status", "version", "is_recalled", "bumped_at", "bumped_by"])
    record_event(kind, ticket.pk, ticket_payload(ticket), actor=by.actor)
    return ticket
