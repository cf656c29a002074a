"""Tenders, the tries to take them from a provider, and what goes back to the guest."""

from typing import ClassVar

from django.db import models

from accounts.models import Device, Membership
from fynlo.tenancy.models import TenantForeignKey, TenantModel
from orders.models import Order

from .accounts import Provider, ProviderAccount, Terminal
from .cash import DrawerSession


class PaymentIntentQuerySet(models.QuerySet["PaymentIntent"]):
    def with_details(self) -> "PaymentIntentQuerySet":
        """With all that `payment_payload` shows, in two queries however many there are."""
        return self.select_related("order", "taken_by").prefetch_related(
            models.Prefetch("attempts", PaymentAttempt.objects.order_by("n"), to_attr="tries")
        )

    def paid(self) -> "PaymentIntentQuerySet":
        return self.filter(state=PaymentIntent.State.PAID)


class PaymentIntent(TenantModel):
    """One tender towards an order: so much, in this way. Money is in minor units of the order's currency.

    `client_key` is the till's own id of the tap; a repeat with the same `request_hash` is the same
    tender. `amount_minor` excludes the tip. `tendered_minor` and `change_minor` are of cash only.
    `reference` is what was typed in from the restaurant's own card machine. `taken_offline_at` is when a
    till without a connection took it, by that till's clock: a fact, booked whatever was due.
    """

    class Method(models.TextChoices):
        CASH = "cash", "Cash"
        CARD_PRESENT = "card_present", "Card on the reader"
        CARD_ONLINE = "card_online", "Card online"
        LINK = "link", "Payment link"
        EXTERNAL = "external", "Own card machine"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        PAID = "paid", "Paid"
        FAILED = "failed", "Failed"
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
    tip_refund_reserved_minor = models.BigIntegerField(default=0)
    tip_refunded_minor = models.BigIntegerField(default=0)
    tendered_minor = models.BigIntegerField(null=True, blank=True)
    change_minor = models.BigIntegerField(null=True, blank=True)
    reference = models.CharField(max_length=80, blank=True)
    part_id = models.UUIDField(null=True, blank=True, editable=False)
    drawer_session = TenantForeignKey(
        DrawerSession, models.PROTECT, null=True, blank=True, db_index=False, related_name="payments"
    )
    client_key = models.UUIDField()
    request_hash = models.CharField(max_length=64)
    business_date = models.DateField()
    taken_by = TenantForeignKey(Membership, models.PROTECT, db_index=False, related_name="payments_taken")
    device = TenantForeignKey(
        Device, models.PROTECT, null=True, blank=True, db_index=False, related_name="payments"
    )
    taken_offline_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    is_repeat: bool = False  # a service found that the request had been carried out before
    tries: list["PaymentAttempt"]  # its attempts in order, where it was loaded with_details()

    objects: ClassVar = PaymentIntentQuerySet.as_manager()

    class Meta:
        db_table = "payments_paymentintent"
        verbose_name = "payment"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "client_key"], name="payments_paymentintent_key"),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0, tip_minor__gte=0),
                name="payments_paymentintent_amounts",
            ),
            # Of facts only: a provider never gives back more than it took. What is reserved is held
            # within that by `reserve_refund`; as a constraint it could stop a fact from being written.
            models.CheckConstraint(
                condition=models.Q(
                    captured_minor__gte=models.F("refunded_minor"),
                    tip_captured_minor__gte=models.F("tip_refunded_minor"),
                ),
                name="payments_paymentintent_refunds",
            ),
        ]
        indexes = [
            models.Index(fields=["restaurant", "order"], name="payments_intent_order"),
            models.Index(fields=["restaurant", "business_date"], name="payments_intent_day"),
        ]

    @property
    def shown_try(self) -> "PaymentAttempt":
        """The attempt that took it; else the last one. Of a payment that was loaded with_details()."""
        took = [attempt for attempt in self.tries if attempt.state == PaymentAttempt.State.CAPTURED]
        return took[0] if took else self.tries[-1]

    @property
    def refundable_minor(self) -> int:
        return self.captured_minor - self.refunded_minor - self.refund_reserved_minor

    @property
    def tip_refundable_minor(self) -> int:
        return self.tip_captured_minor - self.tip_refunded_minor - self.tip_refund_reserved_minor


