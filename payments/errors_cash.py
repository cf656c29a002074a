"""Why something with a drawer, or the closing of a day, is refused."""

from typing import Any

from fynlo.errors import DomainError, InvalidInput, NotFound


class NoSuchDrawer(NotFound):
    code = "no_such_drawer"
    detail = "There is no such drawer here."


class NoSuchDrawerSession(NotFound):
    code = "no_such_drawer_session"
    detail = "There is no such drawer session here."


class DrawerNotOpen(DomainError):
    code = "drawer_not_open"
    detail = "Open the drawer of this till first, with its float."


class DrawerAlreadyOpen(DomainError):
    code = "drawer_already_open"
    detail = "This drawer is open already."


class DrawerCounted(DomainError):
    code = "drawer_counted"
    detail = "This drawer has been counted and closed."


class CashIdReused(DomainError):
    status = 422
    code = "cash_id_reused"
    detail = "This id names something else already."


class DrawerNotCounted(DomainError):
    code = "drawer_not_counted"
    detail = "Nobody has counted this drawer yet: there is nothing to explain."


class DayNotOver(DomainError):
    code = "day_not_over"
    detail = "This business day has not begun, so it cannot be closed."


class EarlierDayOpen(DomainError):
    """`earlier` is the day to close first."""

    code = "earlier_day_open"

    def __init__(self, earlier: str) -> None:
        super().__init__(f"Close {earlier} first: days are closed one after the other.", earlier=earlier)


class NotSettled(DomainError):
    """Something of the day stands open that nobody signed for; `open` lists all of it."""

    detail = "Something of this day is still open."

    def __init__(self, standing: list[dict[str, Any]]) -> None:
        super().__init__(open=standing)


class BillOpen(NotSettled):
    code = "bill_open"
    detail = "Bills are still open. Close them, or sign that they are carried over."


class PaymentUnknown(NotSettled):
    code = "payment_unknown"
    detail = "Nobody knows yet what became of some payments. Wait, or sign that they are carried over."


class DrawerUncounted(NotSettled):
    code = "drawer_uncounted"
    detail = "Drawers are not counted. Count them, or sign that they are carried over."


class BooksDisagree(DomainError):
    """The Z report comes out differently from the books and from the rows: a fault of ours, logged."""

    code = "books_disagree"
    detail = "The books of this day do not add up. It has been reported; close the day when it is put right."


class NoSuchDay(NotFound):
    code = "no_such_day"
    detail = "This business day has not been closed."


class ReasonMissing(InvalidInput):
    code = "reason_missing"
    detail = "Write why you sign for what stands open."
