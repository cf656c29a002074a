"""JSON in."""

from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from fynlo import media
from fynlo.validation import may_hold_control_character, refuse_control_characters

from .cards import may_hold_card_number, refuse_card_numbers


class JSONParser(BaseParser):
    """Strict JSON by orjson.

    Raises ParseError, CardNumberRefused, ValidationError for control characters, or RequestDataTooBig
    before reading too much.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body = getattr(stream, "body", None)  # Django reads at most DATA_UPLOAD_MAX_MEMORY_SIZE of it
        if body is None:
            body = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                raise RequestDataTooBig
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"The body is not valid JSON: {error}") from error
        text = body.decode()
        if may_hold_control_character(text):
            refuse_control_characters(document)
        if may_hold_card_number(text):
            refuse_card_numbers(document)
        return document


class PictureParser(BaseParser):
    """A picture as the whole body. What it says it is counts for nothing, see `media.redraw`."""

    media_type = "image/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body = stream.read(media.MAX_BYTES + 1)
        if len(body) > media.MAX_BYTES:
            raise media.PictureTooLarge(field="photo")
        return body