class PaymentAttempt(TenantModel):
    """One try to take a tender from one provider. Ends only by the provider's definite answer.

    `request` is what is asked of the provider, stored so that a repeat of it is the same to the byte;
    `idem_key` is made from the row's id. `provider_ref` is the provider's own name of the charge.
    `next_action` is what the guest still has to do (a reader to tap, a page to open). `checks` counts how
    often the provider was asked what became of it; `next_check_at` is when it is asked again. The lease
    keeps two workers from asking at once; losing it harms nothing.
    """

    class State(models.TextChoices):
        CREATED = "created", "Created"
        SUBMITTED = "submitted", "Submitted"
        REQUIRES_ACTION = "requires_action", "Waiting for the guest"
        AUTHORIZED = "authorized", "Authorised"
        UNKNOWN = "unknown", "Unknown"
        CANCEL_PENDING = "cancel_pending", "Being cancelled"
        CAPTURED = "captured", "Captured"
        FAILED = "failed", "Failed"
        CANCELED = "canceled", "Cancelled"
        EXPIRED = "expired", "Expired"

    OPEN_STATES = (
        State.CREATED,
        State.SUBMITTED,
        State.REQUIRES_ACTION,
        State.AUTHORIZED,
        State.UNKNOWN,
        State.CANCEL_PENDING,
    )

    intent = TenantForeignKey(PaymentIntent, models.PROTECT, db_index=False, related_name="attempts")
    n = models.PositiveSmallIntegerField(default=1)
    provider = models.CharField(max_length=20, choices=Provider)
    account = TenantForeignKey(
        ProviderAccount, models.PROTECT, null=True, blank=True, db_index=False, related_name="attempts"
    )
    terminal = TenantForeignKey(
        Terminal, models.PROTECT, null=True, blank=True, db_index=False, related_name="attempts"
    )
    provider_ref = models.CharField(max_length=120, blank=True)
    idem_key = models.CharField(max_length=45, blank=True)
    request = models.JSONField(default=dict, editable=False)
    state = models.CharField(max_length=20, choices=State, default=State.CREATED)
    next_action = models.JSONField(default=dict, editable=False)
    error_class = models.CharField(max_length=20, blank=True)
    provider_code = models.CharField(max_length=80, blank=True)
    card_brand = models.CharField(max_length=20, blank=True)
    card_last4 = models.CharField(max_length=4, blank=True)
    application_fee_minor = models.BigIntegerField(default=0)
    fee_estimated_minor = models.BigIntegerField(default=0)
    fee_minor = models.BigIntegerField(null=True, blank=True, help_text="What the provider did keep.")
    checks = models.PositiveIntegerField(default=0)
    next_check_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_paymentattempt"
        verbose_name = "attempt"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "intent", "n"], name="payments_paymentattempt_n"),
            models.UniqueConstraint(
                fields=["restaurant", "intent"],
                name="payments_paymentattempt_one_open",
                condition=models.Q(settled_at=None),
            ),
            models.UniqueConstraint(
                fields=["restaurant", "account", "provider_ref"],
                name="payments_paymentattempt_ref",
                condition=~models.Q(provider_ref="") & models.Q(account__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["restaurant", "terminal"],
                name="payments_paymentattempt_one_armed",
                condition=models.Q(settled_at=None, terminal__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(
                    settled_at=None,
                    state__in=[
                        "created",
                        "submitted",
                        "requires_action",
                        "authorized",
                        "unknown",
                        "cancel_pending",
                    ],
                )
                | models.Q(settled_at__isnull=False, state__in=["captured", "failed", "canceled", "expired"]),
                name="payments_paymentattempt_settled",
            ),
        ]
        indexes = [
            models.Index(
                fields=["restaurant", "next_check_at"],
                name="payments_attempt_due",
                condition=models.Q(settled_at=None),
            )
        ]

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN_STATES


class RefundQuerySet(models.QuerySet["Refund"]):
    def with_details(self) -> "RefundQuerySet":
        """With all that `refund_payload` shows, in one query."""
        return self.select_related("intent__order", "attempt", "requested_by", "approved_by")


class Refund(TenantModel):
    """Money given back of one payment, to the tender and the account it came from.

    `amount_minor` is of the bill, `tip_minor` of the tip. `tax_lines` is the VAT it takes back, at the
    rates of the sale; `items` is [{"item_id", "name", "quantity", "total_minor"}, …] where it is of
    items. `reversed_sale_minor` is how much of the sale it undoes: all of it on a closed bill, nothing
    where a bill is still open or too much had been taken. Made at the provider's own dashboard, its
    source is `external` and nobody here asked for it.
    """

    class State(models.TextChoices):
        CREATED = "created", "Created"
        SUBMITTED = "submitted", "Submitted"
        PENDING = "pending", "On its way"
        UNKNOWN = "unknown", "Unknown"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    class Source(models.TextChoices):
        OURS = "ours", "Asked for here"
        EXTERNAL = "external", "Made at the provider"

    OPEN_STATES = (State.CREATED, State.SUBMITTED, State.PENDING, State.UNKNOWN)

    intent = TenantForeignKey(PaymentIntent, models.PROTECT, db_index=False, related_name="refunds")
    attempt = TenantForeignKey(PaymentAttempt, models.PROTECT, db_index=False, related_name="refunds")
    state = models.CharField(max_length=10, choices=State, default=State.CREATED)
    source = models.CharField(max_length=10, choices=Source, default=Source.OURS)
    amount_minor = models.BigIntegerField()
    tip_minor = models.BigIntegerField(default=0)
    reversed_sale_minor = models.BigIntegerField(default=0)
    tax_lines = models.JSONField(default=list, editable=False)
    items = models.JSONField(default=list, editable=False)
    reason = models.CharField(max_length=200)
    requested_by = TenantForeignKey(
        Membership, models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    approved_by = TenantForeignKey(
        Membership, models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    device = TenantForeignKey(Device, models.PROTECT, null=True, blank=True, db_index=False, related_name="+")
    drawer_session = TenantForeignKey(
        DrawerSession, models.PROTECT, null=True, blank=True, db_index=False, related_name="refunds"
    )
    client_key = models.UUIDField()
    request_hash = models.CharField(max_length=64, blank=True)
    provider_ref = models.CharField(max_length=120, blank=True)
    idem_key = models.CharField(max_length=45, blank=True)
    error_class = models.CharField(max_length=20, blank=True)
    provider_code = models.CharField(max_length=80, blank=True)
    business_date = models.DateField()
    checks = models.PositiveIntegerField(default=0)
    next_check_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    is_repeat: bool = False  # a service found that the request had been carried out before

    objects: ClassVar = RefundQuerySet.as_manager()

    class Meta:
        db_table = "payments_refund"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "client_key"], name="payments_refund_key"),
            models.UniqueConstraint(
                fields=["restaurant", "attempt", "provider_ref"],
                name="payments_refund_ref",
                condition=~models.Q(provider_ref=""),
            ),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gte=0, tip_minor__gte=0, reversed_sale_minor__gte=0)
                & (models.Q(amount_minor__gt=0) | models.Q(tip_minor__gt=0)),
                name="payments_refund_amounts",
            ),
        ]
        indexes = [
            models.Index(fields=["restaurant", "intent"], name="payments_refund_intent"),
            models.Index(fields=["restaurant", "business_date"], name="payments_refund_day"),
            models.Index(
                fields=["restaurant", "next_check_at"],
                name="payments_refund_due",
                condition=models.Q(settled_at=None),
            ),
        ]

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN_STATES


