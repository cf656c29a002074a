"""A menu as CSV: what docs/menu-csv.md describes, read without a database."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from fynlo.money import format_money, to_minor
from fynlo.validation import text_fault

from .models import MAX_PRICE_MINOR, MenuCategory, MenuItem, Modifier, ModifierGroup

NEEDED = ("category", "name", "price")
OPTIONAL = ("code", "description", "tax_class", "station", "modifiers")
AMOUNT = re.compile(r"\d{1,9}(\.\d{1,3})?", re.ASCII)
SELECT_MAX = 32_767
MAX_BYTES = 2 * 1024 * 1024


class UnusableFile(Exception):
    """Not a menu at all: not UTF-8, no header, or columns that are not known."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be loaded and all that is wrong with it; `line` counts from 1, header included."""

    line: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A modifier group as the file writes it; `modifiers` is ((name, price_minor), …)."""

    name: str
    min_select: int
    max_select: int
    modifiers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ItemLine:
    """An item as a line has it; None stands for a column that the file does not have."""

    line: int
    category: str
    name: str
    price_minor: int
    code: str
    description: str | None
    tax_class: str
    station: str
    group_names: tuple[str, ...] | None


@dataclass(slots=True)
class MenuFile:
    items: list[ItemLine] = field(default_factory=list)
    groups: dict[str, GroupSpec] = field(default_factory=dict)
    bad_lines: list[BadLine] = field(default_factory=list)


def read_menu_file(content: bytes, currency: str) -> MenuFile:
    """Read a menu whose prices are in `currency`. Raises UnusableFile; a bad line only becomes a BadLine."""
    if len(content) > MAX_BYTES:
        raise UnusableFile(f"The file is larger than {MAX_BYTES // 1024} KiB: no menu is.")
    rows = _rows(_decode(content))
    _, cells = next(rows, (1, []))
    header = _header(cells)
    reader = _Reader(currency, header)
    for line, row in rows:
        if isinstance(row, csv.Error):
            reader.file.bad_lines.append(BadLine(line, (f"quotes: {row}",)))
        elif any(cell.strip() for cell in row):
            reader.read(line, row)
    return reader.file


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnusableFile(
            f"The file is not UTF-8 (line {line}). In a spreadsheet, save it as “CSV UTF-8”."
        ) from None


def _rows(text: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Each record with the line it begins on; a record with broken quotes as the error."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except csv.Error as error:
            yield line, error
        except StopIteration:
            return


def _header(cells: list[str] | csv.Error) -> list[str]:
    if isinstance(cells, csv.Error):
        raise UnusableFile(f"The first line cannot be read: {cells}.")
    header = [cell.strip().lower() for cell in cells]
    known = ", ".join((*NEEDED, *OPTIONAL))
    if missing := [name for name in NEEDED if name not in header]:
        raise UnusableFile(f"The first line has no {', '.join(missing)}. Columns: {known}.")
    if unknown := [name for name in header if name not in (*NEEDED, *OPTIONAL)]:
        raise UnusableFile(f"Unknown columns: {', '.join(map(repr, unknown))}. Known: {known}.")
    if len(set(header)) < len(header):
        raise UnusableFile("The first line has a column twice.")
    return header


class _Reader:
    """Turns rows into item lines, remembering what earlier lines said."""

    def __init__(self, currency: str, header: list[str]) -> None:
        self.currency = currency
        self.header = header
        self.file = MenuFile()
        self.line_of_name: dict[str, int] = {}
        self.line_of_code: dict[str, int] = {}
        self.line_of_group: dict[str, int] = {}

    def read(self, line: int, row: list[str]) -> None:
        if [cell.strip().lower() for cell in row] == self.header:
            self.file.bad_lines.append(BadLine(line, ("the header again",)))
            return
        if len(row) != len(self.header):
            reason = f"it has {len(row)} cells, the header has {len(self.header)}"
            self.file.bad_lines.append(BadLine(line, (reason,)))
            return
        cells = dict(zip(self.header, row, strict=True))
        reasons = [
            *_text_faults(cells["category"], "category", MenuCategory, "name"),
            *_text_faults(cells["name"], "name", MenuItem, "name"),
            *_text_faults(cells.get("code", ""), "code", MenuItem, "code"),
            *_text_faults(cells.get("description", ""), "description", MenuItem, "description"),
            *self._repeats(cells),
        ]
        price_minor = self._price(cells["price"], reasons)
        group_names = self._groups(line, cells.get("modifiers", ""), reasons)
        if reasons:
            self.file.bad_lines.append(BadLine(line, tuple(reasons)))
            return
        code = cells.get("code", "")
        self.line_of_name[cells["name"]] = line
        if code:
            self.line_of_code[code] = line
        self.file.items.append(
            ItemLine(
                line=line,
                category=cells["category"],
                name=cells["name"],
                price_minor=price_minor,
                code=code,
                description=cells.get("description"),
                tax_class=cells.get("tax_class", ""),
                station=cells.get("station", ""),
                group_names=group_names if "modifiers" in cells else None,
            )
        )

    def _repeats(self, cells: dict[str, str]) -> Iterator[str]:
        for column, lines in (("name", self.line_of_name), ("code", self.line_of_code)):
            if earlier := lines.get(cells.get(column, "")):
                yield f"{column}: {cells[column]!r} stands on line {earlier} already"

    def _price(self, cell: str, reasons: list[str]) -> int:
        try:
            price_minor = _amount(cell.strip(), self.currency)
        except ValueError as error:
            reasons.append(f"price: {error}")
            return 0
        return price_minor

    def _groups(self, line: int, cell: str, reasons: list[str]) -> tuple[str, ...]:
        names: list[str] = []
        for text in split(cell, ";"):
            if not text.strip():
                continue
            try:
                spec = parse_group(text, self.currency)
            except ValueError as error:
                reasons.append(f"modifiers: {error}")
                continue
            name = spec if isinstance(spec, str) else spec.name
            if name in names:
                reasons.append(f"modifiers: {name!r} is there twice")
            names.append(name)
            if isinstance(spec, GroupSpec):
                first = self.file.groups.setdefault(name, spec)
                first_line = self.line_of_group.setdefault(name, line)
                if first != spec:
                    reasons.append(f"modifiers: {name!r} was described otherwise on line {first_line}")
        return tuple(names)


def _text_faults(text: str, column: str, model: type, field_name: str) -> Iterator[str]:
    limits = model._meta.get_field(field_name)  # type: ignore[attr-defined]
    if not limits.blank and not text.strip():
        yield f"{column}: is blank"
    if len(text) > limits.max_length:
        yield f"{column}: is longer than {limits.max_length} characters"
    if "\x00" in text:
        yield f"{column}: contains a null character"
    elif fault := text_fault(text, lines=column == "description"):
        yield f"{column}: {fault}"


def _amount(text: str, currency: str) -> int:
    if not AMOUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not an amount such as 12.50")
    amount = to_minor(text, currency)
    if amount > MAX_PRICE_MINOR:
        raise ValueError(f"{text!r} is more than {format_money(MAX_PRICE_MINOR, currency)}")
    return amount


# The modifiers column: "Doneness[1-1]: Rare | Well done; Extras[0-2]: Bacon +1.50 | Cheese +1.00; Sauces"


def parse_group(text: str, currency: str) -> GroupSpec | str:
    """A group described in full, or the name of one that is known. Raises ValueError."""
    head, *rest = split(text, ":", at_most=1)
    if not rest:
        return _name(head, ModifierGroup)
    bounds = re.fullmatch(r"(.*)\[\s*(\d{1,5})\s*-\s*(\d{1,5})\s*\]", head.strip(), re.ASCII | re.DOTALL)
    if not bounds:
        raise ValueError(f"{head.strip()!r} does not say how many to choose, such as [0-2], before the colon")
    name, least, most = _name(bounds[1], ModifierGroup), int(bounds[2]), int(bounds[3])
    modifiers = tuple(_modifier(option, currency) for option in split(rest[0], "|"))
    if len({modifier for modifier, _ in modifiers}) < len(modifiers):
        raise ValueError(f"{name!r} has a modifier twice")
    if not (least <= most and 1 <= most <= SELECT_MAX and least <= len(modifiers)):
        raise ValueError(f"{name!r} cannot have {least} to {most} of {len(modifiers)} chosen")
    return GroupSpec(name, least, most, modifiers)


def _modifier(text: str, currency: str) -> tuple[str, int]:
    words = text.strip().rsplit(maxsplit=1)
    if len(words) < 2 or words[1][0] not in "+-":
        return _name(text, Modifier), 0
    price_minor = _amount(words[1][1:], currency)
    return _name(words[0], Modifier), -price_minor if words[1][0] == "-" else price_minor


def _name(text: str, model: type) -> str:
    name = re.sub(r"\\(.)", r"\1", text.strip(), flags=re.DOTALL)
    for fault in _text_faults(name, repr(name), model, "name"):
        raise ValueError(fault)
    return name


def split(text: str, separator: str, at_most: int = -1) -> list[str]:
    """Split at the separator unless a backslash precedes it; backslashes stay for `_name` to remove."""
    parts = [""]
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            parts[-1] += letter + next(letters, "")
        elif letter == separator and len(parts) - 1 != at_most:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
