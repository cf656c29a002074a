"""Dividing a bill: the parts are the bill, to the penny, and each is paid once."""

import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.db import IntegrityError
from hypothesis import given
from hypothesis import strategies as st

from fynlo.errors import DomainError
from fynlo.tenancy.scope import restaurant_scope
from orders.models import BillPart, BillSplit, Order
from orders.pricing import service_charge, tax_lines
from orders.services import money
from orders.splits import (
    Bill,
    Line,
    Part,
    split_by_amounts,
    split_by_items,
    split_by_seats,
    split_evenly,
)
from tests.orders.scene import at_once, new_id, refused
from tests.orders.test_service_charge import charge

# Without a database: any bill, any way


@st.composite
def bills(draw: Any) -> Bill:
    """A bill of up to eight lines at four rates, with no, an optional or a compulsory service charge.

    Prices from 0 to those of yen and dinars.
    """
    lines = []
    for n in range(draw(st.integers(1, 8))):
        quantity, price = draw(st.integers(1, 7)), draw(st.integers(0, 60_000))
        percent = Decimal(draw(st.sampled_from(["0", "5", "12.5", "20"])))
        seat = draw(st.none() | st.integers(1, 5))
        lines.append(Line(str(n), f"Dish {n}", quantity, quantity * price, percent, seat))
    items = sum(line.total_minor for line in lines)
    kind, percent = draw(st.sampled_from(["none", "optional", "compulsory"])), draw(st.integers(0, 5000))
    amount = 0 if kind == "none" else service_charge(items, Decimal(percent) / 100)
    taxes = tax_lines(
        ((line.percent, line.total_minor) for line in lines),
        charge_minor=amount if kind == "compulsory" else 0,
    )
    return Bill(items + amount, taxes, amount, lines)


def by_rate(tax_lines_of: list[list[Any]]) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for line in (line for lines in tax_lines_of for line in lines):
        gross, net, tax = found.get(line["percent"], (0, 0, 0))
        sums = (gross + line["gross_minor"], net + line["net_minor"], tax + line["tax_minor"])
        found[line["percent"]] = sums
    return {percent: sums for percent, sums in found.items() if any(sums)}


def is_the_bill(bill: Bill, parts: list[Part]) -> None:
    """The parts sum to the bill in everything, and each is sound in itself."""
    assert sum(part.amount_minor for part in parts) == bill.total_minor
    assert sum(part.service_charge_minor for part in parts) == bill.service_charge_minor
    assert by_rate([part.tax_lines for part in parts]) == by_rate([bill.tax_lines])
    for part in parts:
        is_sound(bill, part)


def is_sound(bill: Bill, part: Part) -> None:
    assert part.amount_minor >= 0
    assert 0 <= part.service_charge_minor <= part.amount_minor
    untaxed = part.service_charge_minor if bill.untaxed_minor else 0
    assert sum(line["gross_minor"] for line in part.tax_lines) + untaxed == part.amount_minor
    for line in part.tax_lines:
        assert line["net_minor"] + line["tax_minor"] == line["gross_minor"]
        assert min(line["net_minor"], line["tax_minor"]) >= 0
    assert len(part.label) <= 40


def items_are_the_lines(bill: Bill, parts: list[Part]) -> None:
    """What the parts list is each line in full, in quantity and in price."""
    for line in bill.lines:
        entries = [item for part in parts for item in part.items if item["item_id"] == line.item_id]
        assert sum(Fraction(entry["quantity"]) for entry in entries) == line.quantity
        assert sum(entry["total_minor"] for entry in entries) == line.total_minor
        for entry in entries:
            exact = Fraction(line.total_minor, line.quantity) * Fraction(entry["quantity"])
            assert abs(entry["total_minor"] - exact) < 1


@given(bills().filter(lambda bill: bill.total_minor), st.integers(2, 50))
def test_even_parts_are_the_bill(bill, ways):
    parts = split_evenly(bill, bill.total_minor, ways)
    is_the_bill(bill, parts)
    amounts = [part.amount_minor for part in parts]
    assert len(parts) == ways
    assert max(amounts) - min(amounts) <= 1


