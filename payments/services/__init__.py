"""What is done about money: taking it, giving it back, closing bills."""

from .closing import close_and_issue_receipt, print_receipt
from .settling import settle
from .taking import pay_cash, pay_external

__all__ = ["close_and_issue_receipt", "pay_cash", "pay_external", "print_receipt", "settle"]
