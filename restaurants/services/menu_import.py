"""Loading a menu that was read from CSV."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import transaction

from fynlo.events.log import record_event
from fynlo.tenancy.scope import require_restaurant_id
from restaurants.menu_csv import SELECT_MAX, BadLine, GroupSpec, ItemLine, MenuFile
from restaurants.models import (
    KitchenStation,
    MenuCategory,
    MenuItem,
    MenuItemModifierGroup,
    ModifierGroup,
    Restaurant,
    TaxClass,
)

from .editing import menu_version, set_modifiers

BATCH = 1000
COLUMNS = [
    "category_id",
    "tax_class_id",
    "station_id",
    "code",
    "name",
    "description",
    "price_minor",
    "is_active",
]


@dataclass(slots=True)
class ImportReport:
    """What an import did. `made` names new categories, stations, tax classes and modifier groups."""

    is_loaded: bool = False
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    changed_groups: int = 0
    made: dict[str, list[str]] = field(default_factory=dict)
    bad_lines: list[BadLine] = field(default_factory=list)

    @property
    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@transaction.atomic
def import_menu(file: MenuFile, *, strict: bool = False, create_missing: bool = False) -> ImportReport:
    """Load the good lines, or with `strict` none if any is bad; the same file again changes nothing.

    An item is found by its code, else by its name; what the file does not say stays as it is. Stations
    and tax classes must be there unless `create_missing`. Runs in the restaurant's scope.
    """
    restaurant = Restaurant.objects.select_for_update(no_key=True).get(pk=require_restaurant_id())
    load = _Load(file, create_missing)
    load.match()
    bad_lines = sorted([*file.bad_lines, *load.bad_lines], key=lambda bad: bad.line)
    report = ImportReport(bad_lines=bad_lines)
    if strict and bad_lines:
        return report
    load.write(report)
    report.is_loaded = True
    version = menu_version()
    if version != restaurant.menu_version:
        payload = {
            "type": "menu",
            "change": "imported",
            "created": report.created,
            "updated": report.updated,
            "menu_version": version,
        }
        record_event("menu.changed", restaurant.public_id, payload, actor={})
    return report


class _Load:
    """First `match` every line with the rows that it means, then `write` those that changed."""

    def __init__(self, file: MenuFile, create_missing: bool) -> None:
        self.file = file
        self.create_missing = create_missing
        self.bad_lines: list[BadLine] = []
        self.matched: list[tuple[ItemLine, MenuItem]] = []
        self.categories = _by_name(MenuCategory)
        self.stations = _by_name(KitchenStation)
        self.tax_classes = _by_name(TaxClass)
        self.groups = _by_name(ModifierGroup)
        items = list(MenuItem.objects.all())
        self.by_name = {item.name: item for item in items}
        self.by_code = {item.code: item for item in items if item.code}
        self.before = {item.pk: _columns(item) for item in items}
        self.next_position = _ends(items)

    def match(self) -> None:
        for line in self.file.items:
            item = self.by_code.get(line.code) or self.by_name.get(line.name)
            reasons = list(self._faults(line, item))
            if reasons:
                self.bad_lines.append(BadLine(line.line, tuple(reasons)))
            else:
                self.matched.append((line, self._fill(item or MenuItem(), line)))

    def _faults(self, line: ItemLine, item: MenuItem | None) -> Iterable[str]:
        is_namesake = item is not None and line.code and item.code not in ("", line.code)
        if is_namesake or self.by_name.get(line.name, item) is not item:
            yield f"name: {line.name!r} is another item's already"
        yield from self._unknown("tax_class", line.tax_class, self.tax_classes, is_new=item is None)
        yield from self._unknown("station", line.station, self.stations, is_new=item is None)
        for name in line.group_names or ():
            if name not in self.groups and name not in self.file.groups:
                yield f"modifiers: there is no group {name!r}; describe it, such as {name}[0-1]: One | Two"

    def _unknown(self, column: str, name: str, known: dict[str, Any], *, is_new: bool) -> Iterable[str]:
        if name in known or (name and self.create_missing):
            return
        if name:
            yield f"{column}: there is no {name!r}; known: {_list(known)}"
        elif is_new and len(known) != 1:
            yield f"{column}: is blank, and which of these is meant is not clear: {_list(known)}"

    def _fill(self, item: MenuItem, line: ItemLine) -> MenuItem:
        """Write the line into its item, making the rows that it refers to, all unsaved."""
        is_new = item.pk not in self.before
        item.category = self._get(self.categories, MenuCategory, line.category)
        if line.tax_class or is_new:
            item.tax_class = self._get(self.tax_classes, TaxClass, line.tax_class)
        if line.station or is_new:
            item.station = self._get(self.stations, KitchenStation, line.station)
        self.by_name.pop(item.name, None)
        item.name = line.name
        item.code = line.code or item.code
        if line.description is not None:
            item.description = line.description
        item.price_minor = line.price_minor
        item.is_active = True
        if is_new:
            item.position = min(self.next_position.get(item.category_id, 0), SELECT_MAX)
            self.next_position[item.category_id] = item.position + 1
        self.by_name[item.name] = item
        if item.code:
            self.by_code[item.code] = item
        return item

    def _get(self, known: dict[str, Any], model: Any, name: str) -> Any:
        """The row of this name; a blank name means the only one there is."""
        if not name:
            (row,) = known.values()
            return row
        if name not in known:
            row = known[name] = model(name=name)
            if hasattr(row, "position"):
                row.position = min(len(known) - 1, SELECT_MAX)
        return known[name]

    def write(self, report: ImportReport) -> None:
        for key, known in (
            ("categories", self.categories),
            ("stations", self.stations),
            ("tax_classes", self.tax_classes),
        ):
            new = [row for row in known.values() if row._state.adding]
            report.made[key] = [row.name for row in new]
            if new:
                type(new[0]).objects.bulk_create(new, batch_size=BATCH)
        self._write_groups(report)
        changed = [item for _, item in self.matched if self.before.get(item.pk) != _columns(item)]
        # One statement for new and changed rows alike, in the file's order, so that a name may pass from
        # one item to another.
        MenuItem.objects.bulk_create(
            changed, batch_size=BATCH, update_conflicts=True, unique_fields=["id"], update_fields=_FIELDS
        )
        touched = {item.pk for item in changed} | self._write_links()
        report.created = sum(item.pk not in self.before for _, item in self.matched)
        report.updated = len(touched) - report.created
        report.unchanged = len(self.matched) - len(touched)

    def _write_groups(self, report: ImportReport) -> None:
        used = {name: None for line, _ in self.matched for name in line.group_names or ()}
        specs = [self.file.groups[name] for name in used if name in self.file.groups]
        report.made["modifier_groups"] = [spec.name for spec in specs if spec.name not in self.groups]
        for spec in specs:
            group = self.groups.setdefault(spec.name, ModifierGroup(name=spec.name))
            report.changed_groups += _write_group(group, spec)

    def _write_links(self) -> set[Any]:
        """Give items their modifier groups; returns the ids of those whose groups changed."""
        before: dict[Any, list[Any]] = {}
        for item_id, group_id in MenuItemModifierGroup.objects.values_list("item_id", "group_id"):
            before.setdefault(item_id, []).append(group_id)
        wanted = {
            item.pk: [self.groups[name].pk for name in line.group_names]
            for line, item in self.matched
            if line.group_names is not None
        }
        changed = {pk: groups for pk, groups in wanted.items() if before.get(pk, []) != groups}
        if stale := changed.keys() & before.keys():
            MenuItemModifierGroup.objects.filter(item__in=stale).delete()
        MenuItemModifierGroup.objects.bulk_create(
            [
                MenuItemModifierGroup(item_id=pk, group_id=group_id, position=position)
                for pk, groups in changed.items()
                for position, group_id in enumerate(groups)
            ],
            batch_size=BATCH,
        )
        return set(changed)


_FIELDS = [*(name.removesuffix("_id") for name in COLUMNS), "position"]


def _write_group(group: ModifierGroup, spec: GroupSpec) -> bool:
    is_new = group._state.adding
    bounds = (group.min_select, group.max_select)
    group.min_select, group.max_select = spec.min_select, spec.max_select
    if is_new or bounds != (spec.min_select, spec.max_select):
        group.save()
    entries = [{"name": name, "price_minor": price} for name, price in spec.modifiers]
    is_changed = set_modifiers(group, entries)
    return is_new or is_changed or bounds != (spec.min_select, spec.max_select)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none yet"


def _by_name(model: Any) -> dict[str, Any]:
    return {row.name: row for row in model.objects.all()}


def _columns(item: MenuItem) -> tuple[Any, ...]:
    return tuple(getattr(item, name) for name in COLUMNS)


def _ends(items: Sequence[MenuItem]) -> dict[Any, int]:
    """The first free position of each category."""
    ends: dict[Any, int] = {}
    for item in items:
        ends[item.category_id] = max(ends.get(item.category_id, 0), item.position + 1)
    return ends
