"""SumUp's money: floats of major units in its checkouts, transactions, refunds and payouts.

These are the only floats of money here. They are read as the decimals they are written as, so that
10.10 is 1010 pence and nothing else.
"""

from decimal import Decimal
from typing import Any

from fynlo.money import CURRENCIES

from .errors import InvalidRequest, UnknownOutcome
from .sumup_codes import WITHOUT_MINOR_UNIT


def _exponent(currency: str) -> int:
    try:
        return CURRENCIES[currency]
    except KeyError:
        raise UnknownOutcome(f"{currency!r} is not a currency we count in.") from None


def to_float(amount_minor: int, currency: str) -> float:
    return float(Decimal(amount_minor).scaleb(-_exponent(currency)))


def from_float(amount: float, currency: str) -> int:
    """Raises UnknownOutcome for anything finer than a minor unit: then we do not know what was taken."""
    scaled = Decimal(str(amount)).scaleb(_exponent(currency))
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise UnknownOutcome(f"SumUp says {amount!r}, which is not an amount of {currency}.")
    return int(scaled)


def for_reader(amount_minor: int, currency: str) -> dict[str, Any]:
    """An amount for a reader: an integer with the number of its decimals."""
    exponent = _exponent(currency)
    if currency not in WITHOUT_MINOR_UNIT or not exponent:
        return {"value": amount_minor, "currency": currency, "minor_unit": exponent}
    whole, rest = divmod(amount_minor, 10**exponent)
    if rest:
        raise InvalidRequest(f"SumUp's readers take whole {currency} only.")
    return {"value": whole, "currency": currency, "minor_unit": 0}
