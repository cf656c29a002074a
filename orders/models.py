"""Bills and what the kitchen makes for them."""

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.postgres.aggregates import JSONBAgg
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import JSONObject

from accounts.models import Device, Membership
from fynlo.tenancy.models import TenantBase, TenantForeignKey, TenantModel, TenantOneToOneField
from restaurants.models import KitchenStation, MenuItem, ServiceCharge, Table

SHOWN_OF_PARTS = (
    *("id", "number", "label", "seat", "amount_minor", "service_charge_minor", "tax_lines", "items"),
    *("reserved_minor", "captured_minor", "refunded_minor"),
)


class OrderQuerySet(models.QuerySet["Order"]):
    def open(self) -> "OrderQuerySet":
        return self.filter(status=Order.Status.OPEN)

    def with_details(self) -> "OrderQuerySet":
        """With all that `order_payload` shows, in two queries however many lines there are."""
        lines = OrderItem.objects.select_related("added_by", "voided_by")
        orders = self.select_related("table", "opened_by", "voided_by").prefetch_related(
            models.Prefetch("items", queryset=lines, to_attr="lines")
        )
        return orders.annotate(shown_split=shown_split())

    def lock(self, order_id: UUID) -> "Order":
        """The order with its details, its row locked until the transaction ends.

        Locked first and read after: a row joined to one that had to be waited for may be an older one.
        Raises DoesNotExist.
        """
        self.select_for_update().only("pk").get(pk=order_id)
        return self.with_details().get(pk=order_id)


def shown_split() -> models.Case:
    """How an order is split, as `order_payload` shows it; nothing is looked for where it is not."""
    due = models.F("amount_minor") - models.F("captured_minor") + models.F("refunded_minor")
    part = JSONObject(**{name: name for name in SHOWN_OF_PARTS}, balance_due_minor=due)
    parts = BillPart.objects.filter(split=models.OuterRef("pk")).order_by().values("split")
    shown = parts.annotate(shown=JSONBAgg(part, order_by="number")).values("shown")
    split = JSONObject(kind="kind", total_minor="total_minor", parts=models.Subquery(shown))
    splits = BillSplit.objects.filter(order=models.OuterRef("pk")).annotate(shown=split)
    return models.Case(models.When(is_split=True, then=models.Subquery(splits.values("shown"))), default=None)


