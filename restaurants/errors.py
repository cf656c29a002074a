"""Refusals about a restaurant and its menu."""

from fynlo.errors import DomainError


class CurrencyIsFixed(DomainError):
    code = "currency_is_fixed"
    detail = "There are orders in this currency, so it cannot change any more."

    def __init__(self) -> None:
        super().__init__(field="currency")


class Taken(DomainError):
    """A name or code that another row of the restaurant has; `field` says which."""

    code = "taken"

    def __init__(self, value: str, *, field: str) -> None:
        super().__init__(f"{value!r} is taken already.", field=field)


class InUse(DomainError):
    code = "in_use"

    def __init__(self, uses: str) -> None:
        super().__init__(f"This cannot be deleted: it is used by {uses}.")


class AlreadySo(DomainError):
    code = "already_so"


class DayClosed(DomainError):
    """The business day has its Z report: nothing of it changes any more."""

    code = "day_closed"
    detail = "This business day is closed."
