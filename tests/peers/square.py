"""Square, as far as a till meets it: payments, refunds, Terminal checkouts, payouts, OAuth, webhooks.

Each bearer token is a seller of its own, so another restaurant's payment is not found. What the buyer,
the device and the bank do are methods of the simulator: tap(), settle_refunds(), pay_out() and so on.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.peers import openapi, spec
from tests.peers.simulator import Answer, Call, Refusal, Simulator, handles

SPEC = "square_pay.json"
OK = "cnon:card-nonce-ok"
# The nonces that Square documents for its sandbox, and what each is refused with.
DECLINES = {
    "cnon:card-nonce-declined": "GENERIC_DECLINE",
    "cnon:card-nonce-rejected-cvv": "CVV_FAILURE",
    "cnon:card-nonce-rejected-postalcode": "ADDRESS_VERIFICATION_FAILURE",
    "cnon:card-nonce-rejected-expiration": "INVALID_EXPIRATION",
    "cnon:card-nonce-already-used": "CARD_TOKEN_USED",
}
APPLICATION_ID, APPLICATION_SECRET = "sandbox-sq0idb-test", "sandbox-sq0csb-test"
APP_FEE_SHARE = 90  # per cent of the total, at most
PAGE = 100

# The document at hand was cut to payments and has no merchants: these are theirs, by Square's own library.
_MERCHANT_FIELDS = (
    *("id", "business_name", "country", "language_code", "currency"),
    *("main_location_id", "status"),
)
_MERCHANT = {
    "type": "object",
    "required": ["id", "country"],
    "properties": {name: {"type": "string"} for name in _MERCHANT_FIELDS},
}


def _describe_merchants(parameters: list[Any], **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    answer = {"200": {"content": {"application/json": {"schema": schema}}}}
    return {"get": {"parameters": parameters, "responses": answer}}


MERCHANT_PATHS = {
    "/v2/merchants": _describe_merchants(
        [{"name": "cursor", "in": "query", "schema": {"type": "integer"}}],
        merchant={"type": "array", "items": _MERCHANT},
        cursor={"type": "integer"},
    ),
    "/v2/merchants/{merchant_id}": _describe_merchants([], merchant=_MERCHANT),
}

Row = dict[str, Any]


@dataclass
class Seller:
    """One Square account: what a bearer token opens."""

    merchant_id: str
    currency: str = "GBP"
    country: str = "GB"
    payments: dict[str, Row] = field(default_factory=dict)
    refunds: dict[str, Row] = field(default_factory=dict)
    checkouts: dict[str, Row] = field(default_factory=dict)
    links: dict[str, Row] = field(default_factory=dict)
    payouts: dict[str, Row] = field(default_factory=dict)
    entries: dict[str, list[Row]] = field(default_factory=dict)
    devices: dict[str, Row] = field(default_factory=dict)
    disputes: dict[str, Row] = field(default_factory=dict)
    locations: dict[str, Row] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[str, Answer]] = field(default_factory=dict)  # by idempotency key
    paid_out: set[str] = field(default_factory=set)

    @property
    def location_id(self) -> str:
        """The main location's."""
        return next(iter(self.locations))


