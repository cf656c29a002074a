"""Changing the menu and the floor, one row at a time with what hangs from it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db import models, transaction

from accounts.staff import JoinedDevice, Staff
from fynlo import media
from fynlo.errors import InvalidInput, NotFound
from fynlo.events.log import record_event
from fynlo.tenancy.scope import require_restaurant_id
from restaurants.errors import InUse, Taken
from restaurants.models import (
    Floor,
    MenuItem,
    MenuItemModifierGroup,
    Modifier,
    ModifierGroup,
    Restaurant,
    Table,
    TaxClass,
    TaxRate,
)
from restaurants.payloads import HANGING, row_payload


@transaction.atomic
def save_row(row: Any, values: Mapping[str, Any], *, by: Staff) -> Any:
    """Make a new row or change one; `values` maps columns to values and lists to whole lists.

    The lists are an item's `modifier_group_ids`, a group's `modifiers` and a tax class's `rates`: what a
    list leaves out is removed. Raises Taken or InvalidInput, naming the field.
    """
    is_new = row._state.adding
    columns = {name: value for name, value in values.items() if name not in _SET_LIST}
    changed = [name for name, value in columns.items() if is_new or getattr(row, name) != value]
    for name in changed:
        setattr(row, name, columns[name])
    _refuse_taken(row, changed)
    if isinstance(row, ModifierGroup) and row.min_select > row.max_select:
        raise InvalidInput("The most that may be chosen is less than the least.", field="max_select")
    row.save(**({} if is_new else {"update_fields": changed}))
    changed += [name for name in values if name in _SET_LIST and _SET_LIST[name](row, values[name])]
    if isinstance(row, ModifierGroup) and row.modifiers.count() < row.min_select:
        raise InvalidInput("There are fewer modifiers than must be chosen.", field="modifiers")
    if changed:
        _record(row, "created" if is_new else "changed", by, changed=changed)
    return row


@transaction.atomic
def delete_row(row: Any, *, by: Staff) -> bool:
    """Delete a row that nothing uses; True when it is gone.

    An item or table that orders name is taken off the menu or the floor instead. Raises InUse for
    anything else that is used.
    """
    users = _users_of(row)
    if not users:
        payload = row_payload(row)
        type(row).objects.filter(pk=row.pk).get().delete()
        if isinstance(row, MenuItem):
            transaction.on_commit(partial(media.discard, row.photo))
        _record(row, "deleted", by, payload=payload)
        return True
    if not hasattr(row, "is_active"):
        raise InUse(" and ".join(users))
    save_row(row, {"is_active": False}, by=by)
    return False


def _users_of(row: models.Model) -> list[str]:
    """What kinds of rows refer to this one, other than its own parts; also those of apps unknown here."""
    relations = [
        field
        for field in row._meta.get_fields(include_hidden=True)
        if isinstance(field, models.ManyToOneRel) and field.get_accessor_name() != HANGING.get(type(row))
    ]
    return [
        str(relation.related_model._meta.verbose_name_plural)
        for relation in relations
        if relation.related_model._default_manager.filter(**{relation.field.name: row}).exists()
    ]


@transaction.atomic
def set_sold_out(
    model: type[MenuItem] | type[Modifier], row_id: UUID, *, is_sold_out: bool, by: Staff | JoinedDevice
) -> Any:
    """86 an item or a modifier, or put it back. Saying it again changes nothing. Raises NotFound."""
    changed = model.objects.filter(pk=row_id).exclude(is_sold_out=is_sold_out)
    is_changed = changed.update(is_sold_out=is_sold_out)
    row = model.objects.filter(pk=row_id).first()
    if row is None:
        raise NotFound
    if is_changed:
        kind = f"{'item' if model is MenuItem else 'modifier'}.{'sold_out' if is_sold_out else 'back'}"
        payload = {"id": str(row.pk), "name": row.name, "is_sold_out": is_sold_out}
        record_event(kind, row.pk, {**payload, "menu_version": menu_version()}, actor=by.actor)
    return row


def set_modifiers(group: ModifierGroup, wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Make these a group's modifiers, in this order; True when that changed anything.

    An entry names one that is there by `id`, else by `name`; any other is a new one.
    """
    found = {modifier.pk: modifier for modifier in group.modifiers.all()}
    by_name = {modifier.name: modifier for modifier in found.values()}
    before = {pk: (modifier.name, modifier.price_minor, modifier.position) for pk, modifier in found.items()}
    listed: list[Modifier] = []
    for position, entry in enumerate(wanted):
        if "id" in entry and entry["id"] not in found:
            raise InvalidInput("This group has no such modifier.", field=f"modifiers.{position}.id")
        modifier = found[entry["id"]] if "id" in entry else by_name.get(entry["name"], Modifier(group=group))
        modifier.name, modifier.price_minor = entry["name"], entry["price_minor"]
        modifier.position = position
        listed.append(modifier)
    _refuse_twins("modifiers", "", [modifier.pk for modifier in listed])
    _refuse_twins("modifiers", "name", [modifier.name for modifier in listed])
    gone = found.keys() - {modifier.pk for modifier in listed}
    changed = [m for m in listed if before.get(m.pk) not in (None, (m.name, m.price_minor, m.position))]
    new = [modifier for modifier in listed if modifier.pk not in found]
    if gone:
        Modifier.objects.filter(pk__in=gone).delete()
    Modifier.objects.bulk_update(changed, ["name", "price_minor", "position"])
    Modifier.objects.bulk_create(new)
    return bool(gone or changed or new)


