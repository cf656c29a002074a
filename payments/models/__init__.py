"""Money taken for orders, the books it is kept in, drawers, receipts, and what providers say of it."""

from .accounts import Provider, ProviderAccount, Terminal
from .books import LedgerEntry, LedgerTransaction, Receipt, ReceiptDelivery
from .cash import CashDrawer, CashMovement, DayClose, DrawerSession
from .inbox import WebhookEvent
from .reconciliation import Payout, PayoutLine, ReconciliationIssue, ReconciliationRun
from .tenders import Dispute, PaymentAttempt, PaymentIntent, ProviderCall, Refund

__all__ = [
    "CashDrawer",
    "CashMovement",
    "DayClose",
    "Dispute",
    "DrawerSession",
    "LedgerEntry",
    "LedgerTransaction",
    "PaymentAttempt",
    "PaymentIntent",
    "Payout",
    "PayoutLine",
    "Provider",
    "ProviderAccount",
    "ProviderCall",
    "Receipt",
    "ReceiptDelivery",
    "ReconciliationIssue",
    "ReconciliationRun",
    "Refund",
    "Terminal",
    "WebhookEvent",
]
