"""A receipt for a printer: the lines that come out of it, and the commands around them."""

import pytest

from payments.escpos import receipt_rows
from tests.client import ApiClient
from tests.orders.scene import refused
from tests.payments.bills import close, everything, open_bill, paid_and_closed, pay

CUT = b"\x1dV\x00"
OPEN_DRAWER = b"\x1bp"


def printed(till, bill, query=""):
    answer = till.get(f"orders/{bill['id']}/receipt/escpos{query}")
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"] == "application/octet-stream"
    return answer.content


def rows(receipt, columns, copy=False):
    return [row.text for row in receipt_rows(receipt, columns=columns, copy=copy)]


@pytest.fixture
def closed(till, scene):
    """Two burgers with bacon and a cake, paid with £50 in cash."""
    return paid_and_closed(
        till, scene.takeaway(scene.burger(2, "Bacon"), scene.line("Cake")), tendered_minor=5000
    )


def test_the_lines_of_80_mm(closed):
    lines = rows(closed["receipt"], 48)
    assert "2 Burger                                 28.00 A" in lines
    assert "1 Cake                                    5.95 B" in lines
    assert "TOTAL                                     £33.95" in lines
    assert "Paid by cash                              £33.95" in lines
    assert "Change                                    £16.05" in lines
    assert ["A", "20%", "23.33", "4.67", "28.00"] in [line.split() for line in lines]
    assert max(len(line) for line in lines) <= 48


def test_58_mm_keeps_within_its_32_columns(closed):
    lines = rows(closed["receipt"], 32)
    assert max(len(line) for line in lines) <= 32
    assert "TOTAL                     £33.95" in lines


def test_a_long_name_goes_on_below(closed):
    receipt = closed["receipt"]
    receipt["lines"][0]["name"] = "Slow-cooked shoulder of lamb with rosemary and garlic potatoes"
    lines = rows(receipt, 32)
    at = next(n for n, line in enumerate(lines) if line.startswith("2 Slow-cooked"))
    assert lines[at].endswith("28.00 A")
    assert lines[at + 1].startswith("  ")


def test_bytes_with_the_pound_and_accents(till, closed, restaurant):
    paper = printed(till, closed)
    assert paper.endswith(CUT)
    assert b"TOTAL" in paper
    assert b"\x9c33.95" in paper  # the pound sign of code page 437, which every printer starts in
    assert b"COPY" not in paper
    assert OPEN_DRAWER not in paper


def test_printed_again_it_is_a_copy(till, closed):
    assert b"COPY" not in printed(till, closed)
    assert printed(till, closed).count(b"COPY") == 2


def test_the_drawer_opens_for_cash_and_never_for_a_copy(till, closed):
    assert OPEN_DRAWER in printed(till, closed, "?drawer=true&columns=32")
    assert OPEN_DRAWER not in printed(till, closed, "?drawer=true")


def test_no_receipt_no_paper(till, scene, restaurant):
    bill = open_bill(till, scene.takeaway(scene.line("Fries")))
    answer = till.get(f"orders/{bill['id']}/receipt/escpos")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_receipt")
    pay(till, bill)
    close(till, bill)
    answer = till.get(f"orders/{bill['id']}/receipt/escpos?columns=7")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "columns")
    assert till.get(f"orders/{bill['id']}/receipt/escpos").content.count(b"COPY") == 0


@pytest.mark.parametrize("columns", [32, 42, 48])
def test_nothing_is_wider_than_the_paper(closed, columns):
    receipt = {**closed["receipt"], "currency": "KWD"}
    receipt["taxes"] = [{**tax, "gross_minor": 10**12} for tax in receipt["taxes"]]
    receipt["seller"]["name"] = "A restaurant whose name is longer than any paper is wide"
    receipt["order"]["customer_name"] = "x" * 80
    assert max(len(line) for line in rows(receipt, columns, copy=True)) <= columns


def test_a_stranger_prints_nothing_here(restaurant, stranger, cook, till, closed):
    before = everything(restaurant)
    path = f"orders/{closed['id']}/receipt/escpos"
    for client, status, code in [
        (ApiClient(stranger, restaurant_id=restaurant.pk), 403, "wrong_restaurant"),
        (ApiClient(stranger), 404, "no_receipt"),
        (ApiClient(cook), 403, "permission_denied"),
        (ApiClient(restaurant_id=restaurant.pk), 401, "not_authenticated"),
    ]:
        refused(client.get(path), status, code)
    assert everything(restaurant) == before
