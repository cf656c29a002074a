"""Stripe Connect: a restaurant opens an account of its own through the platform.

Asked with the platform's credentials (STRIPE_SECRET_KEY). Raises what `errors` lists, and Misconfigured
where the platform has none.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from .errors import Misconfigured
from .stripe_client import call, client


@dataclass(frozen=True, slots=True)
class ConnectedAccount:
    """How far a restaurant's account at Stripe is. `currently_due` names what Stripe still asks for."""

    account_id: str
    charges_enabled: bool
    payouts_enabled: bool
    details_submitted: bool
    disabled_reason: str = ""
    currently_due: tuple[str, ...] = ()
    country: str = ""
    currency: str = ""

    @property
    def is_ready(self) -> bool:
        return self.charges_enabled and self.details_submitted


def create_connected_account(
    *, country: str, email: str, business_name: str, restaurant_id: int, idem_key: str
) -> ConnectedAccount:
    """Open an account whose owner pays Stripe's fees and bears disputes: the restaurant sells, not we.

    `country` is ISO 3166's two letters; the same `idem_key` opens the same account.
    """
    params = {
        "country": country.upper(),
        "email": email,
        "controller": {
            "fees": {"payer": "account"},
            "losses": {"payments": "stripe"},
            "requirement_collection": "stripe",
            "stripe_dashboard": {"type": "full"},
        },
        "capabilities": {"card_payments": {"requested": True}, "transfers": {"requested": True}},
        "business_profile": {"name": business_name, "mcc": "5812"},  # eating places
        "metadata": {"restaurant": str(restaurant_id)},
    }
    return _read(call(_platform().accounts.create, params, {"idempotency_key": idem_key}))


def onboarding_link(account_id: str, return_url: str, refresh_url: str) -> str:
    """A page of Stripe's that asks the owner for the rest; it opens once, within minutes."""
    params = {
        "account": account_id,
        "type": "account_onboarding",
        "return_url": return_url,
        "refresh_url": refresh_url,
    }
    return str(call(_platform().account_links.create, params)["url"])


def account_state(account_id: str) -> ConnectedAccount:
    """Whether the account can take cards by now."""
    return _read(call(_platform().accounts.retrieve, account_id))


def _platform() -> Any:
    payments = settings.ENV.payments
    if not payments.stripe_secret_key:
        raise Misconfigured("The platform has no Stripe credentials.", code="secret_key_required")
    return client(payments.stripe_secret_key, payments.stripe_api_base or None).v1


def _read(account: dict[str, Any]) -> ConnectedAccount:
    requirements = account.get("requirements") or {}
    return ConnectedAccount(
        account["id"],
        bool(account.get("charges_enabled")),
        bool(account.get("payouts_enabled")),
        bool(account.get("details_submitted")),
        requirements.get("disabled_reason") or "",
        tuple(requirements.get("currently_due") or ()),
        account.get("country") or "",
        (account.get("default_currency") or "").upper(),
    )
