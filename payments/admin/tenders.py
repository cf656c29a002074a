"""Payments, the books and receipts in the back office: to look at."""

import json
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html

from fynlo.money import format_money
from fynlo.office import ReadOnlyAdmin, ReadOnlyInline
from orders.admin import OrderAdmin
from payments.errors import NoReceipt
from payments.models import (
    LedgerEntry,
    LedgerTransaction,
    PaymentAttempt,
    PaymentIntent,
    Receipt,
    ReceiptDelivery,
)
from payments.receipts import render_receipt
from payments.services import print_receipt


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


class ReceiptInline(ReadOnlyInline):
    model = Receipt
    fields = ["number", "issued_at", "printed_at", "page"]
    readonly_fields = ["page"]
    verbose_name_plural = "receipt"

    @admin.display(description="to print")
    def page(self, receipt: Receipt) -> str:
        return page_link(receipt)


def page_link(receipt: Receipt) -> str:
    url = reverse("admin:payments_receipt_page", args=[receipt.order_id])
    return format_html('<a href="{}" target="_blank">Open the receipt</a>', url)


OrderAdmin.inlines = [*OrderAdmin.inlines, PaymentInline, ReceiptInline]  # orders knows nothing of payments


class PaymentAttemptInline(ReadOnlyInline):
    model = PaymentAttempt


@admin.register(PaymentIntent)
class PaymentIntentAdmin(AmountsMixin, ReadOnlyAdmin):
    empty_text = "No payments yet: they appear here as the tills take them."
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


class DeliveryInline(ReadOnlyInline):
    model = ReceiptDelivery
    fields = ["created_at", "address_hint", "state", "tries", "last_error", "sent_at"]
    verbose_name = "delivery by e-mail"
    verbose_name_plural = "deliveries by e-mail"


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    empty_text = "No receipts yet: closing a bill issues one."
    list_display = ["number", "order", "total", "issued_at", "printed_at"]
    list_select_related = ["order"]
    search_fields = ["=number"]
    ordering = ["-number"]
    fields = ["number", "order", "total", "issued_at", "printed_at", "page", "what_it_says"]
    readonly_fields = ["total", "page", "what_it_says"]
    inlines = [DeliveryInline]

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(self.page_view)
        return [path("<uuid:order_id>/page/", page, name="payments_receipt_page"), *super().get_urls()]

    def page_view(self, request: HttpRequest, order_id: UUID) -> HttpResponse:
        """The receipt as it is printed. Printed before, it is marked as a copy."""
        try:
            receipt, copy = print_receipt(order_id)
        except NoReceipt as refusal:
            raise Http404 from refusal
        return HttpResponse(render_receipt(receipt, copy=copy))

    @admin.display(description="to print")
    def page(self, receipt: Receipt) -> str:
        return page_link(receipt)

    @admin.display(description="total")
    def total(self, receipt: Receipt) -> str:
        return format_money(receipt.order.total_minor, receipt.order.currency)

    @admin.display(description="content")
    def what_it_says(self, receipt: Receipt) -> Any:
        return format_html("<pre>{}</pre>", json.dumps(receipt.content, indent=2, ensure_ascii=False))
