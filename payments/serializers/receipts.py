"""How receipts look: these describe what `receipt_content` writes."""

from rest_framework import serializers

from orders.models import Order
from payments.models import PaymentIntent


class ReceiptSellerSerializer(serializers.Serializer):
    name = serializers.CharField()
    address = serializers.CharField(allow_blank=True)
    phone = serializers.CharField(allow_blank=True)
    vat_number = serializers.CharField(allow_blank=True)


class ReceiptOrderSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Order.Kind.choices)
    table = serializers.CharField(allow_null=True)
    covers = serializers.IntegerField()
    customer_name = serializers.CharField(allow_blank=True)
    served_by = serializers.CharField()


class ReceiptLineSerializer(serializers.Serializer):
    name = serializers.CharField()
    modifiers = serializers.ListField(child=serializers.CharField())
    quantity = serializers.IntegerField()
    unit_price_minor = serializers.IntegerField(help_text="With its modifiers.")
    total_minor = serializers.IntegerField()
    tax_percent = serializers.CharField()
    tax_letter = serializers.CharField(help_text="Which of `taxes` it belongs to.")


class ReceiptTaxSerializer(serializers.Serializer):
    letter = serializers.CharField()
    percent = serializers.CharField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    gross_minor = serializers.IntegerField()


class ReceiptPaymentSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    method = serializers.ChoiceField(choices=PaymentIntent.Method.choices)
    amount_minor = serializers.IntegerField()
    tip_minor = serializers.IntegerField()
    tendered_minor = serializers.IntegerField(allow_null=True)
    change_minor = serializers.IntegerField(allow_null=True)


class ReceiptSerializer(serializers.Serializer):
    """Proof of sale, as it was issued. Amounts are in minor units of `currency` and include tax."""

    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    number = serializers.IntegerField(help_text="Without gaps in a restaurant.")
    issued_at = serializers.DateTimeField()
    local_time = serializers.CharField(help_text="The restaurant's own date and time: 2026-11-24T20:47:11.")
    is_vat_invoice = serializers.BooleanField(
        help_text="It holds what UK law asks of a simplified VAT invoice (up to £250)."
    )
    seller = ReceiptSellerSerializer()
    order = ReceiptOrderSerializer()
    currency = serializers.CharField()
    lines = ReceiptLineSerializer(many=True)
    total_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    taxes = ReceiptTaxSerializer(many=True, help_text="By rate, highest first.")
    payments = ReceiptPaymentSerializer(many=True)
    tip_minor = serializers.IntegerField(help_text="On top of the total.")
