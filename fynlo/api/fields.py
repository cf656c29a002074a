"""Serializer fields."""

from typing import Any

from rest_framework.serializers import CharField


class ExactCharField(CharField):
    """Text as it was typed: never trimmed, nothing but a JSON string, and not of blanks alone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if not self.allow_blank and not data.strip():
            self.fail("blank")
        return super().to_internal_value(data)