class SquareSimulator(Simulator):
    """Square behind a loopback URL: Square(token="any", base_url=simulator.url)."""

    def __init__(self, document: openapi.Document | None = None) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.sellers: dict[str, Seller] = {}
        self.tokens: dict[str, str] = {}  # bearer token -> merchant
        self.revoked: set[str] = set()
        self.consents: dict[str, str] = {}  # code -> the redirect URL it was asked for with
        super().__init__(document or openapi.load(spec(SPEC), json.dumps(MERCHANT_PATHS)))

    def forget(self) -> None:
        self.sellers.clear()
        self.tokens.clear()
        self.revoked.clear()
        self.consents.clear()

    def malformed(self, detail: str) -> Any:
        return _errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", detail)

    def admit(self, call: Call) -> None:
        if call.template.startswith("/oauth2/") and call.template != "/oauth2/token/status":
            return
        if not call.token or call.token in self.revoked:
            code = "ACCESS_TOKEN_REVOKED" if call.token else "UNAUTHORIZED"
            raise Refusal(401, _errors("AUTHENTICATION_ERROR", code, "This request could not be authorized."))

    # What a test sets up and looks at.

    def seller(self, token: str) -> Seller:
        """The account behind a token; a token never seen opens a new one."""
        with self.lock:
            if token not in self.tokens:
                digest = hashlib.sha256(token.encode()).hexdigest()[:12].upper()
                self.tokens[token] = f"ML{digest}"
            merchant = self.tokens[token]
            if merchant not in self.sellers:
                self.sellers[merchant] = Seller(merchant)
                self._add_location(self.sellers[merchant], "Main")
            return self.sellers[merchant]

    def add_location(self, token: str, name: str) -> str:
        """Another place of the same seller; returns its id."""
        return self._add_location(self.seller(token), name)

    def _add_location(self, seller: Seller, name: str) -> str:
        location: Row = {
            **{"id": f"L{seller.merchant_id[2:]}{len(seller.locations)}", "name": name, "status": "ACTIVE"},
            **{"country": seller.country, "currency": seller.currency, "timezone": "Europe/London"},
            **{"merchant_id": seller.merchant_id, "created_at": self.now(), "type": "PHYSICAL"},
            "capabilities": ["CREDIT_CARD_PROCESSING"],
        }
        seller.locations[location["id"]] = location
        return str(location["id"])

    def add_device(self, token: str, device_id: str, name: str, *, status: str = "AVAILABLE") -> None:
        """A Square Terminal, paired: AVAILABLE, NEEDS_ATTENTION or OFFLINE."""
        attributes = {
            **{"type": "TERMINAL", "manufacturer": "Square", "model": "T2", "name": name},
            **{"manufacturers_id": device_id, "updated_at": self.now()},
        }
        self.seller(token).devices[device_id] = {
            "id": f"device:{device_id}",
            "attributes": attributes,
            "status": {"category": status},
        }

    def payment(self, payment_id: str) -> Row:
        """A payment of any seller, as it is now."""
        return self._holder("payments", payment_id).payments[payment_id]

    def checkout(self, checkout_id: str) -> Row:
        return self._holder("checkouts", checkout_id).checkouts[checkout_id]

    def refund(self, refund_id: str) -> Row:
        return self._holder("refunds", refund_id).refunds[refund_id]

    def taken(self, reference_id: str) -> int:
        """What was really captured less refunded under a reference, by all payments of all sellers."""
        with self.lock:
            found = [p for s in self.sellers.values() for p in s.payments.values()]
            return sum(
                p["total_money"]["amount"] - p.get("refunded_money", {"amount": 0})["amount"]
                for p in found
                if p.get("reference_id") == reference_id and p["status"] == "COMPLETED"
            )

    # What the buyer, the device and the bank do.

    def pick_up(self, checkout_id: str) -> None:
        """The device shows the checkout."""
        with self.lock:
            self._move(self.checkout(checkout_id), "IN_PROGRESS")

    def tap(
        self, checkout_id: str, tip: int = 0, decline: bool = False, *, ahead_of_cancel: bool = False
    ) -> str | None:
        """The guest presents a card; returns the payment's id, or None where the device had let go.

        A declined card leaves the checkout in progress: the guest may try another one. With
        ahead_of_cancel the tap wins the race against a cancellation that was already asked for.
        """
        with self.lock:
            seller = self._holder("checkouts", checkout_id)
            checkout = seller.checkouts[checkout_id]
            if checkout["status"] == "CANCEL_REQUESTED" and not ahead_of_cancel:
                self.let_go(checkout_id, "SELLER_CANCELED")
            if checkout["status"] in ("CANCELED", "COMPLETED"):
                return None
            payment = self._pay_checkout(seller, checkout, tip, decline)
            if decline:
                self._move(checkout, "IN_PROGRESS")
            else:
                self._move(checkout, "COMPLETED", payment_ids=[payment["id"]])
            return str(payment["id"])

    def let_go(self, checkout_id: str, reason: str = "SELLER_CANCELED") -> None:
        """The device gives a checkout up: SELLER_CANCELED, BUYER_CANCELED or TIMED_OUT."""
        with self.lock:
            self._move(self.checkout(checkout_id), "CANCELED", cancel_reason=reason)

    def pay_link(self, link_id: str) -> str:
        """The guest pays on the hosted page; returns the payment's id."""
        with self.lock:
            seller = self._holder("links", link_id)
            link = seller.links[link_id]
            body = {"amount_money": link["money"], "location_id": link["location_id"]}
            note = link["shown"].get("payment_note")
            payment = self._add_payment(seller, {**body, **({"note": note} if note else {})})
            payment["order_id"] = link["shown"]["order_id"]
            return str(payment["id"])

    def settle_refunds(self, *, status: str = "COMPLETED") -> int:
        """The bank carries out what is pending, or turns it down (FAILED, REJECTED); returns how many."""
        with self.lock:
            refunds = [refund for seller in self.sellers.values() for refund in seller.refunds.values()]
            pending = [refund for refund in refunds if refund["status"] == "PENDING"]
            for refund in pending:
                self._settle_refund(refund, status)
            return len(pending)

    def open_dispute(self, payment_id: str) -> Row:
        """The guest's bank asks for a payment back; the row's state says how that goes on."""
        with self.lock:
            seller = self._holder("payments", payment_id)
            dispute_id = _id("")
            seller.disputes[dispute_id] = {
                **{"id": dispute_id, "state": "EVIDENCE_REQUIRED", "reason": "NO_KNOWLEDGE"},
                **{"amount_money": seller.payments[payment_id]["total_money"], "created_at": self.now()},
                "disputed_payment": {"payment_id": payment_id},
                "due_at": (self.clock() + timedelta(days=7)).isoformat(),
                "location_id": seller.payments[payment_id]["location_id"],
            }
            return seller.disputes[dispute_id]

    def bounce_refund(self, refund_id: str) -> None:
        """The bank sends a refund back, even a completed one."""
        with self.lock:
            self._settle_refund(self.refund(refund_id), "FAILED")

    def charge_fees(self, basis_points: int = 175) -> int:
        """Square's own fee appears on what was paid, some time after it was; returns on how many."""
        with self.lock:
            due = [
                p
                for s in self.sellers.values()
                for p in s.payments.values()
                if p["status"] == "COMPLETED" and "processing_fee" not in p
            ]
            for payment in due:
                total = payment["total_money"]
                fee = (total["amount"] * basis_points + 5_000) // 10_000
                money = {"amount": fee, "currency": total["currency"]}
                payment["processing_fee"] = [
                    {"effective_at": self.now(), "type": "INITIAL", "amount_money": money}
                ]
                payment["updated_at"] = self.now()
            return len(due)

    def pay_out(self, token: str) -> Row:
        """Send to the bank all that was paid and refunded since the last payout."""
        with self.lock:
            seller = self.seller(token)
            payout_id = _id("po_")
            entries = list(self._entries(seller, payout_id))
            total = sum(entry["net_amount_money"]["amount"] for entry in entries)
            payout = {
                **{"id": payout_id, "status": "PAID", "location_id": seller.location_id, "version": 1},
                **{"created_at": self.now(), "updated_at": self.now(), "type": "BATCH"},
                "amount_money": {"amount": total, "currency": seller.currency},
                "arrival_date": self.clock().date().isoformat(),
                "destination": {"type": "BANK_ACCOUNT", "id": "bact:" + seller.merchant_id},
            }
            seller.payouts[payout_id] = payout
            seller.entries[payout_id] = entries
            return payout

    def event(self, kind: str, object_id: str, *, event_id: str | None = None) -> bytes:
        """The body of a webhook such as "payment.updated", with the object as it is now."""
        nouns = {"payment": "payment", "refund": "refund", "terminal": "checkout", "dispute": "dispute"}
        noun = nouns[kind.split(".")[0]]
        seller = self._holder(f"{noun}s", object_id)
        row = getattr(seller, f"{noun}s")[object_id]
        return webhook_event(
            kind, object_id, {noun: row}, merchant_id=seller.merchant_id, event_id=event_id, at=self.now()
        )

    # OAuth.

    def allow(self, url: str, token: str) -> dict[str, str]:
        """A seller, by one of its tokens, says yes on the page of consent; answers what Square sends back.

        The page is Square's own and in no OpenAPI document: this is by its written documentation.
        """
        asked = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
        assert url.startswith(f"{self.url}/oauth2/authorize?")
        assert asked["client_id"] == APPLICATION_ID
        assert "PAYMENTS_WRITE" in asked["scope"].split()
        code = _id("sandbox-sq0cgb-")
        with self.lock:
            self.tokens[code] = self.seller(token).merchant_id
            self.consents[code] = asked["redirect_uri"]
        return {"code": code, "response_type": "code", "state": asked["state"]}

    @handles("POST", "/oauth2/token")
    def _obtain_token(self, call: Call) -> Answer:
        grant = call.body["grant_type"]
        secret = call.body.get("code" if grant == "authorization_code" else "refresh_token") or ""
        redirect = self.consents.get(secret, call.body.get("redirect_uri"))
        is_ours = call.body.get("client_secret") == APPLICATION_SECRET
        is_ours = is_ours and redirect == call.body.get("redirect_uri")
        if not is_ours or secret in self.revoked or not secret or "invalid" in secret:
            detail = "Authorization code not found"
            refused = _errors("AUTHENTICATION_ERROR", "UNAUTHORIZED", detail)
            return 401, {"message": detail, "type": "service.not_authorized", **refused}
        if grant == "authorization_code":
            self.revoked.add(secret)  # a code is good once
        merchant = self.seller(secret).merchant_id
        access, refresh = _id("EAAA"), secret if grant == "refresh_token" else _id("EQAA")
        self.tokens[access] = self.tokens[refresh] = merchant
        expires = (self.clock() + timedelta(days=30)).isoformat(timespec="seconds").replace("+00:00", "Z")
        return 200, {
            **{"access_token": access, "refresh_token": refresh, "token_type": "bearer"},
            **{"expires_at": expires, "merchant_id": merchant, "short_lived": False},
        }

    @handles("POST", "/oauth2/revoke")
    def _revoke_token(self, call: Call) -> Answer:
        if call.headers.get("authorization") != f"Client {APPLICATION_SECRET}":
            raise Refusal(
                401, _errors("AUTHENTICATION_ERROR", "UNAUTHORIZED", "Not this application's secret.")
            )
        token = call.body.get("access_token") or ""
        if call.body.get("revoke_only_access_token"):
            self.revoked.add(token)
            return 200, {"success": True}
        merchant = call.body.get("merchant_id") or self.tokens.get(token)
        self.revoked |= {token for token, owner in self.tokens.items() if owner == merchant}
        return 200, {"success": True}

    @handles("POST", "/oauth2/token/status")
    def _token_status(self, call: Call) -> Answer:
        seller = self.seller(call.token)
        scopes = ["PAYMENTS_READ", "PAYMENTS_WRITE", "MERCHANT_PROFILE_READ", "DEVICES_READ"]
        return 200, {"scopes": scopes, "client_id": "sq0idp-test", "merchant_id": seller.merchant_id}

    @handles("GET", "/v2/merchants")
    def _list_merchants(self, call: Call) -> Answer:
        return 200, {"merchant": [self._merchant(self.seller(call.token))]}

    @handles("GET", "/v2/merchants/{merchant_id}")
    def _get_merchant(self, call: Call) -> Answer:
        seller = self.seller(call.token)
        if call.arguments["merchant_id"] not in ("me", seller.merchant_id):
            raise _not_found("merchant")
        return 200, {"merchant": self._merchant(seller)}

    @handles("GET", "/v2/locations")
    def _list_locations(self, call: Call) -> Answer:
        return 200, {"locations": list(self.seller(call.token).locations.values())}

    @handles("GET", "/v2/locations/{location_id}")
    def _get_location(self, call: Call) -> Answer:
        seller = self.seller(call.token)
        given = call.arguments["location_id"]
        return 200, {"location": _get(seller.locations, seller.location_id if given == "main" else given)}

    @handles("GET", "/v2/devices")
    def _list_devices(self, call: Call) -> Answer:
        return 200, _page("devices", list(self.seller(call.token).devices.values()), call.query)

    # Payments.

    @handles("POST", "/v2/payments")
    def _create_payment(self, call: Call) -> Answer:
        return self._once("payment", call, self._new_payment)

    def _new_payment(self, seller: Seller, body: Row) -> Answer:
        location = body.get("location_id")
        if location and location not in seller.locations:
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "INVALID_LOCATION", "No such location."))
        amount = body.get("amount_money")
        if not amount or amount.get("amount", 0) < 1:
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "INVALID_VALUE", "amount_money is required."))
        total = amount["amount"] + body.get("tip_money", {"amount": 0})["amount"]
        if body.get("app_fee_money", {"amount": 0})["amount"] * 100 > total * APP_FEE_SHARE:
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "INVALID_FEES", "The app fee is too high."))
        if body["source_id"] in DECLINES:
            self._add_payment(seller, body, status="FAILED")
            code = DECLINES[body["source_id"]]
            return 400, _errors("PAYMENT_METHOD_ERROR", code, f"Authorization error: '{code}'")
        status = "APPROVED" if body.get("autocomplete") is False else "COMPLETED"
        return 200, {"payment": dict(self._add_payment(seller, body, status=status))}

    def _add_payment(self, seller: Seller, body: Row, *, status: str = "COMPLETED") -> Row:
        amount = body["amount_money"]
        tip = body.get("tip_money") or {"amount": 0, "currency": amount["currency"]}
        total = {"amount": amount["amount"] + tip["amount"], "currency": amount["currency"]}
        kept = ("reference_id", "note", "customer_id", "order_id", "app_fee_money", "terminal_checkout_id")
        card = {"card_brand": "VISA", "last_4": "1111", "exp_month": 11, "exp_year": 2034}
        failed = status == "FAILED"
        payment = {
            **{"id": _id(""), "created_at": self.now(), "updated_at": self.now(), "status": status},
            **{"amount_money": amount, "total_money": total, "source_type": "CARD"},
            **({"tip_money": tip} if tip["amount"] else {}),
            **({} if failed else {"approved_money": total}),
            **{key: body[key] for key in kept if body.get(key)},
            "location_id": body.get("location_id") or seller.location_id,
            "delay_action": body.get("delay_action", "CANCEL"),
            "delay_duration": body.get("delay_duration", "PT168H"),
            "version_token": _id(""),
            "card_details": {
                "status": {"COMPLETED": "CAPTURED", "APPROVED": "AUTHORIZED"}.get(status, "FAILED"),
                "entry_method": "EMV" if body.get("terminal_checkout_id") else "KEYED",
                "card": card,
            },
        }
        seller.payments[payment["id"]] = payment
        return payment

    @handles("GET", "/v2/payments/{payment_id}")
    def _get_payment(self, call: Call) -> Answer:
        return 200, {"payment": _get(self.seller(call.token).payments, call.arguments["payment_id"])}

    @handles("GET", "/v2/payments")
    def _list_payments(self, call: Call) -> Answer:
        seller = self.seller(call.token)
        return 200, _page("payments", _filtered(seller.payments.values(), call.query), call.query)

    @handles("PUT", "/v2/payments/{payment_id}")
    def _update_payment(self, call: Call) -> Answer:
        """Lowers what an approved payment will take; what is not named stays."""
        payment = _get(self.seller(call.token).payments, call.arguments["payment_id"])
        if payment["status"] != "APPROVED":
            detail = f"Payment {payment['id']} has status {payment['status']}."
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", detail))
        wanted = call.body.get("payment") or {}
        payment.update({key: wanted[key] for key in ("amount_money", "tip_money") if key in wanted})
        total = payment["amount_money"]["amount"] + payment.get("tip_money", {"amount": 0})["amount"]
        payment["total_money"] = {**payment["total_money"], "amount": total}
        payment.update(approved_money=payment["total_money"], updated_at=self.now())
        return 200, {"payment": payment}

    @handles("POST", "/v2/payments/{payment_id}/complete")
    def _complete_payment(self, call: Call) -> Answer:
        return self._end_payment(call, "COMPLETED", "CAPTURED")

    @handles("POST", "/v2/payments/{payment_id}/cancel")
    def _cancel_payment(self, call: Call) -> Answer:
        return self._end_payment(call, "CANCELED", "VOIDED")

    def _end_payment(self, call: Call, status: str, card_status: str) -> Answer:
        payment = _get(self.seller(call.token).payments, call.arguments["payment_id"])
        if payment["status"] != "APPROVED":
            detail = f"Payment {payment['id']} has status {payment['status']}."
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", detail))
        self._move(payment, status)
        payment["card_details"]["status"] = card_status
        return 200, {"payment": payment}

    @handles("POST", "/v2/payments/cancel")
    def _cancel_by_key(self, call: Call) -> Answer:
        """For an unknown outcome: undoes what the key made, and answers the same where it made nothing."""
        seller = self.seller(call.token)
        key = ("payment", call.body["idempotency_key"])
        made = seller.answers.get(key, ("", (0, {})))[1][1].get("payment")
        if made is None:
            return 200, {}
        payment = seller.payments[made["id"]]
        refunded = payment.get("refunded_money", {"amount": 0})["amount"]
        if refunded:
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", "The payment was refunded."))
        self._move(payment, "CANCELED")
        payment["card_details"]["status"] = "VOIDED"
        return 200, {}

    # Refunds.

    @handles("POST", "/v2/refunds")
    def _refund_payment(self, call: Call) -> Answer:
        return self._once("refund", call, self._new_refund)

    def _new_refund(self, seller: Seller, body: Row) -> Answer:
        payment = _get(seller.payments, body.get("payment_id") or "")
        amount = body["amount_money"]
        if payment["status"] != "COMPLETED":
            code = "REFUND_ERROR_PAYMENT_NEEDS_COMPLETION"
            raise Refusal(400, _errors("REFUND_ERROR", code, "Complete the payment first."))
        before = payment.get("refunded_money", {"amount": 0})["amount"]
        if before + amount["amount"] > payment["total_money"]["amount"]:
            detail = "The requested refund amount exceeds the amount available to refund."
            raise Refusal(400, _errors("REFUND_ERROR", "REFUND_AMOUNT_INVALID", detail))
        refund = {
            **{"id": f"{payment['id']}_{_id('')}", "status": "PENDING", "amount_money": amount},
            **{"payment_id": payment["id"], "location_id": payment["location_id"]},
            **{"created_at": self.now(), "updated_at": self.now(), "destination_type": "CARD"},
            **{key: body[key] for key in ("reason", "app_fee_money") if body.get(key)},
        }
        fee = payment.get("app_fee_money")
        if (
            fee and "app_fee_money" not in body
        ):  # the developer bears its share, unless the refund says otherwise
            share = round(fee["amount"] * amount["amount"] / payment["total_money"]["amount"])
            refund["app_fee_money"] = {**fee, "amount": share}
        seller.refunds[refund["id"]] = refund
        payment.setdefault("refund_ids", []).append(refund["id"])
        self._add_refunded(payment, amount["amount"])
        return 200, {"refund": dict(refund)}

    @handles("GET", "/v2/refunds/{refund_id}")
    def _get_refund(self, call: Call) -> Answer:
        return 200, {"refund": _get(self.seller(call.token).refunds, call.arguments["refund_id"])}

    @handles("GET", "/v2/refunds")
    def _list_refunds(self, call: Call) -> Answer:
        seller = self.seller(call.token)
        return 200, _page("refunds", _filtered(seller.refunds.values(), call.query), call.query)

    @handles("GET", "/v2/disputes")
    def _list_disputes(self, call: Call) -> Answer:
        where = {"location_id": call.query.get("location_id")}
        return 200, _page("disputes", _filtered(self.seller(call.token).disputes.values(), where), call.query)

    # Terminal checkouts.

    @handles("POST", "/v2/terminals/checkouts")
    def _create_checkout(self, call: Call) -> Answer:
        return self._once("checkout", call, self._new_checkout)

    def _new_checkout(self, seller: Seller, body: Row) -> Answer:
        wanted = body["checkout"]
        tips = wanted["device_options"].get("tip_settings") or {}
        if wanted.get("tip_money") and tips.get("allow_tipping"):
            detail = "tip_money needs a checkout without tipping on the device."
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", detail))
        checkout = {
            **{"deadline_duration": "PT5M", "payment_type": "CARD_PRESENT", **wanted},
            **{"id": _id("term_"), "status": "PENDING", "location_id": seller.location_id},
            **{"created_at": self.now(), "updated_at": self.now(), "app_id": "sq0idp-test"},
        }
        seller.checkouts[checkout["id"]] = checkout
        return 200, {"checkout": dict(checkout)}

    @handles("GET", "/v2/terminals/checkouts/{checkout_id}")
    def _get_checkout(self, call: Call) -> Answer:
        return 200, {"checkout": _get(self.seller(call.token).checkouts, call.arguments["checkout_id"])}

    @handles("POST", "/v2/terminals/checkouts/{checkout_id}/cancel")
    def _cancel_checkout(self, call: Call) -> Answer:
        """Asks the device; only let_go() or tap() says how it ended."""
        checkout = _get(self.seller(call.token).checkouts, call.arguments["checkout_id"])
        if checkout["status"] in ("COMPLETED", "CANCELED"):
            detail = f"Checkout is {checkout['status']}."
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", detail))
        self._move(checkout, "CANCEL_REQUESTED")
        return 200, {"checkout": checkout}

    @handles("POST", "/v2/terminals/checkouts/search")
    def _search_checkouts(self, call: Call) -> Answer:
        asked = (call.body.get("query") or {}).get("filter") or {}
        during = asked.get("created_at") or {}
        query = {"begin_time": during.get("start_at"), "end_time": during.get("end_at")}
        query |= {"status": asked.get("status")}
        found = [
            checkout
            for checkout in _filtered(self.seller(call.token).checkouts.values(), query)
            if asked.get("device_id") in (None, checkout["device_options"]["device_id"])
        ]
        return 200, _page("checkouts", found, {k: str(v) for k, v in call.body.items() if k != "query"})

    def _pay_checkout(self, seller: Seller, checkout: Row, tip: int, decline: bool) -> Row:
        money = checkout["amount_money"]
        kept = {key: checkout[key] for key in ("reference_id", "note", "app_fee_money") if checkout.get(key)}
        given = {"amount": tip, "currency": money["currency"]} if tip else checkout.get("tip_money")
        body = {"amount_money": money, "tip_money": given, "terminal_checkout_id": checkout["id"], **kept}
        later = (checkout.get("payment_options") or {}).get("autocomplete") is False
        status = "FAILED" if decline else "APPROVED" if later else "COMPLETED"
        return self._add_payment(seller, body, status=status)

    # The hosted page.

    @handles("POST", "/v2/online-checkout/payment-links")
    def _create_link(self, call: Call) -> Answer:
        return self._once("link", call, self._new_link)

    def _new_link(self, seller: Seller, body: Row) -> Answer:
        quick = body.get("quick_pay")
        if quick is None:
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", "only quick_pay is simulated"))
        if quick["location_id"] not in seller.locations:
            raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "INVALID_LOCATION", "No such location."))
        link_id = _id("")
        shown = {
            **{"id": link_id, "version": 1, "order_id": _id(""), "url": f"https://square.link/u/{link_id}"},
            **{"created_at": self.now(), "updated_at": self.now()},
            **{k: body[k] for k in ("description", "checkout_options", "payment_note") if body.get(k)},
        }
        seller.links[link_id] = {
            "shown": shown,
            "money": quick["price_money"],
            "location_id": quick["location_id"],
        }
        return 200, {"payment_link": shown}

    @handles("GET", "/v2/online-checkout/payment-links/{id}")
    def _get_link(self, call: Call) -> Answer:
        return 200, {"payment_link": _get(self.seller(call.token).links, call.arguments["id"])["shown"]}

    @handles("DELETE", "/v2/online-checkout/payment-links/{id}")
    def _delete_link(self, call: Call) -> Answer:
        links = self.seller(call.token).links
        link = _get(links, call.arguments["id"])
        del links[call.arguments["id"]]
        return 200, {"id": link["shown"]["id"], "cancelled_order_id": link["shown"]["order_id"]}

    # Payouts.

    @handles("GET", "/v2/payouts")
    def _list_payouts(self, call: Call) -> Answer:
        seller = self.seller(call.token)
        return 200, _page("payouts", _filtered(seller.payouts.values(), call.query), call.query)

    @handles("GET", "/v2/payouts/{payout_id}")
    def _get_payout(self, call: Call) -> Answer:
        return 200, {"payout": _get(self.seller(call.token).payouts, call.arguments["payout_id"])}

    @handles("GET", "/v2/payouts/{payout_id}/payout-entries")
    def _list_entries(self, call: Call) -> Answer:
        entries = self.seller(call.token).entries.get(call.arguments["payout_id"])
        if entries is None:
            raise _not_found("payout")
        return 200, _page("payout_entries", entries, call.query)

    def _entries(self, seller: Seller, payout_id: str) -> Iterable[Row]:
        for payment in seller.payments.values():
            if payment["status"] == "COMPLETED" and payment["id"] not in seller.paid_out:
                seller.paid_out.add(payment["id"])
                fee = sum(f["amount_money"]["amount"] for f in payment.get("processing_fee", []))
                details = {"type_charge_details": {"payment_id": payment["id"]}}
                yield self._entry(payout_id, "CHARGE", payment["total_money"], fee, details)
                if payment.get("app_fee_money"):
                    ours = {**payment["app_fee_money"], "amount": -payment["app_fee_money"]["amount"]}
                    details = {"type_third_party_fee_details": {"payment_id": payment["id"]}}
                    yield self._entry(payout_id, "THIRD_PARTY_FEE", ours, 0, details)
        for refund in seller.refunds.values():
            if refund["status"] == "COMPLETED" and refund["id"] not in seller.paid_out:
                seller.paid_out.add(refund["id"])
                back = {**refund["amount_money"], "amount": -refund["amount_money"]["amount"]}
                of = {"payment_id": refund["payment_id"]}
                yield self._entry(payout_id, "REFUND", back, 0, {"type_refund_details": of})
                if refund.get("app_fee_money", {}).get("amount"):
                    given_back = {"type_third_party_fee_refund_details": of}
                    yield self._entry(
                        payout_id, "THIRD_PARTY_FEE_REFUND", refund["app_fee_money"], 0, given_back
                    )

    def _entry(self, payout_id: str, kind: str, gross: Row, fee: int, details: Row) -> Row:
        return {
            **{"id": _id("poe_"), "payout_id": payout_id, "type": kind, "effective_at": self.now()},
            "gross_amount_money": gross,
            "fee_amount_money": {"amount": fee, "currency": gross["currency"]},
            "net_amount_money": {"amount": gross["amount"] - fee, "currency": gross["currency"]},
            **details,
        }

    # Shared.

    def now(self) -> str:
        return self.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _once(self, kind: str, call: Call, make: Callable[[Seller, Row], Answer]) -> Answer:
        """Answer a repeated idempotency key as the first time, and refuse it for another body."""
        seller = self.seller(call.token)
        key = (kind, call.body["idempotency_key"])
        said = json.dumps(call.body, sort_keys=True)
        if key in seller.answers:
            first, answer = seller.answers[key]
            if first != said:
                detail = "The idempotency key can only be retried with the same request data."
                raise Refusal(400, _errors("INVALID_REQUEST_ERROR", "IDEMPOTENCY_KEY_REUSED", detail))
            return answer
        status, made = make(seller, call.body)
        # As it was said then: a replay does not show what happened since.
        seller.answers[key] = (said, (status, json.loads(json.dumps(made))))
        return status, made

    def _move(self, row: Row, status: str, **changes: Any) -> None:
        row.update(changes, status=status, updated_at=self.now())

    def _settle_refund(self, refund: Row, status: str) -> None:
        if status in ("FAILED", "REJECTED") and refund["status"] in ("PENDING", "COMPLETED"):
            self._add_refunded(self.payment(refund["payment_id"]), -refund["amount_money"]["amount"])
        self._move(refund, status)

    def _add_refunded(self, payment: Row, amount: int) -> None:
        before = payment.get("refunded_money", {"amount": 0})["amount"]
        money = {"amount": before + amount, "currency": payment["total_money"]["currency"]}
        payment.update(refunded_money=money, updated_at=self.now())

    def _merchant(self, seller: Seller) -> Row:
        return {
            **{"id": seller.merchant_id, "business_name": "The Copper Pot", "country": seller.country},
            **{"language_code": "en-GB", "currency": seller.currency, "status": "ACTIVE"},
            "main_location_id": seller.location_id,
        }

    def _holder(self, kind: str, object_id: str) -> Seller:
        """The seller who has the object."""
        with self.lock:
            for seller in self.sellers.values():
                if object_id in getattr(seller, kind):
                    return seller
        raise KeyError(object_id)


