"""A restaurant's accounts with payment providers, and its card readers."""

import uuid
from typing import ClassVar

from django.db import models

from fynlo.tenancy.models import TenantForeignKey, TenantModel


class Provider(models.TextChoices):
    """Who moves the money. The names are stored, and are part of webhook URLs and metrics."""

    CASH = "cash", "Cash"
    STRIPE = "stripe", "Stripe"
    SQUARE = "square", "Square"
    SUMUP = "sumup", "SumUp"
    EXTERNAL = "external", "Own card machine"


class ProviderAccountQuerySet(models.QuerySet["ProviderAccount"]):
    def usable(self) -> "ProviderAccountQuerySet":
        return self.filter(status=ProviderAccount.Status.ACTIVE)


class ProviderAccount(TenantModel):
    """An account that takes card payments for this restaurant.

    A payment keeps the account that took it, and its refunds go through that one whatever the settings
    say by then. `credentials_sealed` holds keys and webhook secrets, sealed for this restaurant and
    provider (`payments/seal.py`); `key_hint` is all that is ever shown of them. `public_id` is the
    unguessable part of the account's webhook URL. `fee_percent` and `fee_fixed_minor` estimate what the
    provider will keep; `application_fee_percent` is what the platform keeps.
    """

    class Mode(models.TextChoices):
        TEST = "test", "Test"
        LIVE = "live", "Live"

    class Kind(models.TextChoices):
        OWN_KEYS = "own_keys", "The restaurant's own keys"
        STRIPE_CONNECT = "stripe_connect", "Stripe Connect"
        SQUARE_OAUTH = "square_oauth", "Square OAuth"
        PLATFORM_ENV = "platform_env", "The platform's own credentials"

    class Status(models.TextChoices):
        PENDING = "pending", "Not ready yet"
        ACTIVE = "active", "Active"
        DEGRADED = "degraded", "Refused by the provider"
        DISCONNECTED = "disconnected", "Disconnected"

    provider = models.CharField(max_length=20, choices=Provider)
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.OWN_KEYS)
    mode = models.CharField(max_length=4, choices=Mode)
    status = models.CharField(max_length=12, choices=Status, default=Status.ACTIVE)
    priority = models.PositiveSmallIntegerField(default=0, help_text="The lowest is asked first.")
    external_account_id = models.CharField(
        max_length=80, blank=True, help_text="The provider's own name of it: acct_…, a merchant id or code."
    )
    location_id = models.CharField(max_length=80, blank=True, help_text="Of Square: which location sells.")
    credentials_sealed = models.TextField(blank=True, editable=False)
    key_hint = models.CharField(max_length=12, blank=True, editable=False)
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    fee_percent = models.DecimalField(max_digits=6, decimal_places=3, default=0)
    fee_fixed_minor = models.PositiveIntegerField(default=0)
    application_fee_percent = models.DecimalField(max_digits=6, decimal_places=3, default=0)
    status_detail = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar = ProviderAccountQuerySet.as_manager()

    class Meta:
        db_table = "payments_provideraccount"
        verbose_name = "payment account"
        ordering = ["priority", "created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "public_id"], name="payments_provideraccount_public"
            ),
            models.UniqueConstraint(
                fields=["restaurant", "provider", "mode", "external_account_id"],
                name="payments_provideraccount_external",
                condition=~models.Q(status="disconnected"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_provider_display()} {self.external_account_id or self.key_hint}".strip()


class Terminal(TenantModel):
    """A card reader. At most one open attempt is on it at a time (a unique key of the attempts)."""

    account = TenantForeignKey(ProviderAccount, models.PROTECT, db_index=False, related_name="terminals")
    reader_id = models.CharField(max_length=80, help_text="The provider's own id of the reader.")
    label = models.CharField(max_length=60)
    location_id = models.CharField(max_length=80, blank=True)
    device_type = models.CharField(max_length=60, blank=True)
    is_online = models.BooleanField(default=True)
    is_active = models.BooleanField(default=True)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_terminal"
        verbose_name = "card reader"
        ordering = ["label"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "account", "reader_id"], name="payments_terminal_reader"
            )
        ]

    def __str__(self) -> str:
        return self.label
