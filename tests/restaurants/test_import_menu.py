"""manage.py import_menu."""

import io
import json
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from fynlo.events.models import Event
from fynlo.tenancy.scope import restaurant_scope
from restaurants.menu_csv import read_menu_file
from restaurants.models import (
    KitchenStation,
    MenuCategory,
    MenuItem,
    MenuItemModifierGroup,
    Modifier,
    ModifierGroup,
    Restaurant,
    TaxClass,
)
from restaurants.services import import_menu
from tests import factories

FILES = Path(__file__).parent / "files"
MODELS = [MenuCategory, MenuItem, MenuItemModifierGroup, ModifierGroup, Modifier, KitchenStation, TaxClass]


@pytest.fixture
def load(restaurant, tmp_path):
    """`load(text or path, *options)` runs the command and returns its exit code and what it printed."""

    def run(content, *options, into=None):
        path = content
        if not isinstance(content, Path):
            path = tmp_path / "menu.csv"
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        out, err = io.StringIO(), io.StringIO()
        name = restaurant.slug if into is None else into
        code = 0
        try:
            call_command(
                "import_menu", str(path), "--restaurant", str(name), *options, stdout=out, stderr=err
            )
        except SystemExit as stop:
            code = stop.code
        except CommandError as error:
            return error.returncode, "", str(error)
        return code, out.getvalue(), err.getvalue()

    return run


def snapshot(restaurant):
    with restaurant_scope(restaurant.pk):
        rows = [list(model.objects.order_by("pk").values()) for model in MODELS]
        return [*rows, list(Event.objects.order_by("seq").values()), Restaurant.objects.get().menu_version]


def items(restaurant):
    with restaurant_scope(restaurant.pk):
        found = MenuItem.objects.select_related("category", "tax_class", "station")
        return {
            item.name: (
                item.category.name,
                item.code,
                item.price_minor,
                item.tax_class.name,
                item.station.name,
            )
            for item in found.order_by("category__position", "position")
        }


def groups_of(restaurant, name):
    with restaurant_scope(restaurant.pk):
        links = MenuItem.objects.get(name=name).group_links.select_related("group")
        return {
            link.group.name: [(m.name, m.price_minor) for m in link.group.modifiers.all()] for link in links
        }


GOOD = """category,name,price,code,description,tax_class,station,modifiers
Mains,Burger,13.00,BURGER,With pickle,Standard,Grill,Doneness; Extras[0-3]: Bacon +1.75|Egg +1.25|Cheese +1.00
Pies,Steak pie,14.25,,"Ale, onions",Standard,Grill,Sauce[1-1]: Gravy | Liquor -0.20
Drinks,Lager,6.10,LAGER,,,,
"""


def test_it_creates_and_updates(restaurant, load):
    with restaurant_scope(restaurant.pk):
        Modifier.objects.filter(name="Bacon").update(is_sold_out=True)
        MenuItem.objects.filter(code="LAGER").update(is_active=False, is_sold_out=True)
        burger = MenuItem.objects.get(code="BURGER")
        bacon = Modifier.objects.get(name="Bacon")

    code, out, err = load(GOOD)

    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "New categories: Pies",
        "New modifier groups: Sauce",
        "Items created 1, updated 2, unchanged 0; lines bad 0.",
    ]
    assert items(restaurant) == {
        "Burger": ("Mains", "BURGER", 1300, "Standard", "Grill"),
        "Fries": ("Mains", "FRIES", 425, "Standard", "Grill"),
        "Cake": ("Mains", "CAKE", 595, "Cold food", "Grill"),
        "Lager": ("Drinks", "LAGER", 610, "Standard", "Bar"),
        "Steak pie": ("Pies", "", 1425, "Standard", "Grill"),
    }
    assert groups_of(restaurant, "Burger") == {
        "Doneness": [("Rare", 0), ("Well done", 0)],
        "Extras": [("Bacon", 175), ("Egg", 125), ("Cheese", 100)],
    }
    assert groups_of(restaurant, "Steak pie") == {"Sauce": [("Gravy", 0), ("Liquor", -20)]}
    with restaurant_scope(restaurant.pk):
        assert MenuItem.objects.get(code="BURGER").pk == burger.pk
        assert MenuItem.objects.get(name="Burger").description == "With pickle"
        assert ModifierGroup.objects.get(name="Extras").max_select == 3
        kept = Modifier.objects.get(name="Bacon")
        assert (kept.pk, kept.is_sold_out) == (bacon.pk, True)
        lager = MenuItem.objects.get(code="LAGER")
        assert (lager.is_active, lager.is_sold_out) == (True, True)
        restaurant_now = Restaurant.objects.get()
        (event,) = Event.objects.all()
    assert (event.kind, event.subject_id, event.actor) == ("menu.changed", restaurant.public_id, {})
    assert event.payload == {
        "type": "menu",
        "change": "imported",
        "created": 1,
        "updated": 2,
        "menu_version": restaurant_now.menu_version,
    }