class ProviderCall(TenantModel):
    """One request to a provider and how it ended: evidence, should the two sides ever differ.

    `request_sha256` is of the request without its secrets; `status` is HTTP's, empty where no answer
    came; `duration_ms` is milliseconds. Never edited.
    """

    account = TenantForeignKey(ProviderAccount, models.PROTECT, db_index=False, related_name="+")
    attempt = TenantForeignKey(
        PaymentAttempt, models.PROTECT, null=True, blank=True, db_index=False, related_name="calls"
    )
    refund = TenantForeignKey(
        Refund, models.PROTECT, null=True, blank=True, db_index=False, related_name="calls"
    )
    operation = models.CharField(max_length=30)
    request_sha256 = models.CharField(max_length=64, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    outcome = models.CharField(max_length=30)
    code = models.CharField(max_length=80, blank=True)
    request_id = models.CharField(max_length=120, blank=True)
    duration_ms = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "payments_providercall"
        verbose_name = "call to a provider"
        verbose_name_plural = "calls to providers"
        ordering = ["created_at"]
        indexes = [models.Index(fields=["restaurant", "attempt"], name="payments_call_attempt")]


class Dispute(TenantModel):
    """A guest's bank asks for a card payment back. While it stands the payment cannot be refunded."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        WON = "won", "Won"
        LOST = "lost", "Lost"

    attempt = TenantForeignKey(PaymentAttempt, models.PROTECT, db_index=False, related_name="disputes")
    provider_ref = models.CharField(max_length=120)
    amount_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField(default=0)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    reason = models.CharField(max_length=80, blank=True)
    evidence_due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_dispute"
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "attempt", "provider_ref"], name="payments_dispute_ref"
            )
        ]