def sign_webhook(body: bytes, url: str, key: str) -> str:
    """The value of x-square-hmacsha256-signature: Square signs the URL that it calls, too."""
    digest = hmac.new(key.encode(), url.encode() + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def webhook_event(
    kind: str, object_id: str, contents: Row, *, merchant_id: str, at: str, event_id: str | None = None
) -> bytes:
    """A webhook's body; the same event_id is a repeated delivery."""
    noun = next(iter(contents))
    return json.dumps(
        {
            **{"merchant_id": merchant_id, "type": kind, "event_id": event_id or str(uuid.uuid4())},
            "created_at": at,
            "data": {"type": noun, "id": object_id, "object": contents},
        }
    ).encode()


def _errors(category: str, code: str, detail: str) -> Row:
    return {"errors": [{"category": category, "code": code, "detail": detail}]}


def _not_found(what: str) -> Refusal:
    return Refusal(404, _errors("INVALID_REQUEST_ERROR", "NOT_FOUND", f"Could not find {what}"))


def _get(rows: dict[str, Row], row_id: str) -> Row:
    if row_id not in rows:
        raise _not_found(f"object with id {row_id}")
    return rows[row_id]


def _id(prefix: str) -> str:
    return prefix + uuid.uuid4().hex[:22]


def _filtered(rows: Iterable[Row], query: dict[str, Any]) -> list[Row]:
    """Newest first; from begin_time until just before end_time."""
    begin, end = query.get("begin_time"), query.get("end_time")
    found = [
        row
        for row in rows
        if (not begin or _instant(row["created_at"]) >= _instant(begin))
        and (not end or _instant(row["created_at"]) < _instant(end))
        and query.get("location_id") in (None, row.get("location_id"))
        and query.get("status") in (None, row.get("status"))
    ]
    ascending = query.get("sort_order") == "ASC"
    return sorted(found, key=lambda row: row["created_at"], reverse=not ascending)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _page(name: str, rows: list[Row], query: dict[str, str]) -> Row:
    start = int(query.get("cursor", "0"))
    end = start + int(query.get("limit", PAGE))
    more = {"cursor": str(end)} if end < len(rows) else {}
    return {name: rows[start:end], **more}
