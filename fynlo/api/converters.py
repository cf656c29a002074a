"""URL pieces."""

import datetime

from django.urls import register_converter


class RestaurantIdConverter:
    """A restaurant's id: a positive int4, so nothing larger ever reaches the database."""

    regex = "[1-9][0-9]{0,8}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class DayConverter:
    """A business date, as 2026-01-31; no other way of writing one is an address."""

    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

    def to_python(self, value: str) -> datetime.date:
        return datetime.date.fromisoformat(value)

    def to_url(self, value: datetime.date) -> str:
        return value.isoformat()


register_converter(RestaurantIdConverter, "restaurant_id")
register_converter(DayConverter, "day")
