"""Why an order is refused."""

from typing import Any

from fynlo.errors import DomainError, InvalidInput, NotFound


class NoSuchOrder(NotFound):
    code = "no_such_order"
    detail = "There is no such order here."


class NoSuchItem(NotFound):
    code = "no_such_item"
    detail = "There is no such item on this order."


class OrderNotOpen(DomainError):
    code = "order_not_open"

    def __init__(self, number: int, status: str) -> None:
        super().__init__(f"Order {number} is {status}.", order_status=status)


class OrderExists(DomainError):
    code = "order_exists"
    detail = "This id names another order already."


class IdNotRecent(InvalidInput):
    code = "id_not_recent"
    detail = "The id's time is more than 48 hours from the server's; set the till's clock."


class UnknownTable(InvalidInput):
    code = "unknown_table"
    detail = "There is no such table in use here."


class TableMissing(InvalidInput):
    code = "table_missing"
    detail = "Guests who eat in sit at a table: name it."


class TableNotTaken(InvalidInput):
    code = "table_not_taken"
    detail = "A takeaway has no table."


class NotOnMenu(InvalidInput):
    code = "not_on_menu"
    detail = "This is not on the menu."


class SoldOut(DomainError):
    code = "sold_out"

    def __init__(self, name: str, *, field: str | None = None, **extra: Any) -> None:
        super().__init__(f"{name} is sold out.", field=field, **extra)


class NoTaxRate(DomainError):
    code = "no_tax_rate"

    def __init__(self, name: str, *, field: str) -> None:
        super().__init__(f"{name} has no tax rate for this kind of order on this day.", field=field)


class ModifierNotOffered(InvalidInput):
    code = "modifier_not_offered"


class ModifierTwice(InvalidInput):
    code = "modifier_twice"


class TooFewModifiers(InvalidInput):
    code = "too_few_modifiers"


class TooManyModifiers(InvalidInput):
    code = "too_many_modifiers"


class ItemTwice(InvalidInput):
    code = "item_twice"
    detail = "Two items of this request have the same id."


class ItemExists(DomainError):
    code = "item_exists"
    detail = "This id names another item already."


class TooManyItems(InvalidInput):
    code = "too_many_items"


class ItemSent(DomainError):
    code = "item_sent"
    detail = "The kitchen has this item already; void it instead."


class ItemNotSent(DomainError):
    code = "item_not_sent"
    detail = "The kitchen has not had this item; remove it instead."


class ItemVoided(DomainError):
    code = "item_voided"
    detail = "This item is void."


class NothingToSend(DomainError):
    code = "nothing_to_send"
    detail = "Everything on this order has been sent already."


class ItemsNotSent(DomainError):
    code = "items_not_sent"
    detail = "Some items have not been sent; send or remove them first."


class BalanceNotZero(DomainError):
    """Something is still to be paid, or is being paid, or too much was taken."""

    code = "balance_not_zero"

    def __init__(self, balance_due_minor: int, reserved_minor: int) -> None:
        super().__init__(
            "The bill is not settled.", balance_due_minor=balance_due_minor, reserved_minor=reserved_minor
        )


class MoneyTaken(DomainError):
    code = "money_taken"
    detail = "Money has been taken, or is being taken, for this order; refund it first."


class LessThanPaid(DomainError):
    code = "less_than_paid"
    detail = "More has been paid, or is being paid, than the bill would come to; refund it first."


class AmountNotDue(DomainError):
    """A payment asks for more than is still due and not being paid by another one."""

    code = "amount_not_due"

    def __init__(self, balance_due_minor: int) -> None:
        super().__init__(
            "This is more than is due.", field="amount_minor", balance_due_minor=balance_due_minor
        )


class BillIsSplit(DomainError):
    code = "bill_is_split"
    detail = "A part of this bill has been paid or is being paid; undo the split first."


class NotSplit(DomainError):
    code = "not_split"
    detail = "This bill is not split."


class MoneyReserved(DomainError):
    code = "money_reserved"
    detail = "A payment is under way; let it end or cancel it first."


class NothingToSplit(DomainError):
    code = "nothing_to_split"
    detail = "Nothing of this bill is still due."


class CannotSplit(InvalidInput):
    """The parts that were asked for are not the bill."""

    code = "cannot_split"


class NoSuchPart(NotFound):
    code = "no_such_part"
    detail = "This bill has no such part."


class PartNotNamed(DomainError):
    code = "part_not_named"
    detail = "This bill is split: say which part is being paid."


class NoSuchTicket(NotFound):
    code = "no_such_ticket"
    detail = "There is no such kitchen ticket here."


class TicketNotOpen(DomainError):
    code = "ticket_not_open"

    def __init__(self, status: str) -> None:
        super().__init__(f"This ticket is {status}.", ticket_status=status)
