"""The till's endpoints for its drawer."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from accounts.permissions import ServesGuests, manages
from fynlo.api.views import RestaurantView
from payments.errors_cash import NoSuchDrawerSession
from payments.models import CashDrawer, CashMovement, DrawerSession
from payments.payloads_cash import drawer_payload, movement_payload, session_payload
from payments.serializers.drawers import (
    CashMovementSerializer,
    CountDrawerSerializer,
    DrawerSessionDetailSerializer,
    DrawerSessionSerializer,
    DrawersSerializer,
    ExplainVarianceSerializer,
    MoveCashSerializer,
    OpenDrawerSerializer,
    ReopenDrawerSerializer,
)
from payments.services import drawers

MOVE: dict[str, Callable[..., CashMovement]] = {
    CashMovement.Kind.PAY_IN: drawers.pay_in,
    CashMovement.Kind.PAY_OUT: drawers.pay_out,
    CashMovement.Kind.DROP: drawers.drop_cash,
    CashMovement.Kind.NO_SALE: drawers.open_without_sale,
}
OF_GUESTS = (CashMovement.Kind.SALE, CashMovement.Kind.REFUND)


class DrawerListView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(responses=DrawersSerializer)
    def get(self, request: Any, **kwargs: Any) -> Response:
        """The restaurant's drawers, and which are open."""
        sessions = DrawerSession.objects.select_related("drawer", "opened_by", "closed_by")
        opened = {s.drawer_id: s for s in sessions.filter(status=DrawerSession.Status.OPEN)}
        found = [drawer_payload(drawer, opened.get(drawer.pk)) for drawer in CashDrawer.objects.all()]
        return Response({"results": found})


class OpenDrawerView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(
        request=OpenDrawerSerializer, responses={201: DrawerSessionSerializer, 200: DrawerSessionSerializer}
    )
    def post(self, request: Any, drawer_id: UUID, **kwargs: Any) -> Response:
        """Open a drawer with its float, which comes from the safe.

        Answers 200 with the session where this very one was opened before.
        """
        session = drawers.open_drawer(drawer_id, by=request.user, **OpenDrawerSerializer.read(request.data))
        if not session.is_repeat:
            session = _session(session.pk)
        return Response(session_payload(session), status=200 if session.is_repeat else 201)


class DrawerSessionView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(responses=DrawerSessionDetailSerializer)
    def get(self, request: Any, session_id: UUID, **kwargs: Any) -> Response:
        """A drawer session and what moved in it.

        Until it is counted only managers and owners see guests' cash: whoever counts counts blind.
        """
        session = _session(session_id)
        movements = session.movements.select_related("by")
        if session.status == DrawerSession.Status.OPEN and not manages(request.user):
            movements = movements.exclude(kind__in=OF_GUESTS)
        moved = [movement_payload(movement) for movement in movements]
        return Response({**session_payload(session), "movements": moved})


class MoveCashView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(
        request=MoveCashSerializer, responses={201: CashMovementSerializer, 200: CashMovementSerializer}
    )
    def post(self, request: Any, session_id: UUID, **kwargs: Any) -> Response:
        """Put cash into an open drawer or take it out, or open it without either; always with a reason.

        Pay-outs and opening without a sale are for managers and owners.
        """
        values = MoveCashSerializer.read(request.data)
        movement = MOVE[values.pop("kind")](session_id, by=request.user, **values)
        return Response(movement_payload(movement), status=200 if movement.is_repeat else 201)


class CountDrawerView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(request=CountDrawerSerializer, responses=DrawerSessionSerializer)
    def post(self, request: Any, session_id: UUID, **kwargs: Any) -> Response:
        """Count a drawer and close it; the answer says what should have been there.

        The first count stands, also where it is off: a manager may have it counted again (`reopen`), and
        may say later why it was off (`note`).
        """
        values = CountDrawerSerializer.read(request.data)
        return Response(session_payload(drawers.count_drawer(session_id, by=request.user, **values)))


class ExplainVarianceView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(request=ExplainVarianceSerializer, responses=DrawerSessionSerializer)
    def post(self, request: Any, session_id: UUID, **kwargs: Any) -> Response:
        """Say why a count was over or short. Managers and owners, until the day is closed."""
        values = ExplainVarianceSerializer.read(request.data)
        return Response(session_payload(drawers.explain_variance(session_id, by=request.user, **values)))


class ReopenDrawerView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(request=ReopenDrawerSerializer, responses=DrawerSessionSerializer)
    def post(self, request: Any, session_id: UUID, **kwargs: Any) -> Response:
        """Take a count back, so that the drawer is counted again.

        Managers and owners, until the day is closed.
        """
        values = ReopenDrawerSerializer.read(request.data)
        return Response(session_payload(drawers.reopen_drawer(session_id, by=request.user, **values)))


def _session(session_id: UUID) -> DrawerSession:
    sessions = DrawerSession.objects.select_related("drawer", "opened_by", "closed_by")
    session = sessions.filter(pk=session_id).first()
    if session is None:
        raise NoSuchDrawerSession
    return session