@given(bills().filter(lambda bill: bill.total_minor), st.data())
def test_amounts_and_the_rest_are_the_bill(bill, data):
    left, amounts = bill.total_minor, []
    for _ in range(data.draw(st.integers(1, 6))):
        if left:
            amounts.append(data.draw(st.integers(1, left)))
            left -= amounts[-1]
    parts = split_by_amounts(bill, bill.total_minor, amounts)
    is_the_bill(bill, parts)
    assert [part.amount_minor for part in parts] == amounts + [left] * bool(left)


@given(bills().filter(lambda bill: bill.total_minor), st.integers(2, 9), st.data())
def test_what_is_still_due_is_divided_with_its_share_of_the_tax(bill, ways, data):
    due = data.draw(st.integers(1, bill.total_minor))
    parts = split_evenly(bill, due, ways)
    assert sum(part.amount_minor for part in parts) == due
    whole = by_rate([bill.tax_lines])
    for percent, sums in by_rate([part.tax_lines for part in parts]).items():
        assert all(of_parts <= of_bill for of_parts, of_bill in zip(sums, whole[percent], strict=True))
    for part in parts:
        is_sound(bill, part)


@given(bills(), st.integers(2, 6), st.data())
def test_parts_of_items_are_the_bill(bill, count, data):
    claims: list[list[Any]] = [[] for _ in range(count)]
    for line in bill.lines:
        left = line.quantity
        sharers = data.draw(st.sets(st.integers(0, count - 1)))
        for n in range(count):
            if n in sharers:
                continue
            last = n == max(set(range(count)) - sharers) and not sharers
            taken = left if last else data.draw(st.integers(0, left - bool(sharers)))
            if taken:
                claims[n].append({"item_id": line.item_id, "quantity": taken})
                left -= taken
        for n in sharers:
            claims[n].append({"item_id": line.item_id, "quantity": None})
    parts = split_by_items(bill, claims)
    is_the_bill(bill, parts)
    items_are_the_lines(bill, parts)


@given(bills(), st.permutations(range(1, 6)), st.integers(1, 4))
def test_seats_are_the_bill(bill, seats, cut):
    parts = split_by_seats(bill, [seats[:cut], seats[cut:]])
    is_the_bill(bill, parts)
    items_are_the_lines(bill, parts)
    used = {line.seat for line in bill.lines} - {None}
    if len(used) > 1:
        parts = split_by_seats(bill)
        is_the_bill(bill, parts)
        items_are_the_lines(bill, parts)
        assert [part.seat for part in parts] == sorted(used)


@pytest.mark.parametrize("ways", [3, 7])
def test_a_part_is_within_a_penny_of_its_proportion_of_each_rate(ways):
    lines = [Line("a", "A", 1, 1000, Decimal(20), None), Line("b", "B", 1, 501, Decimal(0), None)]
    bill = Bill(1501, tax_lines((line.percent, line.total_minor) for line in lines), 0, lines)
    for part in split_evenly(bill, 1501, ways):
        for line, gross in zip(part.tax_lines, (1000, 501), strict=True):
            assert abs(Fraction(gross, ways) - line["gross_minor"]) < 1


# At the till


@pytest.fixture
def bill(scene, till) -> dict:
    """Seat 1: a burger of 12.50; seat 2: two lagers of 6.10; for the table: fries of 4.25. 28.95 in all."""
    lines = [scene.burger(seat=1), scene.line("Lager", 2, seat=2), scene.line("Fries")]
    return till.post("orders", scene.order(*lines, send=True)).json()


def split(client, order: dict, kind: str, **body: Any):
    seen = f'"{order["version"]}"'
    return client.post(f"orders/{order['id']}/split", {"kind": kind, **body}, If_Match=seen)


def unsplit(client, order: dict):
    return client.delete(f"orders/{order['id']}/split", If_Match=f'"{order["version"]}"')


