"""Money taken for orders, the books it is kept in, and receipts."""

from typing import ClassVar

from django.db import models

from accounts.models import Device, Membership
from fynlo.tenancy.models import TenantForeignKey, TenantModel, TenantOneToOneField
from orders.models import Order


class PaymentIntentQuerySet(models.QuerySet["PaymentIntent"]):
    def with_details(self) -> "PaymentIntentQuerySet":
        """With all that `payment_payload` shows, in one query."""
        return self.select_related("order", "taken_by")

    def paid(self) -> "PaymentIntentQuerySet":
        return self.filter(state=PaymentIntent.State.PAID)


class PaymentIntent(TenantModel):
    """One tender towards an order: so much, in this way. Money is in minor units of the order's currency.

    `client_key` is the till's own id of the tap; a repeat with the same `request_hash` is the same
    tender. `amount_minor` excludes the tip. `tendered_minor` and `change_minor` are of cash only.
    """

    class Method(models.TextChoices):
        CASH = "cash", "Cash"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        PAID = "paid", "Paid"
        CANCELED = "canceled", "Cancelled"

    order = TenantForeignKey(Order, models.PROTECT, db_index=False, related_name="payments")
    method = models.CharField(max_length=20, choices=Method)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    amount_minor = models.BigIntegerField()
    tip_minor = models.BigIntegerField(default=0)
    captured_minor = models.BigIntegerField(default=0)
    tip_captured_minor = models.BigIntegerField(default=0)
    refund_reserved_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    tendered_minor = models.BigIntegerField(null=True, blank=True)
    change_minor = models.BigIntegerField(null=True, blank=True)
    client_key = models.UUIDField()
    request_hash = models.CharField(max_length=64)
    business_date = models.DateField()
    taken_by = TenantForeignKey(Membership, models.PROTECT, db_index=False, related_name="payments_taken")
    device = TenantForeignKey(
        Device, models.PROTECT, null=True, blank=True, db_index=False, related_name="payments"
    )
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    is_repeat: bool = False  # a service found that the request had been carried out before

    objects: ClassVar = PaymentIntentQuerySet.as_manager()

    class Meta:
        db_table = "payments_paymentintent"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "client_key"], name="payments_paymentintent_key"),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0, tip_minor__gte=0),
                name="payments_paymentintent_amounts",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    captured_minor__gte=models.F("refunded_minor") + models.F("refund_reserved_minor")
                ),
                name="payments_paymentintent_refunds",
            ),
        ]
        indexes = [
            models.Index(fields=["restaurant", "order"], name="payments_intent_order"),
            models.Index(fields=["restaurant", "business_date"], name="payments_intent_day"),
        ]


class PaymentAttempt(TenantModel):
    """One try to take a tender from one provider. Ends only by the provider's definite answer."""

    class State(models.TextChoices):
        CREATED = "created", "Created"
        CAPTURED = "captured", "Captured"
        FAILED = "failed", "Failed"
        CANCELED = "canceled", "Cancelled"

    OPEN_STATES = (State.CREATED,)

    intent = TenantForeignKey(PaymentIntent, models.PROTECT, db_index=False, related_name="attempts")
    n = models.PositiveSmallIntegerField(default=1)
    provider = models.CharField(max_length=20)
    state = models.CharField(max_length=20, choices=State, default=State.CREATED)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_paymentattempt"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "intent", "n"], name="payments_paymentattempt_n"),
            models.UniqueConstraint(
                fields=["restaurant", "intent"],
                name="payments_paymentattempt_one_open",
                condition=models.Q(state="created"),
            ),
        ]


class LedgerTransaction(TenantModel):
    """One business event in the books. `key` names the event, such as capture:<attempt>, once only."""

    key = models.CharField(max_length=80)
    business_date = models.DateField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "payments_ledgertransaction"
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
