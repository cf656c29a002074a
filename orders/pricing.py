"""What a line costs and what tax a bill contains. Pure: nothing here reads or writes a row.

Menu prices include VAT, so the VAT of an order is a fraction of what the guest pays (VAT Act 1994
s. 19(2)). It is worked out once for each rate over the whole order, not per line, so that the parts of
a bill add up; half a penny and more is rounded up, less is rounded down (VAT Notice 700, 17.6, which
forbids retailers to round down only; HMRC manual VATREC12030). Net is the rest: net + tax = gross.
"""

import datetime
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NotRequired, TypedDict

from fynlo.money import share_out

from .errors import (
    ModifierNotOffered,
    ModifierTwice,
    NotOnMenu,
    SoldOut,
    TooFewModifiers,
    TooManyModifiers,
)

QUANTITY_MAX = 999


class ModifierEntry(TypedDict):
    """A modifier as the menu has it, or as a line keeps it (then without `is_sold_out`)."""

    id: str
    name: str
    price_minor: int
    is_sold_out: NotRequired[bool]


class GroupEntry(TypedDict):
    name: str
    min_select: int
    max_select: int
    modifiers: list[ModifierEntry]


class MenuEntry(TypedDict):
    """An item as the menu has it, with the modifier groups it offers in their places."""

    id: str
    name: str
    price_minor: int
    tax_class_id: str
    station_id: str
    is_active: bool
    is_sold_out: bool
    groups: list[GroupEntry]


class RateEntry(TypedDict):
    """A tax rate; `valid_from` is an ISO date, `percent` is text."""

    tax_class_id: str
    dining_mode: str
    percent: str
    valid_from: str


class TaxLine(TypedDict):
    percent: str
    gross_minor: int
    net_minor: int
    tax_minor: int


def check_available(entry: MenuEntry | None, *, field: str, item_id: str) -> MenuEntry:
    """The entry, if a guest can have it now. Raises NotOnMenu or SoldOut, naming the line."""
    if entry is None or not entry["is_active"]:
        raise NotOnMenu(field=field, item_id=item_id)
    if entry["is_sold_out"]:
        raise SoldOut(entry["name"], field=field, item_id=item_id)
    return entry


def choose_modifiers(
    entry: MenuEntry, chosen: Sequence[str], *, field: str, item_id: str
) -> list[ModifierEntry]:
    """The chosen modifiers in the menu's order, as a line keeps them.

    Raises ModifierTwice, ModifierNotOffered (also where there is no such modifier), SoldOut,
    TooFewModifiers or TooManyModifiers.
    """
    wanted = set(chosen)
    if len(wanted) < len(chosen):
        raise ModifierTwice("A modifier can be chosen once.", field=field, item_id=item_id)
    picked: list[ModifierEntry] = []
    for group in entry["groups"]:
        of_group = [modifier for modifier in group["modifiers"] if modifier["id"] in wanted]
        if len(of_group) < group["min_select"]:
            raise TooFewModifiers(
                f"{entry['name']}: choose at least {group['min_select']} of {group['name']}.",
                field=field,
                item_id=item_id,
            )
        if len(of_group) > group["max_select"]:
            raise TooManyModifiers(
                f"{entry['name']}: choose at most {group['max_select']} of {group['name']}.",
                field=field,
                item_id=item_id,
            )
        picked += of_group
    if len(picked) < len(wanted):
        raise ModifierNotOffered(
            f"{entry['name']} is not offered with this modifier.", field=field, item_id=item_id
        )
    for modifier in picked:
        if modifier.get("is_sold_out"):
            raise SoldOut(modifier["name"], field=field, item_id=item_id)
    return [{"id": m["id"], "name": m["name"], "price_minor": m["price_minor"]} for m in picked]


def unit_price(price_minor: int, modifiers: Iterable[ModifierEntry]) -> int:
    """The item with its modifiers. However much is left out, nobody is paid for eating."""
    return max(0, price_minor + sum(modifier["price_minor"] for modifier in modifiers))


def percents_on(rates: Iterable[RateEntry], on: datetime.date, dining_mode: str) -> dict[str, Decimal]:
    """The rate of each tax class on a business date, by the rule of `restaurants.models.TaxRate`."""
    day = on.isoformat()
    best: dict[str, tuple[str, bool, str]] = {}
    for rate in rates:
        if rate["valid_from"] <= day and rate["dining_mode"] in ("any", dining_mode):
            claim = (rate["valid_from"], rate["dining_mode"] == dining_mode, rate["percent"])
            best[rate["tax_class_id"]] = max(claim, best.get(rate["tax_class_id"], claim))
    return {tax_class_id: Decimal(percent) for tax_class_id, (_, _, percent) in best.items()}


def included_tax(gross_minor: int, percent: Decimal) -> int:
    """The tax that a non-negative amount contains, half a minor unit rounded up."""
    rate = int(percent * 1000)  # the column keeps three decimals
    whole = 100_000 + rate
    return (2 * gross_minor * rate + whole) // (2 * whole)


def service_charge(items_minor: int, percent: Decimal) -> int:
    """What a charge of `percent` on the items comes to, half a minor unit rounded up, once for the bill."""
    rate = int(percent * 100)  # the column keeps two decimals
    return (2 * items_minor * rate + 10_000) // 20_000


def tax_lines(lines: Iterable[tuple[Decimal, int]], *, charge_minor: int = 0) -> list[TaxLine]:
    """The tax of an order by rate, highest first, from the (percent, total) of each line.

    `charge_minor` is a compulsory service charge: part of the price of the meal, so it is taxed as the
    meal is (HMRC manual VATSC06130), shared out over the rates in proportion to what was sold at each.
    """
    gross: dict[Decimal, int] = {}
    for percent, total_minor in lines:
        gross[percent] = gross.get(percent, 0) + total_minor
    percents = sorted(gross, reverse=True)
    amounts = [gross[percent] for percent in percents]
    if charge_minor:
        amounts = [
            amount + share for amount, share in zip(amounts, share_out(charge_minor, amounts), strict=True)
        ]
    found: list[TaxLine] = []
    for percent, amount in zip(percents, amounts, strict=True):
        tax = included_tax(amount, percent)
        found.append(
            {
                "percent": percent_text(percent),
                "gross_minor": amount,
                "net_minor": amount - tax,
                "tax_minor": tax,
            }
        )
    return found


def percent_text(percent: Decimal) -> str:
    """20.000 as "20", 12.500 as "12.5"."""
    return f"{percent.normalize():f}"
