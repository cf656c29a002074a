"""Stripe: cards on its readers, cards online, and payment links.

A charge is a PaymentIntent, made by `prepare` and paid by `execute`; of a link it is a Checkout Session,
whose PaymentIntent exists only once the guest pays. That object guards the money: it is paid at most
once, whoever asks how often. A declined one could still be paid, until `cancel`.
"""

import datetime
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from . import stripe_webhooks
from .base import (
    Account,
    Capabilities,
    ChargeRequest,
    ProviderPayout,
    ProviderTransaction,
    Reader,
    RefundOutcome,
    RefundRequest,
    RefundSnapshot,
    Snapshot,
    VerifiedEvent,
)
from .errors import InvalidRequest
from .stripe_charges import Charges
from .stripe_client import api, call, every, id_of, options
from .stripe_reading import (
    from_stripe,
    moment,
    read_charge,
    read_payout_line,
    read_refund,
    read_refund_transaction,
    to_stripe,
    uuid_of,
)


class StripeProvider:
    """Asks Stripe, as the restaurant's own account or through Connect."""

    name: ClassVar[str] = "stripe"
    capabilities: ClassVar[Capabilities] = Capabilities(
        two_step=True,
        application_fee=True,
        methods=frozenset({"card_present", "card_online", "link"}),
        replay_hours=23,
    )

    def prepare(self, account: Account, request: ChargeRequest) -> Snapshot:
        """Make the PaymentIntent or the Checkout Session. The same request makes the same one."""
        return Charges(account, request).prepare()

    def execute(self, account: Account, ref: str, request: ChargeRequest) -> Snapshot:
        """Arm the reader, confirm with `source_token`, or hand out what the guest's page needs.

        Raises Declined when the card is refused at once, Retryable when the reader is busy or offline.
        """
        return Charges(account, request).execute(ref)

    def fetch(self, account: Account, request: ChargeRequest, ref: str = "") -> Snapshot:
        return Charges(account, request).fetch(ref)

    def capture(self, account: Account, ref: str, request: ChargeRequest, amount_minor: int) -> Snapshot:
        """Take `amount_minor`, the tip's part included; the rest is let go of."""
        return Charges(account, request).capture(ref, amount_minor)

    def cancel(self, account: Account, ref: str, request: ChargeRequest) -> Snapshot:
        return Charges(account, request).cancel(ref)

    def refund(self, account: Account, request: RefundRequest) -> RefundSnapshot:
        """Give back `amount_minor`. Our reason stays in the metadata: Stripe knows three of its own."""
        params: dict[str, Any] = {
            "payment_intent": self._intent_of(account, request.payment_ref),
            "amount": to_stripe(request.amount_minor, request.currency),
            "reason": "requested_by_customer",
            "metadata": {
                "refund": str(request.refund_id),
                "attempt": str(request.attempt_id),
                "reason": request.reason[:500],
            },
        }
        if request.refund_application_fee:
            params["refund_application_fee"] = True
        return read_refund(call(api(account).refunds.create, params, options(account, request.idem_key)))

    def fetch_refund(self, account: Account, request: RefundRequest, ref: str = "") -> RefundSnapshot:
        try:
            if ref:
                return read_refund(call(api(account).refunds.retrieve, ref, {}, options(account)))
            intent = self._intent_of(account, request.payment_ref)
            refunds = every(api(account).refunds.list, {"payment_intent": intent}, options(account))
            found = next((r for r in refunds if _is_ours(r, request)), None)
        except InvalidRequest as error:
            if error.code != "resource_missing":
                raise
            found = None
        return read_refund(found) if found else RefundSnapshot(RefundOutcome.NOT_FOUND)

    def parse_webhook(
        self, account: Account, headers: Mapping[str, str], raw: bytes, url: str, now: datetime.datetime
    ) -> VerifiedEvent:
        return stripe_webhooks.parse(account.secrets.get("webhook_secrets", ()), headers, raw, now)

    def attempt_of(self, account: Account, ref: str) -> uuid.UUID | None:
        """Whose charge this is, by Stripe's reference: an event of a dispute does not say."""
        if not ref.startswith("pi_"):
            return None
        intent = call(api(account).payment_intents.retrieve, ref, {}, options(account))
        return uuid_of(intent.get("metadata"), "attempt")

    def list_transactions(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[ProviderTransaction]:
        """Charges that took money and all refunds, by when Stripe made them, `until` excluded."""
        window = _window(since, until)
        expand = ["data.balance_transaction", "data.payment_intent"]
        for charge in every(api(account).charges.list, {**window, "expand": expand}, options(account)):
            if charge["captured"] and charge["status"] != "failed":
                yield read_charge(charge)
        expand = ["data.balance_transaction"]
        for refund in every(api(account).refunds.list, {**window, "expand": expand}, options(account)):
            yield read_refund_transaction(refund)

    def list_payouts(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[ProviderPayout]:
        """With their lines, where Stripe made up the payout: of a manual one it cannot say what is in it."""
        for payout in every(api(account).payouts.list, _window(since, until), options(account)):
            yield ProviderPayout(
                payout["id"],
                from_stripe(payout["amount"], payout["currency"]),
                payout["currency"].upper(),
                payout["status"],
                moment(payout["created"]),
                moment(payout["arrival_date"]).date(),
                tuple(self._payout_lines(account, payout)) if payout["automatic"] else (),
            )

    def _payout_lines(self, account: Account, payout: dict[str, Any]) -> Iterator[Any]:
        params = {"payout": payout["id"], "expand": ["data.source"]}
        for movement in every(api(account).balance_transactions.list, params, options(account)):
            if movement["type"] != "payout":
                yield read_payout_line(movement)

    def disputed_charges(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[str]:
        for dispute in every(api(account).disputes.list, _window(since, until), options(account)):
            if intent := id_of(dispute.get("payment_intent")):
                yield intent

    def list_readers(self, account: Account) -> list[Reader]:
        readers = every(api(account).terminal.readers.list, {}, options(account))
        return [
            Reader(
                reader["id"],
                reader["label"],
                reader["status"] == "online",
                id_of(reader["location"]),
                reader["device_type"],
            )
            for reader in readers
        ]

    def check(self, account: Account) -> None:
        call(api(account).balance.retrieve, {}, options(account))

    def _intent_of(self, account: Account, payment_ref: str) -> str:
        """The PaymentIntent behind a reference. Raises InvalidRequest for a link nobody paid."""
        if not payment_ref.startswith("cs_"):
            return payment_ref
        session = call(api(account).checkout.sessions.retrieve, payment_ref, {}, options(account))
        intent = id_of(session.get("payment_intent"))
        if not intent:
            raise InvalidRequest("Nobody paid this link.", code="payment_intent_missing")
        return intent


def _is_ours(refund: dict[str, Any], request: RefundRequest) -> bool:
    return uuid_of(refund.get("metadata"), "refund") == request.refund_id


def _window(since: datetime.datetime, until: datetime.datetime) -> dict[str, Any]:
    return {"created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())}}
