"""SumUp's floats: what goes out comes in again, and nothing finer than a minor unit does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.providers.errors import InvalidRequest, UnknownOutcome
from payments.providers.sumup_money import for_reader, from_float, to_float

CURRENCIES = st.sampled_from(["JPY", "GBP", "KWD"])  # 0, 2 and 3 decimals
AMOUNTS = st.integers(min_value=-(10**13), max_value=10**13)


@given(AMOUNTS, CURRENCIES)
def test_an_amount_comes_back_as_it_went_out(amount: int, currency: str) -> None:
    assert from_float(to_float(amount, currency), currency) == amount


@given(AMOUNTS, AMOUNTS, CURRENCIES)
def test_different_amounts_stay_different(one: int, other: int, currency: str) -> None:
    assert (to_float(one, currency) == to_float(other, currency)) == (one == other)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        *((0.29, "GBP", 29), (1.15, "GBP", 115), (10, "GBP", 1000), (1e2, "JPY", 100), (1.005, "KWD", 1005)),
        *((-4.35, "GBP", -435), (0.0, "GBP", 0), (1e-2, "GBP", 1), (8190.07, "EUR", 819007)),
    ],
)
def test_amounts_that_floats_are_bad_at(amount: float, currency: str, minor: int) -> None:
    assert from_float(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        *((0.001, "GBP"), (10.005, "GBP"), (0.5, "JPY"), (0.0001, "KWD"), (0.1 + 0.2, "GBP")),
        *((1.0, "XXX"), (math.nan, "GBP"), (math.inf, "GBP")),
    ],
)
def test_what_is_no_amount_is_not_believed(amount: float, currency: str) -> None:
    with pytest.raises(UnknownOutcome):
        from_float(amount, currency)


@pytest.mark.parametrize(
    ("minor", "currency", "value", "decimals"),
    [(1050, "GBP", 1050, 2), (1050, "JPY", 1050, 0), (1050, "CLP", 1050, 0), (105000, "HUF", 1050, 0)],
)
def test_a_reader_counts_in_its_own_units(minor: int, currency: str, value: int, decimals: int) -> None:
    assert for_reader(minor, currency) == {"value": value, "currency": currency, "minor_unit": decimals}


def test_a_reader_takes_no_part_of_a_forint() -> None:
    with pytest.raises(InvalidRequest):
        for_reader(1050, "HUF")
