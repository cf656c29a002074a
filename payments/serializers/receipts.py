"""How receipts look: these describe what `receipt_content` writes."""

from rest_framework import serializers

from fynlo.api.serializers import StrictSerializer
from orders.models import BillSplit, Order
from orders.serializers import PartItemSerializer
from payments.models import PaymentIntent, ReceiptDelivery
from restaurants.models import ServiceCharge


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


class ReceiptServiceChargeSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=ServiceCharge.choices)
    percent = serializers.CharField()
    amount_minor = serializers.IntegerField()


class ReceiptPartSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]
    amount_minor = serializers.IntegerField()
    service_charge_minor = serializers.IntegerField(help_text="Within the amount.")
    items = PartItemSerializer(many=True)
    taxes = ReceiptTaxSerializer(many=True)


class ReceiptSplitSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=BillSplit.Kind.choices)
    parts = ReceiptPartSerializer(many=True)


class ReceiptPaymentSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    method = serializers.ChoiceField(choices=PaymentIntent.Method.choices)
    card_brand = serializers.CharField(allow_blank=True)
    card_last4 = serializers.CharField(allow_blank=True)
    part = serializers.CharField(
        allow_blank=True, help_text="The label of the part it paid, where the bill was divided."
    )
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
    service_charge = ReceiptServiceChargeSerializer(allow_null=True, help_text="Within the total.")
    total_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    taxes = ReceiptTaxSerializer(many=True, help_text="By rate, highest first.")
    split = ReceiptSplitSerializer(allow_null=True)
    payments = ReceiptPaymentSerializer(many=True)
    tip_minor = serializers.IntegerField(help_text="On top of the total.")


class BillPartSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]


class PartBillSerializer(serializers.Serializer):
    """One part of a divided bill as it stands. Amounts are in minor units of `currency` and include tax."""

    local_time = serializers.CharField(help_text="The restaurant's own date and time: 2026-11-24T20:47:11.")
    seller = ReceiptSellerSerializer()
    order = ReceiptOrderSerializer()
    currency = serializers.CharField()
    part = BillPartSerializer()
    items = PartItemSerializer(many=True, help_text="Where it is divided by item or by seat.")
    service_charge = ReceiptServiceChargeSerializer(allow_null=True, help_text="Within the total.")
    total_minor = serializers.IntegerField()
    taxes = ReceiptTaxSerializer(many=True, help_text="The part's, by rate, highest first.")
    tax_minor = serializers.IntegerField()
    paid_minor = serializers.IntegerField()
    balance_due_minor = serializers.IntegerField()


class EscposQuerySerializer(StrictSerializer):
    columns = serializers.ChoiceField(
        choices=[32, 42, 48], default=48, help_text="Characters in a line: 48 for 80 mm paper, 32 for 58 mm."
    )
    drawer = serializers.BooleanField(
        default=False, help_text="Open the cash drawer, if cash was taken and this is no copy."
    )


class MailReceiptSerializer(StrictSerializer):
    address = serializers.EmailField(max_length=254)


class DeliverySerializer(serializers.Serializer):
    """A receipt on its way to a guest. The address is not kept once it has been sent."""

    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    receipt_id = serializers.UUIDField()
    address_hint = serializers.CharField(help_text="Such as o…@example.com.")
    state = serializers.ChoiceField(choices=ReceiptDelivery.State.choices)
    tries = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
