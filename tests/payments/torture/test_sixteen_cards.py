"""Sixteen tills pay one bill at the same moment, by card and in cash, in parts that overlap (T3)."""

import threading
import time
import uuid
from collections import Counter

import pytest
from django.db import OperationalError, connection

from fynlo.errors import DomainError
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from orders.models import Order
from payments.models import PaymentIntent
from payments.services import cards, pay_cash
from restaurants.models import Restaurant
from tests import factories
from tests.payments.bills import all_at_once, open_bill
from tests.payments.torture.rig import Rig

BILLS = 200
TILLS = 16
TOTAL = 2500
# Quarters, halves, three quarters and wholes: whichever come first, what is left is filled by quarters.
AMOUNTS = [625] * 8 + [1250] * 4 + [1875] * 2 + [2500] * 2
CARDS_AHEAD_SECONDS = 0.02  # to choose an account takes a card longer than counting takes cash
CARD = {"method": "card_online", "source_token": "cnon:card-nonce-ok"}


class Tills:
    """What each till asks of each bill; odd ones take cards, even ones cash."""

    def __init__(self, restaurant: Restaurant, bills: list[uuid.UUID]) -> None:
        self.bills = bills
        self.start = threading.Barrier(TILLS)
        self.staff = [factories.staff(restaurant, "waiter", name=f"Waiter {n}") for n in range(TILLS)]

    def work(self, n: int) -> Counter[str]:
        told: Counter[str] = Counter()
        for round_, order_id in enumerate(self.bills):
            self.start.wait(timeout=60)
            told[self.pay(n, order_id, AMOUNTS[(n * 5 + round_) % TILLS])] += 1
        return told

    def pay(self, n: int, order_id: uuid.UUID, amount: int) -> str:
        asked = {"client_key": uuid7(), "amount_minor": amount, "by": self.staff[n]}
        while True:
            try:
                if n % 2:
                    with bind_restaurant(self.staff[n].restaurant_id):
                        cards.take_card(order_id, **CARD, **asked)
                    return "card"
                time.sleep(CARDS_AHEAD_SECONDS * (n % 4))
                with restaurant_scope(self.staff[n].restaurant_id):
                    pay_cash(order_id, **asked)
                return "cash"
            except DomainError as refused:
                return refused.code
            except OperationalError:  # it waited too long for the bill: the till asks again
                connection.close()


@pytest.mark.timeout(300)
def test_exactly_the_bill_is_taken_by_card_and_in_cash(till, scene, restaurant, square, dba):
    bills = [uuid.UUID(open_bill(till, scene.takeaway(scene.burger(2)))["id"]) for _ in range(BILLS)]
    told = sum(all_at_once(TILLS, Tills(restaurant, bills).work), Counter())
    Rig(square, dba).finish()
    with restaurant_scope(restaurant.pk):
        totals = list(Order.objects.filter(pk__in=bills).values_list("captured_minor", "reserved_minor"))
        paid = PaymentIntent.objects.paid().filter(method="card_online")
        by_card = sum(paid.values_list("captured_minor", flat=True))
    print(dict(told), f"{by_card} by card")
    assert totals == [(TOTAL, 0)] * BILLS
    assert square.taken() == by_card
    assert set(told) == {"card", "cash", "amount_not_due"}
    assert sum(told.values()) == TILLS * BILLS
