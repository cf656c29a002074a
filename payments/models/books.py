"""The books, and proof of sale."""

from django.db import models

from fynlo.tenancy.models import TenantForeignKey, TenantModel, TenantOneToOneField
from orders.models import Order


class LedgerTransaction(TenantModel):
    """One business event in the books. `key` names the event, such as capture:<attempt>, once only."""

    key = models.CharField(max_length=80)
    business_date = models.DateField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "payments_ledgertransaction"
        verbose_name = "booking"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "key"], name="payments_ledgertransaction_key")
        ]

    def __str__(self) -> str:
        return self.key


class LedgerEntry(TenantModel):
    """One side of a transaction: debit positive, credit negative, in minor units.

    The entries of a transaction sum to zero (deferred trigger). Never edited, never deleted: a
    mistake is reversed.
    """

    transaction = TenantForeignKey(LedgerTransaction, models.PROTECT, db_index=False, related_name="entries")
    account = models.CharField(max_length=60)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    order = TenantForeignKey(
        Order, models.PROTECT, null=True, blank=True, db_index=False, related_name="ledger_entries"
    )

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "payments_ledgerentry"
        verbose_name = "entry"
        verbose_name_plural = "entries"
        indexes = [
            models.Index(fields=["restaurant", "transaction"], name="payments_entry_transaction"),
            models.Index(fields=["restaurant", "account"], name="payments_entry_account"),
            models.Index(fields=["restaurant", "order"], name="payments_entry_order"),
        ]


class Receipt(TenantModel):
    """Proof of sale for a closed order, numbered without gaps per restaurant.

    `content` is what it says (seller, lines, VAT by rate, payments), frozen on issue; it holds what
    VAT Regulations 1995 reg. 16A asks of a retailer's invoice. Only `printed_at` is ever changed, once:
    what is printed after that is a copy and says so.
    """

    order = TenantOneToOneField(Order, models.PROTECT, related_name="receipt")
    number = models.BigIntegerField()
    content = models.JSONField()
    issued_at = models.DateTimeField()
    printed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_receipt"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "number"], name="payments_receipt_number"),
        ]

    def __str__(self) -> str:
        return f"Receipt {self.number}"


class ReceiptDelivery(TenantModel):
    """A receipt on its way to a guest by e-mail.

    The address is there until the mail has been handed over, and only its hint (o…@example.com) after.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    receipt = TenantForeignKey(Receipt, models.PROTECT, db_index=False, related_name="deliveries")
    address = models.CharField(max_length=254, blank=True)
    address_hint = models.CharField(max_length=120)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    message_id = models.CharField(max_length=120, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)
    next_try_at = models.DateTimeField()
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "payments_receiptdelivery"
        verbose_name = "mail"
        verbose_name_plural = "mails"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["restaurant", "receipt"], name="payments_delivery_receipt"),
            models.Index(
                fields=["restaurant", "next_try_at"],
                name="payments_delivery_due",
                condition=models.Q(state="queued"),
            ),
        ]
