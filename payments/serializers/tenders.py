"""What the payment endpoints take, and how their answers look."""

from rest_framework import serializers

from fynlo.api.serializers import NewIdField, StrictSerializer, WholeNumberField
from orders.serializers import OrderSerializer
from payments.models import PaymentIntent
from payments.serializers.receipts import ReceiptSerializer

AMOUNT_MAX = 1_000_000_000_000  # ten thousand million pounds: a slip of the finger, and safe in 64 bits

# In


class TakePaymentSerializer(StrictSerializer):
    """Money for an order: all that is due, or an amount of it."""

    id = NewIdField(
        source="client_key",
        help_text="The payment's id, a UUIDv7 that the till makes; a repeat of it takes nothing more.",
    )
    method = serializers.ChoiceField(choices=[PaymentIntent.Method.CASH])
    amount_minor = WholeNumberField(
        min_value=1,
        max_value=AMOUNT_MAX,
        required=False,
        help_text="Without the tip. All that is due where left out.",
    )
    tip_minor = WholeNumberField(min_value=0, max_value=AMOUNT_MAX, default=0, help_text="Beside the amount.")
    tendered_minor = WholeNumberField(
        min_value=1,
        max_value=AMOUNT_MAX,
        required=False,
        help_text="What the guest handed over. Amount and tip exactly where left out.",
    )
    paid_at = serializers.DateTimeField(
        source="at",
        required=False,
        help_text="Imports a payment of the past. Only an owner signed in by password may.",
    )


class CloseOrderSerializer(StrictSerializer):
    closed_at = serializers.DateTimeField(
        source="at",
        required=False,
        help_text="Imports the closing of a past order. Only an owner signed in by password may.",
    )


class PaymentFilterSerializer(StrictSerializer):
    business_date = serializers.DateField(required=False)
    cursor = serializers.CharField(required=False, help_text="From `next` or `previous` of a page.")
    page_size = serializers.IntegerField(min_value=1, max_value=200, required=False)


# Out: these describe `payments/payloads.py`, which writes the documents


class PaymentSerializer(serializers.Serializer):
    """One tender towards an order. Amounts are in minor units of `currency`."""

    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    order_number = serializers.IntegerField()
    method = serializers.ChoiceField(choices=PaymentIntent.Method.choices)
    state = serializers.ChoiceField(choices=PaymentIntent.State.choices)
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField(help_text="What was asked for, without the tip.")
    tip_minor = serializers.IntegerField()
    captured_minor = serializers.IntegerField(help_text="What was taken of the amount.")
    tip_captured_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    tendered_minor = serializers.IntegerField(allow_null=True, help_text="Of cash: what was handed over.")
    change_minor = serializers.IntegerField(allow_null=True, help_text="Of cash: what goes back.")
    balance_due_minor = serializers.IntegerField(help_text="What is still due on the order now.")
    business_date = serializers.DateField(help_text="The order's.")
    taken_by_id = serializers.UUIDField()
    taken_by = serializers.CharField()
    device_id = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)


class PaymentPageSerializer(serializers.Serializer):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PaymentSerializer(many=True)


class OrderPaymentsSerializer(serializers.Serializer):
    results = PaymentSerializer(many=True, help_text="All payments of the order, oldest first.")


class ClosedOrderSerializer(OrderSerializer):
    """The order as it was closed, with its receipt."""

    receipt = ReceiptSerializer()
