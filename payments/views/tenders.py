"""The till's endpoints for money: payments, and closing a bill."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from accounts.permissions import ServesGuests
from fynlo.api.pagination import CursorPagination
from fynlo.api.versions import etag
from fynlo.api.views import RestaurantView, RestaurantViewSet
from orders.errors import NoSuchOrder
from orders.models import Order
from orders.payloads import order_payload
from payments.errors import NoSuchPayment
from payments.models import PaymentIntent
from payments.payloads import payment_payload, payment_with_action, receipt_payload
from payments.serializers.tenders import (
    ClosedOrderSerializer,
    CloseOrderSerializer,
    OrderPaymentsSerializer,
    PaymentFilterSerializer,
    PaymentPageSerializer,
    PaymentSerializer,
    PaymentWithActionSerializer,
    TakePaymentSerializer,
)
from payments.services import close_and_issue_receipt, pay_cash, pay_external

TAKE: dict[str, Callable[..., PaymentIntent]] = {
    PaymentIntent.Method.CASH: pay_cash,
    PaymentIntent.Method.EXTERNAL: pay_external,
}


class PaymentViewSet(RestaurantViewSet):
    """Payments, of one order and of all."""

    permission_classes = [ServesGuests]

    @extend_schema(parameters=[PaymentFilterSerializer], responses=PaymentPageSerializer)
    def list(self, request: Any, **kwargs: Any) -> Response:
        """Payments, newest first."""
        filters = PaymentFilterSerializer.read(request.query_params.dict())
        payments = PaymentIntent.objects.with_details()
        if "business_date" in filters:
            payments = payments.filter(business_date=filters["business_date"])
        pages = CursorPagination()
        page = pages.paginate_queryset(payments, request, view=self)
        return pages.get_paginated_response([payment_payload(payment) for payment in page or []])

    @extend_schema(responses=PaymentWithActionSerializer)
    def retrieve(self, request: Any, payment_id: Any, **kwargs: Any) -> Response:
        """One payment, and what is still due on its order."""
        payment = PaymentIntent.objects.with_details().filter(pk=payment_id).first()
        if payment is None:
            raise NoSuchPayment
        return Response(payment_with_action(payment))

    @extend_schema(responses=OrderPaymentsSerializer)
    def list_of_order(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """The payments of an order, oldest first."""
        if not Order.objects.filter(pk=order_id).exists():
            raise NoSuchOrder
        payments = PaymentIntent.objects.with_details().filter(order=order_id).order_by("id")
        return Response({"results": [payment_payload(payment) for payment in payments]})

    @extend_schema(request=TakePaymentSerializer, responses={201: PaymentSerializer, 200: PaymentSerializer})
    def take(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Record money for an open order; the answer says how much change to give and what is still due.

        Cash, or what the restaurant's own card machine took. Cards are taken by `card-payments`.

        What a till took without a connection is sent with `taken_offline_at`: it is recorded, though
        nothing may be due any more or the order be closed. What is too much then is an issue and is given
        back by a refund.

        Answers 200 with the payment where this very one was taken before.
        """
        values = TakePaymentSerializer.read(request.data)
        take = TAKE[values.pop("method")]
        payment = take(order_id, by=request.user, **values)
        return Response(payment_payload(payment), status=200 if payment.is_repeat else 201)


class CloseOrderView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(request=CloseOrderSerializer, responses=ClosedOrderSerializer)
    def post(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Close a bill on which nothing is due, and issue its receipt."""
        values = CloseOrderSerializer.read(request.data)
        receipt = close_and_issue_receipt(order_id, by=request.user, **values)
        document = {**order_payload(receipt.order), "receipt": receipt_payload(receipt)}
        return Response(document, headers={"ETag": etag(receipt.order.version)})
