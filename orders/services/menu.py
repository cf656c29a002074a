"""What may be ordered, at which price and tax: all that placing an order has to know, in one look."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from fynlo.tenancy.scope import require_restaurant_id
from orders.pricing import MenuEntry, RateEntry
from restaurants.models import KitchenStation, Restaurant, Table

from .rows import new_row

# One statement, however many lines are ordered: through the ORM it would be seven.
READ_MENU = """
    SELECT jsonb_build_object(
        'restaurant', jsonb_build_object(
            'timezone', r.timezone, 'business_day_cutoff', r.business_day_cutoff,
            'closed_through', r.closed_through, 'currency', r.currency,
            'service_charge_kind', r.service_charge_kind,
            'service_charge_percent', r.service_charge_percent::text,
            'service_charge_min_covers', r.service_charge_min_covers),
        'stations', (
            SELECT jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name) ORDER BY s.position, s.name)
              FROM restaurants_kitchenstation s WHERE s.restaurant_id = r.id),
        'rates', (
            SELECT jsonb_agg(jsonb_build_object(
                       'tax_class_id', t.tax_class_id, 'dining_mode', t.dining_mode,
                       'percent', t.percent::text, 'valid_from', t.valid_from))
              FROM restaurants_taxrate t WHERE t.restaurant_id = r.id),
        'items', (
            SELECT jsonb_object_agg(i.id, jsonb_build_object(
                       'id', i.id, 'name', i.name, 'price_minor', i.price_minor,
                       'tax_class_id', i.tax_class_id, 'station_id', i.station_id,
                       'is_active', i.is_active, 'is_sold_out', i.is_sold_out,
                       'groups', coalesce((
                           SELECT jsonb_agg(jsonb_build_object(
                                      'name', g.name, 'min_select', g.min_select, 'max_select', g.max_select,
                                      'modifiers', coalesce((
                                          SELECT jsonb_agg(jsonb_build_object(
                                                     'id', m.id, 'name', m.name,
                                                     'price_minor', m.price_minor,
                                                     'is_sold_out', m.is_sold_out)
                                                 ORDER BY m.position, m.name)
                                            FROM restaurants_modifier m
                                           WHERE m.restaurant_id = r.id AND m.group_id = g.id), '[]'))
                                  ORDER BY l.position, g.name)
                             FROM restaurants_menuitemmodifiergroup l
                             JOIN restaurants_modifiergroup g ON g.restaurant_id = r.id AND g.id = l.group_id
                            WHERE l.restaurant_id = r.id AND l.item_id = i.id), '[]')))
              FROM restaurants_menuitem i WHERE i.restaurant_id = r.id AND i.id = ANY(%s)),
        'table', (
            SELECT t.name FROM restaurants_table t
             WHERE t.restaurant_id = r.id AND t.id = %s AND t.is_active),
        'request_hash', (
            SELECT o.request_hash FROM orders_order o WHERE o.restaurant_id = r.id AND o.id = %s),
        'taken', (
            SELECT jsonb_agg(x.id) FROM orders_orderitem x WHERE x.restaurant_id = r.id AND x.id = ANY(%s)))
      FROM restaurants_restaurant r WHERE r.id = %s
"""


@dataclass(frozen=True, slots=True)
class Menu:
    """The part of the menu that an order needs. Ids are text, as the statement gives them.

    `request_hash` is that of the order asked about, None where it does not exist yet; `taken_ids` are
    ids of new lines that other lines have already.
    """

    restaurant: Restaurant
    items: dict[str, MenuEntry]
    rates: list[RateEntry]
    stations: list[KitchenStation]
    table: Table | None
    request_hash: str | None
    taken_ids: list[str]


def read_menu(
    item_ids: Iterable[UUID],
    *,
    line_ids: Iterable[UUID] = (),
    table_id: UUID | None = None,
    order_id: UUID | None = None,
) -> Menu:
    """What is needed to order these items, and what stands of a table, an order and lines by id."""
    parameters: list[Any] = [list(set(item_ids)), table_id, order_id, list(line_ids), require_restaurant_id()]
    with connection.cursor() as cursor:
        cursor.execute(READ_MENU, parameters)
        found: dict[str, Any] = orjson.loads(cursor.fetchone()[0])
    restaurant = found["restaurant"]
    cutoff = datetime.time.fromisoformat(restaurant.pop("business_day_cutoff"))
    if closed_through := restaurant["closed_through"]:
        restaurant["closed_through"] = datetime.date.fromisoformat(closed_through)
    percent = Decimal(restaurant.pop("service_charge_percent"))
    return Menu(
        restaurant=new_row(
            Restaurant, business_day_cutoff=cutoff, service_charge_percent=percent, **restaurant
        ),
        items=found["items"] or {},
        rates=found["rates"] or [],
        stations=[
            new_row(KitchenStation, id=UUID(station["id"]), name=station["name"])
            for station in found["stations"] or []
        ],
        table=new_row(Table, id=table_id, name=found["table"]) if found["table"] else None,
        request_hash=found["request_hash"],
        taken_ids=found["taken"] or [],
    )
