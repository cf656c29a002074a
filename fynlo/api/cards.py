"""Card numbers never enter: whoever sends one has it refused, and no log keeps one.

Fynlo takes cards on the providers' own readers and pages only, so that it never sees a number (PCI DSS
SAQ A and P2PE). A number that somebody types into a note all the same is refused before it is stored.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from fynlo.errors import InvalidInput

# 13 to 19 digits, perhaps in groups. What begins with other digits is no card (ISO/IEC 7812).
_CANDIDATE = re.compile("(?<![0-9.+])[2-6](?:[ .\t\u00a0-]?[0-9]){12,18}(?![0-9])")
_SEPARATORS = str.maketrans("", "", " .\t\u00a0-")
_LENGTHS = {"2": {16}, "3": {14, 15, 16, 17, 18, 19}, "4": {13, 16, 19}, "5": {16}, "6": set(range(12, 20))}
REDACTED = "[card number]"


class CardNumberRefused(InvalidInput):
    code = "card_number_refused"
    detail = "This looks like a card number. Card numbers are never typed in: use the reader."


def refuse_card_numbers(data: Any) -> None:
    """Raise CardNumberRefused, naming the field, where any value of a document holds a card number."""
    for field, value in _values(data):
        if holds_card_number(value):
            raise CardNumberRefused(field=field or None)


def may_hold_card_number(document: str) -> bool:
    """A quick look at a whole JSON document, which is right to say no."""
    return "\\u" in document or any(_is_card(found.group()) for found in _CANDIDATE.finditer(document))


def holds_card_number(text: str) -> bool:
    return any(_is_card(found.group()) for found in _candidates(text))


def redact_card_numbers(text: str) -> str:
    """The text with each card number in it replaced."""
    return _CANDIDATE.sub(lambda found: REDACTED if _is_card(found.group()) else found.group(), text)


def _candidates(text: str) -> Iterator[re.Match[str]]:
    if len(text) < 13 or _is_uuid(text):
        return iter(())
    return _CANDIDATE.finditer(text)


def _is_card(text: str) -> bool:
    digits = text.translate(_SEPARATORS)
    return len(digits) in _LENGTHS[digits[0]] and _passes_luhn(digits)


def _passes_luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def _is_uuid(text: str) -> bool:
    if len(text) != 36:
        return False
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _values(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value of a document as text, with the name of its field; names of fields count as values."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, bool) or data is None:
        return
    elif isinstance(data, int):
        if data > 10**12:
            yield path, str(data)
    elif isinstance(data, Mapping):
        for name, value in data.items():
            inner = f"{path}.{name}" if path else str(name)
            yield path, str(name)
            yield from _values(value, inner)
    elif isinstance(data, list | tuple):
        for n, value in enumerate(data):
            yield from _values(value, f"{path}.{n}" if path else str(n))