def parts_of(order: dict) -> list[dict]:
    return order["split"]["parts"]


def amounts(order: dict) -> list[int]:
    return [part["amount_minor"] for part in parts_of(order)]


def do(scene, service, *args: Any, **kwargs: Any) -> Any:
    with restaurant_scope(scene.restaurant.pk):
        return service(*args, **kwargs)


def take(scene, order: dict, amount: int, part: dict | None = None) -> None:
    """Have payments take this much of a part."""
    part_id = uuid.UUID(part["id"]) if part else None
    do(scene, money.reserve, uuid.UUID(order["id"]), amount, part_id=part_id)
    taken = {"reserved_minor": amount, "captured_minor": amount, "part_id": part_id}
    do(scene, money.settle, uuid.UUID(order["id"]), **taken)


def split_rows(scene) -> tuple[int, int]:
    with restaurant_scope(scene.restaurant.pk):
        return BillSplit.objects.count(), BillPart.objects.count()


def test_a_bill_is_split_evenly(scene, till, bill):
    answer = split(till, bill, "even", ways=2)
    assert answer.status_code == 200, answer.content
    assert answer["ETag"] == f'"{bill["version"] + 1}"'
    order = answer.json()
    for part in parts_of(order):
        uuid.UUID(part.pop("id"))
    common = {
        "seat": None,
        "service_charge_minor": 0,
        "items": [],
        "reserved_minor": 0,
        "captured_minor": 0,
        "refunded_minor": 0,
    }
    # 28.95 holds VAT of 4.825, rounded up: 4.83
    first = {"percent": "20", "gross_minor": 1448, "net_minor": 1206, "tax_minor": 242}
    second = {"percent": "20", "gross_minor": 1447, "net_minor": 1206, "tax_minor": 241}
    assert order["split"] == {
        "kind": "even",
        "total_minor": 2895,
        "parts": [
            {
                "number": 1,
                "label": "1 of 2",
                "amount_minor": 1448,
                "balance_due_minor": 1448,
                "tax_lines": [first],
                **common,
            },
            {
                "number": 2,
                "label": "2 of 2",
                "amount_minor": 1447,
                "balance_due_minor": 1447,
                "tax_lines": [second],
                **common,
            },
        ],
    }
    event = scene.events()[-1]
    assert event.kind == "order.split"
    assert event.payload == scene.stored(order["id"]) == till.get(f"orders/{order['id']}").json()
    assert till.get("orders").json()["results"] == [event.payload]


def test_by_amounts_the_rest_is_a_last_part(scene, till, bill):
    order = split(till, bill, "amounts", amounts=[1000, 500]).json()
    assert [(part["label"], part["amount_minor"]) for part in parts_of(order)] == [
        ("Part 1", 1000),
        ("Part 2", 500),
        ("Rest", 1395),
    ]
    again = split(till, order, "amounts", amounts=[2000, 895]).json()
    assert amounts(again) == [2000, 895]
    assert split_rows(scene) == (1, 2)


def test_by_item_each_pays_what_was_had_and_shares_the_rest(scene, till, bill):
    burger, lager, fries = (item["id"] for item in bill["items"])
    parts = [
        [{"item_id": burger, "quantity": 1}, {"item_id": fries}],
        [{"item_id": lager, "quantity": 1}, {"item_id": fries}],
        [{"item_id": lager, "quantity": 1}],
    ]
    order = split(till, bill, "items", parts=parts).json()
    assert amounts(order) == [1250 + 213, 610 + 212, 610]
    assert parts_of(order)[1]["items"] == [
        {"item_id": lager, "name": "Lager", "quantity": "1", "total_minor": 610},
        {"item_id": fries, "name": "Fries", "quantity": "1/2", "total_minor": 212},
    ]
    assert sum(line["tax_minor"] for part in parts_of(order) for line in part["tax_lines"]) == 483


