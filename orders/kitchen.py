"""What a kitchen screen is told, by websocket or by HTTP: see docs/kitchen-protocol.md."""

import datetime
import zlib
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Count, QuerySet
from django.utils import timezone

from fynlo.events.models import Event, StreamHead
from fynlo.events.reading import LoggedEvent, follows_on, next_events
from fynlo.tenancy.scope import restaurant_scope

from .models import KitchenScreen, KitchenTicket
from .payloads import ticket_payload

MESSAGE_EVENTS = 256
MESSAGE_BYTES = 256 * 1024
# Older tickets are nobody's work any more: without it a kitchen that never bumps would drown its screens.
ON_BOARD_FOR = datetime.timedelta(hours=24)
RECALL_FOR = datetime.timedelta(minutes=30)
RECALL_MOST = 50
SOLD_OUT_KINDS = frozenset({"item.sold_out", "item.back", "modifier.sold_out", "modifier.back"})


def board(station_id: UUID | None) -> QuerySet[KitchenTicket]:
    """The tickets on the screens of a station, or of all stations, oldest first."""
    tickets = KitchenTicket.objects.with_details().filter(
        bumped_at=None, sent_at__gt=timezone.now() - ON_BOARD_FOR
    )
    return _of_station(tickets, station_id).order_by("sent_at", "pk")


def recall_list(station_id: UUID | None) -> QuerySet[KitchenTicket]:
    """What was bumped lately and may be wanted back, newest first."""
    bumped = KitchenTicket.objects.with_details().filter(
        status=KitchenTicket.Status.BUMPED, bumped_at__gt=timezone.now() - RECALL_FOR
    )
    return _of_station(bumped, station_id).order_by("-bumped_at")[:RECALL_MOST]


def _of_station(tickets: QuerySet[KitchenTicket], station_id: UUID | None) -> QuerySet[KitchenTicket]:
    return tickets.filter(station=station_id) if station_id else tickets


# Messages


def snapshot(station_id: UUID | None) -> dict[str, Any]:
    """Everything that is on a screen, and the event that it was read after.

    The head is read first, so a ticket may be newer than `seq` says but never older: what follows
    brings it again, and its version shows that nothing is new.
    """
    head = StreamHead.objects.get()
    return {
        "t": "snapshot",
        "v": 1,
        "epoch": str(head.epoch),
        "seq": head.last_seq,
        "server_time": server_time(),
        "tickets": [ticket_payload(ticket) for ticket in board(station_id)],
        "recall": [ticket_payload(ticket) for ticket in recall_list(station_id)],
    }


def exact_snapshot(restaurant_id: int, station_id: UUID | None) -> dict[str, Any]:
    """The snapshot as of one moment, in a scope of its own."""
    with restaurant_scope(restaurant_id):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return snapshot(station_id)


def news(after: int, epoch: str | None, station_id: UUID | None) -> dict[str, Any]:
    """What a screen that cannot keep a socket open asks for: events, a snapshot if need be, or a pong."""
    head = StreamHead.objects.get()
    if epoch != str(head.epoch) or not 0 <= after <= head.last_seq:
        return snapshot(station_id)
    if after == head.last_seq:
        return pong(head.last_seq)
    events = next_events(after, MESSAGE_EVENTS)
    if not follows_on(events, after):
        return snapshot(station_id)
    text, _ = events_message(events, station_id, most_bytes=MESSAGE_BYTES)
    message: dict[str, Any] = orjson.loads(text)
    return message


def pong(head: int) -> dict[str, Any]:
    return {"t": "pong", "head": head, "server_time": server_time()}


def events_message(
    events: Sequence[LoggedEvent], station_id: UUID | None, *, most_bytes: int
) -> tuple[str, int]:
    """One message of as many of the events as fit, at least one, and the last number that it covers.

    Numbers are counted before the station's are chosen, so a screen sees from `from` and `to` that it
    missed nothing, though `ev` leaves out what does not concern it.
    """
    chosen: list[str] = []
    size, last = 0, events[0].seq
    for event in events:
        if concerns(event, station_id):
            size += len(event.text)
            if chosen and size > most_bytes:
                break
            chosen.append(event.text)
        last = event.seq
    return f'{{"t":"events","from":{events[0].seq},"to":{last},"ev":[{",".join(chosen)}]}}', last


def concerns(event: LoggedEvent, station_id: UUID | None) -> bool:
    """Whether screens of the station show this: nothing of money, people or other stations."""
    if event.kind.startswith("ticket."):
        return station_id is None or event.payload["station_id"] == str(station_id)
    return event.kind in SOLD_OUT_KINDS


def server_time() -> str:
    return timezone.now().isoformat().replace("+00:00", "Z")


# Questions about screens


def digest(station_id: UUID | None) -> dict[str, Any]:
    """By which a screen finds out whether it shows what it should: count and CRC-32 of ids and versions."""
    seq = StreamHead.objects.values_list("last_seq", flat=True).get()
    lines = sorted(f"{pk} {version}" for pk, version in board(station_id).values_list("pk", "version"))
    return {"seq": seq, "count": len(lines), "crc32": zlib.crc32("\n".join(lines).encode())}


def shown_on_a_screen(tickets: Iterable[tuple[UUID, UUID]]) -> set[UUID]:
    """Which tickets some screen of their station, or of all stations, has confirmed to show.

    Takes ids of tickets, each with its station's.
    """
    stations = dict(tickets)
    screens = KitchenScreen.objects.filter(epoch__in=StreamHead.objects.values("epoch"))
    acked: dict[UUID | None, int] = {}
    for station_id, seq in screens.values_list("station_id", "acked_seq"):
        acked[station_id] = max(seq, acked.get(station_id, 0))
    created = Event.objects.filter(subject_id__in=stations, kind="ticket.created")
    return {
        ticket_id
        for ticket_id, seq in created.values_list("subject_id", "seq")
        if seq <= max(acked.get(None, 0), acked.get(stations[ticket_id], 0))
    }


def open_tickets_by_station() -> dict[UUID, int]:
    return dict(board(None).order_by().values_list("station_id").annotate(Count("pk")))
