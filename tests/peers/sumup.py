"""SumUp, as far as a till meets it: online checkouts, Solo readers, transactions, refunds, payouts.

Each API key is an account of its own, bound to the first merchant code that it names. Amounts are
floats of major units, as SumUp has them, except on readers. What the guest, the reader and the bank do
are methods of the simulator: pay_checkout(), tap(), fail(), pay_out(). Card numbers have no business
here: processing a checkout ourselves is not in the document, and so a violation.
"""

import hashlib
import hmac
import itertools
import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tests.peers import openapi, spec
from tests.peers.simulator import Answer, Call, Refusal, Simulator, handles

SPEC = "sumup_openapi_sdk.json"
SIGNATURE_HEADER = "X-SumUp-Webhook-Signature"
REFUNDS = "/v1.0/merchants/{merchant_code}/payments/{transaction_id}/refunds"
BUSY_SECONDS = 60
READER_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

Row = dict[str, Any]


@dataclass
class Account:
    """One SumUp merchant: what an API key opens."""

    merchant_code: str = ""
    checkouts: dict[str, Row] = field(default_factory=dict)
    transactions: dict[str, Row] = field(default_factory=dict)  # by client_transaction_id
    readers: dict[str, Row] = field(default_factory=dict)
    armed: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # reader -> transaction, since
    offline: set[str] = field(default_factory=set)
    reader_checkouts: dict[str, Row] = field(default_factory=dict)
    payouts: list[Row] = field(default_factory=list)
    paid_out: set[int] = field(default_factory=set)