def set_modifier_groups(item: MenuItem, group_ids: Sequence[UUID]) -> bool:
    """Make these an item's modifier groups, in this order; True when that changed anything."""
    if list(item.group_links.values_list("group_id", flat=True)) == list(group_ids):
        return False
    _refuse_twins("modifier_group_ids", "", group_ids)
    item.group_links.all().delete()
    MenuItemModifierGroup.objects.bulk_create(
        MenuItemModifierGroup(item=item, group_id=group_id, position=position)
        for position, group_id in enumerate(group_ids)
    )
    return True


def set_rates(tax_class: TaxClass, wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Make these a tax class's rates; True when that changed anything. Orders keep theirs."""
    keys = [(entry["dining_mode"], entry["valid_from"]) for entry in wanted]
    _refuse_twins("rates", "valid_from", keys)
    before = {(rate.dining_mode, rate.valid_from): rate.percent for rate in tax_class.rates.all()}
    if before == {key: entry["percent"] for key, entry in zip(keys, wanted, strict=True)}:
        return False
    tax_class.rates.all().delete()
    TaxRate.objects.bulk_create(TaxRate(tax_class=tax_class, **entry) for entry in wanted)
    return True


_SET_LIST: dict[str, Callable[[Any, Any], bool]] = {
    "modifiers": set_modifiers,
    "modifier_group_ids": set_modifier_groups,
    "rates": set_rates,
}


def menu_version() -> int:
    return Restaurant.objects.values_list("menu_version", flat=True).get(pk=require_restaurant_id())


def _refuse_taken(row: models.Model, changed: Sequence[str]) -> None:
    for field in ("name", "code"):
        value = getattr(row, field, "")
        others = type(row)._default_manager.filter(**{field: value}).exclude(pk=row.pk) if value else None
        if others is not None and field in changed and others.exists():
            raise Taken(value, field=field)


def _refuse_twins(list_name: str, part: str, keys: Sequence[Any]) -> None:
    for position, key in enumerate(keys):
        if key in keys[:position]:
            path = ".".join(filter(None, [list_name, str(position), part]))
            raise InvalidInput("This is in the list already.", field=path)


def _record(row: Any, change: str, by: Staff, payload: Any = None, **more: Any) -> None:
    kind = "floor.changed" if isinstance(row, Floor | Table) else "menu.changed"
    row_now = payload or row_payload(row)
    document = {"type": row._meta.model_name, "change": change, "row": row_now, **more}
    if kind == "menu.changed":
        document["menu_version"] = menu_version()
    record_event(kind, row.pk, document, actor=by.actor)
