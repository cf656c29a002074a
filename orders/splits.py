"""How a bill is divided among its guests. Pure: nothing here reads or writes a row.

Whatever the way, the parts sum to what is divided, to the penny: their amounts, their service charge and,
for each rate, what they are taxed on, its tax and its net. Pennies that do not divide go by largest
remainder, to the earlier part where remainders are equal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TypedDict

from fynlo.money import share_out

from .errors import CannotSplit
from .pricing import TaxLine, percent_text

PARTS_MAX = 50


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is to be paid."""

    item_id: str
    name: str
    quantity: int
    total_minor: int
    percent: Decimal
    seat: int | None


@dataclass(frozen=True, slots=True)
class Bill:
    """What is divided. A compulsory service charge is in the tax lines, an optional one beside them."""

    total_minor: int
    tax_lines: list[TaxLine]
    service_charge_minor: int
    lines: list[Line]

    @property
    def untaxed_minor(self) -> int:
        return self.total_minor - sum(line["gross_minor"] for line in self.tax_lines)


class PartItem(TypedDict):
    """`quantity` is text: "2", or "1/3" of a line that several share."""

    item_id: str
    name: str
    quantity: str
    total_minor: int


@dataclass(slots=True)
class Part:
    label: str
    amount_minor: int = 0
    service_charge_minor: int = 0
    tax_lines: list[TaxLine] = field(default_factory=list)
    items: list[PartItem] = field(default_factory=list)
    seat: int | None = None


class Claim(TypedDict):
    """So many of a line; or, without a quantity, a share of what nobody claims by number."""

    item_id: str
    quantity: int | None


# By what is due


def split_evenly(bill: Bill, due_minor: int, ways: int) -> list[Part]:
    """What is due in so many parts, none more than a minor unit above another."""
    labels = [f"{n} of {ways}" for n in range(1, ways + 1)]
    return _by_amounts(bill, due_minor, share_out(due_minor, [1] * ways), labels)


def split_by_amounts(bill: Bill, due_minor: int, amounts: Sequence[int]) -> list[Part]:
    """What is due in these parts, the rest being the last. Raises CannotSplit for more than is due."""
    rest = due_minor - sum(amounts)
    if rest < 0:
        raise CannotSplit("The parts come to more than is due.", field="amounts")
    labels = [f"Part {n}" for n in range(1, len(amounts) + 1)]
    if rest:
        amounts, labels = [*amounts, rest], [*labels, "Rest"]
    return _by_amounts(bill, due_minor, amounts, labels)


def _by_amounts(bill: Bill, due_minor: int, amounts: Sequence[int], labels: Sequence[str]) -> list[Part]:
    """Each part has its proportion of every rate and of the service charge.

    What was paid before goes first, as a part that is not shown. Each part takes its amount out of what
    those before it left of each rate, so rates and parts both come out whole.
    """
    paid = bill.total_minor - due_minor
    taken = [paid, *amounts] if paid else list(amounts)
    left = [*(line["gross_minor"] for line in bill.tax_lines), bill.untaxed_minor]
    rows: list[list[int]] = []
    for amount in taken:
        row = share_out(amount, left) if amount else [0] * len(left)
        left = [whole - share for whole, share in zip(left, row, strict=True)]
        rows.append(row)
    charges = share_out(bill.service_charge_minor, taken)
    if bill.untaxed_minor:
        charges = [row[-1] for row in rows]
    tax_lines = _tax_lines(bill, [row[:-1] for row in rows])
    first = len(taken) - len(amounts)
    return [
        Part(label, amount, charge, taxes)
        for label, amount, charge, taxes in zip(
            labels, amounts, charges[first:], tax_lines[first:], strict=True
        )
    ]


# By what each had


def split_by_items(bill: Bill, claims: Sequence[Sequence[Claim]]) -> list[Part]:
    """Each part is of the items it claims; every line must be claimed in full, and none twice over.

    Those who claim a line without a number share, evenly, what the others leave of it. Raises CannotSplit.
    """
    ids = {line.item_id for line in bill.lines}
    claimed = [{claim["item_id"]: claim["quantity"] for claim in part} for part in claims]
    for n, part in enumerate(claimed):
        if not part.keys() <= ids or len(part) < len(claims[n]):
            raise CannotSplit("Name lines of this bill, each once in a part.", field=f"parts.{n}")
    shares: dict[str, list[Fraction]] = {}
    for line in bill.lines:
        counted = [part.get(line.item_id) or 0 for part in claimed]
        shares_in = [line.item_id in part and part[line.item_id] is None for part in claimed]
        left = line.quantity - sum(counted)
        if left < 0 or bool(left) != any(shares_in):
            text = f"Each {line.name} has to be in one part, or shared by several."
            raise CannotSplit(text, field="parts", item_id=line.item_id)
        each = Fraction(left, sum(shares_in) or 1)
        shares[line.item_id] = [n + each * shared for n, shared in zip(counted, shares_in, strict=True)]
    return _by_shares(bill, [f"Part {n}" for n in range(1, len(claims) + 1)], shares)


