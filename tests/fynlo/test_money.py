import pytest
from hypothesis import given
from hypothesis import strategies as st

from fynlo.money import format_money, share_out, to_minor


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "GBP", 1250),
        (" 12.5 ", "GBP", 1250),
        ("0", "GBP", 0),
        ("-3.01", "GBP", -301),
        (".5", "GBP", 50),
        ("1200", "JPY", 1200),
        ("1.234", "KWD", 1234),
    ],
)
def test_an_amount_is_read_exactly(text, currency, minor):
    assert to_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("12.505", "GBP"),
        ("1.5", "JPY"),
        ("", "GBP"),
        ("twelve", "GBP"),
        ("1e2", "GBP"),
        ("1_000", "GBP"),
        ("1e999999", "GBP"),
        ("٣", "GBP"),
        ("NaN", "GBP"),
        ("Infinity", "GBP"),
    ],
)
def test_what_is_no_amount_is_refused(text, currency):
    with pytest.raises(ValueError, match="is not an amount"):
        to_minor(text, currency)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123450, "GBP", "£1,234.50"),
        (-5, "GBP", "-£0.05"),
        (1200, "JPY", "¥1,200"),
        (12500, "KWD", "12.500 KWD"),
    ],
)
def test_an_amount_is_written_for_people(minor, currency, text):
    assert format_money(minor, currency) == text


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (1, [1, 1], [1, 0]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (0, [3, 4], [0, 0]),
        (10, [0, 5], [0, 10]),
        (1000, [1250, 425, 595], [551, 187, 262]),
    ],
)
def test_shares_go_by_largest_remainder(total, weights, parts):
    assert share_out(total, weights) == parts


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**9), min_size=1).filter(any))
def test_shares_sum_to_the_whole_and_are_fair(total, weights):
    parts = share_out(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - total * weight) < sum(weights)


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1, 5]])
def test_shares_need_weights(weights):
    with pytest.raises(ValueError, match="Weights"):
        share_out(100, weights)
