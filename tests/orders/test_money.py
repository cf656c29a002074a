"""What payments may change of an order."""

import uuid

import pytest

from fynlo.errors import DomainError
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from orders.services import money
from tests.orders.scene import at_once, new_id


@pytest.fixture
def bill(scene, till) -> uuid.UUID:
    """An open bill of 12.50."""
    return uuid.UUID(till.post("orders", scene.order(scene.burger())).json()["id"])


def state(scene, bill: uuid.UUID) -> tuple[int, int, int]:
    """Reserved, captured, version."""
    order = scene.stored(str(bill))
    return order["reserved_minor"], order["captured_minor"], order["version"]


def do(scene, service, *args, **kwargs):
    with restaurant_scope(scene.restaurant.pk):
        return service(*args, **kwargs)


def refusal(scene, service, *args, **kwargs) -> tuple[str, dict]:
    with pytest.raises(DomainError) as caught:
        do(scene, service, *args, **kwargs)
    return caught.value.code, caught.value.extra


def test_money_is_reserved_then_settled(scene, bill):
    do(scene, money.reserve, bill, 1000)
    assert state(scene, bill) == (1000, 0, 2)
    do(scene, money.settle, bill, reserved_minor=1000, captured_minor=900)
    assert state(scene, bill) == (0, 900, 3)
    assert scene.stored(str(bill))["balance_due_minor"] == 350


def test_money_that_was_not_taken_is_released(scene, bill):
    do(scene, money.reserve, bill, 1250)
    do(scene, money.release, bill, 1250)
    assert state(scene, bill) == (0, 0, 3)


def test_no_more_is_reserved_than_is_due(scene, bill):
    with scene.nothing_changes():
        assert refusal(scene, money.reserve, bill, 1251) == ("amount_not_due", {"balance_due_minor": 1250})
    do(scene, money.reserve, bill, 1000)
    with scene.nothing_changes():
        assert refusal(scene, money.reserve, bill, 251) == ("amount_not_due", {"balance_due_minor": 250})
    do(scene, money.settle, bill, reserved_minor=1000, captured_minor=1000)
    with scene.nothing_changes():
        assert refusal(scene, money.reserve, bill, 251) == ("amount_not_due", {"balance_due_minor": 250})
        assert refusal(scene, money.reserve, uuid.UUID(new_id()), 1)[0] == "no_such_order"
        for nothing in (0, -5):
            with pytest.raises(ValueError, match="positive"):
                do(scene, money.reserve, bill, nothing)
    do(scene, money.reserve, bill, 250)
    with restaurant_scope(scene.restaurant.pk):
        Order.objects.filter(pk=bill).update(refunded_minor=300)
    do(scene, money.reserve, bill, 300)


def test_nothing_is_reserved_on_a_bill_that_is_not_open(scene, bill, till):
    till.post(f"orders/{bill}/void", {"reason": "x"})
    with scene.nothing_changes():
        assert refusal(scene, money.reserve, bill, 1)[0] == "order_not_open"


def test_what_happened_is_recorded_whatever_the_bill_says(scene, bill, till):
    till.post(f"orders/{bill}/void", {"reason": "x"})
    do(scene, money.settle, bill, reserved_minor=500, captured_minor=2000)
    assert state(scene, bill) == (0, 2000, 3)


def test_two_payments_at_once_do_not_both_take_what_is_due_once(scene, bill):
    def pay() -> str:
        try:
            do(scene, money.reserve, bill, 500)
        except DomainError as error:
            return error.code
        return "reserved"

    outcomes = at_once(*[pay] * 6)
    assert sorted(outcomes) == ["amount_not_due"] * 4 + ["reserved"] * 2
    assert state(scene, bill) == (1000, 0, 3)
