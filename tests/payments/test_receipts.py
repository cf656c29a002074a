"""What a receipt says, under which law, and how it is printed."""

import datetime
import re
import uuid

import pytest
from django.utils import timezone

from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments.models import Receipt
from payments.receipts import render_receipt
from restaurants.models import MenuItem, Restaurant
from tests import factories
from tests.client import ApiClient
from tests.orders.scene import look_at

from .bills import close, in_books, open_bill, paid_and_closed, pay

SELLER = {
    "address": "12 Mill Lane\nHebden Bridge\nHX7 8AA",
    "phone": "01422 555017",
    "vat_number": "GB 123 4567 82",
}


@pytest.fixture
def restaurant() -> Restaurant:
    """The Copper Pot with an address and a VAT number."""
    return factories.make_restaurant("The Copper Pot", **SELLER)


def price(restaurant: Restaurant, name: str, price_minor: int) -> None:
    with restaurant_scope(restaurant.pk):
        MenuItem.objects.filter(name=name).update(price_minor=price_minor)


def page_of(till: ApiClient, order: dict) -> str:
    answer = till.get(f"orders/{order['id']}/receipt/print", Accept="text/html")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer["Cache-Control"] == "no-store"
    return answer.content.decode()


def words(page: str) -> str:
    """The text of a page, its white space made single."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())


def test_a_receipt_says_all_of_it(restaurant, waiter, till, scene):
    body = scene.order(scene.burger(2, "Bacon"), scene.line("Lager"), table_id=scene.tables["T2"], covers=3)
    bill = open_bill(till, body)
    first = pay(till, bill, amount_minor=1000).json()
    second = pay(till, bill, tendered_minor=3000, tip_minor=200).json()
    issued = close(till, bill).json()["receipt"]
    uuid.UUID(issued.pop("id"))
    issued_at = datetime.datetime.fromisoformat(issued.pop("issued_at"))
    assert abs(timezone.now() - issued_at) < datetime.timedelta(seconds=20)
    local = datetime.datetime.fromisoformat(issued.pop("local_time"))
    assert local == issued_at.replace(tzinfo=None, microsecond=0)  # London in November
    assert issued == {
        "order_id": bill["id"],
        "number": 1,
        "is_vat_invoice": True,
        "seller": {"name": "The Copper Pot", **SELLER},
        "order": {
            "id": bill["id"],
            "number": 1,
            "kind": "dine_in",
            "table": "T2",
            "covers": 3,
            "customer_name": "",
            "served_by": waiter.name,
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
                "name": "Lager",
                "modifiers": [],
                "quantity": 1,
                "unit_price_minor": 610,
                "total_minor": 610,
                "tax_percent": "20",
                "tax_letter": "A",
            },
        ],
        "total_minor": 3410,
        "tax_minor": 568,
        "taxes": [{"letter": "A", "percent": "20", "gross_minor": 3410, "net_minor": 2842, "tax_minor": 568}],
        "service_charge": None,
        "split": None,
        "payments": [
            {
                "id": first["id"],
                "method": "cash",
                "part": "",
                "card_brand": "",
                "card_last4": "",
                "amount_minor": 1000,
                "tip_minor": 0,
                "tendered_minor": 1000,
                "change_minor": 0,
            },
            {
                "id": second["id"],
                "method": "cash",
                "part": "",
                "card_brand": "",
                "card_last4": "",
                "amount_minor": 2410,
                "tip_minor": 200,
                "tendered_minor": 3000,
                "change_minor": 390,
            },
        ],
        "tip_minor": 200,
    }


def test_vat_by_rate_sums_to_the_total(till, scene):
    body = scene.takeaway(scene.line("Cake", 3), scene.burger(7, "Cheese"), scene.line("Fries"))
    receipt = paid_and_closed(till, body)["receipt"]
    # Cake 3 x 5.95 at 0 %; 7 x 13.50 + 4.25 at 20 %: a sixth of 98.75
    assert receipt["taxes"] == [
        {"letter": "A", "percent": "20", "gross_minor": 9875, "net_minor": 8229, "tax_minor": 1646},
        {"letter": "B", "percent": "0", "gross_minor": 1785, "net_minor": 1785, "tax_minor": 0},
    ]
    assert [line["tax_letter"] for line in receipt["lines"]] == ["B", "A", "A"]
    assert sum(tax["gross_minor"] for tax in receipt["taxes"]) == receipt["total_minor"] == 11660
    assert sum(tax["tax_minor"] for tax in receipt["taxes"]) == receipt["tax_minor"]
    assert sum(line["total_minor"] for line in receipt["lines"]) == receipt["total_minor"]


def test_what_was_voided_is_not_on_it(restaurant, manager, till, scene):
    bill = open_bill(till, scene.takeaway(scene.line("Fries"), scene.line("Lager")))
    fries = bill["items"][0]["id"]
    ApiClient(manager).post(f"orders/{bill['id']}/items/{fries}/void", {"reason": "Dropped"})
    pay(till, bill)
    receipt = close(till, bill).json()["receipt"]
    assert [line["name"] for line in receipt["lines"]] == ["Lager"]
    assert receipt["total_minor"] == 610


def test_up_to_250_pounds_it_is_a_vat_invoice(restaurant, till, scene):
    price(restaurant, "Lager", 25_000)
    exactly = paid_and_closed(till, scene.takeaway(scene.line("Lager")), tip_minor=5_000)
    above = paid_and_closed(till, scene.takeaway(scene.line("Lager"), scene.line("Fries")))
    assert (exactly["receipt"]["is_vat_invoice"], above["receipt"]["is_vat_invoice"]) == (True, False)
    assert "This is a VAT invoice." in words(page_of(till, exactly))
    over = words(page_of(till, above))
    assert "This is not a VAT invoice; please ask if you need one." in over
    assert "VAT no. GB 123 4567 82" in over


def test_who_has_no_vat_number_issues_no_vat_invoice():
    plain = factories.make_restaurant("Corner Café", address="1 High Street")
    till = ApiClient(factories.staff(plain, "waiter", name="Will"))
    closed = paid_and_closed(till, look_at(plain).takeaway(look_at(plain).line("Lager")))
    assert closed["receipt"]["is_vat_invoice"] is False
    assert "VAT" not in words(page_of(till, closed))


def test_it_stays_as_issued_whatever_changes(restaurant, till, scene):
    closed = paid_and_closed(till, scene.takeaway(scene.line("Lager")))
    before = till.get(f"orders/{closed['id']}/receipt").json()
    price(restaurant, "Lager", 999)
    with restaurant_scope(restaurant.pk):
        MenuItem.objects.filter(name="Lager").update(name="Stout")
        Order.objects.filter(pk=closed["id"]).update(customer_name="Someone else")
        Restaurant.objects.filter(pk=restaurant.pk).update(name="The Tin Pot", vat_number="")
    assert till.get(f"orders/{closed['id']}/receipt").json() == before == closed["receipt"]
    assert "The Copper Pot" in words(page_of(till, closed))


def test_the_first_print_is_the_receipt_and_the_next_a_copy(restaurant, till, scene):
    closed = paid_and_closed(till, scene.takeaway(scene.line("Lager")))
    first, second, third = (page_of(till, closed) for _ in range(3))
    assert "Copy" not in words(first)
    assert words(second).count("Copy") == 2
    assert second == third
    with restaurant_scope(restaurant.pk):
        receipt = Receipt.objects.get()
        assert receipt.printed_at > receipt.issued_at
        assert (render_receipt(receipt, copy=False), render_receipt(receipt, copy=True)) == (first, second)


def test_the_page_reads_like_a_receipt(restaurant, till, scene):
    closed = paid_and_closed(
        till,
        scene.takeaway(scene.line("Cake", 3), scene.burger(1, "Bacon"), customer_name="Ada"),
        tendered_minor=4000,
        tip_minor=150,
    )
    page = page_of(till, closed)
    text = words(page)
    local = datetime.datetime.fromisoformat(closed["receipt"]["local_time"])
    served_by = closed["receipt"]["order"]["served_by"]
    for passage in [
        "The Copper Pot 12 Mill Lane Hebden Bridge HX7 8AA Tel. 01422 555017 VAT no. GB 123 4567 82",
        f"Receipt 1 Date {local.day} {local:%b %Y, %H:%M} Order 1, takeaway Customer Ada"
        f" Served by {served_by}",
        "3 Cake 5.95 each 17.85 B",
        "1 Burger Rare Bacon 14.00 A",
        "Total £31.85",
        "Paid by cash £31.85 Tip, thank you £1.50 Tendered £40.00 Change £6.65",
        "VAT included Rate Net VAT Gross A 20% 11.67 2.33 14.00 B 0% 17.85 0.00 17.85 All 29.52 2.33 31.85",
        "This is a VAT invoice.",
    ]:
        assert passage in text
    assert "style=" not in page  # the content security policy forbids it, and scripts
    assert "<script" not in page
    assert '<link rel="stylesheet" href="/static/receipts/receipt.css">' in page


@pytest.mark.parametrize(
    ("currency", "prices", "tax", "passages"),
    [
        # 1,250 yen at 20 %: 208.33 is 208; two at 425 beside it
        ("JPY", (1250, 850), (2100, 350), ["Total ¥2,100", "425 each 850", "A 20% 1,750 350 2,100"]),
        ("KWD", (1250, 850), (2100, 350), ["Total 2.100 KWD", "0.425 each 0.850", "A 20% 1.750 0.350 2.100"]),
        ("USD", (1250, 850), (2100, 350), ["Total $21.00", "4.25 each 8.50", "A 20% 17.50 3.50 21.00"]),
    ],
)
def test_currencies_of_none_and_of_three_decimals(currency, prices, tax, passages):
    place = factories.make_restaurant(f"Place of {currency}", currency=currency, **SELLER)
    till = ApiClient(factories.staff(place, "waiter", name="Will"))
    scene = look_at(place)
    closed = paid_and_closed(
        till, scene.takeaway(scene.burger(), scene.line("Fries", 2)), tendered_minor=10_000
    )
    receipt = closed["receipt"]
    assert (receipt["currency"], receipt["is_vat_invoice"]) == (currency, False)
    assert tuple(line["total_minor"] for line in receipt["lines"]) == prices
    assert (receipt["total_minor"], receipt["tax_minor"]) == tax
    assert receipt["payments"][0]["change_minor"] == 7900
    text = words(page_of(till, closed))
    for passage in passages:
        assert passage in text
    assert "VAT invoice" not in text


def test_the_time_is_the_restaurants_own():
    tokyo = factories.make_restaurant("Tokyo", currency="JPY", timezone="Asia/Tokyo")
    till = ApiClient(factories.staff(tokyo, "waiter", name="Will"))
    scene = look_at(tokyo)
    receipt = paid_and_closed(till, scene.takeaway(scene.line("Lager")))["receipt"]
    issued_at = datetime.datetime.fromisoformat(receipt["issued_at"])
    local = datetime.datetime.fromisoformat(receipt["local_time"])
    assert local - issued_at.replace(tzinfo=None, microsecond=0) == datetime.timedelta(hours=9)


def test_only_the_page_is_html(till, scene):
    closed = paid_and_closed(till, scene.takeaway(scene.line("Lager")))
    path = f"orders/{closed['id']}/receipt"
    refused = till.get(f"{path}/print", Accept="application/pdf")
    assert refused.status_code == 406
    assert till.get(path, Accept="application/json")["Content-Type"] == "application/json"
    assert "Copy" not in words(page_of(till, closed))  # what was refused was not printed


def charge_service(restaurant: Restaurant, kind: str) -> None:
    with restaurant_scope(restaurant.pk):
        Restaurant.objects.filter(pk=restaurant.pk).update(
            service_charge_kind=kind, service_charge_percent="12.5"
        )


def test_an_optional_service_charge_says_so_and_bears_no_vat(restaurant, till, scene):
    charge_service(restaurant, "optional")
    closed = paid_and_closed(till, scene.order(scene.burger(2)))
    receipt = closed["receipt"]
    assert receipt["service_charge"] == {"kind": "optional", "percent": "12.5", "amount_minor": 313}
    assert (receipt["total_minor"], receipt["tax_minor"]) == (2813, 417)
    text = words(page_of(till, closed))
    for passage in [
        "Subtotal £25.00 Optional service charge 12.5% £3.13 Total £28.13",
        "A 20% 20.83 4.17 25.00",
        "The service charge is optional and bears no VAT.",
    ]:
        assert passage in text
    assert in_books(restaurant, closed)["sale"] == {
        "receivable": 2813,
        "service_charge": -313,
        "sales:20": -2083,
        "vat:20": -417,
    }


def test_a_compulsory_service_charge_is_taxed_as_the_meal(restaurant, till, scene):
    charge_service(restaurant, "compulsory")
    closed = paid_and_closed(till, scene.order(scene.burger(2)))
    text = words(page_of(till, closed))
    assert "Subtotal £25.00 Service charge 12.5% £3.13 Total £28.13" in text
    assert "A 20% 23.44 4.69 28.13" in text
    assert "ptional" not in text
    assert in_books(restaurant, closed)["sale"] == {"receivable": 2813, "sales:20": -2344, "vat:20": -469}


def test_a_divided_bill_shows_its_parts_and_who_paid_which(restaurant, till, scene):
    bill = open_bill(till, scene.order(scene.burger(seat=1), scene.line("Lager", seat=2)))
    seen = f'"{bill["version"]}"'
    bill = till.post(f"orders/{bill['id']}/split", {"kind": "seats"}, If_Match=seen).json()
    parts = bill["split"]["parts"]
    assert pay(till, bill).json()["code"] == "part_not_named"
    for part in parts:
        assert pay(till, bill, part_id=part["id"]).status_code == 201
    assert pay(till, bill, part_id=parts[0]["id"]).json()["code"] == "amount_not_due"
    closed = close(till, bill).json()
    receipt = closed["receipt"]
    assert [(payment["part"], payment["amount_minor"]) for payment in receipt["payments"]] == [
        ("Seat 1", 1250),
        ("Seat 2", 610),
    ]
    assert receipt["split"] == {
        "kind": "seats",
        "parts": [
            {
                **{name: part[name] for name in ("id", "number", "label", "amount_minor", "items")},
                "service_charge_minor": 0,
                "taxes": [{"letter": "A", **part["tax_lines"][0]}],
            }
            for part in parts
        ],
    }
    text = words(page_of(till, closed))
    assert "Total £18.60" in text
    assert "Seat 1 £12.50 Seat 2 £6.10" in text
    assert "(Seat 1) £12.50" in text


def part_bill_of(till: ApiClient, bill: dict, part: dict) -> dict:
    answer = till.get(f"orders/{bill['id']}/parts/{part['id']}/bill")
    assert answer.status_code == 200, answer.content
    return answer.json()


def split(till: ApiClient, bill: dict, **how: object) -> dict:
    return till.post(f"orders/{bill['id']}/split", how, If_Match=f'"{bill["version"]}"').json()


def test_a_guest_sees_the_bill_of_their_part_before_paying(restaurant, waiter, till, scene):
    body = scene.order(scene.burger(seat=1), scene.line("Cake", seat=1), scene.line("Lager", seat=2))
    bill = split(till, open_bill(till, body), kind="seats")
    first, second = bill["split"]["parts"]
    shown = part_bill_of(till, bill, first)
    assert datetime.datetime.fromisoformat(shown.pop("local_time"))
    assert {name: shown.pop(name) for name in ("seller", "currency", "service_charge")} == {
        "seller": {"name": "The Copper Pot", **SELLER},
        "currency": "GBP",
        "service_charge": None,
    }
    assert shown.pop("order")["served_by"] == waiter.name
    assert shown == {
        "part": {"id": first["id"], "number": 1, "label": "Seat 1"},
        "items": first["items"],
        "total_minor": first["amount_minor"],
        "taxes": [{"letter": "A", **first["tax_lines"][0]}],
        "tax_minor": first["tax_lines"][0]["tax_minor"],
        "paid_minor": 0,
        "balance_due_minor": first["amount_minor"],
    }
    parts = [part_bill_of(till, bill, part) for part in (first, second)]
    assert sum(part["total_minor"] for part in parts) == bill["total_minor"]
    assert sum(part["tax_minor"] for part in parts) == bill["tax_minor"]
    pay(till, bill, part_id=second["id"])
    paid = part_bill_of(till, bill, second)
    assert (paid["total_minor"], paid["paid_minor"], paid["balance_due_minor"]) == (610, 610, 0)

    page = till.get(f"orders/{bill['id']}/parts/{second['id']}/bill/print", Accept="text/html")
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = words(page.content.decode())
    assert "Bill For Seat 2" in text
    assert "This is no receipt and no VAT invoice" in text
    assert "1 Lager 6.10 Total £6.10 Payments Paid £6.10 Due £0.00 VAT included" in text
    assert "A 20% 5.08 1.02 6.10" in text


def test_the_parts_of_a_bill_with_two_rates_and_a_service_charge_sum_to_it(restaurant, till, scene):
    charge_service(restaurant, "optional")
    bill = split(
        till, open_bill(till, scene.takeaway(scene.burger(), scene.line("Cake"))), kind="even", ways=3
    )
    shown = [part_bill_of(till, bill, part) for part in bill["split"]["parts"]]
    assert [part["items"] for part in shown] == [[], [], []]
    assert sum(part["total_minor"] for part in shown) == bill["total_minor"]
    for rate in bill["tax_lines"]:
        of_parts = [tax for part in shown for tax in part["taxes"] if tax["percent"] == rate["percent"]]
        for name in ("net_minor", "tax_minor", "gross_minor"):
            assert sum(tax[name] for tax in of_parts) == rate[name]
    assert {tax["letter"]: tax["percent"] for part in shown for tax in part["taxes"]} == {"A": "20", "B": "0"}
    charged = [part["service_charge"]["amount_minor"] if part["service_charge"] else 0 for part in shown]
    assert sum(charged) == bill["service_charge_minor"]
    page = till.get(f"orders/{bill['id']}/parts/{bill['split']['parts'][0]['id']}/bill/print")
    assert "Share of the bill" in words(page.content.decode())


def test_of_what_is_no_part_of_the_bill_there_is_no_bill(restaurant, till, scene, stranger, cook):
    whole = open_bill(till, scene.order(scene.burger()))
    bill = split(till, open_bill(till, scene.order(scene.burger(2))), kind="even", ways=2)
    part = bill["split"]["parts"][0]["id"]
    for order, of in ((whole["id"], part), (bill["id"], whole["id"])):
        for path in ("bill", "bill/print"):
            answer = till.get(f"orders/{order}/parts/{of}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "no_such_part")
    assert till.get(f"orders/{part}/parts/{part}/bill").json()["code"] == "no_such_order"
    assert ApiClient(stranger).get(f"orders/{bill['id']}/parts/{part}/bill").status_code == 404
    assert ApiClient(cook).get(f"orders/{bill['id']}/parts/{part}/bill").status_code == 403
