"""A restaurant: where it is, its floor, its kitchen, its menu and its taxes."""

import datetime
import zoneinfo
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from fynlo.money import CURRENCIES
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.models import TenantForeignKey, TenantModel

MAX_PRICE_MINOR = 100_000_000


def validate_timezone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name!r} is not a time zone, such as Europe/London.")


class ServiceCharge(models.TextChoices):
    """Whether a service charge is part of the bill. By HMRC (VATSC06130) what a guest may decline is outside
    VAT; what has to be paid is part of the price of the meal."""

    NONE = "none", "None"
    OPTIONAL = "optional", "Optional"
    COMPULSORY = "compulsory", "Compulsory"


class Restaurant(models.Model):
    """The tenant. Its integer id is on every row that belongs to it.

    `business_day_cutoff` is the wall-clock time at which the business day ends: with 04:00, a bill
    opened at 02:30 belongs to the day before. A suspended restaurant keeps its data and serves
    nobody.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        SUSPENDED = "suspended", "Suspended"

    id = models.AutoField(primary_key=True)
    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    currency = models.CharField(max_length=3, default="GBP", choices=[(code, code) for code in CURRENCIES])
    timezone = models.CharField(max_length=64, default="Europe/London", validators=[validate_timezone])
    business_day_cutoff = models.TimeField(default=datetime.time(4, 0))
    vat_number = models.CharField("VAT number", max_length=20, blank=True)
    address = models.TextField(max_length=400, blank=True)
    phone = models.CharField(max_length=30, blank=True)
    menu_version = models.PositiveIntegerField(default=1, editable=False)
    late_after_seconds = models.PositiveIntegerField(
        default=600, help_text="Age in seconds from which the kitchen shows a ticket as late."
    )
    warn_after_seconds = models.PositiveIntegerField(
        default=360, help_text="Age in seconds from which the kitchen marks a ticket amber."
    )
    service_charge_kind = models.CharField(
        max_length=10,
        choices=ServiceCharge,
        default=ServiceCharge.NONE,
        help_text="Optional: the guest may decline it; it bears no VAT. Compulsory: taxed as the meal.",
    )
    service_charge_percent = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=0,
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(50))],
    )
    service_charge_min_covers = models.PositiveSmallIntegerField(
        default=1, help_text="Tables of fewer guests are not charged it."
    )
    refund_limit_minor = models.BigIntegerField(
        default=2000,
        validators=[MinValueValidator(0)],
        help_text="In minor units: a refund of more needs a second person, a manager, to approve it.",
    )
    closed_through = models.DateField(
        null=True, blank=True, editable=False, help_text="The last business day with a Z report."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "restaurants_restaurant"

    def __str__(self) -> str:
        return self.name

    def business_date(self, moment: datetime.datetime) -> datetime.date:
        """The business day that an aware moment belongs to: wall clock here, less the cut-off."""
        local = moment.astimezone(zoneinfo.ZoneInfo(self.timezone))
        day = local.date()
        return day - datetime.timedelta(days=1) if local.time() < self.business_day_cutoff else day

    def open_business_date(self, moment: datetime.datetime) -> datetime.date:
        """The same for what happens now: a day that has its Z report is over, whatever the clock says."""
        day = self.business_date(moment)
        if self.closed_through is not None and day <= self.closed_through:
            return self.closed_through + datetime.timedelta(days=1)
        return day


class Counter(TenantModel):
    """The last number given out in a gap-free series, such as orders or receipts.

    Taken by UPDATE … RETURNING inside the transaction that uses the number, so a refusal gives it
    back and two transactions never share one.
    """

    name = models.CharField(max_length=20)
    value = models.BigIntegerField(default=0)

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "restaurants_counter"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "name"], name="restaurants_counter_name")
        ]


class Floor(TenantModel):
    """A room or terrace with tables."""

    name = models.CharField(max_length=60)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "restaurants_floor"
        ordering = ["position", "name"]
        constraints = [models.UniqueConstraint(fields=["restaurant", "name"], name="restaurants_floor_name")]

    def __str__(self) -> str:
        return self.name


class Table(TenantModel):
    """A table that guests sit at."""

    floor = TenantForeignKey(Floor, models.PROTECT, related_name="tables")
    name = models.CharField(max_length=20)
    seats = models.PositiveSmallIntegerField(default=4, validators=[MinValueValidator(1)])
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        db_table = "restaurants_table"
        ordering = ["position", "name"]
        constraints = [models.UniqueConstraint(fields=["restaurant", "name"], name="restaurants_table_name")]

    def __str__(self) -> str:
        return self.name


class TaxClass(TenantModel):
    """A kind of goods for tax, such as hot food, cold food or alcohol."""

    name = models.CharField(max_length=60)

    class Meta:
        db_table = "restaurants_taxclass"
        verbose_name_plural = "tax classes"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "name"], name="restaurants_taxclass_name")
        ]

    def __str__(self) -> str:
        return self.name


class TaxRate(TenantModel):
    """The percentage of a tax class for eating in, for taking away, or for both, from a date on.

    The newest rate whose `valid_from` is not after the business date applies; a rate for just this
    dining mode wins over one for both on the same date. Prices include the tax (VAT Act 1994 s. 19:
    the price is the consideration that the tax is part of).
    """

    class DiningMode(models.TextChoices):
        ANY = "any", "Eating in and taking away"
        DINE_IN = "dine_in", "Eating in"
        TAKEAWAY = "takeaway", "Taking away"

    tax_class = TenantForeignKey(TaxClass, models.CASCADE, related_name="rates")
    dining_mode = models.CharField(max_length=10, choices=DiningMode, default=DiningMode.ANY)
    percent = models.DecimalField(
        max_digits=6,
        decimal_places=3,
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))],
    )
    valid_from = models.DateField(default=datetime.date(2000, 1, 1))

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "restaurants_taxrate"
        ordering = ["-valid_from", "dining_mode"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "tax_class", "dining_mode", "valid_from"],
                name="restaurants_taxrate_from",
            )
        ]

    def __str__(self) -> str:
        return f"{self.percent.normalize():f} %"


class KitchenStation(TenantModel):
    """A place in the kitchen with a screen of its own, such as the grill or the bar."""

    name = models.CharField(max_length=40)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "restaurants_kitchenstation"
        ordering = ["position", "name"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "name"], name="restaurants_kitchenstation_name")
        ]

    def __str__(self) -> str:
        return self.name


class MenuCategory(TenantModel):
    """A heading of the menu."""

    name = models.CharField(max_length=80)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "restaurants_menucategory"
        verbose_name_plural = "menu categories"
        ordering = ["position", "name"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "name"], name="restaurants_menucategory_name")
        ]

    def __str__(self) -> str:
        return self.name


def validate_not_blank(text: str) -> None:
    if not text.strip():
        raise ValidationError("This may not be blank.")


class ModifierGroup(TenantModel):
    """A choice a guest makes about an item, such as how a steak is done.

    Of its modifiers at least `min_select` and at most `max_select` are chosen.
    """

    name = models.CharField(max_length=80)
    min_select = models.PositiveSmallIntegerField(default=0)
    max_select = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])

    class Meta:
        db_table = "restaurants_modifiergroup"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "name"], name="restaurants_modifiergroup_name"),
            models.CheckConstraint(
                condition=models.Q(min_select__lte=models.F("max_select"), max_select__gte=1),
                name="restaurants_modifiergroup_min_max",
                violation_error_message="The most that may be chosen is less than the least.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Modifier(TenantModel):
    """One answer to a modifier group, with what it adds to the price (minor units, may be negative)."""

    group = TenantForeignKey(ModifierGroup, models.CASCADE, related_name="modifiers")
    name = models.CharField(max_length=80, validators=[validate_not_blank])
    price_minor = models.BigIntegerField(
        default=0, validators=[MinValueValidator(-MAX_PRICE_MINOR), MaxValueValidator(MAX_PRICE_MINOR)]
    )
    is_sold_out = models.BooleanField(default=False)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "restaurants_modifier"
        ordering = ["position", "name"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "group", "name"], name="restaurants_modifier_name")
        ]

    def __str__(self) -> str:
        return self.name


class MenuItem(TenantModel):
    """Something a guest can order. The price includes tax and is in minor units.

    `code` is the restaurant's own short code (empty where it has none); an import matches on it.
    `is_sold_out` is the kitchen's 86: on the menu, but not to be had just now. `photo` is the name of its
    picture in the storage, see fynlo/media.py.
    """

    category = TenantForeignKey(MenuCategory, models.PROTECT, related_name="items")
    tax_class = TenantForeignKey(TaxClass, models.PROTECT, related_name="items")
    station = TenantForeignKey(KitchenStation, models.PROTECT, related_name="items")
    modifier_groups = models.ManyToManyField(
        ModifierGroup, through="MenuItemModifierGroup", related_name="items"
    )
    code = models.CharField(max_length=40, blank=True)
    name = models.CharField(max_length=120, validators=[validate_not_blank])
    description = models.TextField(max_length=1000, blank=True)
    price_minor = models.BigIntegerField(
        validators=[MinValueValidator(0), MaxValueValidator(MAX_PRICE_MINOR)]
    )
    photo = models.CharField(max_length=100, blank=True, default="", db_default="", editable=False)
    is_active = models.BooleanField(default=True, help_text="Off: not on the menu at all.")
    is_sold_out = models.BooleanField(default=False, help_text="86: on the menu, but not to be had just now.")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "restaurants_menuitem"
        ordering = ["position", "name"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "name"], name="restaurants_menuitem_name"),
            models.UniqueConstraint(
                fields=["restaurant", "code"], name="restaurants_menuitem_code", condition=~models.Q(code="")
            ),
            models.CheckConstraint(
                condition=models.Q(price_minor__gte=0), name="restaurants_menuitem_price_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MenuItemModifierGroup(TenantModel):
    """That an item offers a modifier group, and in which place."""

    item = TenantForeignKey(MenuItem, models.CASCADE, related_name="group_links")
    group = TenantForeignKey(ModifierGroup, models.CASCADE, related_name="item_links")
    position = models.PositiveSmallIntegerField(default=0)

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "restaurants_menuitemmodifiergroup"
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "item", "group"], name="restaurants_menuitemmodifiergroup_pair"
            )
        ]

    def __str__(self) -> str:
        return str(self.group)
