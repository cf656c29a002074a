"""What about money somebody has to look at, and the comparisons with the providers that found it."""

from typing import Any

from django import forms
from django.contrib import admin

from fynlo.money import format_money
from fynlo.office import ReadOnlyAdmin, ReadOnlyInline, ServiceAdmin, ServiceForm
from payments.models import Payout, PayoutLine, ReconciliationIssue, ReconciliationRun, Refund
from payments.services.issues import settle_issue


def amount(minor: int | None, currency: str) -> str:
    return "" if minor is None or not currency else format_money(minor, currency)


class OpenFilter(admin.SimpleListFilter):
    title = "what is left to do"
    parameter_name = "open"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "To look at"), ("0", "Settled")]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset if self.value() is None else queryset.filter(resolved_at__isnull=self.value() == "1")


class IssueForm(ServiceForm):
    resolution = forms.CharField(
        label="How it was settled", max_length=300, widget=forms.Textarea(attrs={"rows": 3})
    )

    class Meta:
        model = ReconciliationIssue
        fields = ["resolution"]

    def call_service(self) -> ReconciliationIssue:
        return settle_issue(
            self.instance.pk, resolution=self.cleaned_data["resolution"], by=self.request.staff
        )


@admin.register(ReconciliationIssue)
class IssueAdmin(ServiceAdmin):
    empty_text = "Nothing to look at: every payment has its bill, and every bill its money."
    form = IssueForm
    can_add = False
    list_display = ["found_at", "kind", "order", "ours", "theirs", "settled"]
    list_filter = [OpenFilter, "kind"]
    list_select_related = ["order"]
    ordering = ["resolved_at", "-found_at"]
    readonly_fields = [
        *["kind", "detail", "order", "payment", "refund", "account", "ours", "theirs", "found_at"],
        *["resolved_at", "resolved_by"],
    ]
    fields = [*readonly_fields, "resolution"]
    actions = None

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        is_open = obj is None or obj.resolved_at is None
        return is_open and super().has_change_permission(request, obj)

    @admin.display(description="our books")
    def ours(self, issue: ReconciliationIssue) -> str:
        return amount(issue.ours_minor, issue.currency)

    @admin.display(description="the provider")
    def theirs(self, issue: ReconciliationIssue) -> str:
        return amount(issue.theirs_minor, issue.currency)

    @admin.display(description="settled", boolean=True)
    def settled(self, issue: ReconciliationIssue) -> bool:
        return issue.resolved_at is not None


@admin.register(ReconciliationRun)
class RunAdmin(ReadOnlyAdmin):
    empty_text = "No comparisons yet: they are made each night for every payment account."
    list_display = ["started_at", "account", "until", "matched", "to_look_at", "fees", "error"]
    list_select_related = ["account"]
    ordering = ["-started_at"]
    fields = [
        "account",
        "since",
        "until",
        "matched",
        "to_look_at",
        "fees",
        "started_at",
        "finished_at",
        "error",
    ]
    readonly_fields = ["matched", "to_look_at", "fees"]

    @admin.display(description="matched")
    def matched(self, run: ReconciliationRun) -> int:
        return int(run.counts.get("matched", 0))

    @admin.display(description="only ours, only theirs, different, unknown")
    def to_look_at(self, run: ReconciliationRun) -> str:
        names = ("ours_only", "theirs_only", "different", "unknown")
        return ", ".join(str(run.counts.get(name, 0)) for name in names)

    @admin.display(description="fees expected and kept")
    def fees(self, run: ReconciliationRun) -> str:
        kept = [run.counts.get(name, 0) for name in ("fee_estimated_minor", "fee_minor")]
        return " and ".join(format_money(minor, self.currency) for minor in kept)

    def get_queryset(self, request: Any) -> Any:
        self.currency = request.restaurant.currency
        return super().get_queryset(request)


class PayoutLineInline(ReadOnlyInline):
    model = PayoutLine
    fields = ["kind", "provider_ref", "line_amount", "fee", "payment"]
    readonly_fields = ["line_amount", "fee"]

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).select_related("payout", "payment")

    @admin.display(description="amount")
    def line_amount(self, line: PayoutLine) -> str:
        return format_money(line.amount_minor, line.payout.currency)

    @admin.display(description="fee")
    def fee(self, line: PayoutLine) -> str:
        return format_money(line.fee_minor, line.payout.currency)


@admin.register(Payout)
class PayoutAdmin(ReadOnlyAdmin):
    empty_text = "No payouts yet: they appear here once a provider has sent money to the bank."
    list_display = ["created_at", "account", "paid_out", "status", "arrives_on"]
    list_select_related = ["account"]
    fields = ["account", "paid_out", "status", "arrives_on", "provider_ref", "created_at"]
    readonly_fields = ["paid_out"]
    inlines = [PayoutLineInline]

    @admin.display(description="amount")
    def paid_out(self, payout: Payout) -> str:
        return format_money(payout.amount_minor, payout.currency)


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    empty_text = "No refunds yet."
    list_display = [
        "created_at",
        "order",
        "state",
        "refunded",
        "tip",
        "reason",
        "requested_by",
        "approved_by",
    ]
    list_filter = ["state", "source"]
    list_select_related = ["intent__order", "requested_by", "approved_by"]
    date_hierarchy = "business_date"
    ordering = ["-created_at"]
    fields = [
        *["order", "state", "source", "refunded", "tip", "reason", "requested_by", "approved_by"],
        *["business_date", "provider_code", "created_at", "settled_at"],
    ]
    readonly_fields = ["order", "refunded", "tip"]

    @admin.display(description="order")
    def order(self, refund: Refund) -> str:
        return str(refund.intent.order)

    @admin.display(description="amount")
    def refunded(self, refund: Refund) -> str:
        return format_money(refund.amount_minor, refund.intent.order.currency)

    @admin.display(description="tip")
    def tip(self, refund: Refund) -> str:
        return format_money(refund.tip_minor, refund.intent.order.currency)
