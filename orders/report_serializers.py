"""What the reports take, and how their answers look."""

import datetime
from typing import Any

from rest_framework import serializers

from fynlo.api.serializers import StrictSerializer

DAYS_MAX = 400


class PeriodSerializer(StrictSerializer):
    """Business days from one to another, both included. Both are needed."""

    def get_fields(self) -> dict[str, Any]:
        return {
            "from": serializers.DateField(help_text="The first business day."),
            "to": serializers.DateField(help_text=f"The last one, at most {DAYS_MAX} days on."),
        }

    def validate(self, attrs: dict[str, datetime.date]) -> dict[str, datetime.date]:
        days = (attrs["to"] - attrs["from"]).days + 1
        if days < 1:
            raise serializers.ValidationError({"to": "This is before the first day."})
        if days > DAYS_MAX:
            raise serializers.ValidationError({"to": f"These are more than {DAYS_MAX} days."})
        return attrs


class RevenueDaySerializer(serializers.Serializer):
    """A business day's closed orders."""

    business_date = serializers.DateField()
    orders = serializers.IntegerField()
    revenue_minor = serializers.IntegerField(help_text="With tax.")
    tax_minor = serializers.IntegerField()
    dine_in_minor = serializers.IntegerField(help_text="The part of the revenue that was eaten in.")
    takeaway_minor = serializers.IntegerField(help_text="The part that was taken away.")


class RevenueSerializer(serializers.Serializer):
    currency = serializers.CharField()
    orders = serializers.IntegerField(help_text="Of all these days.")
    revenue_minor = serializers.IntegerField(help_text="Of all these days.")
    tax_minor = serializers.IntegerField(help_text="Of all these days.")
    days = RevenueDaySerializer(many=True)


class TodaySerializer(serializers.Serializer):
    """The business day up to this moment."""

    currency = serializers.CharField()
    business_date = serializers.DateField()
    open_orders = serializers.IntegerField()
    open_minor = serializers.IntegerField(help_text="What is on the open bills.")
    open_covers = serializers.IntegerField()
    closed_orders = serializers.IntegerField()
    closed_minor = serializers.IntegerField(help_text="The takings: what the closed bills came to.")
    closed_tax_minor = serializers.IntegerField()
    closed_covers = serializers.IntegerField()
    average_minor = serializers.IntegerField(help_text="Of a closed bill.")
    carried_over = serializers.IntegerField(help_text="Bills of earlier days that are still open.")
