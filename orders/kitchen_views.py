"""The kitchen's endpoints: what is on a screen, and what a cook does with it."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.response import Response

from accounts.models import Device, Role
from accounts.permissions import IsStaffOrDevice
from accounts.staff import JoinedDevice, Staff
from fynlo.api.versions import etag
from fynlo.api.views import RestaurantView, RestaurantViewSet
from restaurants.models import KitchenStation

from . import kitchen
from .kitchen_serializers import (
    BoardSerializer,
    DigestSerializer,
    ItemDoneSerializer,
    KitchenStationsSerializer,
    NewsAnswerSerializer,
    NewsSerializer,
    NothingSerializer,
    StationSerializer,
    TicketSerializer,
)
from .models import KitchenTicket
from .payloads import ticket_payload
from .services.kitchen import bump_ticket, mark_item_done, recall_ticket, record_shown


class WorksInKitchen(BasePermission):
    """Cooks, managers, owners, and kitchen screens on their own."""

    def has_permission(self, request: Any, view: Any) -> bool:
        caller = request.user
        if isinstance(caller, JoinedDevice):
            return caller.kind == Device.Kind.KITCHEN
        return isinstance(caller, Staff) and caller.has_role(Role.KITCHEN, Role.MANAGER, Role.OWNER)


def asked_station(request: Any) -> UUID | None:
    station: UUID | None = StationSerializer.read(request.query_params.dict()).get("station")
    return station


@extend_schema(tags=["kitchen"], parameters=[StationSerializer])
class BoardView(RestaurantView):
    permission_classes = [IsStaffOrDevice]

    @extend_schema(operation_id="read_kitchen", responses=BoardSerializer)
    def get(self, request: Any, restaurant_id: int) -> Response:
        """The tickets on a station's screen, and whether each has been displayed."""
        station_id = asked_station(request)
        document = kitchen.snapshot(station_id)
        shown = kitchen.shown_on_a_screen(
            (UUID(ticket["id"]), UUID(ticket["station_id"])) for ticket in document["tickets"]
        )
        for ticket in document["tickets"]:
            ticket["displayed"] = UUID(ticket["id"]) in shown
        return Response(document)


@extend_schema(tags=["kitchen"])
class NewsView(RestaurantView):
    permission_classes = [IsStaffOrDevice]

    @extend_schema(operation_id="poll_kitchen", parameters=[NewsSerializer], responses=NewsAnswerSerializer)
    def get(self, request: Any, restaurant_id: int) -> Response:
        """What happened since, for a screen that cannot keep a websocket open. Ask every three seconds."""
        asked = NewsSerializer.read(request.query_params.dict())
        after, epoch, station_id = asked["after"], asked.get("epoch"), asked.get("station")
        message = kitchen.news(after, epoch, station_id)
        # Asking for what follows confirms all before it.
        if isinstance(request.user, JoinedDevice) and epoch and message["t"] != "snapshot":
            record_shown(request.user.device_id, station_id, epoch=UUID(epoch), acked_seq=after)
        return Response(message)


@extend_schema(tags=["kitchen"], parameters=[StationSerializer])
class DigestView(RestaurantView):
    permission_classes = [IsStaffOrDevice]

    @extend_schema(operation_id="kitchen_digest", responses=DigestSerializer)
    def get(self, request: Any, restaurant_id: int) -> Response:
        """By which a screen finds out whether it shows what it should."""
        return Response(kitchen.digest(asked_station(request)))


@extend_schema(tags=["kitchen"])
class KitchenStationsView(RestaurantView):
    permission_classes = [IsStaffOrDevice]

    @extend_schema(operation_id="kitchen_stations", responses=KitchenStationsSerializer)
    def get(self, request: Any, restaurant_id: int) -> Response:
        """The stations, and how many tickets are open at each."""
        open_tickets = kitchen.open_tickets_by_station()
        stations = [
            {"id": str(station.pk), "name": station.name, "open_tickets": open_tickets.get(station.pk, 0)}
            for station in KitchenStation.objects.all()
        ]
        return Response({"stations": stations})


@extend_schema(tags=["kitchen"], responses=TicketSerializer)
class TicketViewSet(RestaurantViewSet):
    """Doing what is done already changes nothing and answers the same."""

    permission_classes = [WorksInKitchen]

    @extend_schema(operation_id="bump_ticket", request=NothingSerializer)
    def bump(self, request: Any, ticket_id: UUID, **kwargs: Any) -> Response:
        """All of it is made; or, of a voided ticket, the kitchen has seen that it is."""
        NothingSerializer.read(request.data)
        return answer(bump_ticket(ticket_id, by=request.user))

    @extend_schema(operation_id="recall_ticket", request=NothingSerializer)
    def recall(self, request: Any, ticket_id: UUID, **kwargs: Any) -> Response:
        """Put a bumped ticket back on the screens."""
        NothingSerializer.read(request.data)
        return answer(recall_ticket(ticket_id, by=request.user))

    @extend_schema(operation_id="mark_item_done", request=ItemDoneSerializer)
    def done(self, request: Any, ticket_id: UUID, item_id: UUID, **kwargs: Any) -> Response:
        """Tick one item off, or back on."""
        is_done = ItemDoneSerializer.read(request.data)["is_done"]
        return answer(mark_item_done(ticket_id, item_id, is_done=is_done, by=request.user))


def answer(ticket: KitchenTicket) -> Response:
    return Response(ticket_payload(ticket), headers={"ETag": etag(ticket.version)})
