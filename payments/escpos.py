"""A receipt as bytes for a receipt printer that speaks ESC/POS, as nearly all do.

The till sends them on: a printer is in the restaurant's own network.
"""

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fynlo.money import format_money

from .receipts import shown
from .templatetags import money

FEWEST_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class Row:
    text: str
    bold: bool = False
    centre: bool = False
    big: bool = False


def receipt_bytes(content: dict[str, Any], *, columns: int, copy: bool, drawer: bool = False) -> bytes:
    """The receipt for paper of so many characters a line, cut off; a copy says so twice.

    The drawer is opened where that is asked and cash was taken, but never by a copy.
    """
    # python-escpos reads a database of printers on import, which takes half a second: only who prints waits.
    from escpos.printer import Dummy

    printer = Dummy()
    if drawer and not copy and any(payment["method"] == "cash" for payment in content["payments"]):
        printer.cashdraw(2)
    style = None
    for row in receipt_rows(content, columns=columns, copy=copy):
        if style != (row.bold, row.centre, row.big):
            style = (row.bold, row.centre, row.big)
            align = "center" if row.centre else "left"
            printer.set_with_default(align=align, bold=row.bold, double_height=row.big)
        printer.text(f"{row.text}\n")
    printer.cut()
    return bytes(printer.output)


def receipt_rows(content: dict[str, Any], *, columns: int, copy: bool) -> list[Row]:
    """What is on the paper, line by line, none longer than the paper is wide."""
    receipt = shown(content)
    paper = _Paper(columns, receipt["currency"])
    rows = [*paper.header(receipt, copy), *paper.lines(receipt), *paper.payments(receipt)]
    return [*rows, *paper.taxes(receipt), *paper.footer(receipt, copy)]


