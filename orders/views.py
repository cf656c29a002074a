"""The till's endpoints for orders."""

from typing import Any

from django.db.models import Prefetch, Q
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from accounts.permissions import ServesGuests
from fynlo.api.pagination import CursorPagination
from fynlo.api.versions import etag, seen_version
from fynlo.api.views import RestaurantView, RestaurantViewSet
from restaurants.models import Restaurant, Table

from .errors import NoSuchOrder
from .models import Order
from .payloads import floor_order_payload, order_payload
from .serializers import (
    AddItemsSerializer,
    ChangeItemSerializer,
    ChangeOrderSerializer,
    ChangeServiceChargeSerializer,
    FloorSerializer,
    OpenOrderSerializer,
    OrderFilterSerializer,
    OrderPageSerializer,
    OrderSerializer,
    SendOrderSerializer,
    SplitSerializer,
    VoidSerializer,
)
from .services import opening, ordering, splitting


def answer(order: Order, status: int = 200) -> Response:
    return Response(order_payload(order), status=status, headers={"ETag": etag(order.version)})


class OrderViewSet(RestaurantViewSet):
    """Orders, and the lines on them."""

    permission_classes = [ServesGuests]

    @extend_schema(parameters=[OrderFilterSerializer], responses=OrderPageSerializer)
    def list(self, request: Any, **kwargs: Any) -> Response:
        """Orders, newest first."""
        filters = OrderFilterSerializer.read(request.query_params.dict())
        wanted = {name: filters[name] for name in ("status", "table", "business_date") if name in filters}
        pages = CursorPagination()
        orders = pages.paginate_queryset(Order.objects.with_details().filter(**wanted), request, view=self)
        return pages.get_paginated_response([order_payload(order) for order in orders or []])

    @extend_schema(request=OpenOrderSerializer, responses={201: OrderSerializer, 200: OrderSerializer})
    def create(self, request: Any, **kwargs: Any) -> Response:
        """Open an order, with its first items where there are any, and send them where asked.

        Answers 200 with the order as it is now where this very order was opened before.
        """
        order = opening.open_order(**OpenOrderSerializer.read(request.data), by=request.user)
        return answer(order, status=200 if order.is_repeat else 201)

    @extend_schema(responses=OrderSerializer)
    def retrieve(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        order = Order.objects.with_details().filter(pk=order_id).first()
        if order is None:
            raise NoSuchOrder
        return answer(order)

    @extend_schema(request=ChangeOrderSerializer, responses=OrderSerializer)
    def partial_update(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Move an order, change its covers, name or note, or switch eating in and taking away."""
        changes = ChangeOrderSerializer.read(request.data)
        version = seen_version(request)
        return answer(ordering.change_order(order_id, seen_version=version, by=request.user, **changes))

    @extend_schema(request=AddItemsSerializer, responses={201: OrderSerializer, 200: OrderSerializer})
    def add_items(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Add lines to whatever others have added. Lines that are there already are left alone."""
        items = AddItemsSerializer.read(request.data)["items"]
        order = ordering.add_items(order_id, items=items, by=request.user)
        return answer(order, status=200 if order.is_repeat else 201)

    @extend_schema(request=ChangeItemSerializer, responses=OrderSerializer)
    def change_item(self, request: Any, order_id: Any, item_id: Any, **kwargs: Any) -> Response:
        """Change a line that has not been sent."""
        changes = ChangeItemSerializer.read(request.data)
        version = seen_version(request)
        order = ordering.change_item(order_id, item_id, seen_version=version, by=request.user, **changes)
        return answer(order)

    @extend_schema(responses=OrderSerializer)
    def remove_item(self, request: Any, order_id: Any, item_id: Any, **kwargs: Any) -> Response:
        """Take a line off that has not been sent."""
        version = seen_version(request)
        return answer(ordering.remove_item(order_id, item_id, seen_version=version, by=request.user))

    @extend_schema(request=VoidSerializer, responses=OrderSerializer)
    def void_item(self, request: Any, order_id: Any, item_id: Any, **kwargs: Any) -> Response:
        """Take a line off that the kitchen has had. For managers and owners."""
        reason = VoidSerializer.read(request.data)["reason"]
        return answer(ordering.void_item(order_id, item_id, reason=reason, by=request.user))

    @extend_schema(request=SendOrderSerializer, responses=OrderSerializer)
    def send(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Send what has not been sent to the kitchen, one ticket for each station."""
        SendOrderSerializer.read(request.data)
        return answer(ordering.send_order(order_id, by=request.user))

    @extend_schema(request=ChangeServiceChargeSerializer, responses=OrderSerializer)
    def change_service_charge(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Take the service charge off, put it back, or charge another percentage.

        Anyone who serves guests may take off or lower an optional one; the rest is for managers and owners.
        """
        changes = ChangeServiceChargeSerializer.read(request.data)
        version = seen_version(request)
        order = ordering.change_service_charge(order_id, seen_version=version, by=request.user, **changes)
        return answer(order)

    @extend_schema(request=SplitSerializer, responses=OrderSerializer)
    def split(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Divide a bill among its guests. A payment then names the part it pays."""
        asked = SplitSerializer.read(request.data)
        version = seen_version(request)
        return answer(splitting.split_bill(order_id, seen_version=version, by=request.user, **asked))

    @extend_schema(responses=OrderSerializer)
    def unsplit(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Make one bill of it again; what was paid of its parts stays paid."""
        return answer(splitting.unsplit_bill(order_id, seen_version=seen_version(request), by=request.user))

    @extend_schema(request=VoidSerializer, responses=OrderSerializer)
    def void(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Void a bill. Once anything was sent, for managers and owners."""
        reason = VoidSerializer.read(request.data)["reason"]
        return answer(ordering.void_order(order_id, reason=reason, by=request.user))


class FloorView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(responses=FloorSerializer)
    def get(self, request: Any, restaurant_id: int, **kwargs: Any) -> Response:
        """The tables with their open orders."""
        orders = Order.objects.open().order_by("number")
        tables = (
            Table.objects.filter(Q(is_active=True) | Q(pk__in=orders.values("table")))
            .select_related("floor")
            .prefetch_related(Prefetch("orders", queryset=orders, to_attr="open_orders"))
            .order_by("floor__position", "floor__name", "position", "name")
        )
        currency = Restaurant.objects.values_list("currency", flat=True).get(pk=restaurant_id)
        return Response(
            {
                "currency": currency,
                "tables": [
                    {
                        "id": str(table.pk),
                        "name": table.name,
                        "floor": table.floor.name,
                        "seats": table.seats,
                        "orders": [floor_order_payload(order) for order in table.open_orders],
                    }
                    for table in tables
                ],
            }
        )