def test_the_same_file_again_changes_nothing(restaurant, load):
    load(GOOD)
    before = snapshot(restaurant)
    code, out, _ = load(GOOD)
    assert (code, out) == (0, "Items created 0, updated 0, unchanged 3; lines bad 0.\n")
    assert snapshot(restaurant) == before


def test_bad_lines_are_reported_and_the_good_ones_load(restaurant, load):
    code, out, err = load(FILES / "bad_menu.csv")
    assert code == 3
    assert err == (FILES / "bad_menu.txt").read_text()
    assert out == "New categories: Sides\nItems created 1, updated 2, unchanged 0; lines bad 11.\n"
    assert items(restaurant) == {
        "Burger": ("Mains", "BURGER", 1300, "Standard", "Grill"),
        "Fries": ("Sides", "FRIES", 425, "Standard", "Grill"),
        "Cake": ("Mains", "CAKE", 595, "Cold food", "Grill"),
        "Fish “& chips” 🐟": ("Mains", "FISH", 1425, "Standard", "Grill"),
        "Lager": ("Drinks", "LAGER", 610, "Standard", "Bar"),
    }


@pytest.mark.parametrize("options", [["--strict"], ["--dry-run"], ["--strict", "--dry-run"]])
def test_strict_and_dry_runs_load_nothing(restaurant, load, options):
    before = snapshot(restaurant)
    code, out, err = load(FILES / "bad_menu.csv", *options)
    assert (code, err) == (3, (FILES / "bad_menu.txt").read_text())
    assert snapshot(restaurant) == before
    if "--strict" in options:
        assert out == "11 bad lines: nothing was loaded.\n"
    else:
        assert out == "New categories: Sides\nWould be created 1, updated 2, unchanged 0; lines bad 11.\n"


def test_strict_loads_a_good_file(restaurant, load):
    code, out, _ = load(GOOD, "--strict")
    assert (code, out.splitlines()[-1]) == (0, "Items created 1, updated 1, unchanged 1; lines bad 0.")
    assert "Steak pie" in items(restaurant)


def test_the_outcome_as_json(restaurant, load):
    code, out, err = load(FILES / "bad_menu.csv", "--json")
    assert (code, err) == (3, "")
    outcome = json.loads(out)
    assert outcome["bad_lines"][4] == {
        "line": 8,
        "reasons": ["price: '-6.10' is not an amount such as 12.50"],
    }
    del outcome["bad_lines"]
    assert outcome == {
        "restaurant": restaurant.pk,
        "dry_run": False,
        "is_loaded": True,
        "created": 1,
        "updated": 2,
        "unchanged": 0,
        "changed_groups": 1,
        "made": {"categories": ["Sides"], "stations": [], "tax_classes": [], "modifier_groups": []},
    }


def test_missing_stations_and_tax_classes_are_made_where_asked(restaurant, load):
    code, out, _ = load(
        "category,name,price,tax_class,station\nDrinks,Stout,5.80,Alcohol,Cellar\n", "--create-missing"
    )
    assert code == 0
    assert out.splitlines() == [
        "New stations: Cellar",
        "New tax classes: Alcohol",
        "Give Alcohol a tax rate: until then nothing of it can be sold.",
        "Items created 1, updated 0, unchanged 0; lines bad 0.",
    ]
    assert items(restaurant)["Stout"] == ("Drinks", "", 580, "Alcohol", "Cellar")


