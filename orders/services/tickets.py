"""The tickets that an order makes and changes; what the kitchen does with them is in kitchen.py."""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import models

from fynlo.tenancy.fields import uuid7
from orders.models import KitchenTicket, Order, OrderItem
from restaurants.models import KitchenStation

from .rows import new_row


def make_tickets(
    order: Order,
    lines: Sequence[OrderItem],
    stations: Iterable[KitchenStation],
    *,
    first_number: int,
    at: datetime.datetime,
) -> list[KitchenTicket]:
    """One ticket, not yet saved, for each of the stations that has something to make."""
    tickets: list[KitchenTicket] = []
    for station in stations:
        of_station = [line for line in lines if line.station_id == station.id]
        if not of_station:
            continue
        ticket = new_row(
            KitchenTicket,
            id=uuid7(),
            restaurant_id=order.restaurant_id,
            order_id=order.id,
            station_id=station.id,
            number=first_number + len(tickets),
            is_add_on=first_number > 1,
            sent_at=at,
            related={"order": order, "station": station},
        )
        ticket.lines = of_station
        for line in of_station:
            line.ticket_id = ticket.id
            line.status = OrderItem.Status.SENT
        tickets.append(ticket)
    return tickets


def touch_tickets(tickets: models.QuerySet[KitchenTicket], **values: Any) -> list[KitchenTicket]:
    """Raise the versions of the tickets, so that screens take the change over."""
    ids = list(tickets.values_list("pk", flat=True))
    KitchenTicket.objects.filter(pk__in=ids).update(version=models.F("version") + 1, **values)
    return list(KitchenTicket.objects.with_details().filter(pk__in=ids).order_by("number"))
