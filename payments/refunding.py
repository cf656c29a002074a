"""What a refund takes back of a sale: how much of each VAT rate. Pure: nothing here reads or writes a row.

A refund is at the rate of the sale (VAT Act 1994 s. 26AB / VAT Regulations 1995 reg. 15: the adjustment
follows the original supply). Each one's tax is what all refunds so far come to less what the earlier ones
took back, so that refunding a bill bit by bit ends at its tax to the penny.
"""

from collections.abc import Iterable, Sequence
from typing import TypedDict

from fynlo.money import share_out
from orders.pricing import TaxLine

# The bucket of what bears no VAT: an optional service charge.
UNTAXED = ""


class RefundedItem(TypedDict):
    item_id: str
    name: str
    quantity: int
    total_minor: int


def refund_tax_lines(
    sold: Sequence[TaxLine],
    refunded: Iterable[Sequence[TaxLine]],
    amount_minor: int,
    *,
    by_percent: dict[str, int] | None = None,
) -> list[TaxLine]:
    """The tax lines of a refund of `amount_minor`, given what was sold and what earlier refunds took back.

    `by_percent` says how much of each rate is refunded, where items are; else it is shared among the
    rates by what is left of them. Raises ValueError for more than is left.
    """
    gone: dict[str, list[int]] = {line["percent"]: [0, 0] for line in sold}
    for lines in refunded:
        for line in lines:
            gross_and_tax = gone.setdefault(line["percent"], [0, 0])
            gross_and_tax[0] += line["gross_minor"]
            gross_and_tax[1] += line["tax_minor"]
    left = [line["gross_minor"] - gone[line["percent"]][0] for line in sold]
    if amount_minor > sum(left):
        raise ValueError("More than is left of the sale.")
    if by_percent is None:
        shares = share_out(amount_minor, left) if amount_minor else [0] * len(left)
    else:
        shares = [by_percent.get(line["percent"], 0) for line in sold]
        if sum(shares) != amount_minor or any(a > b for a, b in zip(shares, left, strict=True)):
            raise ValueError("More than is left of a rate.")
    found: list[TaxLine] = []
    for line, gross in zip(sold, shares, strict=True):
        if not gross:
            continue
        gross_before, tax_before = gone[line["percent"]]
        tax = _tax_of(line, gross_before + gross) - tax_before
        found.append(
            {
                "percent": line["percent"],
                "gross_minor": gross,
                "net_minor": gross - tax,
                "tax_minor": tax,
            }
        )
    return found


def part_of_line(total_minor: int, quantity: int, refunded_before: int, count: int) -> int:
    """What `count` of a line's `quantity` come to, when `refunded_before` were refunded already.

    All of them together come to the line's total.
    """
    upto = _round(total_minor * (refunded_before + count), quantity)
    return upto - _round(total_minor * refunded_before, quantity)


def _tax_of(line: TaxLine, gross_minor: int) -> int:
    """The tax in so much of a rate; of all of it, all its tax."""
    return _round(line["tax_minor"] * gross_minor, line["gross_minor"])


def _round(numerator: int, denominator: int) -> int:
    """Half and more up."""
    return (2 * numerator + denominator) // (2 * denominator)
