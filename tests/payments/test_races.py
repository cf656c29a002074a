"""Many tills at once take exactly what is due, and number receipts without gaps."""

import collections
import itertools

import pytest

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import LedgerTransaction, PaymentIntent, Receipt
from restaurants.models import Counter
from tests import factories
from tests.client import ApiClient

from .bills import all_at_once, close, in_books, kinds_of_events, open_bill, paid_and_closed, patiently, pay


@pytest.fixture
def tills(restaurant):
    return [ApiClient(factories.staff(restaurant, "waiter", name=f"Waiter {n}")) for n in range(16)]


@pytest.fixture(autouse=True)
def _made_before_the_threads(waiter, manager, stranger):
    """Sign-ins switch the login of the connection for a moment, so they come first."""


def payments_of(restaurant, bill):
    with restaurant_scope(restaurant.pk):
        return list(PaymentIntent.objects.filter(order=bill["id"]).values_list("amount_minor", flat=True))


def test_of_sixteen_tills_paying_one_bill_one_does(restaurant, tills, scene):
    for _ in range(4):
        bill = open_bill(tills[0], scene.takeaway(scene.burger(), scene.line("Lager")))
        answers = all_at_once(16, lambda n, bill=bill: pay(tills[n], bill, tendered_minor=2000))
        counted = collections.Counter((answer.status_code, answer.json().get("code")) for answer in answers)
        assert counted == {(201, None): 1, (409, "amount_not_due"): 15}
        assert payments_of(restaurant, bill) == [1860]
        assert in_books(restaurant, bill) == {"capture": {"cash": 1860, "receivable": -1860}}
    assert kinds_of_events(restaurant, "payment.") == ["payment.captured"] * 4


def test_sixteen_parts_of_a_bill_for_ten_take_ten(restaurant, tills, scene):
    bill = open_bill(tills[0], scene.takeaway(scene.burger(2)))  # 25.00
    answers = all_at_once(16, lambda n: pay(tills[n], bill, amount_minor=250))
    assert collections.Counter(answer.status_code for answer in answers) == {201: 10, 409: 6}
    balances = sorted(a.json()["balance_due_minor"] for a in answers if a.status_code == 201)
    assert balances == list(range(0, 2500, 250))
    assert payments_of(restaurant, bill) == [250] * 10


def test_parts_that_do_not_fit_leave_the_rest_due(restaurant, tills, scene):
    bill = open_bill(tills[0], scene.takeaway(scene.burger(8)))  # 100.00, and 60.00 of it fits once
    answers = all_at_once(16, lambda n: pay(tills[n], bill, amount_minor=6000))
    assert collections.Counter(answer.status_code for answer in answers) == {201: 1, 409: 15}
    assert {a.json()["balance_due_minor"] for a in answers} == {4000}


def test_eight_taps_are_one_payment(restaurant, tills, scene):
    for _ in range(3):
        bill = open_bill(tills[0], scene.takeaway(scene.burger(2)))
        tap = str(uuid7())
        answers = all_at_once(8, lambda n, bill=bill, tap=tap: pay(tills[n], bill, id=tap, amount_minor=1000))
        assert collections.Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
        assert len({answer.content for answer in answers}) == 1
        assert payments_of(restaurant, bill) == [1000]


def test_eight_sendings_of_one_request_are_one_payment(restaurant, tills, scene):
    bill = open_bill(tills[0], scene.takeaway(scene.burger(2)))
    tap = str(uuid7())
    body = {"id": tap, "method": "cash", "amount_minor": 1000}
    answers = all_at_once(8, lambda n: patiently(tills[0], f"orders/{bill['id']}/payments", body, key="one"))
    assert {answer.status_code for answer in answers} == {201}
    assert payments_of(restaurant, bill) == [1000]


def test_one_tap_for_two_bills_pays_one(restaurant, tills, scene):
    bills = [open_bill(tills[0], scene.takeaway(scene.burger())) for _ in range(2)]
    tap = str(uuid7())
    answers = all_at_once(8, lambda n: pay(tills[n], bills[n % 2], id=tap))
    codes = collections.Counter(answer.status_code for answer in answers)
    assert codes[201] == 1
    assert codes[201] + codes[200] + codes[409] + codes[422] == 8
    assert sorted(map(len, (payments_of(restaurant, bill) for bill in bills))) == [0, 1]


def test_paying_and_voiding_at_once_never_does_both(restaurant, manager, tills, scene):
    boss = ApiClient(manager)
    for _ in range(4):
        bill = open_bill(tills[0], scene.takeaway(scene.line("Fries")))
        paid, voided = all_at_once(
            2,
            lambda n, bill=bill: (
                pay(tills[0], bill) if n == 0 else boss.post(f"orders/{bill['id']}/void", {"reason": "Left"})
            ),
        )
        assert (paid.status_code == 201) != (voided.status_code == 200)


def test_a_bill_is_closed_once(restaurant, tills, scene):
    bill = open_bill(tills[0], scene.takeaway(scene.burger()))
    pay(tills[0], bill)
    answers = all_at_once(8, lambda n: close(tills[n], bill))
    assert collections.Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}
    assert kinds_of_events(restaurant, "receipt.") == ["receipt.issued"]


def test_receipts_are_numbered_without_gaps_whatever_is_refused(restaurant, tills, scene):
    def evening(n):
        numbers = []
        for _ in range(3):
            assert close(tills[n], open_bills[n]).status_code == 409
            numbers.append(paid_and_closed(tills[n], scene.takeaway(scene.burger()))["receipt"]["number"])
        return numbers

    open_bills = [open_bill(tills[n], scene.takeaway(scene.line("Lager"))) for n in range(8)]
    numbers = all_at_once(8, evening)
    assert sorted(itertools.chain(*numbers)) == list(range(1, 25))
    assert all(mine == sorted(mine) for mine in numbers)
    with restaurant_scope(restaurant.pk):
        assert Receipt.objects.count() == 24
        assert Counter.objects.get(name="receipt").value == 24
        assert LedgerTransaction.objects.filter(key__startswith="sale:").count() == 24


def test_of_two_printers_one_prints_the_receipt_and_one_a_copy(tills, scene):
    closed = paid_and_closed(tills[0], scene.takeaway(scene.burger()))
    pages = all_at_once(8, lambda n: tills[n].get(f"orders/{closed['id']}/receipt/print", Accept="text/html"))
    assert sorted('class="copy"' in page.content.decode() for page in pages) == [False] + [True] * 7
