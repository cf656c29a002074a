"""Strict input: what is not known, or only looks right, is refused by name.

The fields return good input at once and leave all else to DRF, whose steps are many: an order has some
fifty fields.
"""

import functools
from typing import Any, Self
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import SkipField, empty, get_error_detail
from rest_framework.serializers import as_serializer_error

from fynlo.validation import text_fault, to_nfc


class StrictSerializer(serializers.Serializer):
    """The shape of a request's body. A field that it does not name, such as a client's price, is refused.

    Use `MySerializer.read(request.data)`: DRF copies every field each time a serializer is made, which
    costs more than the checking, so one instance serves the whole process. It keeps no state; give a
    default that could be altered as `default=list`.
    """

    @classmethod
    def read(cls, data: Any) -> dict[str, Any]:
        """The checked values; raises ValidationError naming every fault."""
        return cls._shared().run_validation(data)

    @classmethod
    @functools.cache
    def _shared(cls) -> Self:
        return cls()

    @functools.cached_property
    def _checks(self) -> list[tuple[str, Any, Any]]:
        return [
            (name, field, getattr(self, f"validate_{name}", None))
            for name, field in self.fields.items()
            if not field.read_only
        ]

    def run_validation(self, data: Any = empty) -> Any:
        if not isinstance(data, dict):
            return super().run_validation(data)  # absent, null or of another type
        values = self.to_internal_value(data)
        try:
            return self.validate(values)
        except (ValidationError, DjangoValidationError) as error:
            raise ValidationError(as_serializer_error(error)) from error

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            return super().to_internal_value(data)
        values: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, field, check in self._checks:
            if name not in data and not field.required:
                if field.default is not empty:
                    values[field.source] = field.default() if callable(field.default) else field.default
                continue
            try:
                value = field.run_validation(data.get(name, empty))
                values[field.source] = check(value) if check else value
            except ValidationError as error:
                errors[name] = error.detail
            except DjangoValidationError as error:
                errors[name] = get_error_detail(error)
            except SkipField:
                continue
        for name in data.keys() - self.fields.keys():
            errors[name] = [ErrorDetail("There is no such field.", code="unknown_field")]
        if errors:
            raise ValidationError(errors)
        return values


class WholeNumberField(serializers.IntegerField):
    """An integer and nothing like one: no text, no 2.0, no true."""

    min_value: int
    max_value: int

    def __init__(self, *, min_value: int, max_value: int, **kwargs: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **kwargs)
        self._is_plain = "validators" not in kwargs

    def run_validation(self, data: Any = empty) -> Any:
        if self._is_plain and type(data) is int and self.min_value <= data <= self.max_value:
            return data
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return data


class FlagField(serializers.BooleanField):
    """true or false, and nothing that only sounds like them."""

    def run_validation(self, data: Any = empty) -> Any:
        if data is True or data is False:
            return data
        if data is empty or data is None:
            return super().run_validation(data)
        self.fail("invalid", input=data)


class TextField(serializers.CharField):
    """Text as it was typed, spaces included; where it may not be blank, spaces alone do not count.

    One line, unless `lines` says that there may be several.
    """

    max_length: int

    def __init__(self, *, max_length: int, lines: bool = False, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, trim_whitespace=False, **kwargs)
        self.lines = lines
        self._is_plain = "validators" not in kwargs

    def run_validation(self, data: Any = empty) -> Any:
        if type(data) is str:
            if not self.allow_blank and not data.strip():
                self.fail("blank")
            if self._is_plain and len(data) <= self.max_length and data.isprintable():
                return to_nfc(data)
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if fault := text_fault(data, lines=self.lines):
            raise ValidationError([fault])
        return to_nfc(data)


class IdField(serializers.UUIDField):
    """A UUID as text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._is_plain = "validators" not in kwargs

    def run_validation(self, data: Any = empty) -> Any:
        if self._is_plain and type(data) is str:
            return self.to_internal_value(data)
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> UUID:
        if type(data) is str:
            try:
                return UUID(data)
            except ValueError:
                pass
        self.fail("invalid", value=data)


class NewIdField(IdField):
    """The id of a row that the client makes: a UUIDv7 (RFC 9562)."""

    default_error_messages = {"version": "Make ids as UUID version 7."}

    def to_internal_value(self, data: Any) -> UUID:
        value = super().to_internal_value(data)
        if value.int >> 76 & 0xF != 7 or value.int >> 62 & 0b11 != 0b10:
            self.fail("version")
        return value


class ListField(serializers.ListField):
    """A list, each item checked by `child`."""

    max_length: int

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self._is_plain = "validators" not in kwargs

    def run_validation(self, data: Any = empty) -> Any:
        fits = type(data) is list and (self.min_length or 0) <= len(data) <= self.max_length
        if not (self._is_plain and fits):
            return super().run_validation(data)
        values: list[Any] = []
        errors: dict[Any, Any] = {}
        for index, item in enumerate(data):
            try:
                values.append(self.child.run_validation(item))
            except ValidationError as error:
                errors[index] = error.detail
        if errors:
            raise ValidationError(errors)
        return values
