"""Drawers and days in the back office: the drawers to set up, what was counted and closed to look at."""

import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods

from accounts.models import Device
from fynlo.errors import DomainError
from fynlo.money import format_money
from fynlo.office import OfficeAdmin, OfficeForm, ReadOnlyAdmin, ReadOnlyInline
from payments.day_report import BILL_OPEN, DRAWER_UNCOUNTED, PAYMENT_UNKNOWN
from payments.errors_cash import EarlierDayOpen
from payments.models import CashDrawer, CashMovement, DayClose, DrawerSession, Provider
from payments.paper import render_x, render_z
from payments.services.day import EARLIER_DAY, close_day, day_to_close, x_report


class CashDrawerForm(OfficeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "device" in self.fields:
            tills = Device.objects.filter(kind=Device.Kind.TILL, revoked_at=None)
            self.fields["device"].queryset = tills
            self.fields["device"].help_text = "The till that it opens with; its cash goes in here."

    def clean_is_active(self) -> bool:
        is_active: bool = self.cleaned_data["is_active"]
        opened = self.instance.sessions.filter(status=DrawerSession.Status.OPEN)
        if not is_active and not self.instance._state.adding and opened.exists():
            raise forms.ValidationError("Somebody works with it: count it first.")
        return is_active


@admin.register(CashDrawer)
class CashDrawerAdmin(OfficeAdmin):
    empty_text = "No drawers: cash is taken without counting it. Add one to have floats and counts."
    form = CashDrawerForm
    list_display = ["name", "device", "is_active"]
    list_select_related = ["device"]
    fields = ["name", "device", "is_active"]
    can_delete = False


class SessionAmounts:
    """Amounts of a drawer session as people write them."""

    @admin.display(description="float")
    def float_amount(self, session: DrawerSession) -> str:
        return format_money(session.float_minor, session.currency)

    @admin.display(description="counted")
    def counted(self, session: DrawerSession) -> str:
        return _money(session.counted_minor, session.currency)

    @admin.display(description="should have been there")
    def expected(self, session: DrawerSession) -> str:
        return _money(session.expected_minor, session.currency)

    @admin.display(description="over or short")
    def variance(self, session: DrawerSession) -> str:
        return _money(session.variance_minor, session.currency)


def _money(minor: int | None, currency: str) -> str:
    return "" if minor is None else format_money(minor, currency)


class CashMovementInline(ReadOnlyInline):
    model = CashMovement
    fk_name = "session"
    fields = ["created_at", "kind", "amount", "reason", "by"]
    readonly_fields = ["amount"]

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).select_related("by", "session")

    @admin.display(description="amount")
    def amount(self, movement: CashMovement) -> str:
        return format_money(movement.amount_minor, movement.session.currency)


@admin.register(DrawerSession)
class DrawerSessionAdmin(SessionAmounts, ReadOnlyAdmin):
    empty_text = "No drawer has been opened yet: tills do that, with the float."
    list_display = [
        *["business_date", "drawer", "status", "float_amount", "counted", "variance"],
        *["opened_by", "closed_by"],
    ]
    list_filter = ["status", "drawer"]
    list_select_related = ["drawer", "opened_by", "closed_by"]
    date_hierarchy = "business_date"
    fields = [
        *["drawer", "status", "business_date", "opened_by", "opened_at", "float_amount", "counted"],
        *["expected", "variance", "count_note", "closed_by", "closed_at"],
    ]
    readonly_fields = ["float_amount", "counted", "expected", "variance"]
    inlines = [CashMovementInline]


# What a manager signs for, as the page says it.
SIGN = {
    BILL_OPEN: ("Bills that are still open", "Carry them over to the next day"),
    PAYMENT_UNKNOWN: (
        "Payments whose outcome nobody knows yet",
        "Carry them over: they count on the day they are settled",
    ),
    DRAWER_UNCOUNTED: ("Drawers that are not counted", "Carry them over to the next day"),
    EARLIER_DAY: (
        "Earlier days without a report",
        "Pass them over: they were brought in, and have no report of their own",
    ),
}


class CloseDayForm(forms.Form):
    business_date = forms.DateField(widget=forms.HiddenInput)
    sign_for = forms.MultipleChoiceField(
        choices=[(code, says) for code, (_, says) in SIGN.items()], required=False
    )
    reason = forms.CharField(max_length=200, required=False)


