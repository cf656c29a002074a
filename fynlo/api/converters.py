"""URL pieces."""

from django.urls import register_converter


class RestaurantIdConverter:
    """A restaurant's id: a positive int4, so nothing larger ever reaches the database."""

    regex = "[1-9][0-9]{0,8}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(RestaurantIdConverter, "restaurant_id")
