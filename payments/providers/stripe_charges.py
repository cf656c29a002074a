"""One attempt's charge at Stripe: a PaymentIntent, or the Checkout Session of a payment link."""

import contextlib
import dataclasses
import datetime
import uuid
from typing import Any

from django.utils import timezone

from .base import Account, ChargeRequest, Outcome, Snapshot
from .errors import InvalidRequest, ProviderError
from .stripe_client import Answer, api, call, every, id_of, options
from .stripe_codes import is_decline
from .stripe_reading import moment, read_intent, to_stripe, uuid_of

EXPAND = ["latest_charge.balance_transaction", "latest_charge.refunds.data.balance_transaction"]
LINK_LIFE = datetime.timedelta(hours=12)  # Stripe allows half an hour to a day
CLOCK_SKEW = datetime.timedelta(minutes=10)
REPLAYED_FOR = datetime.timedelta(hours=25)
WRONG_STATE = frozenset({"intent_invalid_state", "payment_intent_unexpected_state"})


class Charges:
    """What Stripe is asked for one ChargeRequest. Amounts towards us are in our minor units."""

    def __init__(self, account: Account, request: ChargeRequest) -> None:
        self.account = account
        self.request = request
        self.api = api(account)
        self.is_link = request.method == "link"

    # Making it

    def prepare(self) -> Snapshot:
        if self.is_link:
            session = self._post(self.api.checkout.sessions.create, self._session(), "prepare")
            return Snapshot(
                Outcome.PAYABLE,
                provider_ref=session["id"],
                next_action=_open(session),
                request_id=session["_request_id"],
            )
        kind = "card_present" if self.request.method == "card_present" else "card"
        params = {
            **self._common(),
            "amount": self._total(),
            "currency": self.request.currency.lower(),
            "payment_method_types": [kind],
        }
        intent = self._post(self.api.payment_intents.create, params, "prepare")
        return Snapshot(Outcome.PAYABLE, provider_ref=intent["id"], request_id=intent["_request_id"])

    def _common(self) -> Answer:
        """What a PaymentIntent is told, made by us or by a Checkout Session."""
        params: Answer = {
            "capture_method": "automatic" if self.request.capture else "manual",
            "metadata": self._metadata(),
        }
        if self.request.description:
            params["description"] = self.request.description
        if self.request.application_fee_minor:
            fee = to_stripe(self.request.application_fee_minor, self.request.currency)
            params["application_fee_amount"] = fee
        return params

    def _metadata(self) -> dict[str, str]:
        ours = {"attempt": str(self.request.attempt_id)}
        if self.request.tip_minor:
            ours["tip"] = str(self.request.tip_minor)
        return {**self.request.metadata, **ours}

    def _total(self) -> int:
        return to_stripe(self.request.amount_minor + self.request.tip_minor, self.request.currency)

    def _session(self) -> Answer:
        """Cards only: of a slower way to pay nobody at the table knows whether it will arrive.

        The same for ever, as a repeat has to be: it ends so long after the attempt was made, not from now.
        """
        request = self.request
        amounts = {request.description or "Bill": request.amount_minor, "Tip": request.tip_minor}
        params: Answer = {
            "mode": "payment",
            "payment_method_types": ["card"],
            "adaptive_pricing": {"enabled": False},  # the bill's currency, or the books would not agree
            "line_items": [self._line(name, amount) for name, amount in amounts.items() if amount],
            "client_reference_id": str(request.attempt_id),
            "metadata": self._metadata(),
            "payment_intent_data": self._common(),
        }
        if request.return_url:
            params |= {"success_url": request.return_url, "cancel_url": request.return_url}
        if made_at := made_at_of(request.attempt_id):
            params["expires_at"] = int((made_at + LINK_LIFE).timestamp())
        return params

    def _line(self, name: str, amount_minor: int) -> Answer:
        price = {
            "currency": self.request.currency.lower(),
            "unit_amount": to_stripe(amount_minor, self.request.currency),
            "product_data": {"name": name},
        }
        return {"price_data": price, "quantity": 1}

    # Having it paid

    def execute(self, ref: str) -> Snapshot:
        try:
            if self.request.method == "card_present":
                return self._arm(ref)
            if self.request.source_token and not self.is_link:
                return self._confirm(ref, self.request.source_token)
        except InvalidRequest as error:
            if error.code not in WRONG_STATE:
                raise
        return self.fetch(ref)

    def _confirm(self, ref: str, token: str) -> Snapshot:
        kind = "confirmation_token" if token.startswith("ctoken_") else "payment_method"
        params: Answer = {kind: token, "expand": EXPAND}
        if self.request.return_url:
            params["return_url"] = self.request.return_url
        return self._read(self._post(self.api.payment_intents.confirm, ref, params, "execute"))

    def _arm(self, ref: str) -> Snapshot:
        """Wake the reader. Its key is new each time: under an old one Stripe would repeat an old "busy"."""
        if not self.request.reader_id:
            raise InvalidRequest("A card on a reader needs a reader.", code="parameter_missing")
        config: Answer = {"skip_tipping": True}
        if self.request.tip_on_reader:
            eligible = to_stripe(self.request.amount_minor, self.request.currency)
            config = {"tipping": {"amount_eligible": eligible}}
        params = {"payment_intent": ref, "process_config": config}
        reader = self._post_anew(
            self.api.terminal.readers.process_payment_intent, self.request.reader_id, params
        )
        waiting = Snapshot(Outcome.PAYABLE, provider_ref=ref, request_id=reader["_request_id"])
        armed = self._at_reader(waiting, reader)
        return armed if armed.outcome == Outcome.REQUIRES_ACTION else self.fetch(ref)

    def capture(self, ref: str, amount_minor: int) -> Snapshot:
        params = {"amount_to_capture": to_stripe(amount_minor, self.request.currency), "expand": EXPAND}
        try:
            intent = self._post(
                self.api.payment_intents.capture, self._intent_of(ref), params, f"capture-{amount_minor}"
            )
        except InvalidRequest as error:
            if error.code not in WRONG_STATE:
                raise
            return self.fetch(ref)
        return dataclasses.replace(self._read(intent), provider_ref=ref)

    # Looking at it

    def fetch(self, ref: str = "") -> Snapshot:
        ref = ref or self._find()
        if not ref:
            return Snapshot(Outcome.NOT_FOUND)
        try:
            return self._look_at_link(ref) if ref.startswith("cs_") else self._look_at_intent(ref)
        except InvalidRequest as error:
            if error.code != "resource_missing":
                raise
            return Snapshot(Outcome.NOT_FOUND, code=error.code, request_id=error.request_id)

    def _find(self) -> str:
        """By our id, in a list: what was made is in it at once, while Stripe's Search is a minute late."""
        resource = self.api.checkout.sessions if self.is_link else self.api.payment_intents
        made_at = made_at_of(self.request.attempt_id)
        since = made_at - CLOCK_SKEW if made_at else timezone.now() - 3 * REPLAYED_FOR
        until = made_at + REPLAYED_FOR if made_at else timezone.now() + CLOCK_SKEW
        window = {"created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())}}
        for found in every(resource.list, window, options(self.account)):
            if uuid_of(found.get("metadata"), "attempt") == self.request.attempt_id:
                return str(found["id"])
        return ""

    def _look_at_intent(self, ref: str) -> Snapshot:
        intent = self._get(self.api.payment_intents.retrieve, ref, {"expand": EXPAND})
        charge = intent["latest_charge"] or {}
        disputes: list[Answer] = []
        if charge.get("disputed"):
            # A bank's mere inquiry ("warning_…") takes no money back and stops no refund.
            found = self._every(self.api.disputes.list, ref)
            disputes = [dispute for dispute in found if not dispute["status"].startswith("warning_")]
        if (charge.get("refunds") or {}).get("has_more"):
            charge["refunds"] = {"data": list(self._every(self.api.refunds.list, ref))}
        snapshot = self._read(intent, disputes)
        if self.request.reader_id and snapshot.outcome in (Outcome.PAYABLE, Outcome.DECLINED):
            with contextlib.suppress(InvalidRequest):  # the reader was removed: it says nothing any more
                reader = self._get(self.api.terminal.readers.retrieve, self.request.reader_id, {})
                snapshot = self._at_reader(snapshot, reader)
        return snapshot

    def _look_at_link(self, ref: str) -> Snapshot:
        session = self._get(self.api.checkout.sessions.retrieve, ref, {})
        intent = id_of(session.get("payment_intent"))
        snapshot = self._look_at_intent(intent) if intent else Snapshot(Outcome.PAYABLE)
        snapshot = dataclasses.replace(snapshot, provider_ref=ref, request_id=session["_request_id"])
        if snapshot.outcome not in (Outcome.PAYABLE, Outcome.REQUIRES_ACTION, Outcome.DECLINED):
            return snapshot
        if session["status"] == "open":  # the page lets the guest try another card
            return dataclasses.replace(snapshot, outcome=Outcome.REQUIRES_ACTION, next_action=_open(session))
        is_expired = session["status"] == "expired"
        return dataclasses.replace(snapshot, outcome=Outcome.CANCELED if is_expired else Outcome.PENDING)

    def _at_reader(self, snapshot: Snapshot, reader: Answer) -> Snapshot:
        """An unpaid charge, seen from its reader: asked for now, refused there, or given up there."""
        action = _action_for(reader, snapshot.provider_ref)
        match action.get("status"):
            case "in_progress":
                tap = {"type": "tap", "reader_id": reader["id"], "label": reader["label"]}
                return dataclasses.replace(
                    snapshot, outcome=Outcome.REQUIRES_ACTION, next_action=tap, code="", message=""
                )
            case "succeeded":
                return dataclasses.replace(snapshot, outcome=Outcome.PENDING)
            case "failed":
                return _failed_at_reader(snapshot, action)
        return snapshot

    # Giving it up

    def cancel(self, ref: str) -> Snapshot:
        """Cancel, and say how it stands now. Keys are new each time: an old refusal must not be repeated."""
        ref = ref or self._find()
        if not ref:
            return Snapshot(Outcome.NOT_FOUND)
        if ref.startswith("cs_"):
            return self._cancel_link(ref)
        if self.request.reader_id:
            self._disarm(ref, self.request.reader_id)
        return self._cancel_intent(ref)

    def _cancel_link(self, ref: str) -> Snapshot:
        with contextlib.suppress(InvalidRequest):  # it is over, in one way or the other
            self._post_anew(self.api.checkout.sessions.expire, ref, {})
        snapshot = self.fetch(ref)
        if snapshot.outcome != Outcome.AUTHORIZED:
            return snapshot
        return dataclasses.replace(self._cancel_intent(self._intent_of(ref)), provider_ref=ref)

    def _cancel_intent(self, ref: str) -> Snapshot:
        params = {"cancellation_reason": "abandoned", "expand": EXPAND}
        try:
            return self._read(self._post_anew(self.api.payment_intents.cancel, ref, params))
        except InvalidRequest as error:
            if error.code not in WRONG_STATE | {"resource_missing"}:
                raise
        return self.fetch(ref)

    def _disarm(self, ref: str, reader_id: str) -> None:
        """Let go of the reader, if it is ours. Nothing hangs on it: no tap pays a cancelled intent."""
        with contextlib.suppress(ProviderError):
            reader = self._get(self.api.terminal.readers.retrieve, reader_id, {})
            if _action_for(reader, ref).get("status") == "in_progress":
                self._post_anew(self.api.terminal.readers.cancel_action, reader_id, {})

    # Asking

    def _read(self, intent: Answer, disputes: list[Answer] | None = None) -> Snapshot:
        return read_intent(self.account, self.request, intent, disputes or ())

    def _intent_of(self, ref: str) -> str:
        if not ref.startswith("cs_"):
            return ref
        return id_of(self._get(self.api.checkout.sessions.retrieve, ref, {}).get("payment_intent"))

    def _get(self, operation: Any, ref: str, params: Answer) -> Answer:
        return call(operation, ref, params, options(self.account))

    def _every(self, operation: Any, ref: str) -> Any:
        return every(operation, {"payment_intent": ref}, options(self.account))

    def _post(self, operation: Any, *arguments: Any) -> Answer:
        """The last argument says what is being done: the key is of the attempt and that."""
        *params, step = arguments
        return call(operation, *params, options(self.account, f"{self.request.idem_key}-{step}"))

    def _post_anew(self, operation: Any, ref: str, params: Answer) -> Answer:
        return call(operation, ref, params, options(self.account, str(uuid.uuid4())))


def made_at_of(attempt_id: uuid.UUID) -> datetime.datetime | None:
    """When an attempt was made, as its own id says: a UUIDv7 begins with milliseconds."""
    return moment((attempt_id.int >> 80) // 1000) if attempt_id.version == 7 else None


def _open(session: Answer) -> dict[str, str]:
    return {"type": "open", "url": session.get("url") or ""}


def _action_for(reader: Answer, ref: str) -> Answer:
    """What the reader does, if it is with this PaymentIntent."""
    action: Answer = reader.get("action") or {}
    processed = (action.get("process_payment_intent") or {}).get("payment_intent")
    return action if ref and id_of(processed) == ref else {}


def _failed_at_reader(snapshot: Snapshot, action: Answer) -> Snapshot:
    """Refused by the bank, or else given up by the guest or the reader: then it can be asked for again."""
    error = action.get("api_error") or {}
    decline = error.get("decline_code") or snapshot.code
    code = action.get("failure_code") or ""
    declined = is_decline(code, decline)
    return dataclasses.replace(
        snapshot,
        outcome=Outcome.DECLINED if declined else Outcome.PAYABLE,
        code=(decline or code) if declined else code,
        message=action.get("failure_message") or snapshot.message,
    )