@admin.register(DayClose)
class DayCloseAdmin(ReadOnlyAdmin):
    empty_text = "No day has been closed yet."
    change_list_template = "backoffice/days.html"
    list_display = ["business_date", "number", "sold", "over_short", "signed_for", "closed_by", "report"]
    list_select_related = ["closed_by"]
    date_hierarchy = "business_date"
    fields = [
        *["business_date", "number", "sold", "tax", "over_short", "closed_by", "closed_at", "signed_for"],
        *["reason", "report"],
    ]
    readonly_fields = ["sold", "tax", "over_short", "signed_for", "report"]

    def get_urls(self) -> list[Any]:
        site = self.admin_site
        return [
            path("x/", site.admin_view(self.x_view), name="payments_x"),
            path("close/", site.admin_view(self.close_view), name="payments_close_day"),
            path("<uuid:closed_id>/page/", site.admin_view(self.z_view), name="payments_z"),
            *super().get_urls(),
        ]

    def x_view(self, request: Any) -> HttpResponse:
        """The day as it stands, to print. Looking changes nothing."""
        day = forms.DateField(required=False)
        try:
            report = x_report(day.clean(request.GET.get("day")))
        except forms.ValidationError as error:
            raise Http404 from error
        return HttpResponse(render_x(report, by=request.staff.name, at=timezone.now()))

    def z_view(self, request: HttpRequest, closed_id: UUID) -> HttpResponse:
        closed = DayClose.objects.select_related("closed_by").filter(pk=closed_id).first()
        if closed is None:
            raise Http404
        return HttpResponse(render_z(closed))

    @method_decorator(require_http_methods(["GET", "POST"]))
    def close_view(self, request: Any) -> HttpResponse:
        """What the day comes to, what stands open, and the button that closes it."""
        day = day_to_close()
        if request.method != "POST":
            return self._close_page(request, day, CloseDayForm(initial={"business_date": day}))
        form = CloseDayForm(request.POST)
        if not form.is_valid():
            return self._close_page(request, day, form)
        asked = form.cleaned_data["business_date"]
        try:
            with transaction.atomic():
                closed = close_day(
                    asked,
                    by=request.staff,
                    sign_for=form.cleaned_data["sign_for"],
                    reason=form.cleaned_data["reason"],
                )
        except DomainError as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
            return self._close_page(request, asked, form, may_pass_over=isinstance(refusal, EarlierDayOpen))
        messages.success(request, f"{_day_name(asked)} is closed with report number {closed.number}.")
        return HttpResponseRedirect(reverse("admin:payments_dayclose_change", args=[closed.pk]))

    def _close_page(
        self, request: Any, day: datetime.date, form: CloseDayForm, *, may_pass_over: bool = False
    ) -> HttpResponse:
        """`may_pass_over`: the first report ever may leave earlier days without one."""
        report = x_report(day)
        signed = request.POST.getlist("sign_for")
        may_pass_over = may_pass_over and request.restaurant.closed_through is None
        standing = [
            {
                "code": code,
                "title": title,
                "says": says,
                "things": [each for each in report["open"] if each["code"] == code],
                "is_signed": code in signed,
            }
            for code, (title, says) in SIGN.items()
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": "Close the day",
            "opts": self.opts,
            "form": form,
            "day": day,
            "report": report,
            "currency": report["currency"],
            "providers": [{**each, "name": Provider(each["provider"]).label} for each in report["providers"]],
            "standing": [
                each
                for each in standing
                if each["things"]
                or (each["code"] == EARLIER_DAY and (may_pass_over or EARLIER_DAY in signed))
            ],
            "has_begun": day <= request.restaurant.business_date(timezone.now()),
        }
        return TemplateResponse(
            request, "backoffice/close_day.html", context, status=409 if form.errors else 200
        )

    @admin.display(description="report")
    def report(self, closed: DayClose) -> str:
        url = reverse("admin:payments_z", args=[closed.pk])
        return format_html('<a href="{}" target="_blank">Open the Z report</a>', url)

    @admin.display(description="sold, less what was returned")
    def sold(self, closed: DayClose) -> str:
        content = closed.content
        return format_money(
            content["sales"]["total_minor"] - content["returned"]["total_minor"], content["currency"]
        )

    @admin.display(description="VAT in it")
    def tax(self, closed: DayClose) -> str:
        content = closed.content
        return format_money(
            content["sales"]["tax_minor"] - content["returned"]["tax_minor"], content["currency"]
        )

    @admin.display(description="drawers over or short")
    def over_short(self, closed: DayClose) -> str:
        return format_money(closed.content["over_short_minor"], closed.content["currency"])

    @admin.display(description="signed for")
    def signed_for(self, closed: DayClose) -> str:
        return "; ".join(override["detail"] for override in closed.overrides) or "Nothing stood open"


def _day_name(day: datetime.date) -> str:
    return f"{day:%A} {day.day} {day:%B}"
