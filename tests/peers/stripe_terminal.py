"""Stripe Terminal, driven from a server: locations, readers, and a card that is presented to one."""

import json
import time

from tests.peers.openapi import Document
from tests.peers.simulator import handles
from tests.peers.stripe_overlay import Row, StripeCall, StripeOverlay, new_id, page_of, refuse

Owned = tuple[str, Row]  # the account and the object


class StripeTerminal(StripeOverlay):
    """A reader is busy with one PaymentIntent at a time; the model confirms it when a card is presented."""

    def __init__(self, peer_url: str, document: Document) -> None:
        self._readers: dict[str, Owned] = {}
        self._locations: dict[str, Owned] = {}
        self._uncancellable: set[str] = set()
        super().__init__(peer_url, document)

    # What a test sets up: the reader's side.

    def reader(self, reader_id: str) -> Row:
        """A reader as it is now."""
        return self._readers[reader_id][1]

    def set_reader(self, reader_id: str, status: str) -> None:
        """Take a reader "offline", or bring it "online" again."""
        with self.lock:
            self.reader(reader_id)["status"] = status

    def refuse_cancel(self, reader_id: str) -> None:
        """The guest's card is in the reader already: from now on cancel_action comes too late."""
        self._uncancellable.add(reader_id)

    def time_out(self, reader_id: str) -> None:
        """Nobody presented a card."""
        with self.lock:
            account, reader = self._readers[reader_id]
            self._fail(account, reader, "timeout", "The reader timed out waiting for a card.")

    # Locations, readers, tokens.

    @handles("POST", "/v1/terminal/connection_tokens")
    def _create_token(self, call: StripeCall) -> Row:
        return {"object": "terminal.connection_token", "secret": new_id("pst_test_")}

    @handles("POST", "/v1/terminal/locations")
    def _create_location(self, call: StripeCall) -> Row:
        blank = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None}
        location = {
            **{"id": new_id("tml_"), "object": "terminal.location", "livemode": False},
            "display_name": call.form.get("display_name", ""),
            "address": {**blank, "state": None, **call.form.get("address", {})},
            "metadata": call.form.get("metadata") or {},
        }
        self._locations[location["id"]] = (call.account, location)
        return location

    @handles("GET", "/v1/terminal/locations")
    def _list_locations(self, call: StripeCall) -> Row:
        return page_of(_owned(self._locations, call), call.query, call.path)

    @handles("GET", "/v1/terminal/locations/{location}")
    def _get_location(self, call: StripeCall) -> Row:
        return _find(self._locations, call, "location")

    @handles("POST", "/v1/terminal/readers")
    def _create_reader(self, call: StripeCall) -> Row:
        location = call.form.get("location")
        if location and self._locations.get(location, ("",))[0] != call.account:
            raise refuse(400, "resource_missing", f"No such location: '{location}'")
        reader = {
            **{"id": new_id("tmr_"), "object": "terminal.reader", "livemode": False},
            **{"label": call.form.get("label", "Reader"), "location": location, "status": "online"},
            **{"device_type": "simulated_wisepos_e", "device_sw_version": None, "ip_address": "0.0.0.0"},  # noqa: S104
            **{"serial_number": new_id(""), "metadata": call.form.get("metadata") or {}, "action": None},
            "last_seen_at": int(time.time() * 1000),
        }
        self._readers[reader["id"]] = (call.account, reader)
        return reader

    @handles("GET", "/v1/terminal/readers")
    def _list_readers(self, call: StripeCall) -> Row:
        found = [
            reader
            for reader in _owned(self._readers, call)
            if call.query.get("location") in (None, reader["location"])
            and call.query.get("status") in (None, reader["status"])
        ]
        return page_of(found, call.query, call.path)

    @handles("GET", "/v1/terminal/readers/{reader}")
    def _get_reader(self, call: StripeCall) -> Row:
        return _find(self._readers, call, "reader")

    @handles("POST", "/v1/terminal/readers/{reader}")
    def _update_reader(self, call: StripeCall) -> Row:
        reader = _find(self._readers, call, "reader")
        reader.update({name: call.form[name] for name in ("label", "metadata") if name in call.form})
        return reader

    @handles("DELETE", "/v1/terminal/readers/{reader}")
    def _delete_reader(self, call: StripeCall) -> Row:
        reader = _find(self._readers, call, "reader")
        del self._readers[reader["id"]]
        return {"id": reader["id"], "object": "terminal.reader", "deleted": True}

    # Taking a payment.

    @handles("POST", "/v1/terminal/readers/{reader}/process_payment_intent")
    def _process(self, call: StripeCall) -> Row:
        reader = _find(self._readers, call, "reader")
        if reader["status"] == "offline":
            raise refuse(400, "terminal_reader_offline", "Reader is currently offline.")
        if _is_busy(reader):
            raise refuse(400, "terminal_reader_busy", "Reader is currently busy processing another request.")
        intent_id = call.form["payment_intent"]
        found = self.peer(call.account, "GET", f"/v1/payment_intents/{intent_id}")
        if found.status != 200:
            raise refuse(found.status, "resource_missing", f"No such payment_intent: '{intent_id}'")
        if found.json()["status"] != "requires_payment_method":
            raise refuse(400, "intent_invalid_state", f"The intent is {found.json()['status']}.")
        asked = {name: call.form[name] for name in ("payment_intent", "process_config") if name in call.form}
        reader["action"] = {
            **{"type": "process_payment_intent", "status": "in_progress", "process_payment_intent": asked},
            **{"failure_code": None, "failure_message": None},
        }
        self._uncancellable.discard(reader["id"])
        return reader

    @handles("POST", "/v1/terminal/readers/{reader}/cancel_action")
    def _cancel(self, call: StripeCall) -> Row:
        reader = _find(self._readers, call, "reader")
        if reader["status"] == "offline":
            raise refuse(400, "terminal_reader_offline", "Reader is currently offline.")
        if _is_busy(reader) and reader["id"] in self._uncancellable:
            raise refuse(400, "terminal_reader_busy", "Reader is currently busy processing a card.")
        reader["action"] = None
        return reader

    @handles("POST", "/v1/test_helpers/terminal/readers/{reader}/present_payment_method")
    def _present(self, call: StripeCall) -> Row:
        """Stripe's own helper for tests: a guest presents a card, and may add a tip first."""
        reader = _find(self._readers, call, "reader")
        if not _is_busy(reader):
            raise refuse(400, "terminal_reader_no_action", "The reader has no action in progress.")
        intent_id = reader["action"]["process_payment_intent"]["payment_intent"]
        number = (call.form.get("card_present") or call.form.get("card") or {}).get("number")
        before = self.peer(call.account, "GET", f"/v1/payment_intents/{intent_id}").json()
        tip = call.form.get("amount_tip", 0)
        if tip:
            self._set_amount(call.account, intent_id, before["amount"] + tip)
        card = self.create_card(call.account, number or "4242424242424242").json()
        path = f"/v1/payment_intents/{intent_id}/confirm"
        confirmed = self.peer(call.account, "POST", path, [("payment_method", card["id"])])
        if confirmed.status != 200:
            if tip:
                self._set_amount(call.account, intent_id, before["amount"])
            error = confirmed.json()["error"]
            return self._fail(call.account, reader, error.get("code"), error["message"])
        self._on_reader.add(intent_id)
        if tip:
            self.keep(intent_id, {"amount_details": {"tip": {"amount": tip}}})
        reader["action"]["status"] = "succeeded"
        self.record_event(call.account, "terminal.reader.action_succeeded", reader)
        return reader

    def _set_amount(self, account: str, intent_id: str, amount: int) -> None:
        sent = self.peer(account, "POST", f"/v1/payment_intents/{intent_id}", [("amount", str(amount))])
        if sent.status != 200:
            raise refuse(sent.status, "intent_invalid_state", json.dumps(sent.json()))

    def _fail(self, account: str, reader: Row, code: str | None, message: str) -> Row:
        reader["action"].update(status="failed", failure_code=code, failure_message=message)
        self.record_event(account, "terminal.reader.action_failed", reader)
        return reader


def _is_busy(reader: Row) -> bool:
    return reader["action"] is not None and reader["action"]["status"] == "in_progress"


def _owned(objects: dict[str, Owned], call: StripeCall) -> list[Row]:
    return [row for account, row in reversed(objects.values()) if account == call.account]


def _find(objects: dict[str, Owned], call: StripeCall, noun: str) -> Row:
    account, row = objects.get(call.arguments[noun], ("", {}))
    if account != call.account:
        raise refuse(404, "resource_missing", f"No such {noun}: '{call.arguments[noun]}'")
    return row
