"""Money is an integer of minor units; this is where it is written, read and shared out."""

import re
from collections.abc import Sequence
from decimal import Decimal

# Minor-unit exponents by ISO 4217, of the currencies that restaurants here may trade in.
TWO_DECIMALS = (
    "AED AUD BGN BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS INR MAD MXN MYR NOK NZD"
    " PHP PLN RON SAR SEK SGD THB TRY TWD USD ZAR"
)
CURRENCIES = {
    **dict.fromkeys(TWO_DECIMALS.split(), 2),
    **dict.fromkeys(["CLP", "ISK", "JPY", "KRW", "VND"], 0),
    **dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 3),
}
SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥"}


def to_minor(text: str, currency: str) -> int:
    """Read an amount such as "12.50"; raises ValueError for anything finer than a minor unit."""
    if not re.fullmatch(r"[+-]?\d{1,15}(\.\d*)?|[+-]?\.\d+", text.strip(), re.ASCII):
        raise ValueError(f"{text!r} is not an amount")
    scaled = Decimal(text.strip()).scaleb(CURRENCIES[currency])
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r} is not an amount of {currency}")
    return int(scaled)


def format_money(minor: int, currency: str) -> str:
    """Write an amount for people: £1,234.50, or 12.500 KWD where there is no symbol."""
    exponent = CURRENCIES[currency]
    number = f"{Decimal(abs(minor)).scaleb(-exponent):,.{exponent}f}"
    sign = "-" if minor < 0 else ""
    symbol = SYMBOLS.get(currency)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency}"


def amount_text(minor: int, currency: str) -> str:
    """Write an amount for forms and files: 1234.50."""
    exponent = CURRENCIES[currency]
    return f"{Decimal(minor).scaleb(-exponent):.{exponent}f}"


def share_out(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to non-negative `weights` by largest remainder; parts sum to it.

    Equal remainders go to the earlier part. Raises ValueError where the weights sum to nothing.
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        raise ValueError("Weights must be non-negative and not all zero.")
    sign = -1 if total < 0 else 1
    quotients = [divmod(abs(total) * weight, whole) for weight in weights]
    parts = [quotient for quotient, _ in quotients]
    by_remainder = sorted(range(len(parts)), key=lambda i: (-quotients[i][1], i))
    for i in by_remainder[: abs(total) - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]
