"""Rows of a restaurant as documents: what the API answers and events carry.

Values are ready for JSON: ids and times are text, money is in minor units of the restaurant's currency.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fynlo.media import url_of

from .models import (
    Floor,
    KitchenStation,
    MenuCategory,
    MenuItem,
    Modifier,
    ModifierGroup,
    Restaurant,
    Table,
    TaxClass,
)


def percent_text(percent: Decimal) -> str:
    """A percentage for people and documents: "20", "12.5"."""
    return f"{percent.normalize():f}"


def restaurant_payload(restaurant: Restaurant) -> dict[str, Any]:
    return {
        "id": restaurant.pk,
        "name": restaurant.name,
        "slug": restaurant.slug,
        "currency": restaurant.currency,
        "timezone": restaurant.timezone,
        "business_day_cutoff": restaurant.business_day_cutoff.isoformat(),
        "vat_number": restaurant.vat_number,
        "address": restaurant.address,
        "phone": restaurant.phone,
        "warn_after_seconds": restaurant.warn_after_seconds,
        "late_after_seconds": restaurant.late_after_seconds,
    }


def row_payload(row: Any) -> dict[str, Any]:
    """A row of the menu or the floor, with the rows that hang from it. For lists load `HANGING` ahead."""
    return {"id": str(row.pk), "name": row.name, **_REST[type(row)](row)}


# What row_payload reads besides the row itself, for prefetch_related.
HANGING: dict[Any, str] = {MenuItem: "group_links", ModifierGroup: "modifiers", TaxClass: "rates"}


def _placed(row: MenuCategory | KitchenStation | Floor) -> dict[str, Any]:
    return {"position": row.position}


def _table(table: Table) -> dict[str, Any]:
    return {
        "floor_id": str(table.floor_id),
        "seats": table.seats,
        "position": table.position,
        "is_active": table.is_active,
    }


def _tax_class(tax_class: TaxClass) -> dict[str, Any]:
    return {
        "rates": [
            {
                "dining_mode": rate.dining_mode,
                "percent": percent_text(rate.percent),
                "valid_from": rate.valid_from.isoformat(),
            }
            for rate in tax_class.rates.all()
        ]
    }


def _item(item: MenuItem) -> dict[str, Any]:
    return {
        "code": item.code,
        "description": item.description,
        "price_minor": item.price_minor,
        "category_id": str(item.category_id),
        "tax_class_id": str(item.tax_class_id),
        "station_id": str(item.station_id),
        "modifier_group_ids": [str(link.group_id) for link in item.group_links.all()],
        "position": item.position,
        "photo_url": url_of(item.photo),
        "is_active": item.is_active,
        "is_sold_out": item.is_sold_out,
    }


def _group(group: ModifierGroup) -> dict[str, Any]:
    return {
        "min_select": group.min_select,
        "max_select": group.max_select,
        "modifiers": [modifier_payload(modifier) for modifier in group.modifiers.all()],
    }


def modifier_payload(modifier: Modifier) -> dict[str, Any]:
    return {
        "id": str(modifier.pk),
        "name": modifier.name,
        "price_minor": modifier.price_minor,
        "is_sold_out": modifier.is_sold_out,
    }


_REST: dict[Any, Callable[[Any], dict[str, Any]]] = {
    MenuCategory: _placed,
    KitchenStation: _placed,
    Floor: _placed,
    Table: _table,
    TaxClass: _tax_class,
    MenuItem: _item,
    ModifierGroup: _group,
}
