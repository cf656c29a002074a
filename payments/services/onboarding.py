"""Stripe Connect: a restaurant opens an account of its own through the platform, and sells by itself."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import models

from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope
from payments.errors import NoSuchAccount
from payments.models import Provider, ProviderAccount
from payments.providers import connect
from payments.providers.errors import Misconfigured
from restaurants.models import Restaurant

from .accounts import mark_degraded, mode_here

Kind = ProviderAccount.Kind
Status = ProviderAccount.Status


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