def split_by_seats(bill: Bill, seats: Sequence[Sequence[int]] | None = None) -> list[Part]:
    """Each seat, or group of seats that pays together, has what it ordered.

    What was ordered for the table is shared by all seats evenly. Without `seats`, it is those that have
    lines. Raises CannotSplit where a seat is left out or named twice, or there are none.
    """
    used = sorted({line.seat for line in bill.lines if line.seat is not None})
    groups = [[seat] for seat in used] if seats is None else seats
    named = [seat for group in groups for seat in group]
    if len(groups) < 2:
        raise CannotSplit("Fewer than two seats have anything on this bill.", field="seats")
    if len(groups) > PARTS_MAX:
        raise CannotSplit(f"A bill has at most {PARTS_MAX} parts: group the seats.", field="seats")
    if len(set(named)) < len(named):
        raise CannotSplit("A seat is in one part.", field="seats")
    if not set(used) <= set(named):
        left_out = ", ".join(str(seat) for seat in used if seat not in named)
        raise CannotSplit(f"Seats left out: {left_out}.", field="seats")
    shares = {}
    for line in bill.lines:
        at = range(len(groups))
        if line.seat is None:
            shares[line.item_id] = [Fraction(line.quantity * len(groups[n]), len(named)) for n in at]
        else:
            shares[line.item_id] = [Fraction(line.quantity * (line.seat in groups[n])) for n in at]
    parts = _by_shares(bill, [_seats_label(group) for group in groups], shares)
    for part, group in zip(parts, groups, strict=True):
        part.seat = group[0] if len(group) == 1 else None
    return parts


def _seats_label(seats: Sequence[int]) -> str:
    label = f"Seat{'s' if len(seats) > 1 else ''} {', '.join(str(seat) for seat in seats)}"
    return label if len(label) <= 40 else f"{label[:39]}…"


def _by_shares(bill: Bill, labels: Sequence[str], shares: dict[str, list[Fraction]]) -> list[Part]:
    """Parts of items, from how many of each line goes to each part."""
    parts = [Part(label) for label in labels]
    sold: dict[str, list[int]] = {}
    for line in bill.lines:
        of_line = shares[line.item_id]
        by_rate = sold.setdefault(percent_text(line.percent), [0] * len(parts))
        for n, amount in enumerate(_share_line(line, of_line)):
            by_rate[n] += amount
            parts[n].amount_minor += amount
            if of_line[n]:
                entry = PartItem(
                    item_id=line.item_id, name=line.name, quantity=str(of_line[n]), total_minor=amount
                )
                parts[n].items.append(entry)
    _add_charge(bill, parts, sold)
    rows = [[sold[line["percent"]][n] for line in bill.tax_lines] for n in range(len(parts))]
    for part, tax_lines in zip(parts, _tax_lines(bill, rows), strict=True):
        part.tax_lines = tax_lines
    return parts


def _share_line(line: Line, shares: Sequence[Fraction]) -> list[int]:
    """A line's price by how many each has: whole ones at their price, the rest by largest remainder."""
    unit_minor = line.total_minor // line.quantity
    amounts = [unit_minor * int(share) for share in shares]
    fractions = [share % 1 for share in shares]
    if any(fractions):
        scale = math.lcm(*(fraction.denominator for fraction in fractions))
        rest = share_out(line.total_minor - sum(amounts), [int(part * scale) for part in fractions])
        amounts = [amount + more for amount, more in zip(amounts, rest, strict=True)]
    return amounts


def _add_charge(bill: Bill, parts: Sequence[Part], sold: dict[str, list[int]]) -> None:
    """Share the service charge in proportion to what each had; a compulsory one at each rate it is in."""
    charge = bill.service_charge_minor
    if not charge:
        return
    if bill.untaxed_minor:
        shares = share_out(charge, [part.amount_minor for part in parts])
    else:
        shares = [0] * len(parts)
        for line in bill.tax_lines:
            at_rate = sold[line["percent"]]
            of_rate = line["gross_minor"] - sum(at_rate)
            if of_rate:
                for n, more in enumerate(share_out(of_rate, at_rate)):
                    at_rate[n] += more
                    shares[n] += more
    for part, share in zip(parts, shares, strict=True):
        part.service_charge_minor = share
        part.amount_minor += share


def _tax_lines(bill: Bill, rows: Sequence[Sequence[int]]) -> list[list[TaxLine]]:
    """The tax lines of each part, from what each has at each of the bill's rates."""
    found: list[list[TaxLine]] = [[] for _ in rows]
    for column, line in enumerate(bill.tax_lines):
        gross = [row[column] for row in rows]
        if not any(gross):
            continue
        taxes = share_out(line["tax_minor"], gross)
        for of_part, amount, tax in zip(found, gross, taxes, strict=True):
            if amount:
                of_part.append(_tax_line(line["percent"], amount, tax))
    return found


def _tax_line(percent: str, gross_minor: int, tax_minor: int) -> TaxLine:
    return {
        "percent": percent,
        "gross_minor": gross_minor,
        "net_minor": gross_minor - tax_minor,
        "tax_minor": tax_minor,
    }
