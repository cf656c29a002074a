"""Receipts: as data, and as a page to print."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from accounts.permissions import ServesGuests
from fynlo.api.renderers import JSONRenderer
from fynlo.api.views import RestaurantView
from payments.errors import NoReceipt
from payments.models import Receipt
from payments.payloads import receipt_payload
from payments.receipts import render_receipt
from payments.serializers.receipts import ReceiptSerializer
from payments.services import print_receipt


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