class SumupSimulator(Simulator):
    """SumUp behind a loopback URL: Sumup(api_key="any", base_url=simulator.url)."""

    undocumented = frozenset({(f"POST {REFUNDS}", 204)})

    def __init__(self) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.accounts: dict[str, Account] = {}
        self.revoked: set[str] = set()  # API keys that no longer open anything
        # The document says 201 with a body; it has also been seen as 204 with none. A caller bears both.
        self.refund_status = 201
        self._numbers = itertools.count(1)
        super().__init__(openapi.load(spec(SPEC)))

    def forget(self) -> None:
        self.accounts.clear()
        self.revoked.clear()

    def malformed(self, detail: str) -> Any:
        return {"error_code": "INVALID", "message": detail, "type": "about:blank"}

    def admit(self, call: Call) -> None:
        account = self.account(call.token)
        body = call.body if isinstance(call.body, dict) else {}
        named = call.arguments.get("merchant_code") or body.get("merchant_code")
        account.merchant_code = account.merchant_code or named or ""
        stranger = named is not None and named != account.merchant_code
        if not call.token or call.token in self.revoked or stranger:
            raise Refusal(401, _problem(401, "Unauthorized", "The key does not open this merchant."))

    # What a test sets up and looks at.

    def account(self, key: str) -> Account:
        """The account behind an API key; a key never seen opens a new one."""
        with self.lock:
            return self.accounts.setdefault(key, Account())

    def add_reader(self, key: str, name: str, *, online: bool = True, model: str = "solo") -> str:
        """A reader, paired; returns its id."""
        with self.lock:
            account = self.account(key)
            return str(self._add_reader(account, name, model, online)["id"])

    def set_online(self, reader_id: str, online: bool) -> None:
        account = self._holder("readers", reader_id)
        (account.offline.discard if online else account.offline.add)(reader_id)

    def transaction(self, client_transaction_id: str) -> Row:
        """A transaction of any account, as it is now."""
        return self._holder("transactions", client_transaction_id).transactions[client_transaction_id]

    def checkout(self, checkout_id: str) -> Row:
        return self._holder("checkouts", checkout_id).checkouts[checkout_id]

    def taken(self, reference: str) -> int:
        """Minor units really captured less refunded under our own reference, by all of its transactions."""
        with self.lock:
            rows = [row for account in self.accounts.values() for row in account.transactions.values()]
            return sum(
                _minor(row["amount"]) - _refunded(row)
                for row in rows
                if reference in (row.get("foreign_transaction_id"), row["_reference"])
                and row["status"] in ("SUCCESSFUL", "REFUNDED")
            )

    # What the guest, the reader and the bank do.

    def tap(self, client_transaction_id: str, tip: int = 0) -> bool:
        """The guest presents a card at the reader, adding a tip in minor units.

        False where the reader had let go. A tap wins the race against a termination that the reader
        has not carried out yet: let_go() is what ends the wait.
        """
        with self.lock:
            row = self.transaction(client_transaction_id)
            if row["status"] != "PENDING":
                return False
            row.update(status="SUCCESSFUL", simple_status="SUCCESSFUL", entry_mode="CONTACTLESS")
            row.update(auth_code="053201", card={"last_4_digits": "3436", "type": "VISA"})
            if tip:
                row.update(amount=_major(_minor(row["amount"]) + tip), tip_amount=_major(tip))
            self._disarm(client_transaction_id, "successful")
            return True

    def fail(self, client_transaction_id: str) -> bool:
        """The card is declined; False where it was over already."""
        return self._end(client_transaction_id, "FAILED", "failed")

    def let_go(self, client_transaction_id: str) -> bool:
        """The reader gives up: terminated, left alone for 60 seconds, or cancelled by the guest."""
        return self._end(client_transaction_id, "CANCELLED", "cancelled")

    def pay_checkout(self, checkout_id: str, *, decline: bool = False) -> str | None:
        """The guest pays on the hosted page; returns the transaction's id, None where it was not open.

        A declined checkout can be tried again, and then be paid.
        """
        with self.lock:
            account = self._holder("checkouts", checkout_id)
            checkout = account.checkouts[checkout_id]
            if self._status_of(checkout) not in ("PENDING", "FAILED"):
                return None
            status = "FAILED" if decline else "SUCCESSFUL"
            row = self._add_transaction(account, checkout["amount"], checkout["currency"], "ECOM")
            row.update(status=status, simple_status=status, entry_mode="CUSTOMER_ENTRY")
            row["_reference"] = checkout["checkout_reference"]
            checkout["transactions"].append(row)
            checkout["status"] = "FAILED" if decline else "PAID"
            if not decline:
                checkout.update(transaction_id=row["id"], transaction_code=row["transaction_code"])
            return str(row["id"])

    def expire_checkout(self, checkout_id: str) -> None:
        with self.lock:
            self.checkout(checkout_id)["status"] = "EXPIRED"

    def charge_fees(self, basis_points: int = 169) -> int:
        """SumUp's own fee appears on what was paid; returns on how many."""
        with self.lock:
            rows = [row for account in self.accounts.values() for row in account.transactions.values()]
            due = [r for r in rows if r["status"] in ("SUCCESSFUL", "REFUNDED") and "fee_amount" not in r]
            for row in due:
                row["fee_amount"] = _major((_minor(row["amount"]) * basis_points + 5_000) // 10_000)
            return len(due)

    def pay_out(self, key: str) -> list[Row]:
        """Send to the bank all that was paid and refunded since the last payout."""
        with self.lock:
            account = self.account(key)
            made = []
            for row in account.transactions.values():
                if row["status"] not in ("SUCCESSFUL", "REFUNDED"):
                    continue
                if row["_number"] not in account.paid_out:
                    account.paid_out.add(row["_number"])
                    fee = row.get("fee_amount", 0.0)
                    net = _major(_minor(row["amount"]) - _minor(fee))
                    made.append(self._payout(row, "PAYOUT", net, fee))
                for event in row["events"]:
                    if event["id"] not in account.paid_out:
                        account.paid_out.add(event["id"])
                        made.append(self._payout(row, "REFUND_DEDUCTION", -event["amount"], 0.0))
            account.payouts += made
            return made

    # Online checkouts.

    @handles("POST", "/v0.1/checkouts")
    def _create_checkout(self, call: Call) -> Answer:
        account, body = self.account(call.token), call.body
        reference = body["checkout_reference"]
        if any(c["checkout_reference"] == reference for c in account.checkouts.values()):
            detail = "Checkout with this checkout reference and pay to email already exists"
            raise Refusal(409, {"error_code": "DUPLICATED_CHECKOUT", "message": detail})
        if body["amount"] <= 0:
            raise Refusal(400, {"error_code": "INVALID", "message": "Validation error", "param": "amount"})
        checkout = {
            **{key: value for key, value in body.items() if key not in ("hosted_checkout", "purpose")},
            **{"id": str(uuid.uuid4()), "status": "PENDING", "date": self.now(), "transactions": []},
        }
        if (body.get("hosted_checkout") or {}).get("enabled"):
            checkout["hosted_checkout_url"] = f"https://checkout.sumup.com/pay/{checkout['id']}"
        account.checkouts[checkout["id"]] = checkout
        return 201, self._shown(checkout, "redirect_url")

    @handles("GET", "/v0.1/checkouts")
    def _list_checkouts(self, call: Call) -> Answer:
        reference = call.query.get("checkout_reference")
        found = [
            self._shown(checkout)
            for checkout in self.account(call.token).checkouts.values()
            if reference in (None, checkout["checkout_reference"])
        ]
        return 200, found

    @handles("GET", "/v0.1/checkouts/{checkout_id}")
    def _get_checkout(self, call: Call) -> Answer:
        return 200, self._shown(self._own_checkout(call))

    @handles("PATCH", "/v0.1/checkouts/{checkout_id}")
    def _update_checkout(self, call: Call) -> Answer:
        checkout = self._own_checkout(call)
        checkout.update(call.body)
        return 200, self._shown(checkout, "redirect_url")

    @handles("DELETE", "/v0.1/checkouts/{checkout_id}")
    def _deactivate_checkout(self, call: Call) -> Answer:
        checkout = self._own_checkout(call)
        if self._status_of(checkout) not in ("PENDING", "FAILED"):
            raise Refusal(
                409, {"error_code": "CHECKOUT_PROCESSED", "message": "Checkout is already processed"}
            )
        checkout["status"] = "EXPIRED"
        return 200, self._shown(checkout, "redirect_url")

    def _own_checkout(self, call: Call) -> Row:
        checkouts = self.account(call.token).checkouts
        if call.arguments["checkout_id"] not in checkouts:
            raise _not_found()
        return checkouts[call.arguments["checkout_id"]]

    def _status_of(self, checkout: Row) -> str:
        until = checkout.get("valid_until")
        if checkout["status"] == "PENDING" and until and datetime.fromisoformat(until) <= self.clock():
            checkout["status"] = "EXPIRED"
        return str(checkout["status"])

    def _shown(self, checkout: Row, *hidden: str) -> Row:
        self._status_of(checkout)
        tried = ("id", "transaction_code", "amount", "currency", "timestamp", "status", "payment_type")
        tries = [{key: row[key] for key in tried} for row in checkout["transactions"]]
        shown = {key: value for key, value in checkout.items() if key not in hidden}
        return {**shown, "transactions": tries}

    # Readers.

    @handles("GET", "/v0.1/merchants/{merchant_code}/readers")
    def _list_readers(self, call: Call) -> Answer:
        return 200, {"items": list(self.account(call.token).readers.values())}

    @handles("POST", "/v0.1/merchants/{merchant_code}/readers")
    def _pair_reader(self, call: Call) -> Answer:
        return 201, self._add_reader(self.account(call.token), call.body["name"], "solo", True)

    @handles("GET", "/v0.1/merchants/{merchant_code}/readers/{reader_id}")
    def _get_reader(self, call: Call) -> Answer:
        return 200, self._reader(call)

    @handles("DELETE", "/v0.1/merchants/{merchant_code}/readers/{reader_id}")
    def _unpair_reader(self, call: Call) -> Answer:
        del self.account(call.token).readers[self._reader(call)["id"]]
        return 200, None

    @handles("GET", "/v0.1/merchants/{merchant_code}/readers/{reader_id}/status")
    def _reader_status(self, call: Call) -> Answer:
        account, reader_id = self.account(call.token), self._reader(call)["id"]
        if reader_id in account.offline:
            return 200, {"data": {"status": "OFFLINE"}}
        state = "WAITING_FOR_CARD" if reader_id in account.armed else "IDLE"
        return 200, {"data": {"status": "ONLINE", "state": state, "last_activity": self.now()}}

    @handles("POST", "/v0.1/merchants/{merchant_code}/readers/{reader_id}/checkout")
    def _arm_reader(self, call: Call) -> Answer:
        account, reader_id = self.account(call.token), self._reader(call)["id"]
        self._require_ready(account, reader_id)
        money = call.body["total_amount"]
        amount = float(Decimal(money["value"]).scaleb(-money["minor_unit"]))
        row = self._add_transaction(account, amount, money["currency"], "POS")
        row["foreign_transaction_id"] = (call.body.get("affiliate") or {}).get("foreign_transaction_id", "")
        checkout_id, client = str(uuid.uuid4()), row["client_transaction_id"]
        account.armed[reader_id] = (client, self.clock())
        account.reader_checkouts[checkout_id] = {
            **{"checkout_id": checkout_id, "client_transaction_id": client, "status": "pending"},
            **{"reader_serial_number": account.readers[reader_id]["device"]["identifier"]},
            **{"payment_type": "card", "card_type": None, "installments": None, "payment_status": None},
            # Optional by the document, required by the library.
            "payment_failure_reason": None,
            **{"reader_firmware_version": "3.3.28.0", "created_at": self.now(), "updated_at": self.now()},
            **{"valid_until": None, "total_amount": money},
        }
        return 201, {"data": {"checkout_id": checkout_id, "client_transaction_id": client}}

    @handles("GET", "/v0.1/merchants/{merchant_code}/readers/{reader_id}/checkout/{checkout_id}")
    def _get_reader_checkout(self, call: Call) -> Answer:
        found = self.account(call.token).reader_checkouts.get(call.arguments["checkout_id"])
        if found is None:
            raise Refusal(404, {"errors": {"detail": "Not Found"}})
        return 200, {"data": found}

    @handles("POST", "/v0.1/merchants/{merchant_code}/readers/{reader_id}/terminate")
    def _terminate(self, call: Call) -> Answer:
        """Only asks the reader; let_go() or tap() says how it ended."""
        account, reader_id = self.account(call.token), self._reader(call)["id"]
        if reader_id in account.offline:
            raise Refusal(422, _reader_offline())
        return 202, None

    def _reader(self, call: Call) -> Row:
        readers = self.account(call.token).readers
        if call.arguments["reader_id"] not in readers:
            raise Refusal(404, {"errors": {"detail": "Not Found"}, "type": "about:blank"})
        return readers[call.arguments["reader_id"]]

    def _require_ready(self, account: Account, reader_id: str) -> None:
        if reader_id in account.offline:
            raise Refusal(422, _reader_offline())
        if reader_id in account.armed:
            since = account.armed[reader_id][1]
            if self.clock() - since < timedelta(seconds=BUSY_SECONDS):
                busy = {"detail": "There is a pending checkout for the device.", "type": "READER_BUSY"}
                raise Refusal(422, {"errors": busy})
            self.let_go(account.armed[reader_id][0])

    def _add_reader(self, account: Account, name: str, model: str, online: bool) -> Row:
        reader_id = "rdr_" + "".join(random.choices(READER_ALPHABET, k=26))
        account.readers[reader_id] = {
            **{"id": reader_id, "name": name, "status": "paired"},
            "device": {"identifier": f"U1DT3NA{next(self._numbers):06}", "model": model},
            **{"created_at": self.now(), "updated_at": self.now()},
        }
        if not online:
            account.offline.add(reader_id)
        return account.readers[reader_id]

    def _end(self, client_transaction_id: str, status: str, reader_status: str) -> bool:
        with self.lock:
            row = self.transaction(client_transaction_id)
            if row["status"] != "PENDING":
                return False
            row.update(status=status, simple_status=status)
            self._disarm(client_transaction_id, reader_status)
            return True

    def _disarm(self, client_transaction_id: str, status: str) -> None:
        account = self._holder("transactions", client_transaction_id)
        account.armed = {
            reader_id: held for reader_id, held in account.armed.items() if held[0] != client_transaction_id
        }
        for checkout in account.reader_checkouts.values():
            if checkout["client_transaction_id"] == client_transaction_id:
                checkout.update(status=status, updated_at=self.now())

    # Transactions and refunds.

    @handles("GET", "/v2.1/merchants/{merchant_code}/transactions")
    def _get_transaction(self, call: Call) -> Answer:
        keys = ("id", "transaction_code", "client_transaction_id", "foreign_transaction_id")
        asked = {key: call.query[key] for key in keys if call.query.get(key)}
        for row in self.account(call.token).transactions.values():
            if asked and all(row.get(key) == value for key, value in asked.items()):
                return 200, _public(row)
        raise _not_found()

    @handles("GET", "/v2.1/merchants/{merchant_code}/transactions/history")
    def _list_transactions(self, call: Call) -> Answer:
        entries = [
            entry
            for row in self.account(call.token).transactions.values()
            if row["status"] != "PENDING"
            for entry in _history(row)
        ]
        found = [entry for entry in entries if _asked_for(entry, call)]
        descending = call.query.get("order") == "descending"
        found.sort(key=lambda entry: str(entry["timestamp"]), reverse=descending)
        edge = "newest_ref" if descending else "oldest_ref"
        if edge in call.query:
            ids = [entry["id"] for entry in found]
            found = found[ids.index(call.query[edge]) + 1 :] if call.query[edge] in ids else []
        return 200, _history_page(found, call, edge)

    @handles("POST", REFUNDS)
    def _refund(self, call: Call) -> Answer:
        """There is no idempotency key: the same request twice is two refunds."""
        rows = self.account(call.token).transactions.values()
        row = next((row for row in rows if row["id"] == call.arguments["transaction_id"]), None)
        if row is None:
            raise Refusal(404, _problem(404, "Not Found", "No such transaction."))
        left = _minor(row["amount"]) - _refunded(row)
        amount = _minor(call.body["amount"]) if call.body.get("amount") is not None else left
        if row["status"] not in ("SUCCESSFUL", "REFUNDED") or not 0 < amount <= left:
            raise Refusal(409, _problem(409, "Conflict", "The transaction is not refundable in this amount."))
        event = {
            **{"id": next(self._numbers), "transaction_id": row["id"], "type": "REFUND"},
            **{"status": "REFUNDED", "amount": _major(amount), "timestamp": self.now()},
        }
        row["events"].append(event)
        if amount == left:
            row.update(status="REFUNDED", simple_status="REFUNDED")
        return self.refund_status, None if self.refund_status == 204 else {}

    def _add_transaction(self, account: Account, amount: float, currency: str, payment_type: str) -> Row:
        number = next(self._numbers)
        row: Row = {
            **{"id": str(uuid.uuid4()), "transaction_code": f"TA{number:08}", "amount": amount},
            **{"currency": currency, "timestamp": self.now(), "status": "PENDING", "events": []},
            **{"payment_type": payment_type, "installments_count": 1, "simple_status": "PENDING"},
            **{"client_transaction_id": str(uuid.uuid4()), "merchant_code": account.merchant_code},
            **{"_reference": "", "_number": number},
        }
        account.transactions[row["client_transaction_id"]] = row
        return row

    # Payouts and the merchant.

    @handles("GET", "/v1.0/merchants/{merchant_code}/payouts")
    def _list_payouts(self, call: Call) -> Answer:
        first, last = call.query["start_date"], call.query["end_date"]
        found = [p for p in self.account(call.token).payouts if first <= p["date"] <= last]
        if call.query.get("order") == "desc":
            found.reverse()
        return 200, found[: int(call.query.get("limit", 10_000))]

    @handles("GET", "/v1/merchants/{merchant_code}")
    def _get_merchant(self, call: Call) -> Answer:
        return 200, {
            **{"merchant_code": call.arguments["merchant_code"], "country": "GB"},
            **{"default_currency": "GBP", "default_locale": "en-GB", "sandbox": True},
            **{"created_at": self.now(), "updated_at": self.now()},
        }

    def _payout(self, row: Row, kind: str, amount: float, fee: float) -> Row:
        number = next(self._numbers)
        return {
            **{"id": number, "type": kind, "amount": amount, "fee": fee, "status": "SUCCESSFUL"},
            **{"date": self.clock().date().isoformat(), "currency": row["currency"]},
            **{"reference": f"PO{number:06}", "transaction_code": row["transaction_code"]},
        }

    # Webhooks.

    def checkout_callback(self, checkout_id: str) -> bytes:
        """What SumUp posts to a checkout's return_url: unsigned, and it does not say the outcome."""
        return json.dumps({"event_type": "CHECKOUT_STATUS_CHANGED", "id": checkout_id}).encode()

    def reader_callback(self, client_transaction_id: str) -> bytes:
        """What SumUp posts to a reader checkout's return_url: unsigned, so anybody could."""
        row = self.transaction(client_transaction_id)
        payload = {
            **{"client_transaction_id": client_transaction_id, "merchant_code": row["merchant_code"]},
            "status": "successful" if row["status"] == "SUCCESSFUL" else "failed",
            "transaction_id": row["id"],
        }
        event = {"id": str(uuid.uuid4()), "event_type": "solo.transaction.updated", "payload": payload}
        return json.dumps({**event, "timestamp": self.now()}).encode()

    def event(self, kind: str, checkout_id: str, *, event_id: str | None = None) -> bytes:
        """The body of a signed event such as "checkouts.paid": a reference, to be fetched."""
        url = f"{self.url}/v0.1/checkouts/{checkout_id}"
        about = {"id": checkout_id, "type": "checkout", "url": url}
        event = {"id": event_id or str(uuid.uuid4()), "type": kind, "created_at": self.now()}
        return json.dumps({**event, "object": about}).encode()

    def now(self) -> str:
        return self.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _holder(self, kind: str, object_id: str) -> Account:
        """The account that has the object."""
        with self.lock:
            for account in self.accounts.values():
                if object_id in getattr(account, kind):
                    return account
        raise KeyError(object_id)


def sign_event(body: bytes, secret: str, at: float | None = None) -> str:
    """The value of X-SumUp-Webhook-Signature, made at a time in seconds."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), b"v1:" + stamp.encode() + b":" + body, hashlib.sha256)
    return f"t={stamp},v1={digest.hexdigest()}"


def _minor(amount: float) -> int:
    return int((Decimal(str(amount)) * 100).to_integral_exact())


def _major(minor: int) -> float:
    return float(Decimal(minor).scaleb(-2))


def _refunded(row: Row) -> int:
    return sum(_minor(event["amount"]) for event in row["events"] if event["type"] == "REFUND")


def _public(row: Row) -> Row:
    return {key: value for key, value in row.items() if not key.startswith("_")}


def _history(row: Row) -> list[Row]:
    """A transaction as the history shows it: the payment, and each refund as an entry of its own."""
    shared = ("transaction_code", "currency", "payment_type", "installments_count", "client_transaction_id")
    base = {key: row[key] for key in shared} | {"transaction_id": row["id"]}
    status = "SUCCESSFUL" if row["status"] == "REFUNDED" else row["status"]
    payment = {**base, "id": row["id"], "type": "PAYMENT", "status": status, "timestamp": row["timestamp"]}
    payment |= {"amount": row["amount"], "refunded_amount": _major(_refunded(row))}
    refunds = [
        {
            **{**base, "id": str(event["id"]), "type": "REFUND", "status": "REFUNDED"},
            **{"timestamp": event["timestamp"], "amount": event["amount"]},
        }
        for event in row["events"]
    ]
    return [payment, *refunds]


def _asked_for(entry: Row, call: Call) -> bool:
    query, many, at = call.query, call.many, datetime.fromisoformat(entry["timestamp"])
    since = query.get("oldest_time") or query.get("changes_since")
    return (
        query.get("transaction_code") in (None, entry["transaction_code"])
        and entry["status"] in many.get("statuses", [entry["status"]])
        and entry["type"] in many.get("types", [entry["type"]])
        and entry["payment_type"] in many.get("payment_types", [entry["payment_type"]])
        and (not since or at >= datetime.fromisoformat(since))
        and ("newest_time" not in query or at <= datetime.fromisoformat(query["newest_time"]))
    )


def _history_page(found: list[Row], call: Call, edge: str) -> Row:
    limit = int(call.query.get("limit", 10))
    page = found[:limit]
    if len(found) <= limit:
        return {"items": page, "links": []}
    kept = [(name, value) for name, value in call.pairs if name != edge]
    query = urlencode([*kept, (edge, page[-1]["id"])])
    return {"items": page, "links": [{"rel": "next", "href": query}]}


def _problem(status: int, title: str, detail: str) -> Row:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


def _not_found() -> Refusal:
    return Refusal(404, {"error_code": "NOT_FOUND", "message": "Resource not found"})


def _reader_offline() -> Row:
    return {"errors": {"detail": "The device is offline.", "type": "READER_OFFLINE"}}
