"""The lines of a bill: made from what a till asks for, priced, taxed and voided.

A line keeps the name and price it was ordered at, whatever the menu says later; only other modifiers
price it anew.
"""

import datetime
from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

from django.utils import timezone

from accounts.models import Membership
from accounts.staff import Staff
from orders.errors import ItemExists, ItemTwice, NoTaxRate, TooManyItems
from orders.models import Order, OrderItem
from orders.pricing import check_available, choose_modifiers, percents_on, unit_price
from restaurants.models import MenuItem
from restaurants.services import tax_percents

from .menu import Menu, read_menu
from .rows import member_row, new_row

ITEMS_MAX = 500


class NewItem(TypedDict):
    """A line as a till asks for it; `modifiers` are ids."""

    id: UUID
    menu_item_id: UUID
    quantity: int
    modifiers: Sequence[UUID]
    note: str
    seat: int | None
    course: int


def new_lines(
    order: Order, items: Sequence[NewItem], menu: Menu, *, by: Membership, at: datetime.datetime
) -> list[OrderItem]:
    """Priced lines, not yet saved, for those of `items` that the order does not have."""
    there = {line.pk for line in order.lines}
    if len(there) + len(items) > ITEMS_MAX:
        raise TooManyItems(f"An order has at most {ITEMS_MAX} items.", field="items")
    percents = percents_on(menu.rates, order.business_date, order.kind)
    position = max((line.position for line in order.lines), default=0)
    lines: list[OrderItem] = []
    seen: set[UUID] = set()
    for n, item in enumerate(items):
        if item["id"] in there:
            continue
        field, item_id = f"items.{n}", str(item["id"])
        if item["id"] in seen:
            raise ItemTwice(field=f"{field}.id", item_id=item_id)
        if item_id in menu.taken_ids:
            raise ItemExists(field=f"{field}.id", item_id=item_id)
        seen.add(item["id"])
        entry = menu.items.get(str(item["menu_item_id"]))
        entry = check_available(entry, field=f"{field}.menu_item_id", item_id=item_id)
        if entry["tax_class_id"] not in percents:
            raise NoTaxRate(entry["name"], field=f"{field}.menu_item_id")
        chosen = [str(modifier) for modifier in item["modifiers"]]
        modifiers = choose_modifiers(entry, chosen, field=f"{field}.modifiers", item_id=item_id)
        unit_price_minor = unit_price(entry["price_minor"], modifiers)
        position += 1
        lines.append(
            new_row(
                OrderItem,
                id=item["id"],
                restaurant_id=order.restaurant_id,
                order_id=order.id,
                menu_item_id=item["menu_item_id"],
                station_id=UUID(entry["station_id"]),
                name=entry["name"],
                quantity=item["quantity"],
                unit_price_minor=unit_price_minor,
                total_minor=unit_price_minor * item["quantity"],
                tax_percent=percents[entry["tax_class_id"]],
                modifiers=modifiers,
                note=item["note"],
                seat=item["seat"],
                course=item["course"],
                position=position,
                added_by_id=by.id,
                added_at=at,
                related={"added_by": by, "voided_by": None},
            )
        )
    return lines


def is_same(line: OrderItem, item: NewItem) -> bool:
    """Whether a line that is there has the content that a till asks for."""
    return (
        line.menu_item_id == item["menu_item_id"]
        and line.quantity == item["quantity"]
        and {modifier["id"] for modifier in line.modifiers} == {str(m) for m in item["modifiers"]}
        and line.note == item["note"]
        and line.seat == item["seat"]
        and line.course == item["course"]
    )


def standing_lines(order: Order) -> list[OrderItem]:
    """The lines that are to be paid."""
    return [line for line in order.lines if line.status != OrderItem.Status.VOIDED]


def choose_anew(line: OrderItem, modifiers: Sequence[UUID]) -> None:
    """Give a line these modifiers and today's price; the same ones leave its price alone."""
    chosen = [str(modifier) for modifier in modifiers]
    if sorted(chosen) == sorted(modifier["id"] for modifier in line.modifiers):
        return
    item_id = str(line.pk)
    entry = read_menu([line.menu_item_id]).items.get(str(line.menu_item_id))
    entry = check_available(entry, field="modifiers", item_id=item_id)
    line.modifiers = choose_modifiers(entry, chosen, field="modifiers", item_id=item_id)
    line.unit_price_minor = unit_price(entry["price_minor"], line.modifiers)


def tax_anew(order: Order) -> None:
    """Tax the lines by how the order is served now, at its business date's rates. Raises NoTaxRate."""
    lines = standing_lines(order)
    items = MenuItem.objects.filter(pk__in={line.menu_item_id for line in lines})
    tax_classes = dict(items.values_list("pk", "tax_class_id"))
    percents = tax_percents(order.business_date, order.kind)
    for line in lines:
        tax_class_id = tax_classes[line.menu_item_id]
        if tax_class_id not in percents:
            raise NoTaxRate(line.name, field="kind")
        line.tax_percent = percents[tax_class_id]
    OrderItem.objects.bulk_update(lines, ["tax_percent"])


def void_lines(lines: Sequence[OrderItem], *, reason: str, by: Staff) -> None:
    """Take lines off the bill, saved at once; the caller saves the order."""
    fields = {
        "status": OrderItem.Status.VOIDED,
        "voided_by": member_row(by),
        "voided_at": timezone.now(),
        "void_reason": reason,
    }
    OrderItem.objects.filter(pk__in=[line.pk for line in lines]).update(**fields)
    for line in lines:
        for name, value in fields.items():
            setattr(line, name, value)
