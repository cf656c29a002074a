"""Orders in the back office: to look at. Only the tills change them."""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.timezone import localtime

from fynlo.events.models import Event
from fynlo.money import format_money
from fynlo.office import ReadOnlyAdmin, ReadOnlyInline

from .models import KitchenTicket, Order, OrderItem


class OrderItemInline(ReadOnlyInline):
    model = OrderItem
    fields = ["quantity", "name", "chosen", "total", "status", "station", "note", "added_by", "void_reason"]
    readonly_fields = ["chosen", "total"]

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).select_related("order", "station", "added_by")

    @admin.display(description="modifiers")
    def chosen(self, item: OrderItem) -> str:
        return ", ".join(modifier["name"] for modifier in item.modifiers)

    @admin.display(description="total")
    def total(self, item: OrderItem) -> str:
        return format_money(item.total_minor, item.order.currency)


class KitchenTicketInline(ReadOnlyInline):
    model = KitchenTicket
    fields = ["number", "station", "status", "sent_at", "bumped_at", "bumped_by"]
    ordering = ["number"]

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).select_related("station")


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    empty_text = "No orders yet: they appear here as the tills take them."
    list_display = ["number", "business_date", "kind", "status", "table", "total", "opened_by"]
    list_filter = ["status", "kind"]
    list_select_related = ["table", "opened_by"]
    search_fields = ["=number", "customer_name"]
    ordering = ["-number"]
    date_hierarchy = "business_date"
    inlines = [OrderItemInline, KitchenTicketInline]
    readonly_fields = ["total", "tax", "paid", "balance", "history"]
    fieldsets = [
        (None, {"fields": ["number", "status", "kind", "table", "covers", "customer_name", "note"]}),
        ("Money", {"fields": ["total", "tax", "paid", "balance"]}),
        ("When and who", {"fields": ["business_date", "opened_at", "opened_by", "closed_at"]}),
        ("Voided", {"fields": ["voided_at", "voided_by", "void_reason"], "classes": ["collapse"]}),
        ("What happened", {"fields": ["history"]}),
    ]

    @admin.display(description="total", ordering="total_minor")
    def total(self, order: Order) -> str:
        return format_money(order.total_minor, order.currency)

    @admin.display(description="tax in it")
    def tax(self, order: Order) -> str:
        return format_money(order.tax_minor, order.currency)

    @admin.display(description="paid")
    def paid(self, order: Order) -> str:
        return format_money(order.paid_minor, order.currency)

    @admin.display(description="balance due")
    def balance(self, order: Order) -> str:
        if order.status == Order.Status.VOIDED:
            return "-"
        return format_money(order.balance_due_minor, order.currency)

    @admin.display(description="events")
    def history(self, order: Order) -> Any:
        events = Event.objects.filter(subject_id=order.pk).order_by("seq")
        rows = (
            (
                f"{localtime(event.created_at):%Y-%m-%d %H:%M:%S}",
                event.kind,
                event.actor.get("name") or "Fynlo",
            )
            for event in events
        )
        return format_html("<ol>{}</ol>", format_html_join("", "<li>{}: {}, by {}</li>", rows))