class _Paper:
    """Lays a receipt out in fixed columns."""

    def __init__(self, columns: int, currency: str) -> None:
        if columns < FEWEST_COLUMNS:
            raise ValueError(f"Paper of {columns} columns is too narrow for a receipt.")
        self.columns = columns
        self.currency = currency
        self.rule = Row("-" * columns)

    def header(self, receipt: dict[str, Any], copy: bool) -> Iterator[Row]:
        seller, order = receipt["seller"], receipt["order"]
        yield from self.centred(seller["name"], bold=True, big=True)
        for line in seller["address"].splitlines():
            yield from self.centred(line)
        if seller["phone"]:
            yield from self.centred(f"Tel. {seller['phone']}")
        if seller["vat_number"]:
            yield from self.centred(f"VAT no. {seller['vat_number']}")
        if copy:
            yield from self.centred("COPY", bold=True)
        yield Row("")
        local = receipt["local_time"]
        yield from self.pair(f"Receipt {receipt['number']}", f"{local.day} {local:%b %Y, %H:%M}")
        kind = ", takeaway" if order["kind"] == "takeaway" else ""
        table = f"Table {order['table']}, covers {order['covers']}" if order["table"] else ""
        yield from self.pair(f"Order {order['number']}{kind}", table)
        if order["customer_name"]:
            yield from self.wrapped(f"Customer {order['customer_name']}")
        yield from self.wrapped(f"Served by {order['served_by']}")
        yield self.rule

    def lines(self, receipt: dict[str, Any]) -> Iterator[Row]:
        for line in receipt["lines"]:
            letter = f" {line['tax_letter'] or ' '}" if receipt["shows_taxes"] else ""
            price = f"{self.amount(line['total_minor'])}{letter}"
            yield from self.pair(f"{line['quantity']} {line['name']}", price, indent=2)
            for modifier in line["modifiers"]:
                yield from self.wrapped(f"  {modifier}", indent=4)
            if line["quantity"] > 1:
                yield Row(f"  {self.amount(line['unit_price_minor'])} each")
        yield self.rule
        charge = receipt["service_charge"]
        if charge:
            yield from self.pair("Subtotal", self.money(receipt["items_minor"]))
            yield from self.pair(charge["name"], self.money(charge["amount_minor"]))
        yield from self.pair("TOTAL", self.money(receipt["total_minor"]), bold=True, big=True)

    def payments(self, receipt: dict[str, Any]) -> Iterator[Row]:
        for part in (receipt.get("split") or {"parts": []})["parts"]:
            yield from self.pair(part["label"], self.money(part["amount_minor"]))
        for payment in receipt["payments"]:
            yield from self.pair(payment["name"], self.money(payment["amount_minor"]))
            if payment["tip_minor"]:
                yield from self.pair("Tip, thank you", self.money(payment["tip_minor"]))
            if payment["change_minor"]:
                yield from self.pair("Tendered", self.money(payment["tendered_minor"]))
                yield from self.pair("Change", self.money(payment["change_minor"]))

    def taxes(self, receipt: dict[str, Any]) -> Iterator[Row]:
        if not receipt["shows_taxes"]:
            return
        yield self.rule
        name = receipt["tax_name"]
        table = [["", "Net", name, "Gross"]]
        for tax in receipt["taxes"]:
            amounts = (tax["net_minor"], tax["tax_minor"], tax["gross_minor"])
            table.append([f"{tax['letter']} {tax['percent']}%", *map(self.amount, amounts)])
        if len(receipt["taxes"]) > 1:
            sums = (receipt["net_minor"], receipt["tax_minor"], receipt["taxed_minor"])
            table.append(["All", *map(self.amount, sums)])
        yield from self.table(table)

    def footer(self, receipt: dict[str, Any], copy: bool) -> Iterator[Row]:
        yield Row("")
        charge = receipt["service_charge"]
        if receipt["is_vat_invoice"]:
            yield from self.centred("This is a VAT invoice.")
        elif receipt["seller"]["vat_number"] and self.currency == "GBP":
            yield from self.centred("This is not a VAT invoice; please ask if you need one.")
        if charge and charge["kind"] == "optional":
            name = receipt["tax_name"]
            yield from self.centred(f"The service charge is optional and bears no {name}.")
        yield from self.centred("Thank you for your visit")
        if copy:
            yield from self.centred("COPY", bold=True)

    def amount(self, minor: int) -> str:
        return money.amount(minor, self.currency)

    def money(self, minor: int) -> str:
        return format_money(minor, self.currency)

    def centred(self, text: str, **style: bool) -> Iterator[Row]:
        for line in textwrap.wrap(_printable(text), self.columns):
            yield Row(line, centre=True, **style)

    def wrapped(self, text: str, *, indent: int = 0) -> Iterator[Row]:
        for line in self._wrap(text, self.columns, indent):
            yield Row(line)

    def pair(self, left: str, right: str, *, indent: int = 2, **style: bool) -> Iterator[Row]:
        """Text with an amount at the right end of its first line; what is too long goes on below."""
        first, *more = self._wrap(left, self.columns - len(right) - bool(right), indent)
        yield Row(f"{first}{right:>{self.columns - len(first)}}".rstrip(), **style)
        for line in more:
            yield Row(line, **style)

    def table(self, rows: Sequence[Sequence[str]]) -> Iterator[Row]:
        """Right-aligned columns, as wide as what is in them; a line for each value where that is too wide."""
        widths = [max(len(row[n]) for row in rows) + bool(n) for n in range(len(rows[0]))]
        spare = (self.columns - sum(widths)) // (len(widths) - 1)
        if spare >= 0:
            widths = [widths[0], *(width + spare for width in widths[1:])]
            for row in rows:
                cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
                yield Row(f"{row[0]:<{widths[0]}}{''.join(cells)}")
            return
        for row in rows[1:]:
            for name, cell in zip(rows[0][1:], row[1:], strict=True):
                yield from self.pair(f"{row[0]} {name}", cell)

    @staticmethod
    def _wrap(text: str, width: int, indent: int) -> list[str]:
        return textwrap.wrap(_printable(text), width, subsequent_indent=" " * indent) or [""]


def _printable(text: str) -> str:
    """Text that is as long on paper as it is here: no combining marks, no control characters."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(char for char in composed if not unicodedata.category(char).startswith(("M", "C")))
