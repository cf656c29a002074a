"""Sixteen tills pay one bill at the same moment, two hundred times: exactly the bill is taken."""

import threading

import pytest
from django.db import OperationalError

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.errors import AmountNotDue
from orders.models import Order
from payments.models import PaymentIntent
from payments.services import pay_cash
from tests.payments.bills import all_at_once, open_bill

BILLS, TILLS, PART = 200, 16, 125  # ten of the sixteen parts are the £12.50 of a bill


@pytest.mark.timeout(400)
def test_exactly_the_bill_is_taken(till, scene, waiter, restaurant):
    bills = [open_bill(till, scene.takeaway(scene.burger()))["id"] for _ in range(BILLS)]
    together = threading.Barrier(TILLS)

    def pay_all(n):
        refused = 0
        for bill in bills:
            together.wait(timeout=60)
            refused += not pay_once(bill)
        return refused

    def pay_once(bill):
        key = uuid7()
        while True:
            try:
                with restaurant_scope(restaurant.pk):
                    pay_cash(bill, client_key=key, amount_minor=PART, by=waiter)
                return True
            except AmountNotDue:
                return False
            except OperationalError:  # waited too long for the others: the same payment again
                continue

    refused = all_at_once(TILLS, pay_all)

    assert sum(refused) == BILLS * (TILLS - 10)
    with restaurant_scope(restaurant.pk):
        totals = set(Order.objects.filter(pk__in=bills).values_list("captured_minor", "reserved_minor"))
        assert totals == {(1250, 0)}
        assert PaymentIntent.objects.paid().count() == BILLS * 10