def test_by_seat_what_was_for_the_table_is_shared(scene, till, bill):
    order = split(till, bill, "seats").json()
    assert [(part["label"], part["seat"], part["amount_minor"]) for part in parts_of(order)] == [
        ("Seat 1", 1, 1250 + 213),
        ("Seat 2", 2, 1220 + 212),
    ]
    # A third guest had nothing but fries; two of them pay together.
    order = split(till, order, "seats", seats=[[1, 3], [2]]).json()
    assert [(part["label"], part["seat"], part["amount_minor"]) for part in parts_of(order)] == [
        ("Seats 1, 3", None, 1250 + 283),
        ("Seat 2", 2, 1220 + 142),
    ]


@pytest.mark.parametrize(("kind", "tax"), [("optional", 483), ("compulsory", 531)])
def test_the_service_charge_is_shared_in_proportion(scene, till, kind, tax):
    charge(scene, kind, "10")
    lines = [scene.burger(seat=1), scene.line("Lager", 2, seat=2), scene.line("Fries")]
    bill = till.post("orders", scene.order(*lines)).json()
    order = split(till, bill, "seats").json()
    # 10 % of 14.63 and of 14.32, 2.90 in all
    assert [(p["service_charge_minor"], p["amount_minor"]) for p in parts_of(order)] == [
        (147, 1610),
        (143, 1575),
    ]
    assert order["tax_minor"] == tax
    assert sum(line["tax_minor"] for part in parts_of(order) for line in part["tax_lines"]) == tax


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("even", {}, "ways"),
        ("even", {"ways": 1}, "ways"),
        ("even", {"ways": 51}, "ways"),
        ("even", {"ways": 2, "amounts": [1]}, "amounts"),
        ("amounts", {"amounts": []}, "amounts"),
        ("amounts", {"amounts": [0]}, "amounts.0"),
        ("items", {"parts": [[], []]}, "parts.0"),
        ("items", {"parts": [[{"item_id": new_id(), "quantity": 0}]]}, "parts.0.0.quantity"),
        ("seats", {"seats": [[1]]}, "seats"),
        ("halves", {}, "kind"),
    ],
)
def test_what_cannot_be_read_is_refused(scene, till, bill, kind, body, field):
    with scene.nothing_changes():
        problem = refused(split(till, bill, kind, **body), 400, "invalid")
        assert problem["errors"][0]["field"] == field


def test_parts_that_are_not_the_bill_are_refused(scene, till, bill):
    burger, lager, fries = (item["id"] for item in bill["items"])

    def claim(item_id: str, quantity: int | None = None) -> dict:
        return {"item_id": item_id, "quantity": quantity}

    others = [claim(burger), claim(fries)]
    with scene.nothing_changes():
        for parts in [
            [others, [claim(lager, 1)]],  # one lager is nobody's
            [others, [claim(lager, 3)]],
            [others, [claim(lager, 2)], [claim(lager)]],  # nothing is left to share
            [others, [claim(lager, 1), claim(lager, 1)]],
            [others, [claim(lager)], [claim(new_id())]],
        ]:
            refused(split(till, bill, "items", parts=parts), 422, "cannot_split")
        for seats in [[[1], [3]], [[1], [2, 1]], [[1, 2], [2]]]:
            refused(split(till, bill, "seats", seats=seats), 422, "cannot_split", "seats")
        refused(split(till, bill, "amounts", amounts=[2000, 896]), 422, "cannot_split", "amounts")
        seen = {"If_Match": f'"{bill["version"] + 5}"'}
        path = f"orders/{bill['id']}/split"
        refused(till.post(path, {"kind": "seats"}, **seen), 412, "version_changed")
        refused(till.post(path, {"kind": "seats"}), 428, "version_required")
        refused(till.delete(path), 428, "version_required")
        refused(unsplit(till, bill), 409, "not_split")
    empty = till.post("orders", scene.order()).json()
    refused(split(till, empty, "even", ways=2), 409, "nothing_to_split")


# Money