class Order(TenantModel):
    """One party's bill, open from the first item until it is paid and closed.

    The till makes the id, so that a repeated request is the same order. `number` is the human one,
    gap-free per restaurant. `version` rises with every change and is the ETag. Money is in minor
    units of `currency`, frozen when the order was opened, and includes tax; `tax_lines` is
    [{"percent": "20", "gross_minor": n, "net_minor": n, "tax_minor": n}, …]. `captured_minor`,
    `refunded_minor` and `reserved_minor` are what payments reports; only payments changes them.
    `request_hash` is the SHA-256 (hex) of what the till asked for when it opened the order, by which a
    repeat is told from another order with the same id. `service_charge_minor` is within the total: a
    compulsory one also within the tax lines, shared out among the rates as the meal is; an optional one
    bears no tax and can be taken off. Kind and percentage are frozen when the order is opened.
    While `is_split` there is a `BillSplit`, and payments name one of its parts.
    """

    class Kind(models.TextChoices):
        DINE_IN = "dine_in", "Dine in"
        TAKEAWAY = "takeaway", "Takeaway"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"
        VOIDED = "voided", "Voided"

    number = models.BigIntegerField()
    request_hash = models.CharField(max_length=64, blank=True, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    version = models.PositiveIntegerField(default=1)
    table = TenantForeignKey(
        Table, models.PROTECT, null=True, blank=True, db_index=False, related_name="orders"
    )
    covers = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    customer_name = models.CharField(max_length=80, blank=True)
    note = models.CharField(max_length=300, blank=True)
    currency = models.CharField(max_length=3)
    business_date = models.DateField()
    total_minor = models.BigIntegerField(default=0)
    tax_minor = models.BigIntegerField(default=0)
    tax_lines = models.JSONField(default=list)
    service_charge_kind = models.CharField(max_length=10, choices=ServiceCharge, default=ServiceCharge.NONE)
    service_charge_percent = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal(0))
    service_charge_minor = models.BigIntegerField(default=0)
    is_split = models.BooleanField(default=False, editable=False)
    reserved_minor = models.BigIntegerField(default=0)
    captured_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    opened_by = TenantForeignKey(Membership, models.PROTECT, db_index=False, related_name="orders_opened")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    voided_by = TenantForeignKey(
        Membership, models.PROTECT, null=True, blank=True, db_index=False, related_name="orders_voided"
    )
    voided_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.CharField(max_length=200, blank=True)

    lines: list["OrderItem"]  # its items, where it was loaded with_details()
    shown_split: dict[str, Any] | None = None  # likewise
    is_repeat: bool = False  # a service found that the request had been carried out before

    objects: ClassVar = OrderQuerySet.as_manager()

    class Meta:
        db_table = "orders_order"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "number"], name="orders_order_number"),
            models.CheckConstraint(
                condition=models.Q(total_minor__gte=0), name="orders_order_total_not_negative"
            ),
            models.CheckConstraint(
                condition=models.Q(reserved_minor__gte=0, captured_minor__gte=0, refunded_minor__gte=0),
                name="orders_order_money_not_negative",
            ),
        ]
        indexes = [
            models.Index(fields=["restaurant", "business_date"], name="orders_order_day"),
            models.Index(
                fields=["restaurant", "table"], name="orders_order_open", condition=models.Q(status="open")
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number}"

    @property
    def paid_minor(self) -> int:
        return self.captured_minor - self.refunded_minor

    @property
    def balance_due_minor(self) -> int:
        return self.total_minor - self.paid_minor


class BillSplit(TenantModel):
    """How a bill is divided among its guests. `total_minor` is what its parts sum to (deferred trigger).

    By item and by seat it divides the whole bill, evenly and by amounts what was still due then.
    """

    class Kind(models.TextChoices):
        EVEN = "even", "Evenly"
        AMOUNTS = "amounts", "By amount"
        ITEMS = "items", "By item"
        SEATS = "seats", "By seat"

    order = TenantOneToOneField(Order, models.PROTECT, related_name="split")
    kind = models.CharField(max_length=10, choices=Kind)
    total_minor = models.BigIntegerField()
    split_by = TenantForeignKey(Membership, models.PROTECT, db_index=False, related_name="+")
    split_at = models.DateTimeField()

    class Meta:
        db_table = "orders_billsplit"


class BillPart(TenantModel):
    """One guest's part of a divided bill, paid in any way. Money as on `Order`.

    `tax_lines` is its share of the bill's VAT by rate: over all parts they sum to the bill's.
    `items` is [{"item_id", "name", "quantity", "total_minor"}, …]; `quantity` is text, because a line
    that is shared by several parts may be in fractions ("1/3").
    """

    split = TenantForeignKey(BillSplit, models.CASCADE, db_index=False, related_name="parts")
    number = models.PositiveSmallIntegerField()
    label = models.CharField(max_length=40)
    seat = models.PositiveSmallIntegerField(null=True, blank=True)
    amount_minor = models.BigIntegerField()
    service_charge_minor = models.BigIntegerField(default=0)
    tax_lines = models.JSONField(default=list)
    items = models.JSONField(default=list)
    reserved_minor = models.BigIntegerField(default=0)
    captured_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)

    class Meta:
        db_table = "orders_billpart"
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "split", "number"], name="orders_billpart_number"),
            models.CheckConstraint(condition=models.Q(amount_minor__gte=0), name="orders_billpart_amount"),
            models.CheckConstraint(
                condition=models.Q(reserved_minor__gte=0, captured_minor__gte=0, refunded_minor__gte=0),
                name="orders_billpart_money_not_negative",
            ),
        ]

    @property
    def balance_due_minor(self) -> int:
        return self.amount_minor - self.captured_minor + self.refunded_minor


class KitchenTicketQuerySet(models.QuerySet["KitchenTicket"]):
    def with_details(self) -> "KitchenTicketQuerySet":
        """With all that `ticket_payload` shows, in two queries however many tickets there are."""
        return self.select_related("station", "order__table", "order__opened_by").prefetch_related(
            models.Prefetch("items", to_attr="lines")
        )


