"""Stripe Checkout: a session, and the guest who pays it on Stripe's page."""

import time
from typing import Any

from tests.peers.openapi import Document
from tests.peers.simulator import handles
from tests.peers.stripe_overlay import Row, StripeCall, StripeOverlay, new_id, page_of, refuse

SESSION_SECONDS = 24 * 3600


class StripeCheckout(StripeOverlay):
    """A session has no PaymentIntent until it is paid; then the model holds a real one."""

    def __init__(self, peer_url: str, document: Document) -> None:
        self._sessions: dict[str, tuple[str, Row, Row]] = {}  # the account, the object, payment_intent_data
        super().__init__(peer_url, document)

    def complete_checkout(
        self, session_id: str, *, card: str = "4242424242424242", account: str | None = None
    ) -> str | None:
        """The guest pays on the page; returns the PaymentIntent, None where the card was declined.

        After a decline the session stays open, and another card may be tried.
        """
        with self.lock:
            owner, session, data = self._sessions[session_id]
            if account not in (None, owner) or session["status"] != "open":
                raise ValueError(f"{session_id} is not open for {account or owner}")
            method = self.create_card(owner, card).json()
            pairs = [("amount", str(session["amount_total"])), ("currency", session["currency"])]
            pairs += [
                ("payment_method", method["id"]),
                ("confirm", "true"),
                ("payment_method_types[]", "card"),
            ]
            pairs += [(f"metadata[{name}]", value) for name, value in (data.get("metadata") or {}).items()]
            pairs += [(n, str(data[n])) for n in ("description", "capture_method") if data.get(n)]
            paid = self.peer(owner, "POST", "/v1/payment_intents", pairs)
            if paid.status != 200 or paid.json()["status"] not in ("succeeded", "requires_capture"):
                return None
            intent_id = str(paid.json()["id"])
            if "application_fee_amount" in data:
                self.keep(intent_id, {"application_fee_amount": data["application_fee_amount"]})
            state = "paid" if paid.json()["status"] == "succeeded" else "unpaid"  # not captured yet
            session.update(status="complete", payment_status=state, payment_intent=intent_id, url=None)
            self.record_event(owner, "checkout.session.completed", session)
            return intent_id

    def expire_checkout(self, session_id: str) -> None:
        """Nobody paid within the day."""
        with self.lock:
            owner, session, _ = self._sessions[session_id]
            self._expire(owner, session)

    @handles("POST", "/v1/checkout/sessions")
    def _create_session(self, call: StripeCall) -> Row:
        form = call.form
        if form.get("mode") != "payment" or "success_url" not in form:
            raise refuse(400, "parameter_missing", "only mode=payment with a success_url is simulated")
        total, currency = _total(form.get("line_items") or [])
        session_id, now = new_id("cs_test_"), int(time.time())
        session: Row = {
            **{"id": session_id, "object": "checkout.session", "livemode": False, "mode": "payment"},
            **{"status": "open", "payment_status": "unpaid", "payment_intent": None, "created": now},
            **{"amount_total": total, "amount_subtotal": total, "currency": currency},
            **{"expires_at": form.get("expires_at", now + SESSION_SECONDS), "custom_fields": []},
            **{"automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None}},
            **{
                "custom_text": dict.fromkeys(_TEXTS),
                "shipping_options": [],
                "payment_method_types": ["card"],
            },
            **{
                "client_reference_id": form.get("client_reference_id"),
                "metadata": form.get("metadata") or {},
            },
            **{"success_url": form["success_url"], "cancel_url": form.get("cancel_url")},
            "url": f"https://checkout.stripe.com/c/pay/{session_id}",
        }
        self._sessions[session_id] = (call.account, session, form.get("payment_intent_data") or {})
        return session

    @handles("GET", "/v1/checkout/sessions")
    def _list_sessions(self, call: StripeCall) -> Row:
        asked = {name: call.query[name] for name in ("payment_intent", "status") if name in call.query}
        found = [
            session
            for account, session, _ in reversed(self._sessions.values())
            if account == call.account and all(session[name] == value for name, value in asked.items())
        ]
        return page_of(found, call.query, call.path)

    @handles("GET", "/v1/checkout/sessions/{session}")
    def _get_session(self, call: StripeCall) -> Row:
        session = dict(self._own_session(call))
        if session["status"] == "open" and session["expires_at"] <= time.time():
            self._expire(call.account, self._own_session(call))
            session = dict(self._own_session(call))
        wanted = [name for name in call.expand if name.split(".")[0] == "payment_intent"]
        if wanted and session["payment_intent"]:
            inner = [("expand[]", name.split(".", 1)[1]) for name in wanted if "." in name]
            path = f"/v1/payment_intents/{session['payment_intent']}"
            session["payment_intent"] = self.peer(call.account, "GET", path, inner).json()
        return session

    @handles("POST", "/v1/checkout/sessions/{session}/expire")
    def _expire_session(self, call: StripeCall) -> Row:
        session = self._own_session(call)
        if session["status"] != "open":
            raise refuse(400, None, f"Only open sessions can be expired; this one is {session['status']}.")
        return self._expire(call.account, session)

    def _expire(self, account: str, session: Row) -> Row:
        session.update(status="expired", url=None)
        self.record_event(account, "checkout.session.expired", session)
        return session

    def _own_session(self, call: StripeCall) -> Row:
        account, session, _ = self._sessions.get(call.arguments["session"], ("", {}, {}))
        if account != call.account:
            missing = f"No such checkout.session: '{call.arguments['session']}'"
            raise refuse(404, "resource_missing", missing)
        return session


_TEXTS = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")


def _total(items: list[Any]) -> tuple[int, str]:
    priced = [item for item in items if "unit_amount" in (item.get("price_data") or {})]
    if not priced or len(priced) < len(items):
        raise refuse(400, "parameter_missing", "only line_items with price_data.unit_amount are simulated")
    total = sum(item["price_data"]["unit_amount"] * item.get("quantity", 1) for item in priced)
    return total, str(priced[0]["price_data"]["currency"])