def test_a_payment_names_the_part_it_pays_and_takes_no_more(scene, till, bill):
    order = split(till, bill, "even", ways=2).json()
    order_id, first = uuid.UUID(order["id"]), parts_of(order)[0]
    part_id = uuid.UUID(first["id"])

    def refusal(amount: int, part: uuid.UUID | None) -> tuple[str, dict]:
        with pytest.raises(DomainError) as caught:
            do(scene, money.reserve, order_id, amount, part_id=part)
        return caught.value.code, caught.value.extra

    with scene.nothing_changes():
        assert refusal(100, None) == ("part_not_named", {})
        assert refusal(100, uuid.uuid4()) == ("no_such_part", {})
        assert refusal(1449, part_id) == ("amount_not_due", {"balance_due_minor": 1448})
    do(scene, money.reserve, order_id, 1000, part_id=part_id)
    assert refusal(449, part_id) == ("amount_not_due", {"balance_due_minor": 448})
    do(scene, money.release, order_id, 1000, part_id=part_id)
    take(scene, order, 1448, first)
    assert refusal(1, part_id) == ("amount_not_due", {"balance_due_minor": 0})
    stored = scene.stored(order["id"])
    assert (stored["captured_minor"], stored["reserved_minor"]) == (1448, 0)
    assert [part["balance_due_minor"] for part in parts_of(stored)] == [0, 1447]
    do(scene, money.record_refund, order_id, amount_minor=48, part_id=part_id)
    stored = scene.stored(order["id"])
    assert (stored["refunded_minor"], stored["balance_due_minor"]) == (48, 1495)
    assert [part["balance_due_minor"] for part in parts_of(stored)] == [48, 1447]


def test_two_tills_do_not_pay_one_part_twice(scene, till, bill):
    order = split(till, bill, "even", ways=3).json()
    part_id = uuid.UUID(parts_of(order)[1]["id"])

    def pay() -> str:
        try:
            do(scene, money.reserve, uuid.UUID(order["id"]), 965, part_id=part_id)
        except DomainError as error:
            return error.code
        return "reserved"

    assert sorted(at_once(*[pay] * 6)) == ["amount_not_due"] * 5 + ["reserved"]
    stored = scene.stored(order["id"])
    assert stored["reserved_minor"] == 965
    assert [part["reserved_minor"] for part in parts_of(stored)] == [0, 965, 0]


def test_a_fact_about_a_part_that_is_gone_is_still_recorded(scene, till, bill):
    order = split(till, bill, "even", ways=2).json()
    gone = uuid.UUID(parts_of(order)[0]["id"])
    unsplit(till, order)
    late = {"reserved_minor": 0, "captured_minor": 1448, "part_id": gone}
    do(scene, money.settle, uuid.UUID(order["id"]), **late)
    do(scene, money.record_refund, uuid.UUID(order["id"]), amount_minor=8, part_id=gone)
    assert scene.stored(order["id"])["paid_minor"] == 1440


def test_what_was_paid_of_a_part_stays_paid_when_the_split_is_undone(scene, till, bill):
    order = split(till, bill, "even", ways=2).json()
    take(scene, order, 1448, parts_of(order)[0])
    answer = unsplit(till, scene.stored(order["id"]))
    assert answer.status_code == 200
    undone = answer.json()
    assert (undone["split"], undone["balance_due_minor"]) == (None, 1447)
    assert answer["ETag"] == f'"{undone["version"]}"'
    assert split_rows(scene) == (0, 0)
    event = scene.events()[-1]
    assert (event.kind, event.payload) == ("order.unsplit", undone)
    # What is still due is split again; by seat it cannot be.
    with scene.nothing_changes():
        refused(split(till, undone, "seats"), 409, "bill_is_split")
    assert amounts(split(till, undone, "even", ways=3).json()) == [483, 482, 482]


