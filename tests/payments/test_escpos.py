"""Receipts for receipt printers: what is on the paper, and the bytes that put it there."""

import re

import pytest
from escpos.constants import CD_KICK_2, CODEPAGE_CHANGE, HW_INIT
from escpos.printer import Dummy
from hypothesis import given
from hypothesis import strategies as st

from payments.escpos import PAGES, receipt_bytes, receipt_rows
from tests import factories
from tests.client import ApiClient
from tests.orders.scene import look_at, refused

from .bills import everything, paid_and_closed
from .test_receipts import SELLER

CONTENT = {
    "number": 7,
    "issued_at": "2026-11-24T20:47:11Z",
    "local_time": "2026-11-24T20:47:11",
    "is_vat_invoice": True,
    "seller": {"name": "The Copper Pot", **SELLER},
    "order": {
        "id": "0",
        "number": 12,
        "kind": "dine_in",
        "table": "T2",
        "covers": 3,
        "customer_name": "",
        "served_by": "Zoë",
    },
    "currency": "GBP",
    "lines": [
        {
            "name": "Burger",
            "modifiers": ["Rare", "Bacon"],
            "quantity": 2,
            "unit_price_minor": 1400,
            "total_minor": 2800,
            "tax_percent": "20",
            "tax_letter": "A",
        },
        {
            "name": "Grandmother's sticky toffee pudding with clotted cream",
            "modifiers": [],
            "quantity": 1,
            "unit_price_minor": 610,
            "total_minor": 610,
            "tax_percent": "0",
            "tax_letter": "B",
        },
    ],
    "service_charge": {"kind": "optional", "percent": "12.5", "amount_minor": 426},
    "total_minor": 3836,
    "tax_minor": 467,
    "taxes": [
        {"letter": "A", "percent": "20", "gross_minor": 2800, "net_minor": 2333, "tax_minor": 467},
        {"letter": "B", "percent": "0", "gross_minor": 610, "net_minor": 610, "tax_minor": 0},
    ],
    "split": None,
    "payments": [
        {
            "id": "1",
            "method": "card_present",
            "part": "",
            "card_brand": "Visa",
            "card_last4": "4242",
            "amount_minor": 2836,
            "tip_minor": 0,
            "tendered_minor": None,
            "change_minor": None,
        },
        {
            "id": "2",
            "method": "cash",
            "part": "",
            "amount_minor": 1000,
            "tip_minor": 150,
            "tendered_minor": 2000,
            "change_minor": 850,
        },
    ],
    "tip_minor": 150,
}

ON_48 = """\
                 The Copper Pot
                  12 Mill Lane
                 Hebden Bridge
                    HX7 8AA
                Tel. 01422 555017
            VAT no. GB 123 4567 82

Receipt 7                     24 Nov 2026, 20:47
Order 12                      Table T2, covers 3
Served by Zoë
------------------------------------------------
2 Burger                                 28.00 A
  Rare
  Bacon
  14.00 each
1 Grandmother's sticky toffee pudding     6.10 B
  with clotted cream
------------------------------------------------
Subtotal                                  £34.10
Optional service charge 12.5%              £4.26
TOTAL                                     £38.36
Paid by card, Visa **** 4242              £28.36
Paid by cash                              £10.00
Tip, thank you                             £1.50
Tendered                                  £20.00
Change                                     £8.50
------------------------------------------------
             Net         VAT       Gross
"""

ON_32 = """\
2 Burger                 28.00 A
  Rare
  Bacon
  14.00 each
1 Grandmother's sticky    6.10 B
  toffee pudding with clotted
  cream
--------------------------------
Subtotal                  £34.10
Optional service charge    £4.26
  12.5%
TOTAL                     £38.36
Paid by card, Visa ****   £28.36
  4242
Paid by cash              £10.00
Tip, thank you             £1.50
Tendered                  £20.00
Change                     £8.50
--------------------------------
          Net     VAT   Gross
A 20%   23.33    4.67   28.00
B 0%     6.10    0.00    6.10
All     29.43    4.67   34.10
"""


