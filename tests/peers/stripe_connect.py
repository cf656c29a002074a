"""Stripe Connect and the bank: accounts, onboarding links, payouts."""

import time

from tests.peers.openapi import Document
from tests.peers.simulator import handles
from tests.peers.stripe_overlay import (
    PLATFORM,
    PassOn,
    Row,
    StripeCall,
    StripeOverlay,
    new_id,
    page_of,
    refuse,
)

LINK_SECONDS = 300


class StripeConnect(StripeOverlay):
    """The model knows one account for each world; which accounts there are is known here."""

    def __init__(self, peer_url: str, document: Document) -> None:
        self._accounts: dict[str, Row] = {}
        self._payouts: dict[str, tuple[str, Row, list[Row]]] = {}  # the account, the object, what it pays
        super().__init__(peer_url, document)

    def onboard(self, account_id: str, *, complete: bool = True) -> None:
        """The restaurant fills in Stripe's form; incomplete, it may not take payments yet."""
        with self.lock:
            account = self._accounts[account_id]
            account.update(details_submitted=True, charges_enabled=complete, payouts_enabled=complete)
            account["requirements"]["currently_due"] = (
                [] if complete else ["individual.verification.document"]
            )
            state = "active" if complete else "pending"
            account["capabilities"] = dict.fromkeys(account["capabilities"], state)
            self.record_event(account_id, "account.updated", account)

    def disconnect(self, account_id: str) -> None:
        """The restaurant takes our access back: from now on every call for it is refused."""
        with self.lock:
            gone = {"id": "ca_fynlo", "object": "application", "name": "Fynlo"}
            self.record_event(account_id, "account.application.deauthorized", gone)
            self.disconnected.add(account_id)

    def pay_out(self, account: str = PLATFORM) -> Row:
        """Send to the bank all of the account's balance that was not paid out yet.

        The model's own payouts need an available balance, which takes days to come; this one does not
        move the model's balance.
        """
        with self.lock:
            made = [
                txn["id"] for owner, _, txns in self._payouts.values() if owner == account for txn in txns
            ]
            due = [t for t in self.list_all(account, "/v1/balance_transactions") if t["id"] not in made]
            total = sum(txn["net"] for txn in due)
            now = int(time.time())
            payout = {
                **{"id": new_id("po_"), "object": "payout", "amount": total, "arrival_date": now},
                **{"automatic": True, "created": now, "currency": due[0]["currency"] if due else "gbp"},
                **{"description": "STRIPE PAYOUT", "destination": "ba_test", "livemode": False},
                **{"balance_transaction": new_id("txn_"), "application_fee": None, "metadata": {}},
                **{"application_fee_amount": None, "failure_balance_transaction": None, "method": "standard"},
                **{"failure_code": None, "failure_message": None, "original_payout": None},
                **{"payout_method": None, "reconciliation_status": "completed", "reversed_by": None},
                **{"source_type": "card", "statement_descriptor": None, "status": "paid", "trace_id": None},
                "type": "bank_account",
            }
            itself = _payout_transaction(payout)
            self._payouts[str(payout["id"])] = (account, payout, [itself, *due])
            self.record_event(account, "payout.paid", payout)
            return payout

    # Accounts.

    @handles("POST", "/v1/accounts")
    def _create_account(self, call: StripeCall) -> Row:
        asked = call.form.get("capabilities") or {"card_payments": {}, "transfers": {}}
        account: Row = {
            **{"id": new_id("acct_"), "object": "account", "created": int(time.time())},
            **{"type": call.form.get("type", "none"), "country": call.form.get("country", "GB")},
            **{"default_currency": "gbp", "email": call.form.get("email"), "details_submitted": False},
            **{"charges_enabled": False, "payouts_enabled": False},
            **{"metadata": call.form.get("metadata") or {}},
            "capabilities": dict.fromkeys(asked, "inactive"),
            "requirements": {
                **{"alternatives": [], "current_deadline": None, "disabled_reason": None, "errors": []},
                **{"currently_due": ["external_account"], "eventually_due": [], "past_due": []},
                "pending_verification": [],
            },
        }
        self._accounts[account["id"]] = account
        return account

    @handles("GET", "/v1/accounts")
    def _list_accounts(self, call: StripeCall) -> Row:
        return page_of(list(reversed(self._accounts.values())), call.query, call.path)

    @handles("GET", "/v1/accounts/{account}")
    def _get_account(self, call: StripeCall) -> Row:
        return self._account(call.arguments["account"])

    @handles("GET", "/v1/account")
    def _get_own_account(self, call: StripeCall) -> Row:
        if call.account in self._accounts:
            return self._accounts[call.account]
        own = call.account if call.account != PLATFORM else "acct_platform"
        return {
            **{"id": own, "object": "account", "type": "standard", "country": "GB"},
            **{"charges_enabled": True, "payouts_enabled": True, "details_submitted": True},
            "default_currency": "gbp",
        }

    @handles("POST", "/v1/account_links")
    def _create_link(self, call: StripeCall) -> Row:
        account = self._account(call.form["account"])
        now = int(time.time())
        return {
            **{"object": "account_link", "created": now, "expires_at": now + LINK_SECONDS},
            "url": f"https://connect.stripe.com/setup/e/{account['id']}/{new_id('')}",
        }

    def _account(self, account_id: str) -> Row:
        if account_id not in self._accounts or account_id in self.disconnected:
            text = f"The provided key does not have access to account '{account_id}'."
            raise refuse(403, "account_invalid", text)
        return self._accounts[account_id]

    # Payouts.

    @handles("GET", "/v1/payouts")
    def _list_payouts(self, call: StripeCall) -> Row:
        ours = [payout for owner, payout, _ in reversed(self._payouts.values()) if owner == call.account]
        created = call.query.get("created") or {}
        found = [
            payout
            for payout in [*ours, *self.list_all(call.account, "/v1/payouts")]
            if call.query.get("status") in (None, payout["status"])
            and int(created.get("gte", 0)) <= payout["created"]
            and ("lt" not in created or payout["created"] < int(created["lt"]))
            and ("lte" not in created or payout["created"] <= int(created["lte"]))
        ]
        return page_of(found, call.query, call.path)

    @handles("GET", "/v1/payouts/{payout}")
    def _get_payout(self, call: StripeCall) -> Row:
        owner, payout, _ = self._payouts.get(call.arguments["payout"], ("", {}, []))
        if owner != call.account:
            raise PassOn
        return payout

    @handles("GET", "/v1/balance_transactions")
    def _list_transactions(self, call: StripeCall) -> Row:
        owner, _, paid = self._payouts.get(call.query.get("payout", ""), ("", {}, []))
        if owner != call.account:
            raise PassOn
        return page_of(paid, call.query, call.path)


def _payout_transaction(payout: Row) -> Row:
    """The payout's own line in the balance: what leaves it."""
    return {
        **{"id": payout["balance_transaction"], "object": "balance_transaction", "type": "payout"},
        **{"amount": -payout["amount"], "net": -payout["amount"], "fee": 0, "fee_details": []},
        **{"available_on": payout["created"], "created": payout["created"], "currency": payout["currency"]},
        **{"balance_type": "payments", "description": "STRIPE PAYOUT", "exchange_rate": None},
        **{"reporting_category": "payout", "source": payout["id"], "status": "available"},
    }
