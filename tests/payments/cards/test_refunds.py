"""Giving card and cash money back, at each vendor."""

import pytest

from accounts.models import Role
from accounts.services import set_pin
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.models import Refund
from payments.services import refunds
from tests import factories
from tests.client import ApiClient
from tests.payments.bills import all_at_once, close, in_books, kinds_of_events, open_bill, pay


@pytest.fixture
def bill(till, scene):
    """Two burgers at 20 % and a cake at 0 %: £30.95."""
    return open_bill(till, scene.takeaway(scene.burger(2), scene.line("Cake")))


@pytest.fixture
def paid(house, till, bill):
    """Its payment by card, with a tip of £2, the bill closed."""
    payment = house.begin(till, bill, tip_minor=200).json()
    house.tap(payment)
    payment = till.post(f"payments/{payment['id']}/check").json()
    assert payment["state"] == "paid"
    assert close(till, bill).status_code == 200
    return payment


def refund(till, payment, **fields):
    body = {"id": str(uuid7()), "reason": "Cold soup", **fields}
    return till.post(f"payments/{payment['id']}/refunds", body)


@pytest.fixture
def boss(owner):
    return ApiClient(owner)


def settled(house, boss, answer):
    """The refund, once the vendor has carried it out."""
    assert answer.status_code in (201, 202), answer.content
    if answer.status_code == 202:
        house.peer.settle_refunds()
        with bind_restaurant(house.restaurant.pk):
            refunds.check_refund(answer.json()["id"])
    return boss.get(f"refunds/{answer.json()['id']}").json()


def test_all_of_it(house, boss, till, bill, paid, restaurant):
    done = settled(house, boss, refund(boss, paid))
    assert (done["state"], done["amount_minor"], done["tip_minor"]) == ("succeeded", 3095, 200)
    assert done["tax_lines"] == [
        {"percent": "20", "gross_minor": 2500, "net_minor": 2083, "tax_minor": 417},
        {"percent": "0", "gross_minor": 595, "net_minor": 595, "tax_minor": 0},
    ]
    assert house.taken() == 0
    clearing = f"clearing:{house.account.pk}"
    assert in_books(restaurant, bill)["refund"] == {
        clearing: -3295,
        "tips_payable": 200,
        "sales:20": 2083,
        "vat:20": 417,
        "sales:0": 595,
    }
    assert kinds_of_events(restaurant, "refund.")[-1] == "refund.succeeded"
    again = refund(boss, paid)
    assert (again.status_code, again.json()["code"]) == (409, "not_refundable")


def test_by_item_then_the_rest_ends_at_the_penny(house, boss, bill, paid, restaurant):
    burger = next(item for item in bill["items"] if item["name"] == "Burger")
    first = settled(house, boss, refund(boss, paid, items=[{"item_id": burger["id"], "quantity": 1}]))
    assert (first["amount_minor"], first["tip_minor"]) == (1250, 0)
    assert first["tax_lines"] == [{"percent": "20", "gross_minor": 1250, "net_minor": 1041, "tax_minor": 209}]
    assert first["items"][0]["quantity"] == 1
    too_many = refund(boss, paid, items=[{"item_id": burger["id"], "quantity": 2}])
    assert (too_many.status_code, too_many.json()["code"]) == (422, "item_not_refundable")
    rest = settled(house, boss, refund(boss, paid))
    assert (rest["amount_minor"], rest["tip_minor"]) == (1845, 200)
    assert sum(line["tax_minor"] for line in [*first["tax_lines"], *rest["tax_lines"]]) == 417
    assert house.taken() == 0


def test_above_the_limit_a_second_person_approves(house, till, paid, restaurant, waiter):
    manager, owner = factories.staff(restaurant, Role.MANAGER), factories.staff(restaurant, Role.OWNER)
    with restaurant_scope(restaurant.pk):
        set_pin(manager.membership_id, pin="4718", by=owner, address="127.0.0.1")
        set_pin(waiter.membership_id, pin="9362", by=owner, address="127.0.0.1")
    answer = refund(till, paid, amount_minor=2001)
    assert (answer.status_code, answer.json()["code"], answer.json()["limit_minor"]) == (
        403,
        "approval_needed",
        2000,
    )
    assert house.taken() == 3295
    small = settled(house, till, refund(till, paid, amount_minor=1500))
    assert small["state"] == "succeeded"
    more = refund(till, paid, amount_minor=501)  # with the first, above the limit
    assert (more.status_code, more.json()["code"]) == (403, "approval_needed")
    wrong = {"membership_id": str(manager.membership_id), "pin": "4719"}
    guessed = refund(till, paid, amount_minor=501, approval=wrong)
    assert (guessed.status_code, guessed.json()["code"]) == (403, "wrong_pin")
    own = refund(
        till, paid, amount_minor=501, approval={"membership_id": str(waiter.membership_id), "pin": "9362"}
    )
    assert own.status_code == 403  # a waiter does not approve, least of all for themselves
    assert house.taken() == 1795
    approved = refund(till, paid, amount_minor=501, approval={**wrong, "pin": "4718"})
    done = settled(house, till, approved)
    assert (done["state"], done["approved_by"]) == ("succeeded", manager.name)
    assert house.taken() == 1294


def test_two_tills_do_not_give_the_same_money_back(house, boss, paid, restaurant):
    answers = all_at_once(4, lambda n: refund(boss, paid, amount_minor=2000))
    given = [answer for answer in answers if answer.status_code in (201, 202)]
    assert len(given) == 1
    assert {a.json()["code"] for a in answers if a not in given} <= {"more_than_taken", "busy"}
    settled(house, boss, given[0])
    assert house.taken() == 1295
    with restaurant_scope(restaurant.pk):
        assert Refund.objects.count() == 1


def test_the_same_request_again_is_the_same_refund(house, boss, paid):
    refund_id = str(uuid7())
    first = refund(boss, paid, id=refund_id, amount_minor=500)
    again = refund(boss, paid, id=refund_id, amount_minor=500)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    other = refund(boss, paid, id=refund_id, amount_minor=501)
    assert (other.status_code, other.json()["code"]) == (422, "refund_id_reused")
    settled(house, boss, first)
    assert house.taken() == 2795


def test_a_stranger_refunds_nothing(house, paid, other_restaurant):
    stranger = ApiClient(factories.staff(other_restaurant, Role.OWNER))
    assert refund(stranger, paid).status_code == 404
    assert house.taken() == 3295


def test_cash_goes_back_in_cash(till, boss, scene, restaurant):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = pay(till, bill, tip_minor=100, tendered_minor=2000).json()
    close(till, bill)
    done = refund(boss, payment)
    assert (done.status_code, done.json()["state"]) == (201, "succeeded")
    assert in_books(restaurant, bill)["refund"] == {
        "cash": -1350,
        "tips_payable": 100,
        "sales:20": 1042,
        "vat:20": 208,
    }


def test_an_open_bill_is_due_again(till, boss, scene, restaurant):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = pay(till, bill).json()
    assert refund(boss, payment).status_code == 201
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == 1250
    assert in_books(restaurant, bill)["refund"] == {"cash": -1250, "receivable": 1250}
