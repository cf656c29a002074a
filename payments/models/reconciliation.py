"""Our books beside the providers': runs, payouts, and what somebody has to look at."""

from django.db import models

from accounts.models import Membership
from fynlo.tenancy.models import TenantForeignKey, TenantModel
from orders.models import Order

from .accounts import ProviderAccount
from .tenders import PaymentIntent, Refund


class ReconciliationRun(TenantModel):
    """One comparison of an account with our books, from `since` up to `until`.

    `counts` is {"matched", "ours_only", "theirs_only", "different", "adopted", "unknown", "payouts",
    "fee_estimated_minor", "fee_minor", "clearing_minor"}, the last of which is what our books say that the
    provider holds.
    """

    account = TenantForeignKey(ProviderAccount, models.PROTECT, db_index=False, related_name="runs")
    since = models.DateTimeField()
    until = models.DateTimeField()
    counts = models.JSONField(default=dict)
    error = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_reconciliationrun"
        verbose_name = "comparison with a provider"
        verbose_name_plural = "comparisons with providers"
        ordering = ["-started_at"]
        indexes = [models.Index(fields=["restaurant", "account"], name="payments_run_account")]

    def __str__(self) -> str:
        return f"{self.since:%d %b %Y} to {self.until:%d %b %Y}"


class ReconciliationIssue(TenantModel):
    """Something about money that a person decides: it stays until somebody says how it was settled.

    `subject` names what it is about; the same kind and subject is one issue, however often it is found.
    Amounts are in minor units; `ours_minor` is what our books say, `theirs_minor` what the provider says.
    """

    class Kind(models.TextChoices):
        OVERPAID = "overpaid", "More was taken than the bill comes to"
        AMOUNT_DIFFERS = "amount_differs", "Another amount than was asked for"
        OURS_ONLY = "ours_only", "In our books only"
        THEIRS_ONLY = "theirs_only", "Money without a bill"
        BILL_WITHOUT_MONEY = "bill_without_money", "A bill without its money"
        UNKNOWN_TOO_LONG = "unknown_too_long", "Nobody knows what became of it"
        FEE_DIFFERS = "fee_differs", "Another fee than was expected"
        REFUND_FAILED = "refund_failed", "A refund came back"
        EXTERNAL_REFUND = "external_refund", "Refunded at the provider"
        PAYOUT_DIFFERS = "payout_differs", "A payout is not the sum of its lines"
        DISPUTE = "dispute", "A guest's bank asks for it back"
        CASH_WITHOUT_DRAWER = "cash_without_drawer", "Cash that no open drawer holds"

    kind = models.CharField(max_length=20, choices=Kind)
    subject = models.CharField(max_length=160)
    detail = models.CharField(max_length=300, blank=True)
    account = TenantForeignKey(
        ProviderAccount, models.PROTECT, null=True, blank=True, db_index=False, related_name="issues"
    )
    order = TenantForeignKey(
        Order, models.PROTECT, null=True, blank=True, db_index=False, related_name="issues"
    )
    payment = TenantForeignKey(
        PaymentIntent, models.PROTECT, null=True, blank=True, db_index=False, related_name="issues"
    )
    refund = TenantForeignKey(
        Refund, models.PROTECT, null=True, blank=True, db_index=False, related_name="issues"
    )
    ours_minor = models.BigIntegerField(null=True, blank=True)
    theirs_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    found_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = TenantForeignKey(
        Membership, models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    resolution = models.CharField(max_length=300, blank=True)

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "payments_reconciliationissue"
        verbose_name = "issue"
        ordering = ["-found_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "kind", "subject"], name="payments_reconciliationissue_subject"
            )
        ]

    def __str__(self) -> str:
        return str(self.get_kind_display())


class Payout(TenantModel):
    """Money that a provider sent to the restaurant's bank, or says it will."""

    account = TenantForeignKey(ProviderAccount, models.PROTECT, db_index=False, related_name="payouts")
    provider_ref = models.CharField(max_length=120)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20)
    arrives_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "payments_payout"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "account", "provider_ref"], name="payments_payout_ref"
            )
        ]

    def __str__(self) -> str:
        return self.provider_ref


class PayoutLine(TenantModel):
    """One charge, refund, fee or adjustment within a payout. `amount_minor` is before `fee_minor`."""

    payout = TenantForeignKey(Payout, models.PROTECT, db_index=False, related_name="lines")
    provider_ref = models.CharField(max_length=120)
    kind = models.CharField(max_length=40)
    amount_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField(default=0)
    payment = TenantForeignKey(
        PaymentIntent, models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "payments_payoutline"
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "payout", "provider_ref", "kind"], name="payments_payoutline_ref"
            )
        ]
