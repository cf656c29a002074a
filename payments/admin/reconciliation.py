"""What about money somebody has to look at, and the comparisons with the providers that found it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import F
from django.urls import reverse
from django.utils.html import format_html

from fynlo.money import format_money
from fynlo.office import ReadOnlyAdmin, ReadOnlyInline, ServiceAdmin, ServiceForm
from payments.models import (
    PaymentIntent,
    Payout,
    PayoutLine,
    ReconciliationIssue,
    ReconciliationRun,
    Refund,
)
from payments.services.cards import decide_payment
from payments.services.issues import settle_issue

Kind = ReconciliationIssue.Kind

DIFFERENCES = {
    "ours_only": "only in our books",
    "theirs_only": "only at the provider",
    "different": "different",
    "unknown": "unknown",
}


def amount(minor: int | None, currency: str) -> str:
    return "" if minor is None or not currency else format_money(minor, currency)


def linked(model: str, row_id: UUID, text: str) -> str:
    return format_html('<a href="{}">{}</a>', reverse(f"admin:payments_{model}_change", args=[row_id]), text)


def payment_link(payment: PaymentIntent) -> str:
    """A payment as people know it. Its order is loaded with it."""
    asked = format_money(payment.amount_minor + payment.tip_minor, payment.order.currency)
    text = f"{asked}, {payment.get_method_display().lower()}, order #{payment.order.number}"
    return linked("paymentintent", payment.pk, text)


class OpenFilter(admin.SimpleListFilter):
    title = "what is left to do"
    parameter_name = "open"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "To look at"), ("0", "Settled")]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset if self.value() is None else queryset.filter(resolved_at__isnull=self.value() == "1")


# What a manager does about each kind. Money is given back at the till, by the payment.
WHAT_TO_DO = {
    Kind.OVERPAID: "Give back what is too much, at the till. This then closes by itself.",
    Kind.AMOUNT_DIFFERS: "Look at both. Ask the guest for what is missing, or give back what is too much.",
    Kind.OURS_ONLY: "Look for the payment in the provider's dashboard. If it is not there, nobody paid.",
    Kind.THEIRS_ONLY: "Find the bill and type the payment in at the till, with its reference; or give it "
    "back in the provider's dashboard.",
    Kind.BILL_WITHOUT_MONEY: "Find out how the guest paid: nothing can be taken on a bill that is closed.",
    Kind.UNKNOWN_TOO_LONG: "Look for it in the provider's dashboard, and say below whether it is there.",
    Kind.FEE_DIFFERS: "Compare with your contract; the percentage expected is the account's.",
    Kind.REFUND_FAILED: "The guest has not got the money. Give it back once more, at the till.",
    Kind.EXTERNAL_REFUND: "Make sure that somebody of yours did this. It is in the books already.",
    Kind.PAYOUT_DIFFERS: "Compare the payout with the provider's dashboard; ask them about the rest.",
    Kind.DISPUTE: "Answer it in the provider's dashboard, with the receipt. Unanswered, it is lost.",
    Kind.CASH_WITHOUT_DRAWER: "Find out in which drawer the cash is, and pay it in there.",
}
TAKEN = {"yes": "Yes, it is in the provider's dashboard", "no": "No, nothing was taken"}


class IssueForm(ServiceForm):
    """How it was settled; of a payment that nobody knows about also whether the money is there."""

    was_taken = forms.ChoiceField(label="Was it taken?", choices=TAKEN, widget=forms.RadioSelect)
    resolution = forms.CharField(
        label="How it was settled", max_length=300, widget=forms.Textarea(attrs={"rows": 3})
    )

    class Meta:
        model = ReconciliationIssue
        fields = ["resolution"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not decides_payment(self.instance):
            del self.fields["was_taken"]

    def call_service(self) -> ReconciliationIssue:
        said, by = self.cleaned_data, self.request.staff
        if "was_taken" not in said:
            return settle_issue(self.instance.pk, resolution=said["resolution"], by=by)
        decide_payment(
            self.instance.payment_id,
            was_taken=said["was_taken"] == "yes",
            reason=said["resolution"],
            by=by,
        )
        return ReconciliationIssue.objects.get(pk=self.instance.pk)


def decides_payment(issue: ReconciliationIssue | None) -> bool:
    return issue is not None and issue.kind == Kind.UNKNOWN_TOO_LONG and issue.payment_id is not None


@admin.register(ReconciliationIssue)
class IssueAdmin(ServiceAdmin):
    empty_text = "Nothing to look at: every payment has its bill, and every bill its money."
    form = IssueForm
    can_add = False
    list_display = ["found_at", "what", "order", "ours", "theirs", "settled"]
    list_filter = [OpenFilter, "kind"]
    list_select_related = ["order"]
    list_per_page = 50
    ordering = [F("resolved_at").desc(nulls_first=True), "-found_at"]  # what is left to do comes first
    readonly_fields = [
        *["detail", "what_to_do", "order", "its_payment", "its_refund", "account", "ours", "theirs"],
        *["found_at", "resolved_at", "resolved_by"],
    ]
    actions = None

    def get_queryset(self, request: Any) -> Any:
        of_order = ["order", "account", "resolved_by", "payment__order", "refund__intent__order"]
        return super().get_queryset(request).select_related(*of_order)

    def get_fields(self, request: Any, obj: Any = None) -> list[str]:
        """What there is to say of this one, and where to say how it was settled."""
        columns = {
            **{"its_payment": "payment_id", "its_refund": "refund_id"},
            **{"ours": "ours_minor", "theirs": "theirs_minor", "what_to_do": "kind"},
        }
        is_open = obj is not None and obj.resolved_at is None
        said = [
            name
            for name in self.readonly_fields
            if getattr(obj, columns.get(name, name), "") not in ("", None)
            and (is_open or name != "what_to_do")
        ]
        asked = ["was_taken", "resolution"] if is_open and decides_payment(obj) else ["resolution"]
        return [*said, *asked]

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        is_open = obj is None or obj.resolved_at is None
        return is_open and super().has_change_permission(request, obj)

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {"title": "Money to look at", **(extra_context or {})})

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        context = {"title": "Money to look at", "show_save_and_continue": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="what", ordering="kind")
    def what(self, issue: ReconciliationIssue) -> str:
        if not issue.detail:
            return format_html("<strong>{}</strong>", issue.get_kind_display())
        return format_html("<strong>{}</strong><br>{}", issue.get_kind_display(), issue.detail)

    @admin.display(description="what to do")
    def what_to_do(self, issue: ReconciliationIssue) -> str:
        return WHAT_TO_DO[Kind(issue.kind)]

    @admin.display(description="payment")
    def its_payment(self, issue: ReconciliationIssue) -> str:
        payment = issue.payment
        return payment_link(payment) if payment else ""

    @admin.display(description="refund")
    def its_refund(self, issue: ReconciliationIssue) -> str:
        refund = issue.refund
        if refund is None:
            return ""
        total = format_money(refund.amount_minor + refund.tip_minor, refund.intent.order.currency)
        return linked("refund", refund.pk, f"{total}, {refund.reason}")

    @admin.display(description="expected")
    def ours(self, issue: ReconciliationIssue) -> str:
        return amount(issue.ours_minor, issue.currency)

    @admin.display(description="found")
    def theirs(self, issue: ReconciliationIssue) -> str:
        return amount(issue.theirs_minor, issue.currency)

    @admin.display(description="done", boolean=True, ordering="resolved_at")
    def settled(self, issue: ReconciliationIssue) -> bool:
        return issue.resolved_at is not None


@admin.register(ReconciliationRun)
class RunAdmin(ReadOnlyAdmin):
    empty_text = "No comparisons yet: they are made each night for every payment account."
    list_display = ["started_at", "account", "outcome", "matched", "adopted", "fees", "payouts"]
    list_select_related = ["account", "restaurant"]
    ordering = ["-started_at"]
    fields = [
        *["account", "since", "until", "outcome", "matched", "adopted", "fees", "payouts", "held"],
        *["started_at", "finished_at"],
    ]
    readonly_fields = ["outcome", "matched", "adopted", "fees", "payouts", "held"]

    @admin.display(description="outcome")
    def outcome(self, run: ReconciliationRun) -> str:
        if run.error or run.finished_at is None:
            return run.error or "not finished"
        found = [f"{run.counts[name]} {words}" for name, words in DIFFERENCES.items() if run.counts.get(name)]
        return ", ".join(found) or "nothing to look at"

    @admin.display(description="agree", empty_value="")
    def matched(self, run: ReconciliationRun) -> int | None:
        return run.counts.get("matched")

    @admin.display(description="found and booked", empty_value="")
    def adopted(self, run: ReconciliationRun) -> int | None:
        return run.counts.get("adopted")

    @admin.display(description="fees expected and kept")
    def fees(self, run: ReconciliationRun) -> str:
        kept = [run.counts.get(name) for name in ("fee_estimated_minor", "fee_minor")]
        return " and ".join(amount(minor, run.restaurant.currency) for minor in kept if minor is not None)

    @admin.display(description="payouts", empty_value="")
    def payouts(self, run: ReconciliationRun) -> int | None:
        return run.counts.get("payouts")

    @admin.display(description="still held by our books")
    def held(self, run: ReconciliationRun) -> str:
        return amount(run.counts.get("clearing_minor"), run.restaurant.currency)


class PayoutLineInline(ReadOnlyInline):
    model = PayoutLine
    verbose_name_plural = "what it is made of"
    fields = ["kind", "provider_ref", "line_amount", "fee", "its_payment"]
    readonly_fields = ["line_amount", "fee", "its_payment"]

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).select_related("payout", "payment__order")

    @admin.display(description="amount")
    def line_amount(self, line: PayoutLine) -> str:
        return format_money(line.amount_minor, line.payout.currency)

    @admin.display(description="fee")
    def fee(self, line: PayoutLine) -> str:
        return format_money(line.fee_minor, line.payout.currency)

    @admin.display(description="payment")
    def its_payment(self, line: PayoutLine) -> str:
        return payment_link(line.payment) if line.payment else ""


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