def test_nothing_is_split_or_undone_while_a_payment_is_under_way(scene, till, bill):
    do(scene, money.reserve, uuid.UUID(bill["id"]), 100)
    bill = scene.stored(bill["id"])
    with scene.nothing_changes():
        refused(split(till, bill, "even", ways=2), 409, "money_reserved")
    do(scene, money.release, uuid.UUID(bill["id"]), 100)
    order = split(till, scene.stored(bill["id"]), "even", ways=2).json()
    part_id = uuid.UUID(parts_of(order)[0]["id"])
    do(scene, money.reserve, uuid.UUID(bill["id"]), 100, part_id=part_id)
    with scene.nothing_changes():
        refused(unsplit(till, scene.stored(bill["id"])), 409, "money_reserved")


def edits(scene, order: dict) -> list[tuple[str, str, Any]]:
    """Whatever changes what is to be paid."""
    path = f"orders/{order['id']}"
    return [
        ("POST", f"{path}/items", {"items": [scene.line("Fries")]}),
        ("POST", f"{path}/items/{order['items'][0]['id']}/void", {"reason": "Cold"}),
        ("PATCH", f"{path}/service-charge", {"percent": "10"}),
        ("PATCH", path, {"kind": "takeaway"}),
    ]


def test_a_change_of_the_bill_undoes_its_split(scene, office, bill):
    for n in range(4):
        order = split(office, scene.stored(bill["id"]), "even", ways=2).json()
        method, path, body = edits(scene, order)[n]
        answer = office.request(method, path, body, If_Match=f'"{order["version"]}"')
        assert answer.status_code in (200, 201), answer.content
        assert answer.json()["split"] is None
        assert scene.stored(bill["id"]) == answer.json()
        assert split_rows(scene) == (0, 0)


def test_a_change_of_the_bill_is_refused_once_a_part_is_paid(scene, office, bill):
    order = split(office, bill, "amounts", amounts=[100]).json()
    take(scene, order, 100, parts_of(order)[0])
    order = scene.stored(bill["id"])
    with scene.nothing_changes():
        for method, path, body in edits(scene, order):
            answer = office.request(method, path, body, If_Match=f'"{order["version"]}"')
            refused(answer, 409, "bill_is_split")
    assert split_rows(scene) == (1, 2)


def test_what_is_not_on_the_bill_leaves_the_split_alone(scene, till):
    bill = till.post("orders", scene.order(scene.burger(), scene.line("Lager"))).json()
    order = split(till, bill, "even", ways=2).json()
    shown = order["split"]
    path = f"orders/{order['id']}"

    def seen() -> dict[str, str]:
        return {"If_Match": f'"{scene.stored(order["id"])["version"]}"'}

    till.patch(path, {"covers": 4, "note": "at the window"}, **seen())
    till.patch(f"{path}/items/{order['items'][0]['id']}", {"note": "no salt"}, **seen())
    till.post(f"{path}/send", {})
    assert scene.stored(order["id"])["split"] == shown
    till.patch(f"{path}", {"table_id": scene.tables["T2"]}, **seen())
    assert scene.stored(order["id"])["split"] == shown


def test_a_split_bill_is_voided_whole_and_closed_with_its_parts(scene, till, office, bill):
    order = split(till, bill, "even", ways=2).json()
    voided = office.post(f"orders/{order['id']}/void", {"reason": "x"}).json()
    assert (voided["status"], voided["split"]) == ("voided", None)
    other = till.post("orders", scene.order(scene.burger(), send=True)).json()
    other = split(till, other, "even", ways=2).json()
    for part in parts_of(other):
        take(scene, other, part["amount_minor"], part)
    with restaurant_scope(scene.restaurant.pk):
        stored = Order.objects.get(pk=other["id"])
        assert (stored.is_split, stored.balance_due_minor) == (True, 0)


def test_the_database_refuses_parts_that_do_not_sum_up(scene, till, bill):
    order = split(till, bill, "even", ways=2).json()
    with pytest.raises(IntegrityError, match="differ from it by 1"), restaurant_scope(scene.restaurant.pk):
        BillPart.objects.filter(pk=parts_of(order)[0]["id"]).update(amount_minor=1449)
