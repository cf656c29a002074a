"""Text comes back as it was typed, or is refused by the name of its field. Nothing is ever cut out of it.

What could do harm on a page is escaped where it is shown. What is refused is what no keyboard makes:
control characters, which break receipts' printers, CSV files and Postgres (NUL).
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from rest_framework.exceptions import ErrorDetail, ValidationError

CODE = "control_character"
DETAIL = "This holds a control character."
LINES = "This must be one line."
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINES = re.compile("[\t\n\r\u2028\u2029]")
# How a JSON document writes those, or a surrogate on its own; right to say no.
_IN_JSON = re.compile(r"[\x7f-\x9f]|\\[bf]|\\u(?:00|[dD][89a-fA-F])")


def text_fault(text: str, *, lines: bool) -> ErrorDetail | None:
    """What is wrong with a text, if anything is; `lines`: it may have several."""
    if _CONTROL.search(text):
        return ErrorDetail(DETAIL, code=CODE)
    if not lines and _LINES.search(text):
        return ErrorDetail(LINES, code="one_line")
    return None


def to_nfc(text: str) -> str:
    """The same text as Unicode composes it: é is one letter, however a keyboard made it."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def may_hold_control_character(document: str) -> bool:
    """A quick look at a whole JSON document, which is right to say no."""
    return _IN_JSON.search(document) is not None


def refuse_control_characters(data: Any) -> None:
    """Raise ValidationError, naming each field, where a value of a document holds a control character."""
    faults = {path: [ErrorDetail(DETAIL, code=CODE)] for path, text in _texts(data) if _CONTROL.search(text)}
    if faults:
        raise ValidationError(faults)


def check_form(form: forms.BaseForm) -> None:
    """Compose each text of a form that was checked, and refuse a second line where there is one only."""
    for name, value in list(form.cleaned_data.items()):
        if not isinstance(value, str) or name not in form.fields:
            continue
        lines = isinstance(form.fields[name].widget, forms.Textarea)
        if fault := text_fault(value, lines=lines):
            form.add_error(name, forms.ValidationError(str(fault), code=fault.code))
        elif not isinstance(form.fields[name].widget, forms.PasswordInput):
            form.cleaned_data[name] = to_nfc(value)


def _texts(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, Mapping):
        for name, value in data.items():
            yield from _texts(value, f"{path}.{name}" if path else str(name))
    elif isinstance(data, list | tuple):
        for n, value in enumerate(data):
            yield from _texts(value, f"{path}.{n}" if path else str(n))
