"""What the payment endpoints take, and how their answers look."""

from typing import Any

from rest_framework import serializers

from fynlo.api.serializers import NewIdField, StrictSerializer, TextField, WholeNumberField
from orders.serializers import OrderSerializer
from payments.models import PaymentAttempt, PaymentIntent, Provider
from payments.serializers.receipts import ReceiptSerializer

AMOUNT_MAX = 1_000_000_000_000  # ten thousand million pounds: a slip of the finger, and safe in 64 bits

CARD_PROVIDERS = [(p.value, p.label) for p in (Provider.STRIPE, Provider.SQUARE, Provider.SUMUP)]
COUNTED_METHODS = [(m.value, m.label) for m in (PaymentIntent.Method.CASH, PaymentIntent.Method.EXTERNAL)]
CARD_METHODS = [
    (m.value, m.label)
    for m in (
        PaymentIntent.Method.CARD_PRESENT,
        PaymentIntent.Method.CARD_ONLINE,
        PaymentIntent.Method.LINK,
    )
]

# In


class TakePaymentSerializer(StrictSerializer):
    """Money for an order: all that is due, or an amount of it."""

    id = NewIdField(
        source="client_key",
        help_text="The payment's id, a UUIDv7 that the till makes; a repeat of it takes nothing more.",
    )
    method = serializers.ChoiceField(
        choices=COUNTED_METHODS,
        help_text="external: the restaurant's own card machine has taken it already.",
    )
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
    reference = TextField(
        max_length=80, required=False, help_text="Of an external payment: what its slip says."
    )
    part_id = serializers.UUIDField(required=False, help_text="Of a split bill: whose part is paid.")
    paid_at = serializers.DateTimeField(
        source="at",
        required=False,
        help_text="Imports a payment of the past. Only an owner signed in by password may.",
    )
    taken_offline_at = serializers.DateTimeField(
        required=False,
        help_text="When the till took it without a connection, by the till's own clock: it happened, so it is"
        " recorded whatever is due and however the order stands. Needs `amount_minor`.",
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if "taken_offline_at" in values and "at" in values:
            raise serializers.ValidationError({"paid_at": "Not together with taken_offline_at."})
        if "taken_offline_at" in values and "amount_minor" not in values:
            raise serializers.ValidationError({"amount_minor": "Say how much was taken."})
        is_external = values["method"] == PaymentIntent.Method.EXTERNAL
        belong = {"reference"} if is_external else {"tendered_minor", "at"}
        for name in ("reference", "tendered_minor", "at"):
            if name in values and name not in belong:
                field = "paid_at" if name == "at" else name
                raise serializers.ValidationError({field: f"Not of a payment by {values['method']}."})
        if is_external and not values.get("reference", "").strip():
            raise serializers.ValidationError({"reference": "Type in what the slip says."})
        return values


class TakeCardPaymentSerializer(StrictSerializer):
    """A card payment for an order: all that is due, or an amount of it."""

    id = NewIdField(
        source="client_key",
        help_text="The payment's id, a UUIDv7 that the till makes; a repeat of it takes nothing more.",
    )
    method = serializers.ChoiceField(choices=CARD_METHODS)
    amount_minor = WholeNumberField(
        min_value=1, max_value=AMOUNT_MAX, required=False, help_text="Without the tip. All where left out."
    )
    tip_minor = WholeNumberField(
        min_value=0,
        max_value=AMOUNT_MAX,
        default=0,
        help_text="Beside the amount. Where it is 0, a reader that can asks the guest for one.",
    )
    part_id = serializers.UUIDField(required=False, help_text="Of a split bill: whose part is paid.")
    terminal_id = serializers.UUIDField(required=False, help_text="Of card_present: which reader.")
    provider = serializers.ChoiceField(choices=CARD_PROVIDERS, required=False)
    source_token = serializers.CharField(
        max_length=255, required=False, help_text="Of card_online: what the provider's own page gave."
    )
    capture = serializers.BooleanField(
        default=True, help_text="Off: only hold the money, and capture it later."
    )
    return_url = serializers.URLField(
        required=False, max_length=500, help_text="Where the guest comes back to from the provider's page."
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if (values["method"] == PaymentIntent.Method.CARD_PRESENT) != ("terminal_id" in values):
            raise serializers.ValidationError(
                {"terminal_id": "Name a reader for card_present, and only then."}
            )
        return values


class RetryPaymentSerializer(StrictSerializer):
    terminal_id = serializers.UUIDField(required=False)
    provider = serializers.ChoiceField(choices=CARD_PROVIDERS, required=False)
    source_token = serializers.CharField(max_length=255, required=False)
    return_url = serializers.URLField(required=False, max_length=500)


class CapturePaymentSerializer(StrictSerializer):
    amount_minor = WholeNumberField(
        min_value=1, max_value=AMOUNT_MAX, required=False, help_text="All that is held where left out."
    )


class DecidePaymentSerializer(StrictSerializer):
    was_taken = serializers.BooleanField()
    reference = TextField(max_length=120, required=False)
    reason = TextField(max_length=200, lines=True)


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
    tip_refunded_minor = serializers.IntegerField()
    refundable_minor = serializers.IntegerField(help_text="What is left that could be refunded.")
    tip_refundable_minor = serializers.IntegerField()
    tendered_minor = serializers.IntegerField(allow_null=True, help_text="Of cash: what was handed over.")
    change_minor = serializers.IntegerField(allow_null=True, help_text="Of cash: what goes back.")
    reference = serializers.CharField(allow_blank=True, help_text="Of external: what its slip says.")
    part_id = serializers.UUIDField(allow_null=True)
    provider = serializers.CharField()
    account_id = serializers.UUIDField(allow_null=True)
    terminal_id = serializers.UUIDField(allow_null=True)
    attempt = serializers.IntegerField(help_text="How often it was tried.")
    attempt_state = serializers.ChoiceField(choices=PaymentAttempt.State.choices)
    failure_class = serializers.CharField(allow_blank=True)
    failure_code = serializers.CharField(allow_blank=True, help_text="The provider's own.")
    card_brand = serializers.CharField(allow_blank=True)
    card_last4 = serializers.CharField(allow_blank=True)
    balance_due_minor = serializers.IntegerField(help_text="What is still due on the order now.")
    business_date = serializers.DateField(help_text="The order's.")
    taken_by_id = serializers.UUIDField()
    taken_by = serializers.CharField()
    device_id = serializers.UUIDField(allow_null=True)
    taken_offline_at = serializers.DateTimeField(
        allow_null=True, help_text="Where a till took it without a connection: when, by its clock."
    )
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)


class PaymentWithActionSerializer(PaymentSerializer):
    """The payment, and what the guest has to do now."""

    next_action = serializers.DictField(
        allow_null=True,
        help_text='{"type": "tap"}, {"type": "confirm", "client_secret", "publishable_key"} or'
        ' {"type": "open", "url"}.',
    )


class PaymentPageSerializer(serializers.Serializer):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PaymentSerializer(many=True)


class OrderPaymentsSerializer(serializers.Serializer):
    results = PaymentSerializer(many=True, help_text="All payments of the order, oldest first.")


class ClosedOrderSerializer(OrderSerializer):
    """The order as it was closed, with its receipt."""

    receipt = ReceiptSerializer()
