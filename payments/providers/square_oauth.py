"""Square's OAuth: a restaurant lets the platform's application act for its own account.

Asked with SQUARE_APPLICATION_ID and SQUARE_APPLICATION_SECRET. Raises what `errors` lists, and Misconfigured
where the platform has none.
"""

import datetime
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from square.core.request_options import RequestOptions
from square.environment import SquareEnvironment

from .errors import Misconfigured, UnknownOutcome
from .square import square_client

# What a till, its readers, its links, reconciling and the platform's fee ask for.
SCOPES = (
    *("MERCHANT_PROFILE_READ", "PAYMENTS_READ", "PAYMENTS_WRITE", "PAYMENTS_WRITE_IN_PERSON"),
    *("PAYMENTS_WRITE_ADDITIONAL_RECIPIENTS", "DEVICES_READ", "DEVICE_CREDENTIAL_MANAGEMENT"),
    *("ORDERS_READ", "ORDERS_WRITE", "DISPUTES_READ", "PAYOUTS_READ"),
)


@dataclass(frozen=True, slots=True)
class Consent:
    """What a seller's consent gives us: `access_token` runs out at `expires_at`, `refresh_token` never."""

    merchant_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Place:
    """The seller's main location, and what it sells in."""

    location_id: str
    currency: str


def is_set_up() -> bool:
    """Whether restaurants can connect their Square accounts through this platform."""
    payments = settings.ENV.payments
    return bool(payments.square_application_id and payments.square_application_secret)


def consent_url(state: str, redirect_url: str) -> str:
    """Square's own page, where the seller signs in and says yes."""
    application_id, _ = _application()
    base = settings.ENV.payments.square_base_url or _environment().value
    asked = {
        "client_id": application_id,
        "scope": " ".join(SCOPES),
        "state": state,
        "redirect_uri": redirect_url,
    }
    if settings.PRODUCTION:  # the sandbox knows its test seller by the session that is open already
        asked["session"] = "false"
    return f"{base}/oauth2/authorize?{urlencode(asked)}"


def exchange(code: str, redirect_url: str) -> Consent:
    """The consent behind a code, which is good once and for five minutes."""
    return _obtain(grant_type="authorization_code", code=code, redirect_uri=redirect_url)


def renew(refresh_token: str) -> Consent:
    """The same consent with a new access token; the old one goes on until it runs out."""
    return _obtain(grant_type="refresh_token", refresh_token=refresh_token)


def revoke(access_token: str, *, only_this_token: bool) -> None:
    """Give the consent back, or only one token of it. Misconfigured: Square knows it no more anyway."""
    application_id, _ = _application()
    with _client() as square:
        square.o_auth.revoke_token(
            client_id=application_id,
            access_token=access_token,
            revoke_only_access_token=only_this_token,
            request_options=_as_application(),
        )


def main_location(access_token: str) -> Place:
    with _client(access_token) as square:
        found = square.locations.get("main", request_options={"max_retries": 0}).location
    if found is None or not found.id:
        raise UnknownOutcome("Square names no location of this seller.")
    return Place(found.id, str(found.currency or ""))


def _obtain(**grant: Any) -> Consent:
    application_id, secret = _application()
    with _client() as square:
        answer = square.o_auth.obtain_token(
            client_id=application_id, client_secret=secret, request_options=_as_application(), **grant
        )
    if not (answer.access_token and answer.refresh_token and answer.merchant_id and answer.expires_at):
        raise UnknownOutcome("Square's answer lacks a token.")
    return Consent(
        answer.merchant_id,
        answer.access_token,
        answer.refresh_token,
        datetime.datetime.fromisoformat(answer.expires_at),
    )


def _application() -> tuple[str, str]:
    payments = settings.ENV.payments
    if not is_set_up():
        raise Misconfigured("The platform has no application at Square.", code="application_required")
    return payments.square_application_id, payments.square_application_secret


def _client(token: str = "") -> Any:
    return square_client(
        token or _application()[1],
        base_url=settings.ENV.payments.square_base_url,
        sandbox=not settings.PRODUCTION,
    )


def _as_application() -> RequestOptions:
    return {"max_retries": 0, "additional_headers": {"Authorization": f"Client {_application()[1]}"}}


def _environment() -> SquareEnvironment:
    return SquareEnvironment.PRODUCTION if settings.PRODUCTION else SquareEnvironment.SANDBOX
