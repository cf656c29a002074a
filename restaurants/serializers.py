"""What the endpoints of a restaurant, its floor and its menu take, and how their answers look.

The answers are written by `payloads.py` and `menu.py`; a row's serializer describes both directions.
"""

import functools
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from rest_framework import serializers
from rest_framework.fields import empty

from fynlo.api.serializers import FlagField, IdField, StrictSerializer, TextField, WholeNumberField
from fynlo.money import CURRENCIES

from .models import (
    MAX_PRICE_MINOR,
    Floor,
    KitchenStation,
    MenuCategory,
    ModifierGroup,
    TaxClass,
    TaxRate,
    validate_timezone,
)

SMALL = 32_767  # the largest smallint
PRICE_HELP = "In minor units of the restaurant's currency, tax included."


class RowSerializer(StrictSerializer):
    """A row: `read(data)` for a new one, `read_changes(data)` for what is to change of one."""

    @classmethod
    def read_changes(cls, data: Any) -> dict[str, Any]:
        return cls._changes().run_validation(data)

    @classmethod
    @functools.cache
    def _changes(cls) -> Self:
        """Every field may be missing, and what is missing is not touched."""
        reader = cls()
        for field in reader.fields.values():
            field.required, field.default = False, empty
        return reader


class RowIdField(IdField):
    """The id of another row of the restaurant; the fence hides everybody else's."""

    default_error_messages = {"does_not_exist": "This does not exist."}

    def __init__(self, model: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def to_internal_value(self, data: Any) -> UUID:
        value = super().to_internal_value(data)
        if not self.model.objects.filter(pk=value).exists():
            self.fail("does_not_exist")
        return value


def position() -> WholeNumberField:
    return WholeNumberField(min_value=0, max_value=SMALL, default=0, help_text="Place in lists, from 0.")


class CategorySerializer(RowSerializer):
    """A heading of the menu."""

    id = serializers.UUIDField(read_only=True)
    name = TextField(max_length=80, help_text="Unique in the restaurant.")
    position = position()


class StationSerializer(RowSerializer):
    """A place in the kitchen with a screen of its own."""

    id = serializers.UUIDField(read_only=True)
    name = TextField(max_length=40, help_text="Unique in the restaurant.")
    position = position()


class RoomSerializer(RowSerializer):
    """A room or terrace with tables."""

    id = serializers.UUIDField(read_only=True)
    name = TextField(max_length=60, help_text="Unique in the restaurant.")
    position = position()


class TableSerializer(RowSerializer):
    """A table that guests sit at."""

    id = serializers.UUIDField(read_only=True)
    floor_id = RowIdField(Floor)
    name = TextField(max_length=20, help_text="Unique in the restaurant.")
    seats = WholeNumberField(min_value=1, max_value=SMALL, default=4)
    position = position()
    is_active = FlagField(default=True, help_text="False: not on the floor any more.")


class TaxRateSerializer(StrictSerializer):
    """A percentage from a date on; a rate for one way of dining wins over one for both."""

    dining_mode = serializers.ChoiceField(choices=TaxRate.DiningMode.choices, default=TaxRate.DiningMode.ANY)
    percent = serializers.DecimalField(
        max_digits=6,
        decimal_places=3,
        min_value=Decimal(0),
        max_value=Decimal(100),
        help_text='Such as "20".',
    )
    valid_from = serializers.DateField(help_text="The first business date it applies to.")


class TaxClassSerializer(RowSerializer):
    """A kind of goods for tax, such as hot food, with its rates."""

    id = serializers.UUIDField(read_only=True)
    name = TextField(max_length=60, help_text="Unique in the restaurant.")
    rates = serializers.ListField(
        child=TaxRateSerializer(), max_length=100, default=list, help_text="All of them; newest first."
    )


class ModifierSerializer(StrictSerializer):
    """One answer to a modifier group."""

    id = IdField(required=False, help_text="Of a modifier that is there; else it is found by name, or new.")
    name = TextField(max_length=80)
    price_minor = WholeNumberField(
        min_value=-MAX_PRICE_MINOR,
        max_value=MAX_PRICE_MINOR,
        default=0,
        help_text="What it adds; may be negative.",
    )
    is_sold_out = serializers.BooleanField(read_only=True, help_text="Set by its own endpoint.")


class ModifierGroupSerializer(RowSerializer):
    """A choice a guest makes about an item."""

    id = serializers.UUIDField(read_only=True)
    name = TextField(max_length=80, help_text="Unique in the restaurant.")
    min_select = WholeNumberField(min_value=0, max_value=SMALL, default=0, help_text="The least to choose.")
    max_select = WholeNumberField(min_value=1, max_value=SMALL, default=1, help_text="The most to choose.")
    modifiers = serializers.ListField(
        child=ModifierSerializer(),
        max_length=200,
        default=list,
        help_text="All of them, in their order. One that a change leaves out is removed.",
    )


class ItemSerializer(RowSerializer):
    """Something a guest can order."""

    id = serializers.UUIDField(read_only=True)
    code = TextField(
        max_length=40, allow_blank=True, default="", help_text="The restaurant's own short code, unique."
    )
    name = TextField(max_length=120, help_text="Unique in the restaurant.")
    description = TextField(max_length=1000, lines=True, allow_blank=True, default="")
    photo_url = serializers.URLField(
        read_only=True, allow_null=True, help_text="Its picture. Set by its own endpoint."
    )
    price_minor = WholeNumberField(min_value=0, max_value=MAX_PRICE_MINOR, help_text=PRICE_HELP)
    category_id = RowIdField(MenuCategory)
    tax_class_id = RowIdField(TaxClass)
    station_id = RowIdField(KitchenStation, help_text="Where it is made.")
    modifier_group_ids = serializers.ListField(
        child=RowIdField(ModifierGroup),
        max_length=50,
        default=list,
        help_text="Ids of all modifier groups it offers, in their order.",
    )
    position = position()
    is_active = FlagField(default=True, help_text="False: not on the menu at all.")
    is_sold_out = serializers.BooleanField(read_only=True, help_text="Set by its own endpoint.")


class SoldOutSerializer(StrictSerializer):
    """86: on the menu, but not to be had just now."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(read_only=True)
    is_sold_out = FlagField()


class RestaurantSerializer(RowSerializer):
    """A restaurant's own details, as they stand on receipts."""

    id = serializers.IntegerField(read_only=True)
    slug = serializers.CharField(read_only=True)
    name = TextField(max_length=120)
    currency = serializers.ChoiceField(
        choices=list(CURRENCIES), help_text="ISO 4217 code. Fixed by the first order."
    )
    timezone = TextField(max_length=64, validators=[validate_timezone], help_text="Such as Europe/London.")
    business_day_cutoff = serializers.TimeField(
        help_text="Local time at which the business day ends: at 04:00, 02:30 is of the day before."
    )
    vat_number = TextField(max_length=20, allow_blank=True)
    address = TextField(max_length=400, lines=True, allow_blank=True)
    phone = TextField(max_length=30, allow_blank=True)
    warn_after_seconds = WholeNumberField(
        min_value=0, max_value=86_400, help_text="Age from which the kitchen marks a ticket amber."
    )
    late_after_seconds = WholeNumberField(
        min_value=0, max_value=86_400, help_text="Age from which the kitchen shows a ticket as late."
    )


# The menu in one document, which `menu.py` writes


class MenuModifierSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    price_minor = serializers.IntegerField(help_text="What it adds; may be negative.")
    is_sold_out = serializers.BooleanField()


class MenuGroupSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    min_select = serializers.IntegerField(help_text="The least to choose.")
    max_select = serializers.IntegerField(help_text="The most to choose.")
    modifiers = MenuModifierSerializer(many=True)


class TaxPercentsSerializer(serializers.Serializer):
    dine_in = serializers.CharField(allow_null=True, help_text='Such as "20"; null where there is no rate.')
    takeaway = serializers.CharField(allow_null=True)


class MenuEntrySerializer(serializers.Serializer):
    id = serializers.UUIDField()
    code = serializers.CharField(allow_blank=True)
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    photo_url = serializers.URLField(allow_null=True, help_text="A WebP of at most 1200 x 1200 pixels.")
    price_minor = serializers.IntegerField(help_text="Tax included.")
    tax_percents = TaxPercentsSerializer(help_text="Those of the business date, by way of dining.")
    station_id = serializers.UUIDField()
    station = serializers.CharField(help_text="Where it is made.")
    is_sold_out = serializers.BooleanField()
    modifier_groups = MenuGroupSerializer(many=True)


class MenuCategorySerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    items = MenuEntrySerializer(many=True)


class MenuSerializer(serializers.Serializer):
    """What can be ordered today. Categories without items and items off the menu are left out."""

    version = serializers.IntegerField(help_text="Raised by every change of the menu.")
    business_date = serializers.DateField(help_text="The day whose taxes these are.")
    currency = serializers.CharField(help_text="ISO 4217 code; all prices are in its minor units.")
    categories = MenuCategorySerializer(many=True)
