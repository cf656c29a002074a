"""Stripe Connect: a restaurant opens an account of its own through the platform, and sells by itself."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import models

from accounts.staff import Staff
from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope
from payments.errors import NoSuchAccount
from payments.models import Provider, ProviderAccount
from payments.providers import connect
from restaurants.models import Restaurant

from .accounts import mode_here

Kind = ProviderAccount.Kind
Status = ProviderAccount.Status


@dataclass(frozen=True, slots=True)
class Onboarding:
    """The account, and the page of Stripe's where its owner answers the rest; it opens once."""

    account: ProviderAccount
    url: str


def connect_stripe(*, country: str, email: str, by: Staff) -> Onboarding:
    """Begin, or go on with, opening the restaurant's account at Stripe. Asks Stripe outside any transaction.

    Raises ProviderError, Misconfigured among them where the platform has no Stripe account.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        row = _connected().first()
        name = Restaurant.objects.values_list("name", flat=True).get(pk=restaurant_id)
    if row is None:
        opened = connect.create_connected_account(
            country=country,
            email=email,
            business_name=name,
            restaurant_id=restaurant_id,
            idem_key=f"fynlo-connect-{mode_here()}-{restaurant_id}",
        )
        with restaurant_scope(restaurant_id):
            row, _ = ProviderAccount.objects.get_or_create(
                provider=Provider.STRIPE,
                kind=Kind.STRIPE_CONNECT,
                mode=mode_here(),
                external_account_id=opened.account_id,
                defaults={"status": Status.PENDING},
            )
    back = f"{settings.PUBLIC_URL}/admin/payments/provideraccount/"
    return Onboarding(row, connect.onboarding_link(row.external_account_id, back, back))


def refresh_connected(account_id: UUID) -> ProviderAccount:
    """Ask Stripe how far an account is, and take cards with it once it is ready. Raises ProviderError."""
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        row = _connected().filter(pk=account_id).first()
    if row is None:
        raise NoSuchAccount
    state = connect.account_state(row.external_account_id)
    row.status = Status.ACTIVE if state.is_ready else Status.PENDING
    row.status_detail = ", ".join(state.currently_due)[:300] or state.disabled_reason[:300]
    with restaurant_scope(restaurant_id):
        row.save(update_fields=["status", "status_detail"])
    return row


def _connected() -> models.QuerySet[ProviderAccount]:
    return ProviderAccount.objects.filter(
        provider=Provider.STRIPE, kind=Kind.STRIPE_CONNECT, mode=mode_here()
    ).exclude(status=Status.DISCONNECTED)
