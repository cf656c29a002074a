"""The whole menu as one document, rendered once for each version and day."""

import datetime
import gzip
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import orjson
from django.core.cache import cache
from django.db.models import Subquery
from django.utils import timezone

from fynlo.events.models import StreamHead
from fynlo.media import url_of
from fynlo.tenancy.scope import require_restaurant_id

from .models import (
    KitchenStation,
    MenuCategory,
    MenuItem,
    MenuItemModifierGroup,
    ModifierGroup,
    Restaurant,
    TaxRate,
)
from .payloads import modifier_payload, percent_text
from .services import tax_percents

KEEP_SECONDS = 24 * 60 * 60
DINING_MODES = (TaxRate.DiningMode.DINE_IN.value, TaxRate.DiningMode.TAKEAWAY.value)


@dataclass(frozen=True, slots=True)
class MenuEdition:
    """Which menu is in force: the version that every change raises, and the day that decides the taxes.

    `epoch` is the event log's: it changes where versions may repeat, after a restore from a backup.
    """

    version: int
    business_date: datetime.date
    epoch: uuid.UUID
    currency: str

    @property
    def name(self) -> str:
        return f"{self.version}-{self.business_date}-{self.epoch.hex[:8]}"

    @property
    def etag(self) -> str:
        return f'W/"{self.name}"'  # weak: the same menu, gzipped or not


def current_edition() -> MenuEdition:
    epoch = Subquery(StreamHead.objects.values("epoch"))
    restaurant = Restaurant.objects.annotate(epoch=epoch).get(pk=require_restaurant_id())
    return MenuEdition(
        version=restaurant.menu_version,
        business_date=restaurant.business_date(timezone.now()),
        epoch=restaurant.epoch,
        currency=restaurant.currency,
    )


def render_menu(edition: MenuEdition) -> tuple[MenuEdition, bytes]:
    """The menu as gzipped JSON, from the cache where it is; with the edition that it really is."""
    found = cache.get(f"menu:{edition.name}")
    if found is not None:
        return edition, found
    edition, document = read_menu(edition)
    rendered = gzip.compress(orjson.dumps(document), mtime=0)
    cache.set(f"menu:{edition.name}", rendered, KEEP_SECONDS)
    return edition, rendered


def read_menu(edition: MenuEdition) -> tuple[MenuEdition, dict[str, Any]]:
    """Read the menu; again where somebody changed it between the statements.

    Whoever never stops changing it is not waited for: the edition is then the one from before the last
    reading, so that a till soon asks again.
    """
    for _ in range(3):
        read, document = edition, _document(edition)
        edition = current_edition()
        if edition == read:
            break
    return read, document


def _document(edition: MenuEdition) -> dict[str, Any]:
    percents = {mode: tax_percents(edition.business_date, mode) for mode in DINING_MODES}
    stations = dict(KitchenStation.objects.values_list("pk", "name"))
    groups = {group.pk: _group(group) for group in ModifierGroup.objects.prefetch_related("modifiers")}
    groups_of = defaultdict(list)
    for item_id, group_id in MenuItemModifierGroup.objects.values_list("item_id", "group_id"):
        groups_of[item_id].append(groups.get(group_id))
    items_of = defaultdict(list)
    for item in MenuItem.objects.filter(is_active=True):
        items_of[item.category_id].append(
            {
                "id": item.pk,
                "code": item.code,
                "name": item.name,
                "description": item.description,
                "photo_url": url_of(item.photo),
                "price_minor": item.price_minor,
                "tax_percents": {
                    mode: percent_text(by_class[item.tax_class_id]) if item.tax_class_id in by_class else None
                    for mode, by_class in percents.items()
                },
                "station_id": item.station_id,
                "station": stations.get(item.station_id),
                "is_sold_out": item.is_sold_out,
                "modifier_groups": groups_of[item.pk],
            }
        )
    return {
        "version": edition.version,
        "business_date": edition.business_date,
        "currency": edition.currency,
        "categories": [
            {"id": category.pk, "name": category.name, "items": items_of[category.pk]}
            for category in MenuCategory.objects.all()
            if category.pk in items_of
        ],
    }


def _group(group: ModifierGroup) -> dict[str, Any]:
    return {
        "id": group.pk,
        "name": group.name,
        "min_select": group.min_select,
        "max_select": group.max_select,
        "modifiers": [modifier_payload(modifier) for modifier in group.modifiers.all()],
    }
