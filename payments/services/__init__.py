"""What is done about money: taking it, giving it back, closing bills."""

from .taking import close_and_issue_receipt, pay_cash, print_receipt, reserve, settle

__all__ = ["close_and_issue_receipt", "pay_cash", "print_receipt", "reserve", "settle"]