def on_paper(printed: bytes) -> list[str]:
    """The lines that a printer of Epson's kind would print of these bytes; centred ones are indented.

    An interpreter of its own: every command has to be one that it knows.
    """
    pages = {number: page for page, number in PAGES.items()}
    lines, line, page, centred = [], "", "", False
    assert printed.startswith(b"\x1b@")
    at = 0
    commands = re.compile(rb"\x1b@|\x1bt.|\x1bE.|\x1ba.|\x1d!.|\x1dVB.|\x1bp...", re.DOTALL)
    while at < len(printed):
        command = commands.match(printed, at)
        if command:
            text = command.group()
            page = pages[text[2]] if text[:2] == b"\x1bt" else page
            centred = text[2] == 1 if text[:2] == b"\x1ba" else centred
            at = command.end()
            continue
        byte = printed[at : at + 1]
        at += 1
        if byte == b"\n":
            lines.append((" " * ((48 - len(line)) // 2) + line) if centred and line else line)
            line = ""
        else:
            assert byte >= b" "
            line += byte.decode(page)
    assert line == ""
    return lines


def commands_of(printed: bytes) -> list[bytes]:
    return re.findall(rb"\x1bp...|\x1dVB.|\x1bt.", printed, re.DOTALL)


def test_on_80_mm_it_reads_like_a_receipt():
    lines = on_paper(receipt_bytes(CONTENT, columns=48, copy=False))
    expected = ON_48.splitlines()
    table = lines.index(expected[-2], 20) + 1
    assert lines[:table] == expected[:-1]
    assert [row.split() for row in lines[table : table + 4]] == [
        ["Net", "VAT", "Gross"],
        ["A", "20%", "23.33", "4.67", "28.00"],
        ["B", "0%", "6.10", "0.00", "6.10"],
        ["All", "29.43", "4.67", "34.10"],
    ]
    assert [line.strip() for line in lines[table + 4 :]] == [
        "",
        "This is a VAT invoice.",
        "The service charge is optional and bears no VAT.",
        "Thank you for your visit",
    ]


def test_on_58_mm_long_names_wrap():
    rows = [row.text for row in receipt_rows(CONTENT, columns=32, copy=False)]
    first = rows.index("2 Burger                 28.00 A")
    table = rows.index("-" * 32, first + 8)
    assert rows[first : table + 1] == ON_32.splitlines()[:-4]
    assert [row.split() for row in rows[table + 1 : table + 5]] == [
        row.split() for row in ON_32.splitlines()[-4:]
    ]
    assert {len(row) for row in rows[table + 2 : table + 5]} <= set(range(20, 33))


@pytest.mark.parametrize("columns", [32, 42, 48])
def test_nothing_is_wider_than_the_paper(columns):
    wide = {**CONTENT, "currency": "KWD", "total_minor": 123_456_789_012}
    wide["taxes"] = [{**tax, "gross_minor": 10**12} for tax in CONTENT["taxes"]]
    wide["seller"] = {**CONTENT["seller"], "name": "A restaurant whose name is longer than any paper is wide"}
    for content in (CONTENT, wide):
        assert max(len(row.text) for row in receipt_rows(content, columns=columns, copy=True)) <= columns


def test_a_copy_says_so_twice_and_an_original_never():
    original = on_paper(receipt_bytes(CONTENT, columns=48, copy=False))
    copied = on_paper(receipt_bytes(CONTENT, columns=48, copy=True))
    assert [line for line in original if "COPY" in line] == []
    assert [line.strip() for line in copied if "COPY" in line] == ["COPY", "COPY"]
    assert [line for line in copied if "COPY" not in line] == original


def test_the_drawer_opens_for_cash_and_never_for_a_copy():
    card = {**CONTENT, "payments": CONTENT["payments"][:1]}
    kick = b"\x1bp\x00\x19\xfa"
    assert receipt_bytes(CONTENT, columns=48, copy=False, drawer=True).count(kick) == 1
    for content, copy, drawer in [(CONTENT, True, True), (card, False, True), (CONTENT, False, False)]:
        assert b"\x1bp" not in receipt_bytes(content, columns=48, copy=copy, drawer=drawer)


@pytest.mark.parametrize(
    ("text", "shown", "pages"),
    [
        ("£ € é ü ñ Å œ", "£ € é ü ñ Å œ", [16]),
        ("Żółty Łódź", "Żółty Łódź", [16, 18]),
        ("Ελιά", "Ελια", [16, 14, 16, 14]),
        ("e\u0301", "é", [16]),
        ("寿司 \u202esushi", "?? sushi", [16]),
    ],
)
def test_each_character_is_the_one_on_paper(text, shown, pages):
    content = {**CONTENT, "seller": {**SELLER, "name": text, "address": "", "phone": "", "vat_number": ""}}
    printed = receipt_bytes(content, columns=48, copy=False)
    assert on_paper(printed)[0].strip() == shown
    if len(pages) < 3:
        assert [command[2] for command in commands_of(printed) if command[:2] == b"\x1bt"][
            : len(pages)
        ] == pages


@given(st.text(max_size=60))
def test_whatever_a_guest_is_called_the_bytes_can_be_printed(name):
    content = {**CONTENT, "order": {**CONTENT["order"], "customer_name": name}}
    lines = on_paper(receipt_bytes(content, columns=32, copy=False))
    assert max(map(len, lines)) <= 48


def test_the_commands_are_those_of_python_escpos():
    """An independent implementation sends the same bytes for the same purposes."""
    printed = receipt_bytes(CONTENT, columns=48, copy=False, drawer=True)
    printer = Dummy()
    printer.hw("INIT")
    assert printed.startswith(printer.output)
    assert HW_INIT == b"\x1b@"
    assert CD_KICK_2[:3] == b"\x1bp\x00" == printed[printed.index(b"\x1bp") :][:3]
    assert CODEPAGE_CHANGE == b"\x1bt"
    western = Dummy()
    western.charcode("CP1252")
    assert western.output == b"\x1bt\x10"
    assert printed[:5] == b"\x1b@\x1bt\x10"
    bold = Dummy(profile="TM-T88V")
    bold.set(bold=True)
    assert bold.output == b"\x1bE\x01"
    assert bold.output in printed


# The endpoint


@pytest.fixture
def restaurant():
    return factories.make_restaurant("The Copper Pot", **SELLER)


def printed_at(till: ApiClient, order: dict, query: str = ""):
    path = f"orders/{order['id']}/receipt/escpos{query}"
    return till.get(path, Accept="application/octet-stream")


def test_the_first_print_is_the_receipt_and_the_next_a_copy(restaurant, till, scene):
    closed = paid_and_closed(till, scene.order(scene.burger(2, "Bacon")), tendered_minor=5000)
    first = printed_at(till, closed, "?columns=32&drawer=true")
    assert (first.status_code, first["Content-Type"]) == (200, "application/octet-stream")
    assert first["Cache-Control"] == "no-store"
    content = {key: value for key, value in closed["receipt"].items() if key != "order_id"}
    assert first.content == receipt_bytes(content, columns=32, copy=False, drawer=True)
    again = printed_at(till, closed)
    assert again.content == receipt_bytes(content, columns=48, copy=True)
    page = till.get(f"orders/{closed['id']}/receipt/print", Accept="text/html").content.decode()
    assert page.count(">Copy<") == 2


def test_what_cannot_be_printed_is_refused(restaurant, till, scene):
    closed = paid_and_closed(till, scene.order(scene.burger()))
    bill = till.post("orders", scene.order(scene.burger())).json()
    before = everything(restaurant)
    refused(printed_at(till, bill), 404, "no_receipt")
    for query in ("?columns=20", "?columns=x", "?paper=80"):
        assert printed_at(till, closed, query).status_code == 400
    assert everything(restaurant) == before


def test_a_stranger_prints_nothing_here(restaurant, other_restaurant, stranger, till, scene, cook):
    closed = paid_and_closed(till, scene.order(scene.burger()))
    before = everything(restaurant)
    refused(printed_at(ApiClient(stranger, restaurant_id=restaurant.pk), closed), 403, "wrong_restaurant")
    refused(printed_at(ApiClient(stranger), closed), 404, "no_receipt")
    refused(printed_at(ApiClient(cook), closed), 403, "permission_denied")
    refused(printed_at(ApiClient(restaurant_id=restaurant.pk), closed), 401, "not_authenticated")
    assert everything(restaurant) == before
    assert look_at(other_restaurant).kinds() == []
