"""A house of the card tests whose calls break on purpose, whose time passes, and whose books are compared."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg

from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from payments.invariants import broken_invariants
from payments.models import PaymentAttempt, PaymentIntent, ProviderCall, ReconciliationIssue, Refund
from payments.services import cards, refunds, settling, sweeping
from tests.client import ApiClient
from tests.payments.cards.house import Card, SquareHouse, SumupHouse

# What each operation of the machine is on the wire: (method, path), by vendor.
WIRE = {
    "stripe": {
        "prepare": ("POST", "*/v1/payment_intents"),
        "execute": ("POST", "*/process_payment_intent"),
        "fetch": ("GET", "*/v1/payment_intents/*"),
        "cancel": ("POST", "*/v1/payment_intents/*/cancel"),
        "refund": ("POST", "*/v1/refunds"),
        "fetch_refund": ("GET", "*/v1/refunds*"),
    },
    "square": {
        "execute": ("POST", "*/v2/terminals/checkouts"),
        "fetch": ("GET", "*/v2/terminals/checkouts/*"),
        "cancel": ("POST", "*/v2/terminals/checkouts/*/cancel"),
        "refund": ("POST", "*/v2/refunds"),
        "fetch_refund": ("GET", "*/v2/refunds*"),
    },
    "sumup": {
        "execute": ("POST", "*/readers/*/checkout"),
        "fetch": ("GET", "*/transactions"),
        "cancel": ("POST", "*/terminate"),
        "refund": ("POST", "*/refunds"),
        "fetch_refund": ("GET", "*/transactions"),
    },
}


class Killed(BaseException):
    """The process is gone: nothing of ours catches this, and nothing after it is run."""


@dataclasses.dataclass
class Rig:
    house: Card
    dba: psycopg.Connection

    @property
    def restaurant_id(self) -> int:
        return self.house.restaurant.pk

    @property
    def peer(self) -> Any:
        return self.house.peer

    def wire(self, operation: str) -> tuple[str, str]:
        return WIRE[self.house.name][operation]

    def fail(self, operation: str, *modes: str) -> None:
        """Break the next calls of an operation."""
        method, path = self.wire(operation)
        self.peer.faults.next(*modes, method=method, path=path)

    def age(self, interval: str) -> None:
        """Let time pass for whatever is open: all of it is due, nobody holds a lease any more."""
        where = "WHERE restaurant_id = %s AND settled_at IS NULL"
        for table in ("payments_paymentattempt", "payments_refund"):
            self.dba.execute(
                f"UPDATE {table} SET created_at = created_at - %s::interval,"
                f" next_check_at = now() - interval '1 second', lease_until = NULL {where}",
                [interval, self.restaurant_id],
            )
        self.dba.execute(
            "UPDATE payments_webhookevent SET next_try_at = now() - interval '1 second'"
            " WHERE restaurant_id = %s AND state = 'new'",
            [self.restaurant_id],
        )

    def sweep(self, interval: str = "1 minute") -> None:
        self.age(interval)
        sweeping.sweep_restaurant(self.restaurant_id)

    def finish(self, *, rounds: int = 12) -> None:
        """Sweep until nothing is open any more. Guests leave, readers let go, banks do their work; what was
        only held is let go of."""
        for _ in range(rounds):
            if not self.open_rows():
                return
            self._let_holds_go()
            self.sweep("2 minutes")
            self._vendor_goes_on()
        assert self.open_rows() == []

    def open_rows(self) -> list[tuple[str, str]]:
        with restaurant_scope(self.restaurant_id):
            attempts = PaymentAttempt.objects.filter(settled_at=None).values_list("state", "error_class")
            return [*attempts, *Refund.objects.filter(settled_at=None).values_list("state", "error_class")]

    def _let_holds_go(self) -> None:
        with restaurant_scope(self.restaurant_id):
            for hold in PaymentAttempt.objects.filter(state=PaymentAttempt.State.AUTHORIZED):
                settling.record_cancel_pending(hold.pk)

    def _vendor_goes_on(self) -> None:
        if isinstance(self.house, SquareHouse):
            seller = self.peer.seller(f"sandbox-{self.restaurant_id}")
            for checkout in list(seller.checkouts.values()):
                if checkout["status"] == "CANCEL_REQUESTED":
                    self.peer.let_go(checkout["id"])
            self.peer.settle_refunds()
        elif isinstance(self.house, SumupHouse):
            for row in list(self.peer.account(f"sup_sk_test_{self.restaurant_id}").transactions.values()):
                self.peer.let_go(row["client_transaction_id"])

    def ours(self) -> int:
        """What our books say that the vendor holds for us."""
        with restaurant_scope(self.restaurant_id):
            taken = PaymentIntent.objects.filter(attempts__provider=self.house.name).distinct()
            return sum(
                row.captured_minor + row.tip_captured_minor - row.refunded_minor - row.tip_refunded_minor
                for row in taken
            )

    def audit(self) -> int:
        """Both books say the same, and nothing is wrong with ours. Returns what they say."""
        ours, theirs = self.ours(), self.house.taken()
        assert ours == theirs, f"ours {ours}, theirs {theirs}\n{self.rows()}"
        with restaurant_scope(self.restaurant_id):
            assert broken_invariants() == []
        return ours

    def rows(self) -> str:
        """What was asked of the vendor and what came of it, to find out whose books are wrong."""
        with restaurant_scope(self.restaurant_id):
            attempts = PaymentAttempt.objects.values_list("pk", "provider_ref", "state")
            given = Refund.objects.values_list("pk", "provider_ref", "state", "amount_minor", "provider_code")
            calls = ProviderCall.objects.order_by("created_at").values_list(
                "created_at", "operation", "attempt", "refund", "outcome", "status"
            )
            return "\n".join(" ".join(map(str, row)) for row in [*attempts, *given, *calls])

    def issues(self) -> list[str]:
        with restaurant_scope(self.restaurant_id):
            return list(ReconciliationIssue.objects.filter(resolved_at=None).values_list("kind", flat=True))

    def payment(self, payment_id: str) -> PaymentIntent:
        with restaurant_scope(self.restaurant_id):
            found: PaymentIntent = PaymentIntent.objects.with_details().get(pk=payment_id)
            return found

    def paid(self, till: ApiClient, bill: dict, **fields: Any) -> dict:
        """A payment on the reader, tapped."""
        begun = self.house.begin(till, bill, **fields)
        assert begun.status_code == 202, begun.content
        payment: dict = begun.json()
        self.house.tap(payment)
        payment = till.post(f"payments/{payment['id']}/check").json()
        assert payment["state"] == "paid", payment
        return payment

    @contextmanager
    def scope(self) -> Iterator[None]:
        with bind_restaurant(self.restaurant_id):
            yield

    def look(self, payment: dict) -> None:
        """Ask about a payment, as a webhook or the nightly comparison would."""
        with self.scope():
            cards.check(self.house.attempt(payment).pk)

    def check_refund(self, refund_id: str | UUID) -> Refund:
        with self.scope():
            refunds.check_refund(UUID(str(refund_id)))
        with restaurant_scope(self.restaurant_id):
            return refunds.load_refund(UUID(str(refund_id)))
