"""A restaurant that takes cards at one of the vendors, and the guest's side of it."""

import dataclasses
from typing import Any

import stripe

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import PaymentAttempt, ProviderAccount, Terminal
from restaurants.models import Restaurant
from tests.client import ApiClient
from tests.peers.square import SquareSimulator
from tests.peers.stripe import PLATFORM, StripeWorld
from tests.peers.sumup import SumupSimulator

BAD_CARD = "4000000000000002"


@dataclasses.dataclass
class Card:
    """What the tests need of a vendor, the same for each: tap, decline, and what was really taken."""

    restaurant: Restaurant
    account: ProviderAccount
    terminal: Terminal
    peer: Any

    name = ""
    after_decline = ("failed", "failed", "declined")

    def begin(self, till: ApiClient, bill: dict, **fields: Any) -> Any:
        """A payment on the reader: the till's request."""
        body = {
            "id": str(uuid7()),
            "method": "card_present",
            "terminal_id": str(self.terminal.pk),
            **fields,
        }
        return till.post(f"orders/{bill['id']}/card-payments", body)

    def attempt(self, payment: dict) -> PaymentAttempt:
        """The last attempt of a payment, as it stands."""
        with restaurant_scope(self.restaurant.pk):
            found: PaymentAttempt = PaymentAttempt.objects.filter(intent=payment["id"]).order_by("n").last()
            return found

    def last_attempt_id(self) -> str:
        """The restaurant's last attempt; an id of nothing where there is none."""
        with restaurant_scope(self.restaurant.pk):
            last = PaymentAttempt.objects.order_by("created_at").last()
            return str(last.pk if last else uuid7())

    def tap(self, payment: dict, *, tip: int = 0, decline: bool = False) -> None:
        raise NotImplementedError

    def let_go(self, payment: dict) -> None:
        """The reader gives the payment up, as it was asked to."""
        self.peer.let_go(self.reader_ref(payment))

    def reader_ref(self, payment: dict) -> str:
        """What the vendor calls the payment on the reader."""
        return self.attempt(payment).provider_ref.rpartition(":")[2]

    def taken(self) -> int:
        """What the vendor holds for the restaurant, less what it gave back: its own books."""
        raise NotImplementedError


class SquareHouse(Card):
    """A card that is declined leaves Square's reader waiting for another one, until its time is up."""

    name = "square"
    after_decline = ("canceled", "expired", "")
    peer: SquareSimulator

    def tap(self, payment: dict, *, tip: int = 0, decline: bool = False) -> None:
        self.peer.tap(self.reader_ref(payment), tip=tip, decline=decline)
        if decline:
            self.peer.let_go(self.reader_ref(payment), reason="TIMED_OUT")

    def taken(self) -> int:
        seller = self.peer.seller(f"sandbox-{self.restaurant.pk}")
        captured = sum(
            payment["total_money"]["amount"]
            for payment in seller.payments.values()
            if payment["status"] == "COMPLETED"
        )
        return captured - sum(
            refund["amount_money"]["amount"]
            for refund in seller.refunds.values()
            if refund["status"] in ("COMPLETED", "PENDING")
        )


class SumupHouse(Card):
    name = "sumup"
    peer: SumupSimulator

    def tap(self, payment: dict, *, tip: int = 0, decline: bool = False) -> None:
        if decline:
            self.peer.fail(self.reader_ref(payment))
        else:
            self.peer.tap(self.reader_ref(payment), tip=tip)

    def taken(self) -> int:
        rows = self.peer.account(f"sup_sk_test_{self.restaurant.pk}").transactions.values()
        return sum(self.peer.taken(row["foreign_transaction_id"]) for row in rows)


class StripeHouse(Card):
    name = "stripe"
    peer: StripeWorld

    @classmethod
    def with_reader(
        cls, restaurant: Restaurant, account: ProviderAccount, world: StripeWorld
    ) -> "StripeHouse":
        api = stripe.StripeClient("sk_test_guest", base_addresses={"api": world.url}).v1
        address = {"line1": "1 High St", "city": "London", "country": "GB"}
        place = api.terminal.locations.create({"display_name": "Pot", "address": address})
        reader = api.terminal.readers.create(
            {"registration_code": "simulated-wpe", "label": "Bar reader", "location": place.id}
        )
        with restaurant_scope(restaurant.pk):
            terminal = Terminal.objects.create(account=account, reader_id=reader.id, label="Bar reader")
        return cls(restaurant, account, terminal, world)

    def tap(self, payment: dict, *, tip: int = 0, decline: bool = False) -> None:
        api = stripe.StripeClient("sk_test_guest", base_addresses={"api": self.peer.url}).v1
        asked: dict[str, Any] = {
            "type": "card_present",
            "card_present": {"number": BAD_CARD if decline else "4242424242424242"},
        }
        if tip:
            asked["amount_tip"] = tip
        api.test_helpers.terminal.readers.present_payment_method(self.terminal.reader_id, asked)

    def taken(self) -> int:
        return self.peer.taken(PLATFORM)
