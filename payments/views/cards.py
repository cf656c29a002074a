"""The till's endpoints for what a provider is asked over the network: card payments and refunds."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from accounts.permissions import Manages, ServesGuests
from fynlo.api.address import client_address
from fynlo.api.views import RestaurantView, RestaurantViewSet
from fynlo.tenancy.scope import restaurant_scope
from payments.errors import NoSuchPayment, NoSuchRefund
from payments.models import PaymentIntent, Refund
from payments.payloads import payment_with_action, refund_payload
from payments.serializers.refunds import PaymentRefundsSerializer, RefundSerializer, RefundSerializerIn
from payments.serializers.tenders import (
    CapturePaymentSerializer,
    DecidePaymentSerializer,
    PaymentWithActionSerializer,
    RetryPaymentSerializer,
    TakeCardPaymentSerializer,
)
from payments.services import cards, refunds


def answer(payment: PaymentIntent) -> Response:
    """201 where it is over, 202 while the guest or the provider is still at it, 200 for a repeat."""
    status = 202 if payment.state == PaymentIntent.State.OPEN else 201
    return Response(payment_with_action(payment), status=200 if payment.is_repeat else status)


class CardPaymentView(RestaurantView):
    permission_classes = [ServesGuests]
    in_transaction = False

    @extend_schema(
        request=TakeCardPaymentSerializer,
        responses={
            201: PaymentWithActionSerializer,
            202: PaymentWithActionSerializer,
            200: PaymentWithActionSerializer,
        },
    )
    def post(self, request: Any, order_id: Any, **kwargs: Any) -> Response:
        """Begin a card payment for an open order.

        Answers 202 while it is under way: `next_action` says what the guest has to do, and the events
        `payment.captured` and `payment.failed`, or asking for the payment, tell how it ends. Answers 200
        with the payment where this very one was begun before.
        """
        values = TakeCardPaymentSerializer.read(request.data)
        return answer(cards.take_card(order_id, by=request.user, **values))


class PaymentActionsViewSet(RestaurantViewSet):
    """What can be done about a card payment."""

    permission_classes = [ServesGuests]
    in_transaction = False

    @extend_schema(
        request=RetryPaymentSerializer,
        responses={201: PaymentWithActionSerializer, 202: PaymentWithActionSerializer},
    )
    def retry(self, request: Any, payment_id: Any, **kwargs: Any) -> Response:
        """Try a payment that took nothing once more, perhaps on another reader or with another provider."""
        values = RetryPaymentSerializer.read(request.data)
        return answer(cards.retry_payment(payment_id, by=request.user, **values))

    @extend_schema(request=None, responses={200: PaymentWithActionSerializer})
    def cancel(self, request: Any, payment_id: Any, **kwargs: Any) -> Response:
        """Give a payment up that is under way. The guest may just have paid: then it is paid."""
        payment = cards.cancel_payment(payment_id, by=request.user)
        return Response(payment_with_action(payment))

    @extend_schema(request=CapturePaymentSerializer, responses={200: PaymentWithActionSerializer})
    def capture(self, request: Any, payment_id: Any, **kwargs: Any) -> Response:
        """Take what was only held so far, or less of it."""
        values = CapturePaymentSerializer.read(request.data)
        return Response(payment_with_action(cards.capture_payment(payment_id, by=request.user, **values)))

    @extend_schema(request=None, responses={200: PaymentWithActionSerializer})
    def check(self, request: Any, payment_id: Any, **kwargs: Any) -> Response:
        """Ask the provider now what became of a payment that is under way."""
        return Response(payment_with_action(cards.check_payment(payment_id)))


class DecidePaymentView(RestaurantView):
    permission_classes = [Manages]
    in_transaction = False

    @extend_schema(request=DecidePaymentSerializer, responses=PaymentWithActionSerializer)
    def post(self, request: Any, payment_id: Any, **kwargs: Any) -> Response:
        """Say what became of a payment that nobody could find out about for 24 hours."""
        values = DecidePaymentSerializer.read(request.data)
        return Response(payment_with_action(cards.decide_payment(payment_id, by=request.user, **values)))


class RefundViewSet(RestaurantViewSet):
    """Refunds of a payment."""

    permission_classes = [ServesGuests]
    in_transaction = False

    @extend_schema(responses=PaymentRefundsSerializer)
    def list_of_payment(self, request: Any, payment_id: Any, **kwargs: Any) -> Response:
        """The refunds of a payment, oldest first."""
        with restaurant_scope(request.user.restaurant_id):
            if not PaymentIntent.objects.filter(pk=payment_id).exists():
                raise NoSuchPayment
            rows = Refund.objects.with_details().filter(intent=payment_id).order_by("created_at", "id")
            return Response({"results": [refund_payload(refund) for refund in rows]})

    @extend_schema(responses=RefundSerializer)
    def retrieve(self, request: Any, refund_id: Any, **kwargs: Any) -> Response:
        """One refund."""
        with restaurant_scope(request.user.restaurant_id):
            refund = Refund.objects.with_details().filter(pk=refund_id).first()
            if refund is None:
                raise NoSuchRefund
            return Response(refund_payload(refund))

    @extend_schema(
        request=RefundSerializerIn,
        responses={201: RefundSerializer, 202: RefundSerializer, 200: RefundSerializer},
    )
    def create(self, request: Any, payment_id: Any, **kwargs: Any) -> Response:
        """Give money back: to the tender and the account it came from, at the VAT rate of the sale.

        Answers 202 while the provider is still at it, and 200 where this very refund was asked for before.
        """
        values = RefundSerializerIn.read(request.data)
        refund = refunds.refund_payment(
            payment_id, by=request.user, address=client_address(request), **values
        )
        status = 200 if refund.is_repeat else 202 if refund.is_open else 201
        return Response(refund_payload(refund), status=status)
