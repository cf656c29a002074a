"""Accounts that restaurants connect through the platform, without copying keys.

Stripe Connect opens an account in the restaurant's name; Square's OAuth has it consent that the platform
acts for the account it has. What asks a provider opens transactions of its own, and none may be open.
"""

import datetime
import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import connection, models
from django.utils import timezone

from accounts.staff import Staff
from fynlo.tenancy.scope import bind_restaurant, require_restaurant_id, restaurant_scope
from payments.errors import AccountInUse, ConsentInvalid, CredentialsInvalid, NoSuchAccount
from payments.models import PaymentAttempt, Provider, ProviderAccount, Refund
from payments.providers import connect, square_oauth
from payments.providers.errors import Misconfigured, ProviderError
from payments.seal import SealBroken, seal, unseal
from restaurants.models import Restaurant

from .accounts import mark_degraded, mode_here, was_left

logger = logging.getLogger(__name__)

Kind = ProviderAccount.Kind
Status = ProviderAccount.Status

STATE = "payments.square-consent"
STATE_SECONDS = 15 * 60
# Square's tokens run out after 30 days; it advises to renew them at least every seven.
RENEW_BEFORE = datetime.timedelta(days=24)


@dataclass(frozen=True, slots=True)
class Onboarding:
    """The account, and the page of Stripe's where its owner answers the rest; it opens once."""

    account: ProviderAccount
    url: str
    is_new: bool = False


def connect_stripe(*, country: str, email: str) -> Onboarding:
    """Begin, or go on with, opening the restaurant's account at Stripe. Asks Stripe outside any transaction.

    Raises ProviderError, Misconfigured among them where the platform has no Stripe account.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        row = _connected().first()
        name = Restaurant.objects.values_list("name", flat=True).get(pk=restaurant_id)
    is_new = row is None
    if row is None:
        opened = connect.create_connected_account(
            country=country,
            email=email,
            business_name=name,
            restaurant_id=restaurant_id,
            idem_key=f"fynlo-connect-{mode_here()}-{restaurant_id}",
        )
        with restaurant_scope(restaurant_id):
            row = _keep(opened.account_id)
    back = f"{settings.BASE_URL}/admin/payments/provideraccount/{row.pk}"
    link = connect.onboarding_link(row.external_account_id, f"{back}/connected/", f"{back}/resume/")
    return Onboarding(row, link, is_new)


def refresh_connected(account_id: UUID) -> ProviderAccount:
    """Ask Stripe how far an account is, and take cards with it once it is ready.

    Asks outside any transaction. Raises NoSuchAccount, ProviderError.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        row = _connected().filter(pk=account_id).first()
    if row is None:
        raise NoSuchAccount
    try:
        state = connect.account_state(row.external_account_id)
    except Misconfigured as error:
        with restaurant_scope(restaurant_id):
            mark_degraded(account_id, str(error))
        raise
    row.status, row.status_detail = _standing(row, state)
    with restaurant_scope(restaurant_id):  # unless somebody disconnected it meanwhile
        _connected().filter(pk=account_id).update(status=row.status, status_detail=row.status_detail)
    return row


def _standing(row: ProviderAccount, state: connect.ConnectedAccount) -> tuple[Status, str]:
    """The status, and in words what is missing."""
    if state.is_ready:
        return Status.ACTIVE, ""
    asked = ", ".join(name.replace("_", " ").replace(".", " ") for name in state.currently_due)
    detail = f"Stripe still asks for: {asked}." if asked else "Stripe is looking at what was sent."
    if state.disabled_reason:
        detail += f" Its reason: {state.disabled_reason}."
    status = Status.PENDING if row.status == Status.PENDING else Status.DEGRADED
    return status, detail[:300]


def _keep(external_account_id: str) -> ProviderAccount:
    """The account's row. The same request soon after disconnecting finds the same account again."""
    row, _ = ProviderAccount.objects.get_or_create(
        provider=Provider.STRIPE,
        kind=Kind.STRIPE_CONNECT,
        mode=mode_here(),
        external_account_id=external_account_id,
        defaults={"status": Status.PENDING},
    )
    if row.status == Status.DISCONNECTED:
        row.status = Status.PENDING
        row.save(update_fields=["status"])
    return row


def _connected() -> models.QuerySet[ProviderAccount]:
    return ProviderAccount.objects.filter(
        provider=Provider.STRIPE, kind=Kind.STRIPE_CONNECT, mode=mode_here()
    ).exclude(status=Status.DISCONNECTED)


# Square


def square_redirect_url() -> str:
    """Where Square sends the owner back to: to be entered at Square, letter by letter."""
    return f"{settings.BASE_URL}/admin/payments/provideraccount/square/"


def ask_for_square(*, by: Staff) -> str:
    """Square's page where the owner consents: what comes back is good for a quarter of an hour.

    And for this person only. Raises Misconfigured where the platform has no application at Square.
    """
    state = signing.dumps([by.restaurant_id, str(by.membership_id)], salt=STATE)
    return square_oauth.consent_url(state, square_redirect_url())