def test_a_blank_station_or_tax_class_means_the_only_one(restaurant, load):
    text = "category,name,price\nMains,Pie,9.00\n"
    code, _, err = load(text)
    assert (code, err) == (
        3,
        "line 2: tax_class: is blank, and which of these is meant is not clear: Cold food, Standard; "
        "station: is blank, and which of these is meant is not clear: Bar, Grill\n",
    )
    place = factories.make_restaurant("One of each", menu=False)
    assert load(text, into=place.slug)[0] == 3
    with restaurant_scope(place.pk):
        TaxClass.objects.create(name="All")
        KitchenStation.objects.create(name="Kitchen")
    assert load(text, into=place.slug)[0] == 0
    assert items(place) == {"Pie": ("Mains", "", 900, "All", "Kitchen")}


def test_a_column_that_is_not_there_changes_nothing(restaurant, load):
    load("category,name,price\nMains,Burger,12.50\nMains,Cake,6.00\n")
    assert items(restaurant)["Burger"] == ("Mains", "BURGER", 1250, "Standard", "Grill")
    assert items(restaurant)["Cake"] == ("Mains", "CAKE", 600, "Cold food", "Grill")
    assert list(groups_of(restaurant, "Burger")) == ["Doneness", "Extras"]
    load("category,name,price,modifiers\nMains,Burger,12.50,\n")
    assert groups_of(restaurant, "Burger") == {}


def test_a_name_may_pass_from_one_item_to_another(restaurant, load):
    text = "category,name,price,code,tax_class,station\n"
    code, _, err = load(text + "Mains,Hamburger,12.50,BURGER,,\nMains,Burger,9.00,VEGGIE,Standard,Grill\n")
    assert (code, err) == (0, "")
    assert (items(restaurant)["Hamburger"][1], items(restaurant)["Burger"][1]) == ("BURGER", "VEGGIE")
    # The other way round the name is not free yet.
    code, _, err = load(text + "Mains,Hamburger,9.00,VEGGIE,,\nMains,Burger,12.50,BURGER,,\n")
    assert code == 3
    assert err.splitlines() == [
        "line 2: name: 'Hamburger' is another item's already",
        "line 3: name: 'Burger' is another item's already",
    ]


def test_new_items_come_after_those_that_are_there(restaurant, load):
    load("category,name,price,tax_class,station\nMains,Zebra,1,Standard,Grill\nMains,Ant,1,Standard,Grill\n")
    assert list(items(restaurant)) == ["Burger", "Fries", "Cake", "Zebra", "Ant", "Lager"]


def test_it_loads_into_the_named_restaurant_only(restaurant, other_restaurant, load):
    before = snapshot(other_restaurant)
    assert load(GOOD, into=restaurant.pk)[0] == 0
    assert snapshot(other_restaurant) == before


@pytest.mark.parametrize(
    ("into", "message"),
    [
        ("no-such-place", "There is no restaurant 'no-such-place'."),
        ("999999999", "There is no restaurant 999999999."),
        ("9999999999", "There is no restaurant '9999999999'."),
    ],
)
def test_a_restaurant_that_is_not_there(load, into, message):
    assert load(GOOD, into=into) == (2, "", message)


def test_a_file_that_is_no_menu(restaurant, load, tmp_path):
    before = snapshot(restaurant)
    nowhere = tmp_path / "nowhere.csv"
    assert load(nowhere) == (2, "", f"{nowhere}: No such file or directory")
    code, _, message = load("category,name,price\nCafé,x,1\n".encode("latin-1"))
    assert code == 2
    assert "not UTF-8 (line 2)" in message
    assert snapshot(restaurant) == before


def test_ten_thousand_lines_load_in_seconds():
    place = factories.make_restaurant("A wholesaler")
    lines = ["category,name,price,code,description,tax_class,station,modifiers"]
    lines += [
        f"Category {n % 40},Dish {n},{n % 50}.{n % 100:02},C{n},Dish number {n},Standard,Grill,"
        f"{'Doneness; ' if n % 2 else ''}Group {n % 20}[0-2]: One +0.50 | Two | Three"
        for n in range(10_000)
    ]
    content = "\n".join(lines).encode()

    start = time.process_time()
    menu = read_menu_file(content, "GBP")
    with restaurant_scope(place.pk):
        report = import_menu(menu)
    first = time.process_time() - start
    with restaurant_scope(place.pk):
        again = import_menu(menu)

    assert (report.created, report.bad_lines, again.unchanged) == (10_000, [], 10_000)
    with restaurant_scope(place.pk):
        assert MenuItemModifierGroup.objects.count() == 2 + 15_000
    assert first < 10, first  # seconds of this process, so that a busy machine does not matter
