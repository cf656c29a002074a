"""Money in templates: `{{ minor|money:currency }}` is £1,234.50, `{{ minor|amount:currency }}` 1,234.50."""

from decimal import Decimal

from django import template

from fynlo.money import CURRENCIES, format_money

register = template.Library()


@register.filter
def money(minor: int, currency: str) -> str:
    return format_money(minor, currency)


@register.filter
def amount(minor: int, currency: str) -> str:
    """Without the symbol: for columns under a total that has it."""
    exponent = CURRENCIES[currency]
    return f"{Decimal(minor).scaleb(-exponent):,.{exponent}f}"


@register.filter
def minus(minor: int) -> int:
    """What went out, where a report keeps it positive."""
    return -minor