def connect_square(*, code: str, state: str, by: Staff) -> Onboarding:
    """Keep the account whose owner has just consented; one that was disconnected is connected again.

    Raises ConsentInvalid, CredentialsInvalid where its keys are here already, ProviderError.
    """
    try:
        asked = signing.loads(state, salt=STATE, max_age=STATE_SECONDS)
    except signing.BadSignature as error:
        raise ConsentInvalid("This was begun too long ago: begin again.", field="state") from error
    if asked != [by.restaurant_id, str(by.membership_id)]:
        raise ConsentInvalid("Somebody else began this: begin again.", field="state")
    consent = square_oauth.exchange(code, square_redirect_url())
    place = square_oauth.main_location(consent.access_token)
    with restaurant_scope(by.restaurant_id):
        currency = Restaurant.objects.values_list("currency", flat=True).get(pk=by.restaurant_id)
        if place.currency != currency:
            raise Misconfigured(f"This seller takes {place.currency}, not {currency}.")
        row, is_new = _keep_square(consent, place)
    return Onboarding(row, "", is_new)


def renew_square_tokens(restaurant_id: int) -> None:
    """Renew the restaurant's tokens that are a week old; give back what it disconnected and Square has still.

    One that cannot be renewed does not stop the others. May run twice.
    """
    with bind_restaurant(restaurant_id):
        with restaurant_scope(restaurant_id):
            rows = list(_consented().exclude(credentials_sealed=""))
        for row in rows:
            try:
                if row.status == Status.DISCONNECTED:
                    leave_square(row.pk)
                else:
                    _renew(row)
            except (ProviderError, SealBroken) as error:
                logger.error("The tokens of Square account %s could not be renewed: %s", row.pk, error)


def check_unused(row: ProviderAccount) -> None:
    """Once our access is given back nobody can ask what became of a payment. Raises AccountInUse."""
    attempts = PaymentAttempt.objects.filter(account=row.pk, settled_at=None)
    refunds = Refund.objects.filter(attempt__account=row.pk, settled_at=None)
    if attempts.exists() or refunds.exists():
        raise AccountInUse


def leave_square(account_id: UUID) -> None:
    """Give our access to a disconnected account back, and forget its tokens. Raises ProviderError.

    Where another restaurant sells by the same merchant only these tokens are given back.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        row = _consented().get(pk=account_id)
        if was_left(row):
            return
        access_token = _secrets(row)["access_token"]
        is_shared = _is_shared(row)
    try:
        square_oauth.revoke(access_token, only_this_token=is_shared)
    except Misconfigured as error:  # the seller took it back at Square, or it ran out
        logger.info("Square knows the tokens of account %s no more: %s", account_id, error)
    with restaurant_scope(restaurant_id):
        left = _consented().filter(pk=account_id, status=Status.DISCONNECTED)
        left.filter(credentials_sealed=row.credentials_sealed).update(credentials_sealed="", key_hint="")


def _renew(row: ProviderAccount) -> None:
    secrets = _secrets(row)
    if datetime.datetime.fromisoformat(secrets["expires_at"]) - timezone.now() > RENEW_BEFORE:
        return
    restaurant_id = require_restaurant_id()
    try:
        consent = square_oauth.renew(secrets["refresh_token"])
    except Misconfigured as error:
        with restaurant_scope(restaurant_id):
            mark_degraded(row.pk, f"Square gives no new token, so connect again: {error}")
        raise
    with restaurant_scope(restaurant_id):  # unless somebody connected it anew meanwhile
        same = _consented().filter(pk=row.pk, credentials_sealed=row.credentials_sealed)
        same.update(credentials_sealed=_sealed(consent), key_hint=_hint_of(consent))


def _keep_square(consent: square_oauth.Consent, place: square_oauth.Place) -> tuple[ProviderAccount, bool]:
    of_merchant = ProviderAccount.objects.filter(
        provider=Provider.SQUARE, mode=mode_here(), external_account_id=consent.merchant_id
    )
    if of_merchant.exclude(kind=Kind.SQUARE_OAUTH).exclude(status=Status.DISCONNECTED).exists():
        raise CredentialsInvalid("This account is here already, by its keys: disconnect it first.")
    row = of_merchant.filter(kind=Kind.SQUARE_OAUTH).select_for_update().first()
    is_new = row is None
    row = row or ProviderAccount(
        provider=Provider.SQUARE,
        kind=Kind.SQUARE_OAUTH,
        mode=mode_here(),
        external_account_id=consent.merchant_id,
    )
    row.location_id = row.location_id or place.location_id
    row.credentials_sealed, row.key_hint = _sealed(consent), _hint_of(consent)
    row.status, row.status_detail = Status.ACTIVE, ""
    changed = ["location_id", "credentials_sealed", "key_hint", "status", "status_detail"]
    row.save(update_fields=None if is_new else changed)
    return row, is_new


def _sealed(consent: square_oauth.Consent) -> str:
    secrets = {
        "access_token": consent.access_token,
        "refresh_token": consent.refresh_token,
        "expires_at": consent.expires_at.isoformat(),
    }
    return seal(secrets, restaurant_id=require_restaurant_id(), provider=Provider.SQUARE)


def _secrets(row: ProviderAccount) -> dict[str, Any]:
    return unseal(row.credentials_sealed, restaurant_id=require_restaurant_id(), provider=Provider.SQUARE)


def _hint_of(consent: square_oauth.Consent) -> str:
    return f"…{consent.access_token[-4:]}"


def _is_shared(row: ProviderAccount) -> bool:
    """Whether another restaurant's account stands for the same merchant, and is connected."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM definer.provider_account(%s, %s, %s) WHERE account_id <> %s",
            [row.provider, row.external_account_id, row.mode, row.pk],
        )
        return bool(cursor.fetchone()[0])


def _consented() -> models.QuerySet[ProviderAccount]:
    return ProviderAccount.objects.filter(provider=Provider.SQUARE, kind=Kind.SQUARE_OAUTH, mode=mode_here())