class KitchenTicket(TenantModel):
    """What one station has to make for one sending of an order.

    A later sending is a ticket of its own, so the kitchen never cooks a dish twice. `number` counts
    an order's tickets; `is_add_on` marks those of a later sending. `version` rises with every change; a
    screen replaces what it shows only by a higher one. Bumped means all made; recalled puts it back.
    Bumping a voided ticket says that the kitchen has seen so: until then screens go on showing it.
    """

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        BUMPED = "bumped", "Bumped"
        VOIDED = "voided", "Voided"

    order = TenantForeignKey(Order, models.PROTECT, db_index=False, related_name="tickets")
    station = TenantForeignKey(KitchenStation, models.PROTECT, db_index=False, related_name="tickets")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    version = models.PositiveIntegerField(default=1)
    is_add_on = models.BooleanField(default=False)
    is_recalled = models.BooleanField(default=False)
    sent_at = models.DateTimeField()
    bumped_at = models.DateTimeField(null=True, blank=True)
    bumped_by = models.CharField(max_length=60, blank=True)

    lines: list["OrderItem"]  # its items, where it was loaded with_details()

    objects: ClassVar = KitchenTicketQuerySet.as_manager()

    class Meta:
        db_table = "orders_kitchenticket"
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "order", "number"], name="orders_kitchenticket_number"
            )
        ]
        indexes = [
            models.Index(
                fields=["restaurant", "sent_at"],
                name="orders_kitchenticket_board",
                condition=models.Q(bumped_at=None),
            ),
            models.Index(
                fields=["restaurant", "bumped_at"],
                name="orders_kitchenticket_bumped",
                condition=models.Q(status="bumped"),
            ),
        ]


class KitchenScreen(TenantModel):
    """How far a screen has got in showing the tickets of a station, or of all where none is named.

    `acked_seq` is the last event, of the log's `epoch`, that was on the screen by `acked_at`. It is
    written every few seconds at most, so it may lag behind, but never promises too much.
    """

    device = TenantForeignKey(Device, models.CASCADE, db_index=False, related_name="+")
    station = TenantForeignKey(
        KitchenStation, models.CASCADE, null=True, blank=True, db_index=False, related_name="+"
    )
    epoch = models.UUIDField()
    acked_seq = models.BigIntegerField()
    acked_at = models.DateTimeField()

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "orders_kitchenscreen"
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "device", "station"],
                name="orders_kitchenscreen_device",
                nulls_distinct=False,
            )
        ]


class OrderItem(TenantModel):
    """A line of a bill: a menu item as it was named, priced and taxed when it was ordered.

    `unit_price_minor` includes the modifiers; `modifiers` is [{"id", "name", "price_minor"}, …].
    Until sent, the waiter may change or remove a line; after that it is voided, with a reason.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "Not sent"
        SENT = "sent", "Sent"
        VOIDED = "voided", "Voided"

    order = TenantForeignKey(Order, models.PROTECT, db_index=False, related_name="items")
    menu_item = TenantForeignKey(MenuItem, models.PROTECT, related_name="order_items")
    station = TenantForeignKey(KitchenStation, models.PROTECT, db_index=False, related_name="+")
    ticket = TenantForeignKey(KitchenTicket, models.PROTECT, null=True, blank=True, related_name="items")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    name = models.CharField(max_length=120)
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    unit_price_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    tax_percent = models.DecimalField(max_digits=6, decimal_places=3)
    modifiers = models.JSONField(default=list)
    note = models.CharField(max_length=200, blank=True)
    seat = models.PositiveSmallIntegerField(null=True, blank=True)
    course = models.PositiveSmallIntegerField(default=1)
    position = models.PositiveIntegerField()
    added_by = TenantForeignKey(Membership, models.PROTECT, db_index=False, related_name="+")
    added_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    voided_by = TenantForeignKey(
        Membership, models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    voided_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "orders_orderitem"
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "order", "position"], name="orders_orderitem_position"
            ),
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="orders_orderitem_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.name}"


class DailyRevenue(models.Model, metaclass=TenantBase):
    """What a restaurant's closed orders of one kind came to on one business day; seconds behind them.

    A view: see migration 0003. The worker keeps it up to date (`orders/services/sales.py`).
    """

    pk = models.CompositePrimaryKey("restaurant", "business_date", "kind")
    restaurant = models.ForeignKey(
        "restaurants.Restaurant", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    business_date = models.DateField()
    kind = models.CharField(max_length=10, choices=Order.Kind)
    orders = models.IntegerField()
    revenue_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    refreshed_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "daily_revenue"
