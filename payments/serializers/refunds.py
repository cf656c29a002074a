"""What the refund endpoints take, and how their answers look."""

from rest_framework import serializers

from fynlo.api.serializers import NewIdField, StrictSerializer, TextField, WholeNumberField
from payments.models import PaymentIntent, Refund

from .tenders import AMOUNT_MAX


class RefundItemSerializer(StrictSerializer):
    item_id = serializers.UUIDField()
    quantity = WholeNumberField(min_value=1, max_value=999)


class ApprovalSerializer(StrictSerializer):
    """A second person's consent, typed in on the same till."""

    membership_id = serializers.UUIDField()
    pin = serializers.CharField(max_length=12)


class RefundSerializerIn(StrictSerializer):
    """All that is left of a payment, some items, or an amount."""

    id = NewIdField(source="client_key", help_text="The refund's id, a UUIDv7 that the till makes.")
    amount_minor = WholeNumberField(
        min_value=0, max_value=AMOUNT_MAX, required=False, help_text="Of the bill, without the tip."
    )
    tip_minor = WholeNumberField(min_value=0, max_value=AMOUNT_MAX, required=False)
    items = RefundItemSerializer(many=True, required=False, allow_empty=False)
    reason = TextField(max_length=200, lines=True)
    approval = ApprovalSerializer(required=False)

    def validate(self, values: dict) -> dict:
        if "items" in values and "amount_minor" in values:
            raise serializers.ValidationError({"amount_minor": "Name items or an amount, not both."})
        return values


class RefundTaxLineSerializer(serializers.Serializer):
    percent = serializers.CharField(allow_blank=True, help_text="Empty: what bore no VAT.")
    gross_minor = serializers.IntegerField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()


class RefundedItemSerializer(serializers.Serializer):
    item_id = serializers.UUIDField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    total_minor = serializers.IntegerField()


class RefundSerializer(serializers.Serializer):
    """Money given back. Amounts are in minor units of `currency`."""

    id = serializers.UUIDField()
    payment_id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=Refund.State.choices)
    made_at = serializers.ChoiceField(
        choices=Refund.Source.choices, help_text="external: at the provider's own dashboard."
    )
    method = serializers.ChoiceField(choices=PaymentIntent.Method.choices)
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    tip_minor = serializers.IntegerField()
    tax_lines = RefundTaxLineSerializer(many=True, help_text="What it takes back of the sale, by rate.")
    items = RefundedItemSerializer(many=True)
    reason = serializers.CharField()
    requested_by = serializers.CharField(allow_null=True)
    approved_by = serializers.CharField(allow_null=True)
    failure_code = serializers.CharField(allow_blank=True)
    business_date = serializers.DateField(help_text="The day it was made on.")
    refundable_minor = serializers.IntegerField(help_text="What is left of the payment.")
    tip_refundable_minor = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)


class PaymentRefundsSerializer(serializers.Serializer):
    results = RefundSerializer(many=True, help_text="All refunds of the payment, oldest first.")
