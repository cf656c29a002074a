"""What stands in front of the third party's Stripe model: each call judged by Stripe's own document.

The model moves the money; the overlay adds what it has not got. Stripe-Account opens a world of its own
in the model, so a connected account's objects are not found from another one. Application fees and tips
are kept here and shown on the objects again. Terminal, Checkout and Connect are in modules of their own.
"""

import json
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.peers.faults import forward
from tests.peers.loopback import LoopbackServer, Received, Sent
from tests.peers.openapi import FORM, Document, Operation, nest, parse
from tests.peers.simulator import Refusal, Violation, marked

PLATFORM = "platform"  # the world of calls without Stripe-Account
# Stripe's names for test cards, which the model knows by number only.
CARDS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeDeclinedIncorrectCvc": "4000000000000127",
    "pm_card_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_createDispute": "4000000000000259",
    "pm_card_pendingRefund": "4000000000007726",
}
# What the model refuses and the overlay keeps for it.
KEPT = (
    *("application_fee_amount", "on_behalf_of", "transfer_data", "amount_details"),
    *("return_url", "refund_application_fee"),
)
# What the model says null for, where Stripe's document has a value or nothing.
NEVER_NULL = ("radar_options", "decline_code")

Row = dict[str, Any]
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class StripeCall:
    """One request that Stripe's document allows."""

    method: str
    path: str
    template: str
    arguments: dict[str, str]
    account: str  # PLATFORM or acct_...
    key: str | None  # Idempotency-Key
    form: Row
    query: Row
    headers: dict[str, str] = field(repr=False)

    @property
    def expand(self) -> list[str]:
        expand: list[str] = self.form.get("expand") or self.query.get("expand") or []
        return expand


