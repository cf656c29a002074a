"""What the order endpoints take, and how their answers look."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from fynlo.api.serializers import (
    FlagField,
    IdField,
    ListField,
    NewIdField,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from restaurants.models import MAX_PRICE_MINOR, ServiceCharge

from .models import BillSplit, Order, OrderItem
from .pricing import QUANTITY_MAX
from .services.lines import ITEMS_MAX
from .splits import PARTS_MAX

COVERS_MAX = 500

# In


class NewItemSerializer(StrictSerializer):
    """A line to add. The server prices it: there is no price to send."""

    id = NewIdField(help_text="The line's id, a UUIDv7 that the till makes; a repeat of it adds nothing.")
    menu_item_id = IdField()
    quantity = WholeNumberField(min_value=1, max_value=QUANTITY_MAX, default=1)
    modifiers = ListField(
        child=IdField(), max_length=50, default=list, help_text="Ids of the chosen modifiers."
    )
    note = TextField(max_length=200, lines=True, allow_blank=True, default="", help_text="For the kitchen.")
    seat = WholeNumberField(min_value=1, max_value=COVERS_MAX, allow_null=True, default=None)
    course = WholeNumberField(min_value=1, max_value=20, default=1)


class OpenOrderSerializer(StrictSerializer):
    """A new order. `table_id` is needed for eating in and refused for taking away."""

    id = NewIdField(
        help_text="The order's id, a UUIDv7 that the till makes; a repeat of it opens no second order."
    )
    kind = serializers.ChoiceField(choices=Order.Kind.choices)
    table_id = IdField(allow_null=True, default=None)
    covers = WholeNumberField(min_value=1, max_value=COVERS_MAX, default=1, help_text="How many guests.")
    customer_name = TextField(max_length=80, allow_blank=True, default="")
    note = TextField(max_length=300, lines=True, allow_blank=True, default="")
    items = ListField(child=NewItemSerializer(), max_length=ITEMS_MAX, default=list)
    send = FlagField(default=False, help_text="Send the items to the kitchen at once.")
    opened_at = serializers.DateTimeField(
        required=False,
        help_text="Imports an order of the past. Only an owner signed in by password may; the kitchen gets "
        "no tickets.",
    )


class AddItemsSerializer(StrictSerializer):
    items = ListField(child=NewItemSerializer(), min_length=1, max_length=ITEMS_MAX)


class ChangeItemSerializer(StrictSerializer):
    """What to change of a line that has not been sent; the rest stays."""

    quantity = WholeNumberField(min_value=1, max_value=QUANTITY_MAX, required=False)
    modifiers = ListField(
        child=IdField(), max_length=50, required=False, help_text="Ids of all modifiers chosen from now on."
    )
    note = TextField(max_length=200, lines=True, allow_blank=True, required=False)
    seat = WholeNumberField(min_value=1, max_value=COVERS_MAX, allow_null=True, required=False)
    course = WholeNumberField(min_value=1, max_value=20, required=False)


class ChangeOrderSerializer(StrictSerializer):
    """What to change of an open order; the rest stays."""

    kind = serializers.ChoiceField(
        choices=Order.Kind.choices,
        required=False,
        help_text="Switching taxes every line anew. A takeaway gives its table up; eating in needs one.",
    )
    table_id = IdField(allow_null=True, required=False)
    covers = WholeNumberField(min_value=1, max_value=COVERS_MAX, required=False)
    customer_name = TextField(max_length=80, allow_blank=True, required=False)
    note = TextField(max_length=300, lines=True, allow_blank=True, required=False)


class SendOrderSerializer(StrictSerializer):
    """Nothing to say: all that has not been sent goes."""


class ChangeServiceChargeSerializer(StrictSerializer):
    """Either whether it is taken off or put back as the restaurant has it, or another percentage."""

    is_removed = FlagField(required=False, help_text="true takes it off, false puts it back.")
    percent = serializers.DecimalField(
        max_digits=5, decimal_places=2, min_value=0, max_value=50, required=False, help_text='Such as "10".'
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if len(values) != 1:
            raise ValidationError("Send either is_removed or percent.")
        return values


class ClaimSerializer(StrictSerializer):
    """What a part has of a line: so many, or without a quantity an equal share of what the others leave."""

    item_id = IdField()
    quantity = WholeNumberField(min_value=1, max_value=QUANTITY_MAX, allow_null=True, default=None)


class SplitSerializer(StrictSerializer):
    """How to divide a bill: evenly in `ways`, by `amounts`, by item in `parts`, or by `seats`."""

    NEEDED: ClassVar = {"even": "ways", "amounts": "amounts", "items": "parts"}

    kind = serializers.ChoiceField(choices=BillSplit.Kind.choices)
    ways = WholeNumberField(min_value=2, max_value=PARTS_MAX, required=False)
    amounts = ListField(
        child=WholeNumberField(min_value=1, max_value=MAX_PRICE_MINOR),
        min_length=1,
        max_length=PARTS_MAX - 1,
        required=False,
        help_text="In minor units; what they leave of the bill is a last part.",
    )
    parts = ListField(
        child=ListField(child=ClaimSerializer(), min_length=1, max_length=ITEMS_MAX),
        min_length=2,
        max_length=PARTS_MAX,
        required=False,
        help_text="The lines of each part. Every line of the bill has to be in them in full.",
    )
    seats = ListField(
        child=ListField(
            child=WholeNumberField(min_value=1, max_value=COVERS_MAX), min_length=1, max_length=COVERS_MAX
        ),
        min_length=2,
        max_length=PARTS_MAX,
        required=False,
        help_text="The seats of each part; without it, each seat that ordered is one. What was ordered for "
        "the table is shared by all of them evenly.",
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        needed = self.NEEDED.get(values["kind"])
        if needed and needed not in values:
            raise ValidationError({needed: "This field is required."})
        for name in values.keys() - {"kind", needed or "seats"}:
            raise ValidationError({name: f"A bill split by {values['kind']} has none."})
        for part in values.get("parts", []):
            for claim in part:
                claim["item_id"] = str(claim["item_id"])
        return values


class VoidSerializer(StrictSerializer):
    reason = TextField(max_length=200, lines=True, help_text="Why, for whoever looks into voids later.")


class OrderFilterSerializer(StrictSerializer):
    status = serializers.ChoiceField(choices=Order.Status.choices, required=False)
    table = IdField(required=False, help_text="A table's id.")
    business_date = serializers.DateField(required=False)
    cursor = serializers.CharField(required=False, help_text="From `next` or `previous` of a page.")
    page_size = serializers.IntegerField(min_value=1, max_value=200, required=False)


# Out: these describe `orders/payloads.py`, which writes the documents


class ChosenModifierSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    price_minor = serializers.IntegerField()


class OrderItemSerializer(serializers.Serializer):
    """A line of an order, named, priced and taxed as it was when it was ordered."""

    id = serializers.UUIDField()
    menu_item_id = serializers.UUIDField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price_minor = serializers.IntegerField(help_text="With its modifiers.")
    total_minor = serializers.IntegerField()
    tax_percent = serializers.CharField(help_text='Such as "20" or "12.5".')
    modifiers = ChosenModifierSerializer(many=True)
    note = serializers.CharField(allow_blank=True)
    seat = serializers.IntegerField(allow_null=True)
    course = serializers.IntegerField()
    status = serializers.ChoiceField(choices=OrderItem.Status.choices)
    station_id = serializers.UUIDField()
    ticket_id = serializers.UUIDField(allow_null=True)
    added_by = serializers.CharField()
    added_at = serializers.DateTimeField()
    done_at = serializers.DateTimeField(allow_null=True, help_text="When the kitchen had made it.")
    voided_by = serializers.CharField(allow_null=True)
    voided_at = serializers.DateTimeField(allow_null=True)
    void_reason = serializers.CharField(allow_blank=True)


class TaxLineSerializer(serializers.Serializer):
    percent = serializers.CharField()
    gross_minor = serializers.IntegerField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()


class PartItemSerializer(serializers.Serializer):
    item_id = serializers.UUIDField()
    name = serializers.CharField()
    quantity = serializers.CharField(help_text='"2", or "1/3" of a line that several share.')
    total_minor = serializers.IntegerField()


class PartSerializer(serializers.Serializer):
    """A guest's part of a bill; a payment names it as `part_id`."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]
    seat = serializers.IntegerField(allow_null=True)
    amount_minor = serializers.IntegerField()
    service_charge_minor = serializers.IntegerField(help_text="Within the amount.")
    tax_lines = TaxLineSerializer(many=True, help_text="Over all parts they sum to the bill's.")
    items = PartItemSerializer(many=True, help_text="Where it is split by item or by seat.")
    reserved_minor = serializers.IntegerField()
    captured_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    balance_due_minor = serializers.IntegerField()


class ShownSplitSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=BillSplit.Kind.choices)
    total_minor = serializers.IntegerField(help_text="What the parts sum to.")
    parts = PartSerializer(many=True)


class OrderSerializer(serializers.Serializer):
    """A bill. Amounts are in minor units of `currency` and include tax."""

    id = serializers.UUIDField()
    number = serializers.IntegerField(help_text="The human one, without gaps in a restaurant.")
    kind = serializers.ChoiceField(choices=Order.Kind.choices)
    status = serializers.ChoiceField(choices=Order.Status.choices)
    version = serializers.IntegerField(help_text="Rises with every change; it is the ETag.")
    table_id = serializers.UUIDField(allow_null=True)
    table = serializers.CharField(allow_null=True, help_text="The table's name.")
    covers = serializers.IntegerField()
    customer_name = serializers.CharField(allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    currency = serializers.CharField()
    business_date = serializers.DateField()
    total_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    tax_lines = TaxLineSerializer(many=True, help_text="By rate, highest first.")
    service_charge_kind = serializers.ChoiceField(choices=ServiceCharge.choices)
    service_charge_percent = serializers.CharField(help_text='"0" where it was taken off.')
    service_charge_minor = serializers.IntegerField(
        help_text="Within the total. A compulsory one is in the tax lines too; an optional one bears no tax."
    )
    reserved_minor = serializers.IntegerField(help_text="Set aside for payments that are under way.")
    captured_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    paid_minor = serializers.IntegerField()
    balance_due_minor = serializers.IntegerField()
    opened_by_id = serializers.UUIDField()
    opened_by = serializers.CharField()
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    voided_by = serializers.CharField(allow_null=True)
    voided_at = serializers.DateTimeField(allow_null=True)
    void_reason = serializers.CharField(allow_blank=True)
    split = ShownSplitSerializer(allow_null=True)
    items = OrderItemSerializer(many=True)


class OrderPageSerializer(serializers.Serializer):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = OrderSerializer(many=True)


class FloorOrderSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    covers = serializers.IntegerField()
    total_minor = serializers.IntegerField()
    balance_due_minor = serializers.IntegerField()
    opened_at = serializers.DateTimeField()


class FloorTableSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    floor = serializers.CharField(help_text="The room's name.")
    seats = serializers.IntegerField()
    orders = FloorOrderSerializer(many=True, help_text="Its open orders, oldest first.")


class FloorSerializer(serializers.Serializer):
    currency = serializers.CharField()
    tables = FloorTableSerializer(many=True)
