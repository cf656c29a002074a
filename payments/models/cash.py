"""Drawers, what goes in and out of them, and the closing of a business day."""

from django.db import models

from accounts.models import Device, Membership
from fynlo.tenancy.models import TenantForeignKey, TenantModel


class CashDrawer(TenantModel):
    """A drawer with coins and notes; the one of a till opens with it."""

    name = models.CharField(max_length=40)
    device = TenantForeignKey(
        Device, models.SET_NULL, null=True, blank=True, db_index=False, related_name="drawers"
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        db_table = "payments_cashdrawer"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "name"], name="payments_cashdrawer_name"),
            models.UniqueConstraint(
                fields=["restaurant", "device"],
                name="payments_cashdrawer_device",
                condition=models.Q(device__isnull=False, is_active=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class DrawerSession(TenantModel):
    """A drawer from its float to its count. Amounts are in minor units of the restaurant's currency.

    `expected_minor` is float and movements, written when it is counted; whoever counts does not see it
    before. `variance_minor` is counted less expected: negative where cash is missing.
    """

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        CLOSED = "closed", "Counted and closed"

    drawer = TenantForeignKey(CashDrawer, models.PROTECT, db_index=False, related_name="sessions")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    business_date = models.DateField()
    currency = models.CharField(max_length=3)
    float_minor = models.BigIntegerField()
    opened_by = TenantForeignKey(Membership, models.PROTECT, db_index=False, related_name="+")
    opened_at = models.DateTimeField()
    counted_minor = models.BigIntegerField(null=True, blank=True)
    expected_minor = models.BigIntegerField(null=True, blank=True)
    variance_minor = models.BigIntegerField(null=True, blank=True)
    count_note = models.CharField(max_length=200, blank=True)
    closed_by = TenantForeignKey(
        Membership, models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    closed_at = models.DateTimeField(null=True, blank=True)

    is_repeat: bool = False  # a service found that the request had been carried out before

    class Meta:
        db_table = "payments_drawersession"
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "drawer"],
                name="payments_drawersession_one_open",
                condition=models.Q(status="open"),
            ),
            models.CheckConstraint(
                condition=models.Q(float_minor__gte=0), name="payments_drawersession_float"
            ),
        ]
        indexes = [models.Index(fields=["restaurant", "business_date"], name="payments_session_day")]

    def __str__(self) -> str:
        return f"{self.drawer}, {self.business_date:%-d %b %Y}"


class CashMovement(TenantModel):
    """Cash that went into a drawer (positive) or out of it (negative), or its opening without either.

    Never edited. A sale's is its amount and tip; float and count are the session's own.
    """

    class Kind(models.TextChoices):
        SALE = "sale", "Sale"
        REFUND = "refund", "Refund"
        PAY_IN = "pay_in", "Pay-in"
        PAY_OUT = "pay_out", "Pay-out"
        DROP = "drop", "Drop to the safe"
        NO_SALE = "no_sale", "Opened without a sale"

    session = TenantForeignKey(DrawerSession, models.PROTECT, db_index=False, related_name="movements")
    kind = models.CharField(max_length=10, choices=Kind)
    amount_minor = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=200, blank=True)
    payment = TenantForeignKey(
        "payments.PaymentIntent", models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    refund = TenantForeignKey(
        "payments.Refund", models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    client_key = models.UUIDField()
    by = TenantForeignKey(Membership, models.PROTECT, db_index=False, related_name="+")
    created_at = models.DateTimeField()

    is_repeat: bool = False  # a service found that the request had been carried out before

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "payments_cashmovement"
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "client_key"], name="payments_cashmovement_key"),
        ]
        indexes = [models.Index(fields=["restaurant", "session"], name="payments_movement_session")]


class DayClose(TenantModel):
    """The Z report of a business day: its figures for good, numbered without gaps.

    `content` is the report as it was closed. `overrides` is [{"what", "detail"}, …]: what stood open
    and that `closed_by` signed for.
    """

    number = models.BigIntegerField()
    business_date = models.DateField()
    content = models.JSONField(editable=False)
    overrides = models.JSONField(default=list, editable=False)
    reason = models.CharField(max_length=200, blank=True)
    closed_by = TenantForeignKey(Membership, models.PROTECT, db_index=False, related_name="+")
    closed_at = models.DateTimeField()

    is_repeat: bool = False  # a service found that the request had been carried out before

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "payments_dayclose"
        verbose_name = "Z report"
        ordering = ["-business_date"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "business_date"], name="payments_dayclose_day"),
            models.UniqueConstraint(fields=["restaurant", "number"], name="payments_dayclose_number"),
        ]

    def __str__(self) -> str:
        return f"Z {self.number}"