class StripeOverlay(LoopbackServer):
    """The core: judge, forward, show again what was kept."""

    def __init__(self, peer_url: str, document: Document) -> None:
        self.document = document
        self.lock = threading.RLock()
        self.violations: list[Violation] = []
        self.calls: list[StripeCall] = []
        self.disconnected: set[str] = set()  # accounts that took our access back
        self._peer_url = peer_url
        self._world = uuid.uuid4().hex[:20]
        self._worlds: set[str] = set()
        self._handlers = dict(marked(self))
        self._kept: dict[str, Row] = {}  # by PaymentIntent
        self._on_reader: set[str] = set()  # PaymentIntents whose card was presented
        self._platforms: dict[str, tuple[int, int]] = {}  # charge or refund -> (amount, platform's fee)
        self._said: dict[tuple[str, str], str] = {}  # (account, key) -> what was asked with it
        self._answers: dict[tuple[str, str], Sent] = {}
        self._own_events: dict[str, list[Row]] = {}
        super().__init__()

    def close(self) -> None:
        super().close()
        for world in self._worlds:
            forward(self._peer_url, Received("DELETE", f"/worlds/{world}", "", b"", {}))

    def respond(self, request: Received) -> Sent:
        found = self.document.find(request.method, request.path)
        if found is None:
            self._note(f"{request.method} {request.path}", "request", ["no such operation"])
            return _error(404, None, f"Unrecognized request URL ({request.method}: {request.path}).")
        operation, arguments = found
        errors = self._request_errors(operation, request)
        if errors:
            self._note(operation.name, "request", errors)
            return _error(400, "parameter_unknown", errors[0])
        call = _call(request, operation, arguments)
        with self.lock:
            self.calls.append(call)
        sent = self._answer(call, request)
        self._note(operation.name, "response", operation.response_errors(sent.status, sent.json()))
        return sent

    def called(self, method: str, template: str) -> list[StripeCall]:
        """The calls of one operation, oldest first."""
        return [call for call in list(self.calls) if (call.method, call.template) == (method, template)]

    def peer(self, account: str, method: str, path: str, pairs: Pairs = (), **headers: str) -> Sent:
        """Ask the model itself, as an account; the answer shows what the overlay kept."""
        world = f"{self._world}-{account}"
        self._worlds.add(world)
        is_form = method == "POST"
        sent = forward(
            f"{self._peer_url}/worlds/{world}",
            Received(
                method,
                path,
                "" if is_form else urlencode(pairs),
                urlencode(pairs).encode() if is_form else b"",
                {
                    "authorization": "Bearer sk_test_peer",
                    "content-type": FORM,
                    **{name.replace("_", "-"): value for name, value in headers.items()},
                },
            ),
        )
        shown = self._show(sent.json())
        return Sent(sent.status, json.dumps(shown).encode(), sent.headers)

    def list_all(self, account: str, path: str, **query: str) -> list[Row]:
        """Every object of a list of the model, newest first."""
        found: list[Row] = []
        while True:
            after = [("starting_after", found[-1]["id"])] if found else []
            page = self.peer(account, "GET", path, [("limit", "100"), *query.items(), *after]).json()
            found += page["data"]
            if not page["has_more"]:
                return found

    def record_event(self, account: str, kind: str, about: Row) -> None:
        """An event of an object that the model does not know."""
        event = {
            **{"id": new_id("evt_"), "object": "event", "type": kind, "created": int(time.time())},
            **{"api_version": self.document.version, "livemode": False, "pending_webhooks": 1},
            **{"data": {"object": json.loads(json.dumps(about))}},
            "request": {"id": None, "idempotency_key": None},
        }
        with self.lock:
            self._own_events.setdefault(account, []).append(event)

    def create_card(self, account: str, number: str, **headers: str) -> Sent:
        """A PaymentMethod of the model, by a test card's number."""
        card = [("card[number]", number), ("card[exp_month]", "12"), ("card[exp_year]", "2034")]
        pairs = [("type", "card"), *card, ("card[cvc]", "123")]
        return self.peer(account, "POST", "/v1/payment_methods", pairs, **headers)

    def keep(self, intent_id: str, kept: Row) -> None:
        with self.lock:
            self._kept.setdefault(intent_id, {}).update(kept)

    def _request_errors(self, operation: Operation, request: Received) -> list[str]:
        errors = operation.query_errors(request.query)
        if request.method == "POST" and request.raw:
            if not request.is_form:
                return [f"the body is not {FORM}"]
            errors += operation.body_errors(operation.form(parse(request.raw.decode())), FORM)
        elif request.method == "POST":
            errors += operation.body_errors({}, FORM)
        return errors

    def _answer(self, call: StripeCall, request: Received) -> Sent:
        if call.account in self.disconnected:
            text = f"The provided key does not have access to account '{call.account}'."
            return _error(403, "account_invalid", text)
        reused = self._reused_key(call, request)
        if reused is not None:
            return reused
        handler = self._handlers.get((call.method, call.template))
        if handler is None:
            return self._forwarded(call, request)
        with self.lock:
            try:
                sent = Sent.of_json(200, handler(call))
            except Refusal as refusal:
                sent = Sent.of_json(*refusal.answer)
            except PassOn:
                return self._forwarded(call, request)
            if call.key and call.method == "POST":
                self._answers[call.account, call.key] = sent
        return sent

    def _reused_key(self, call: StripeCall, request: Received) -> Sent | None:
        """The overlay's own part of idempotency: its own objects, and fields that the model never sees."""
        if not call.key or call.method != "POST":
            return None
        place, asked = (call.account, call.key), f"{call.path} {request.raw.decode()}"
        with self.lock:
            if self._said.setdefault(place, asked) != asked:
                text = (
                    "Keys for idempotent requests can only be used with the same parameters they were "
                    f"first used with. Try using a key other than '{call.key}'."
                )
                return Sent.of_json(400, {"error": {"type": "idempotency_error", "message": text}})
            first = self._answers.get(place)
        return first and Sent(first.status, first.raw, {**first.headers, "idempotent-replayed": "true"})

    def _forwarded(self, call: StripeCall, request: Received) -> Sent:
        kept = {name: call.form[name] for name in KEPT if name in call.form}
        pairs: Pairs = request.query
        if call.method == "POST":
            pairs = [(n, v) for n, v in parse(request.raw.decode()) if n.split("[")[0] not in KEPT]
            replaced = self._name_card(call, pairs)
            if isinstance(replaced, Sent):
                return replaced
            pairs = replaced
        passed = ("idempotency-key", "stripe-version")
        headers = {name.replace("-", "_"): call.headers[name] for name in passed if name in call.headers}
        sent = self.peer(call.account, call.method, call.path, pairs, **headers)
        if kept and sent.status == 200:
            self.keep(sent.json()["id"], kept)
            return Sent(200, json.dumps(self._show(sent.json())).encode(), sent.headers)
        return sent

    def _name_card(self, call: StripeCall, pairs: Pairs) -> Pairs | Sent:
        """Put a card of the model where Stripe's name for a test card was given."""
        named = call.form.get("payment_method")
        if named not in CARDS:
            return pairs
        headers = {"idempotency_key": f"card-{call.key}"} if call.key else {}
        card = self.create_card(call.account, CARDS[named], **headers)
        if card.status != 200:
            return card
        card_id = card.json()["id"]
        return [(name, card_id if name == "payment_method" else value) for name, value in pairs]

    def _show(self, value: Any) -> Any:
        """An answer of the model, with what the overlay knows better."""
        if isinstance(value, list):
            return [self._show(element) for element in value]
        if not isinstance(value, dict):
            return value
        self._note_platforms_part(value)
        shown = {name: self._show(inner) for name, inner in value.items()}
        for name in NEVER_NULL:
            if shown.get(name, "") is None:
                del shown[name]
        kind = shown.get("object")
        if kind == "payment_intent" and shown.get("id") in self._kept:
            shown.update(_as_answered(self._kept[shown["id"]]))
        if kind == "charge":
            self._show_charge(shown)
        if kind == "balance_transaction":
            self._show_movement(shown)
        return shown

    def _note_platforms_part(self, found: Row) -> None:
        """What of a charge the platform keeps, and what it gives back with a refund: its share of it."""
        if found.get("object") == "charge":
            fee = self._kept.get(_id_of(found["payment_intent"]), {}).get("application_fee_amount")
            if fee is not None and found["captured"]:
                self._platforms[found["id"]] = (found["amount_captured"], int(fee))
        elif found.get("object") == "refund" and self._kept.get(found["id"], {}).get(
            "refund_application_fee"
        ):
            of, fee = self._platforms.get(_id_of(found["charge"]), (0, 0))
            if fee:
                self._platforms[found["id"]] = (found["amount"], -round(fee * found["amount"] / of))

    def _show_movement(self, movement: Row) -> None:
        """The platform's part is a fee of the movement, beside Stripe's own."""
        _, fee = self._platforms.get(_id_of(movement["source"]), (0, 0))
        if fee:
            detail = {"type": "application_fee", "amount": fee, "currency": movement["currency"]}
            detail |= {"application": "ca_fynlo", "description": "Fynlo application fee"}
            movement["fee_details"] = [*movement["fee_details"], detail]
            movement["fee"] += fee
            movement["net"] -= fee

    def _show_charge(self, charge: Row) -> None:
        intent = charge.get("payment_intent")
        intent_id = _id_of(intent)
        fee = self._kept.get(intent_id, {}).get("application_fee_amount")
        if fee is not None and charge["captured"]:
            charge["application_fee_amount"] = fee
        if intent_id in self._on_reader and "card" in (charge["payment_method_details"] or {}):
            card = charge["payment_method_details"]["card"]
            shared = (
                "brand",
                "country",
                "exp_month",
                "exp_year",
                "fingerprint",
                "funding",
                "last4",
                "network",
            )
            present = {name: card[name] for name in shared}
            present |= {"incremental_authorization_supported": False, "overcapture_supported": False}
            present |= {"read_method": "contactless_emv"}
            charge["payment_method_details"] = {"type": "card_present", "card_present": present}

    def _note(self, operation: str, side: str, errors: list[str]) -> None:
        if errors:
            with self.lock:
                self.violations.append(Violation(operation, side, tuple(errors)))


