"""Payments, the books and receipts in the back office: to look at."""

import json
from typing import Any

from django.contrib import admin
from django.utils.html import format_html

from fynlo.money import format_money
from fynlo.office import ReadOnlyAdmin, ReadOnlyInline
from orders.admin import OrderAdmin

from .models import LedgerEntry, LedgerTransaction, PaymentAttempt, PaymentIntent, Receipt


class AmountsMixin:
    """Amounts of a payment as people write them."""

    @admin.display(description="amount")
    def amount(self, payment: PaymentIntent) -> str:
        return format_money(payment.amount_minor, payment.order.currency)

    @admin.display(description="tip")
    def tip(self, payment: PaymentIntent) -> str:
        return format_money(payment.tip_minor, payment.order.currency)

    @admin.display(description="refunded")
    def refunded(self, payment: PaymentIntent) -> str:
        return format_money(payment.refunded_minor, payment.order.currency)


class PaymentInline(AmountsMixin, ReadOnlyInline):
    model = PaymentIntent
    fields = ["method", "state", "amount", "tip", "refunded", "taken_by", "settled_at"]
    readonly_fields = ["amount", "tip", "refunded"]
    verbose_name = "payment"

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).with_details()


OrderAdmin.inlines = [*OrderAdmin.inlines, PaymentInline]  # orders knows nothing of payments


class PaymentAttemptInline(ReadOnlyInline):
    model = PaymentAttempt


@admin.register(PaymentIntent)
class PaymentIntentAdmin(AmountsMixin, ReadOnlyAdmin):
    list_display = ["created_at", "order", "method", "state", "amount", "tip", "refunded", "taken_by"]
    list_filter = ["method", "state"]
    list_select_related = ["order", "taken_by"]
    date_hierarchy = "business_date"
    ordering = ["-created_at"]
    fields = [
        *["order", "method", "state", "amount", "tip", "refunded", "taken_by", "device"],
        *["business_date", "created_at", "settled_at"],
    ]
    readonly_fields = ["amount", "tip", "refunded"]
    inlines = [PaymentAttemptInline]


class LedgerEntryInline(ReadOnlyInline):
    model = LedgerEntry
    fields = ["account", "amount", "order"]
    readonly_fields = ["amount"]

    @admin.display(description="amount (debit positive)")
    def amount(self, entry: LedgerEntry) -> str:
        return format_money(entry.amount_minor, entry.currency)


@admin.register(LedgerTransaction)
class LedgerTransactionAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "key", "business_date"]
    search_fields = ["key"]
    date_hierarchy = "business_date"
    ordering = ["-created_at"]
    inlines = [LedgerEntryInline]


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    list_display = ["number", "order", "total", "issued_at", "printed_at"]
    list_select_related = ["order"]
    search_fields = ["=number"]
    ordering = ["-number"]
    fields = ["number", "order", "total", "issued_at", "printed_at", "what_it_says"]
    readonly_fields = ["total", "what_it_says"]

    @admin.display(description="total")
    def total(self, receipt: Receipt) -> str:
        return format_money(receipt.order.total_minor, receipt.order.currency)

    @admin.display(description="content")
    def what_it_says(self, receipt: Receipt) -> Any:
        return format_html("<pre>{}</pre>", json.dumps(receipt.content, indent=2, ensure_ascii=False))
