"""What the endpoints of drawers take, and how their answers look."""

from rest_framework import serializers

from fynlo.api.serializers import NewIdField, StrictSerializer, TextField, WholeNumberField
from payments.models import CashMovement, DrawerSession

CASH_MAX = 1_000_000_000  # ten million pounds: no drawer holds that

BY_HAND = [
    CashMovement.Kind.PAY_IN,
    CashMovement.Kind.PAY_OUT,
    CashMovement.Kind.DROP,
    CashMovement.Kind.NO_SALE,
]
KINDS_BY_HAND = [(kind.value, kind.label) for kind in BY_HAND]

# In


class OpenDrawerSerializer(StrictSerializer):
    """A drawer's float: what was counted into it before the first guest."""

    id = NewIdField(help_text="The session's id, a UUIDv7 that the till makes; a repeat of it opens nothing.")
    float_minor = WholeNumberField(min_value=0, max_value=CASH_MAX)


class MoveCashSerializer(StrictSerializer):
    """Cash in or out that is no sale, or the drawer opened without either."""

    id = NewIdField(
        help_text="The movement's id, a UUIDv7 that the till makes; a repeat of it moves nothing."
    )
    kind = serializers.ChoiceField(choices=KINDS_BY_HAND)
    amount_minor = WholeNumberField(
        min_value=1, max_value=CASH_MAX, required=False, help_text="How much; of `no_sale` nothing is said."
    )
    reason = TextField(max_length=200, lines=True)

    def validate(self, values: dict) -> dict:
        opens_only = values["kind"] == CashMovement.Kind.NO_SALE
        if opens_only and "amount_minor" in values:
            raise serializers.ValidationError({"amount_minor": "Nothing goes in or out with this kind."})
        if not opens_only and "amount_minor" not in values:
            raise serializers.ValidationError({"amount_minor": "Say how much."})
        return values


class CountDrawerSerializer(StrictSerializer):
    """What was counted. What should be there is not told before, nor whether it is."""

    counted_minor = WholeNumberField(min_value=0, max_value=CASH_MAX)
    note = TextField(
        max_length=200,
        lines=True,
        allow_blank=True,
        default="",
        help_text="What there is to say; it may follow later.",
    )


class ExplainVarianceSerializer(StrictSerializer):
    note = TextField(max_length=200, lines=True)


class ReopenDrawerSerializer(StrictSerializer):
    reason = TextField(max_length=200, lines=True)


# Out: these describe `payments/payloads_cash.py`, which writes the documents


class DrawerSessionSerializer(serializers.Serializer):
    """A drawer from its float to its count. Amounts are in minor units of `currency`."""

    id = serializers.UUIDField()
    drawer_id = serializers.UUIDField()
    drawer = serializers.CharField()
    status = serializers.ChoiceField(choices=DrawerSession.Status.choices)
    business_date = serializers.DateField()
    currency = serializers.CharField()
    float_minor = serializers.IntegerField()
    opened_by = serializers.CharField()
    opened_at = serializers.DateTimeField()
    counted_minor = serializers.IntegerField(allow_null=True)
    expected_minor = serializers.IntegerField(allow_null=True, help_text="Null until it has been counted.")
    variance_minor = serializers.IntegerField(
        allow_null=True, help_text="Counted less expected: negative where cash is missing."
    )
    count_note = serializers.CharField(allow_blank=True)
    closed_by = serializers.CharField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class CashMovementSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    session_id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=CashMovement.Kind.choices)
    amount_minor = serializers.IntegerField(help_text="Negative for what went out.")
    reason = serializers.CharField(allow_blank=True)
    payment_id = serializers.UUIDField(allow_null=True)
    by = serializers.CharField()
    created_at = serializers.DateTimeField()


class DrawerSessionDetailSerializer(DrawerSessionSerializer):
    """With what moved. Until the drawer is counted, guests' cash is left out: whoever counts counts blind."""

    movements = CashMovementSerializer(many=True, help_text="Oldest first.")


class DrawerSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    device_id = serializers.UUIDField(allow_null=True, help_text="The till that it opens with.")
    is_active = serializers.BooleanField()
    open_session = DrawerSessionSerializer(allow_null=True)


class DrawersSerializer(serializers.Serializer):
    results = DrawerSerializer(many=True)