class PassOn(Exception):
    """Raised by a handler to let the model answer."""


def refuse(status: int, code: str | None, message: str) -> Refusal:
    return Refusal(status, _error(status, code, message).json())


def _id_of(reference: Any) -> str:
    """Of an object that may be expanded."""
    return str(reference["id"] if isinstance(reference, dict) else reference)


def new_id(prefix: str) -> str:
    return prefix + uuid.uuid4().hex[:16]


def page_of(rows: list[Row], query: Row, url: str) -> Row:
    """A list as Stripe shows it, newest first."""
    ids = [row["id"] for row in rows]
    after = query.get("starting_after")
    start = ids.index(after) + 1 if after in ids else 0
    end = start + int(query.get("limit", 10))
    return {"object": "list", "url": url, "data": rows[start:end], "has_more": end < len(rows)}


def _as_answered(kept: Row) -> Row:
    shown = {name: value for name, value in kept.items() if value != ""}
    if "transfer_data" in shown:
        shown["transfer_data"] = {"destination": shown["transfer_data"]["destination"]}
    return shown


def _call(request: Received, operation: Operation, arguments: dict[str, str]) -> StripeCall:
    return StripeCall(
        request.method,
        request.path,
        operation.template,
        arguments,
        request.headers.get("stripe-account", PLATFORM),
        request.headers.get("idempotency-key"),
        operation.form(parse(request.raw.decode())) if request.method == "POST" else {},
        nest(request.query),
        dict(request.headers),
    )


def _error(status: int, code: str | None, message: str) -> Sent:
    error = {"type": "invalid_request_error", "message": message, **({"code": code} if code else {})}
    return Sent.of_json(status, {"error": error})
