"""What the tests of Stripe's adapter ask of it, in few words."""

import dataclasses
import uuid
from typing import Any

import stripe

from fynlo.tenancy.fields import uuid7
from payments.providers.base import Account, ChargeRequest, RefundRequest, RefundSnapshot, Snapshot
from payments.providers.stripe import StripeProvider
from tests.peers.stripe import PLATFORM, StripeWorld

SECRETS = {
    "secret_key": "sk_test_restaurant",
    "publishable_key": "pk_test_restaurant",
    "webhook_secrets": ["whsec_now", "whsec_before"],
}
RETURN_URL = "https://pos.example/paid"


def own_account(url: str, **given: Any) -> Account:
    return Account(
        **{
            "id": uuid.uuid4(),
            "restaurant_id": 1,
            "provider": "stripe",
            "kind": "own_keys",
            "mode": "test",
            "external_account_id": "",
            "location_id": "",
            "public_id": uuid.uuid4(),
            "currency": "GBP",
            "secrets": SECRETS,
            "base_url": url,
            **given,
        }
    )


def charge(**given: Any) -> ChargeRequest:
    """£10.00 online with a good card, unless said otherwise."""
    attempt_id = given.pop("attempt_id", None) or uuid7()
    return ChargeRequest(
        **{
            "attempt_id": attempt_id,
            "amount_minor": 1000,
            "tip_minor": 0,
            "currency": "GBP",
            "method": "card_online",
            "idem_key": f"fy{attempt_id.hex}",
            "source_token": "pm_card_visa",
            "description": "Table 4",
            "metadata": {"order": "A17"},
            "return_url": RETURN_URL,
            **given,
        }
    )


def refund_of(request: ChargeRequest, ref: str, amount_minor: int, **given: Any) -> RefundRequest:
    refund_id = given.pop("refund_id", None) or uuid7()
    return RefundRequest(
        **{
            "refund_id": refund_id,
            "attempt_id": request.attempt_id,
            "payment_ref": ref,
            "amount_minor": amount_minor,
            "currency": "GBP",
            "idem_key": f"fy{refund_id.hex}",
            "reason": "Cold soup",
            **given,
        }
    )


class Till:
    """The adapter, bound to an account of one world, and the guest's side of it."""

    def __init__(self, world: StripeWorld, account: Account) -> None:
        self.world = world
        self.account = account
        self.stripe = StripeProvider()
        self.name = account.external_account_id or PLATFORM

    def at(self, url: str) -> "Till":
        """The same account, asked through a proxy."""
        return Till(self.world, dataclasses.replace(self.account, base_url=url))

    def prepare(self, request: ChargeRequest) -> str:
        return self.stripe.prepare(self.account, request).provider_ref

    def execute(self, ref: str, request: ChargeRequest) -> Snapshot:
        return self.stripe.execute(self.account, ref, request)

    def pay(self, request: ChargeRequest) -> Snapshot:
        return self.execute(self.prepare(request), request)

    def fetch(self, request: ChargeRequest, ref: str = "") -> Snapshot:
        return self.stripe.fetch(self.account, request, ref)

    def cancel(self, request: ChargeRequest, ref: str = "") -> Snapshot:
        return self.stripe.cancel(self.account, ref, request)

    def capture(self, ref: str, request: ChargeRequest, amount_minor: int) -> Snapshot:
        return self.stripe.capture(self.account, ref, request, amount_minor)

    def refund(self, request: RefundRequest) -> RefundSnapshot:
        return self.stripe.refund(self.account, request)

    def status(self, ref: str) -> str:
        """Of a PaymentIntent, as Stripe has it."""
        found = self.world.peer(self.name, "GET", f"/v1/payment_intents/{ref}")
        return str(found.json()["status"])

    @property
    def library(self) -> Any:
        """Stripe's own library, for the other side of things."""
        return stripe.StripeClient("sk_test_guest", base_addresses={"api": self.world.url}).v1

    def new_reader(self, label: str = "Bar") -> str:
        address = {"line1": "1 High St", "city": "London", "country": "GB"}
        opts = {"stripe_account": self.name} if self.name != PLATFORM else {}
        place = self.library.terminal.locations.create({"display_name": "Pot", "address": address}, opts)
        asked = {"registration_code": "simulated-wpe", "label": label, "location": place.id}
        return str(self.library.terminal.readers.create(asked, opts).id)

    def present_card(self, reader_id: str, number: str = "4242424242424242", tip: int = 0) -> None:
        """The guest chooses a tip and taps."""
        asked: dict[str, Any] = {"type": "card_present", "card_present": {"number": number}}
        if tip:
            asked["amount_tip"] = tip
        self.library.test_helpers.terminal.readers.present_payment_method(reader_id, asked)
