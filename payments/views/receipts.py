"""Receipts: as data, and as a page to print."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from accounts.permissions import ServesGuests
from fynlo.api.renderers import JSONRenderer
from fynlo.api.views import RestaurantView
from fynlo.tenancy.scope import require_restaurant_id
from orders.errors import NoSuchOrder
from orders.models import Order
from payments.errors import NoReceipt
from payments.escpos import receipt_bytes
from payments.models import Receipt
from payments.payloads import delivery_payload, receipt_payload
from payments.receipts import part_bill, render_part_bill, render_receipt
from payments.serializers.receipts import (
    DeliverySerializer,
    EscposQuerySerializer,
    MailReceiptSerializer,
    PartBillSerializer,
    ReceiptSerializer,
)
from payments.services import print_receipt
from payments.services.mailing import mail_receipt
from restaurants.models import Restaurant


class ReceiptView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(responses=ReceiptSerializer)
    def get(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """The receipt of a closed order, as it was issued."""
        receipt = Receipt.objects.filter(order=order_id).first()
        if receipt is None:
            raise NoReceipt
        return Response(receipt_payload(receipt))


class PageRenderer(BaseRenderer):
    """A page where there is one; a problem stays JSON."""

    media_type = "text/html"
    format = "html"
    charset = "utf-8"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        return data.encode() if isinstance(data, str) else JSONRenderer().render(data)


class ReceiptPageView(RestaurantView):
    permission_classes = [ServesGuests]
    renderer_classes = [PageRenderer]

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """The receipt as a page to print. Asked for again, it is marked as a copy."""
        receipt, copy = print_receipt(order_id)
        return Response(render_receipt(receipt, copy=copy), headers={"Cache-Control": "no-store"})


class PartBillView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(responses=PartBillSerializer)
    def get(self, request: Any, order_id: Any, part_id: Any, **kwargs: Any) -> Response:
        """The bill of one part of a divided order, to check before paying: items, VAT, what is due."""
        return Response(_part_bill(order_id, part_id))


class PartBillPageView(RestaurantView):
    permission_classes = [ServesGuests]
    renderer_classes = [PageRenderer]

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Any, order_id: Any, part_id: Any, **kwargs: Any) -> Response:
        """The same as a page to print. It is no receipt, and says so."""
        page = render_part_bill(_part_bill(order_id, part_id))
        return Response(page, headers={"Cache-Control": "no-store"})


def _part_bill(order_id: UUID, part_id: UUID) -> dict[str, Any]:
    order = Order.objects.with_details().filter(pk=order_id).first()
    if order is None:
        raise NoSuchOrder
    restaurant = Restaurant.objects.get(pk=require_restaurant_id())
    return part_bill(restaurant, order, part_id, at=timezone.now())


class EscposRenderer(BaseRenderer):
    """Bytes for a receipt printer where there are any; a problem stays JSON."""

    media_type = "application/octet-stream"
    format = "escpos"
    charset = None
    render_style = "binary"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        return data if isinstance(data, bytes) else JSONRenderer().render(data)


class ReceiptEscposView(RestaurantView):
    permission_classes = [ServesGuests]
    renderer_classes = [EscposRenderer]

    @extend_schema(
        parameters=[EscposQuerySerializer], responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}
    )
    def get(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """The receipt for a printer that speaks ESC/POS. Asked for again, it is marked as a copy."""
        asked = EscposQuerySerializer.read(request.query_params.dict())
        receipt, copy = print_receipt(order_id)
        printed = receipt_bytes(receipt.content, columns=asked["columns"], copy=copy, drawer=asked["drawer"])
        return Response(printed, headers={"Cache-Control": "no-store"})


class MailReceiptView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(request=MailReceiptSerializer, responses={202: DeliverySerializer})
    def post(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Send the receipt of a closed order to a guest by e-mail, as soon as the mail service takes it."""
        asked = MailReceiptSerializer.read(request.data)
        delivery = mail_receipt(order_id, by=request.user, **asked)
        return Response(delivery_payload(delivery), status=202)
