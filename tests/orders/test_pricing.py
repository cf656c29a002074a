"""Line prices, modifiers and VAT, without a database."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fynlo.errors import DomainError
from orders.pricing import (
    MenuEntry,
    check_available,
    choose_modifiers,
    included_tax,
    percent_text,
    tax_lines,
    unit_price,
)
from restaurants.models import MAX_PRICE_MINOR

PERCENTS = st.integers(0, 100_000).map(lambda n: Decimal(n) / 1000)
AMOUNTS = st.integers(0, MAX_PRICE_MINOR * 999)


def modifier(name: str, price: int = 0, **fields: Any) -> dict[str, Any]:
    return {"id": name.lower(), "name": name, "price_minor": price, "is_sold_out": False, **fields}


def burger(**fields: Any) -> MenuEntry:
    """12.50; exactly one Doneness, up to two Extras."""
    doneness = [modifier("Rare"), modifier("Medium"), modifier("Blue", is_sold_out=True)]
    extras = [modifier("Bacon", 150), modifier("Cheese", 100), modifier("Bare", -300)]
    return {
        "id": "burger",
        "name": "Burger",
        "price_minor": 1250,
        "tax_class_id": "standard",
        "station_id": "grill",
        "is_active": True,
        "is_sold_out": False,
        "groups": [
            {"name": "Doneness", "min_select": 1, "max_select": 1, "modifiers": doneness},
            {"name": "Extras", "min_select": 0, "max_select": 2, "modifiers": extras},
        ],
        **fields,
    }  # type: ignore[typeddict-item]


def refusal(call: Any, *args: Any) -> tuple[str, str | None, Any]:
    with pytest.raises(DomainError) as caught:
        call(*args, field="items.3.modifiers", item_id="line")
    return caught.value.code, caught.value.field, caught.value.extra.get("item_id")


# Modifiers


def test_modifiers_come_in_the_menus_order_as_a_line_keeps_them():
    chosen = choose_modifiers(burger(), ["cheese", "rare", "bacon"], field="x", item_id="line")
    assert chosen == [
        {"id": "rare", "name": "Rare", "price_minor": 0},
        {"id": "bacon", "name": "Bacon", "price_minor": 150},
        {"id": "cheese", "name": "Cheese", "price_minor": 100},
    ]
    assert unit_price(1250, chosen) == 1500


@pytest.mark.parametrize(
    ("chosen", "code"),
    [
        ([], "too_few_modifiers"),
        (["bacon"], "too_few_modifiers"),
        (["rare", "medium"], "too_many_modifiers"),
        (["rare", "bacon", "cheese", "bare"], "too_many_modifiers"),
        (["rare", "rare"], "modifier_twice"),
        (["rare", "bacon", "bacon"], "modifier_twice"),
        (["rare", "gherkin"], "modifier_not_offered"),
        (["blue"], "sold_out"),
    ],
)
def test_a_choice_that_the_item_does_not_offer_is_refused(chosen, code):
    assert refusal(choose_modifiers, burger(), chosen) == (code, "items.3.modifiers", "line")


def test_an_item_without_groups_takes_no_modifier():
    plain = burger(groups=[])
    assert choose_modifiers(plain, [], field="x", item_id="line") == []
    assert refusal(choose_modifiers, plain, ["rare"])[0] == "modifier_not_offered"


def test_only_what_is_on_the_menu_and_to_be_had_is_available():
    assert check_available(burger(), field="x", item_id="line") == burger()
    assert refusal(check_available, None) == ("not_on_menu", "items.3.modifiers", "line")
    assert refusal(check_available, burger(is_active=False)) == ("not_on_menu", "items.3.modifiers", "line")
    assert refusal(check_available, burger(is_sold_out=True)) == ("sold_out", "items.3.modifiers", "line")
    assert refusal(check_available, burger(is_active=False, is_sold_out=True))[0] == "not_on_menu"


def test_a_line_is_never_below_nothing():
    assert unit_price(250, [{"id": "bare", "name": "Bare", "price_minor": -300}]) == 0
    assert unit_price(300, [{"id": "bare", "name": "Bare", "price_minor": -300}]) == 0
    assert unit_price(301, [{"id": "bare", "name": "Bare", "price_minor": -300}]) == 1


# VAT


@pytest.mark.parametrize(
    ("gross", "percent", "tax"),
    [
        (1200, "20", 200),
        (1250, "20", 208),  # 208.33
        (1195, "20", 199),  # 199.17
        (3, "20", 1),  # exactly half a penny is rounded up
        (2, "20", 0),
        (9, "20", 2),  # 1.5
        (0, "20", 0),
        (595, "0", 0),
        (1000, "12.5", 111),  # the UK's hospitality rate from October 2021: 111.11
        (1000, "5", 48),  # 47.62
        (999, "100", 500),  # 499.5
        (10000, "13.5", 1189),  # Ireland: 1189.43
        (817_860_05, "8.875", 6_666_827),  # New York: 6666827.04
    ],
)
def test_tax_is_the_fraction_of_the_price_rounded_half_up(gross, percent, tax):
    assert included_tax(gross, Decimal(percent)) == tax


def test_tax_is_rounded_once_for_each_rate_of_the_order_not_for_each_line():
    lines = [(Decimal("20"), 3)] * 3 + [(Decimal("0"), 595)]
    assert tax_lines(lines) == [
        {"percent": "20", "gross_minor": 9, "net_minor": 7, "tax_minor": 2},  # by line it would be 3
        {"percent": "0", "gross_minor": 595, "net_minor": 595, "tax_minor": 0},
    ]


def test_one_rate_is_one_line_however_it_is_written():
    lines = [(Decimal("20"), 100), (Decimal("20.000"), 100), (Decimal("12.500"), 50)]
    assert [(line["percent"], line["gross_minor"]) for line in tax_lines(lines)] == [
        ("20", 200),
        ("12.5", 50),
    ]
    assert tax_lines([]) == []


def test_a_percentage_is_written_without_idle_noughts():
    assert [percent_text(Decimal(p)) for p in ("20.000", "0.000", "12.500", "100", "8.875")] == [
        "20",
        "0",
        "12.5",
        "100",
        "8.875",
    ]


@given(AMOUNTS, PERCENTS)
def test_no_rounding_error_exceeds_half_a_minor_unit(gross, percent):
    exact = Fraction(gross) * Fraction(percent) / (100 + Fraction(percent))
    error = included_tax(gross, percent) - exact
    assert -Fraction(1, 2) < error <= Fraction(1, 2)


@given(st.lists(st.tuples(PERCENTS, AMOUNTS), max_size=30), st.randoms())
def test_the_parts_of_a_bill_add_up_in_any_order(lines, random):
    found = tax_lines(lines)
    assert sum(line["gross_minor"] for line in found) == sum(total for _, total in lines)
    for line in found:
        assert line["net_minor"] + line["tax_minor"] == line["gross_minor"]
        assert 0 <= line["tax_minor"] <= line["gross_minor"]
    percents = [Decimal(line["percent"]) for line in found]
    assert percents == sorted(set(percents), reverse=True)
    shuffled = list(lines)
    random.shuffle(shuffled)
    assert tax_lines(shuffled) == found


@given(st.integers(0, MAX_PRICE_MINOR), st.lists(st.integers(-MAX_PRICE_MINOR, MAX_PRICE_MINOR), max_size=8))
def test_a_unit_price_is_the_sum_or_nothing(price, changes):
    modifiers = [{"id": str(n), "name": "m", "price_minor": change} for n, change in enumerate(changes)]
    assert unit_price(price, modifiers) == max(0, price + sum(changes))
