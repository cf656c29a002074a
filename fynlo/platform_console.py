"""The platform owner's console over all restaurants: a process of its own, with the database login
fynlo_platform, for people with two factors.

It looks; what it changes (making, suspending and resuming restaurants, letting people in) services do.
"""

import datetime
from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite, ShowFacets, TabularInline, display
from django.contrib.auth.forms import AuthenticationForm
from django.db import transaction
from django.db.models import CharField, DateTimeField, OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from accounts.errors import LockedOut, SignInFailed
from accounts.models import Membership, Role, User
from accounts.services import (
    authenticate_person,
    check_code,
    find_or_make_user,
    password_link,
    set_user_active,
)
from fynlo.api.address import client_address
from fynlo.errors import DomainError
from fynlo.events.models import Event
from fynlo.money import format_money
from fynlo.office import CappedPaginator, PlainList
from fynlo.ratelimit import TooManyRequests
from orders.models import Order
from orders.reports import platform_revenue_by_day
from payments.models import PaymentIntent, ProviderAccount
from payments.services.keeping import set_application_fee
from restaurants.models import Restaurant
from restaurants.services import create_restaurant, resume_restaurant, suspend_restaurant

TOTAL_DAYS = 30

# The restaurant's own business day at this moment, as Restaurant.business_date works it out.
ORDERS_TODAY = """
    (SELECT count(*) FROM orders_order o
      WHERE o.restaurant_id = restaurants_restaurant.id
        AND o.business_date = ((now() AT TIME ZONE restaurants_restaurant.timezone)
                               - restaurants_restaurant.business_day_cutoff)::date)
"""


class SignInForm(AuthenticationForm):
    """Password and second factor at once; never says which of them was wrong."""

    token = forms.CharField(
        label="Code from your authenticator app",
        max_length=8,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = self.cleaned_data
        if not all(cleaned.get(name) for name in ("username", "password", "token")):
            return cleaned
        try:
            user = authenticate_person(
                email=cleaned["username"],
                password=cleaned["password"],
                address=client_address(self.request),
            )
            device = check_code(user, cleaned["token"].strip()) if user.is_superuser else None
            if device is None:
                raise SignInFailed("The e-mail address, the password or the code is not right.")
        except SignInFailed:
            message = "The e-mail address, the password or the code is not right."
            raise forms.ValidationError(message, code="sign_in_failed") from None
        except (LockedOut, TooManyRequests) as refusal:
            raise forms.ValidationError(refusal.message, code=refusal.code) from None
        user.otp_device = device  # django_otp notes it in the session
        self.user_cache = user
        return cleaned


class PlatformSite(AdminSite):
    site_header = site_title = f"{settings.APP_NAME} platform"
    index_title = "All restaurants"
    site_url = None
    login_form = SignInForm
    login_template = "platform/login.html"
    index_template = "platform/index.html"

    def has_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.is_active and user.is_superuser and user.is_verified())

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        today = timezone.now().date()
        totals = platform_revenue_by_day(today - datetime.timedelta(days=TOTAL_DAYS - 1), today)
        statuses = list(Restaurant.objects.values_list("status", flat=True))
        figures = {
            "days": [
                {"day": day, "revenue": format_money(day.revenue_minor, day.currency)} for day in totals
            ],
            "active": statuses.count(Restaurant.Status.ACTIVE),
            "suspended": statuses.count(Restaurant.Status.SUSPENDED),
        }
        return super().index(request, {**figures, **(extra_context or {})})


platform_site = PlatformSite(name="platform")


class LookOnly:
    """Everything may be looked at by who is in, and changed by nobody."""

    admin_site: AdminSite
    may_add = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.admin_site.has_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_add and self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class PlatformAdmin(LookOnly, PlainList):
    actions = None
    paginator = CappedPaginator
    show_facets = ShowFacets.NEVER
    show_full_result_count = False
    list_per_page = 50
    change_form_template = "platform/row.html"
    row_actions: dict[str, "RowAction"] = {}

    def get_urls(self) -> list[Any]:
        info = (self.opts.app_label, self.opts.model_name)
        return [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(self._act(name)),
                name="{}_{}_{}".format(*info, name),
            )
            for name in self.row_actions
        ] + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id)
        offered = [(name, action) for name, action in self.row_actions.items() if row and action.fits(row)]
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "offered": offered}
        )

    def _act(self, name: str) -> Callable[..., HttpResponse]:
        action = self.row_actions[name]

        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            row = self.get_object(request, object_id)
            if row is None:
                raise Http404
            page = reverse(
                f"admin:{self.opts.app_label}_{self.opts.model_name}_change",
                args=[row.pk],
                current_app=self.admin_site.name,
            )
            context = {**self.admin_site.each_context(request), "row": row, "action": action, "page": page}
            context |= {"title": f"{action.label}: {row}", "opts": self.opts}
            if request.method != "POST":
                return TemplateResponse(request, "platform/confirm.html", context)
            try:
                with transaction.atomic():
                    answer = action.act(row, request.user)
                    self.log_change(request, row, action.done)
            except DomainError as refusal:
                messages.error(request, refusal.message)
                return HttpResponseRedirect(page)
            if answer:
                return TemplateResponse(request, "platform/link.html", {**context, "link": answer})
            messages.success(request, f"{row}: {action.done}.")
            return HttpResponseRedirect(page)

        return view


class RowAction:
    """Something to do to one row, after a question. What `act` returns is a link to show this once."""

    def __init__(
        self,
        label: str,
        question: str,
        done: str,
        act: Callable[[Any, Any], str | None],
        fits: Callable[[Any], bool] = lambda row: True,
    ) -> None:
        self.label, self.question, self.done, self.act, self.fits = label, question, done, act, fits


class NewRestaurantForm(forms.ModelForm):
    owner_email = forms.EmailField(label="Owner's e-mail address", max_length=254)
    owner_name = forms.CharField(label="Owner's name", max_length=60, required=False)

    class Meta:
        model = Restaurant
        fields = ["name", "slug", "currency", "timezone"]
        help_texts = {"slug": "For addresses: small letters, digits and hyphens."}


class MemberInline(LookOnly, TabularInline):
    model = Membership
    fields = ["name", "role", "user", "is_active"]
    readonly_fields = fields
    verbose_name_plural = "team"
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user").order_by("created_at")


class RestaurantAdmin(PlatformAdmin):
    may_add = True
    list_display = ["name", "status", "currency", "owner", "created_at", "orders_today", "last_activity"]
    list_filter = ["status"]
    search_fields = ["name", "slug"]
    search_help_text = "Name or slug"
    ordering = ["name"]
    prepopulated_fields = {"slug": ["name"]}
    fields = [
        *["name", "slug", "status", "currency", "timezone", "business_day_cutoff"],
        *["address", "phone", "vat_number", "created_at"],
    ]
    readonly_fields = ["created_at"]
    row_actions = {
        "suspend": RowAction(
            "Suspend",
            "From now on none of its tills, screens and managers is served. Nothing is lost.",
            "suspended",
            lambda row, by: _none(suspend_restaurant(row.pk, by=by)),
            fits=lambda row: row.status == Restaurant.Status.ACTIVE,
        ),
        "resume": RowAction(
            "Resume",
            "It is served again as if nothing had happened.",
            "resumed",
            lambda row, by: _none(resume_restaurant(row.pk, by=by)),
            fits=lambda row: row.status == Restaurant.Status.SUSPENDED,
        ),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Restaurant]:
        owners = Membership.objects.filter(restaurant=OuterRef("pk"), role=Role.OWNER).order_by("created_at")
        events = Event.objects.filter(restaurant=OuterRef("pk")).order_by("-seq")
        return (
            super()
            .get_queryset(request)
            .annotate(
                owner_email=Subquery(owners.values("user__email")[:1], output_field=CharField()),
                orders_count=RawSQL(ORDERS_TODAY, []),  # noqa: S611  (no input in it)
                last_event_at=Subquery(events.values("created_at")[:1], output_field=DateTimeField()),
            )
        )

    @display(description="owner")
    def owner(self, restaurant: Any) -> str:
        return restaurant.owner_email or "-"

    @display(description="orders today")
    def orders_today(self, restaurant: Any) -> int:
        return int(restaurant.orders_count)

    @display(description="last activity")
    def last_activity(self, restaurant: Any) -> datetime.datetime | None:
        return restaurant.last_event_at

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs) if obj else NewRestaurantForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else [*NewRestaurantForm.Meta.fields, "owner_email", "owner_name"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else []

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else self.prepopulated_fields

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return [MemberInline] if obj else []

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        values = form.cleaned_data
        owner = find_or_make_user(values["owner_email"], values["owner_name"])
        made = create_restaurant(
            owner=owner, **{name: values[name] for name in NewRestaurantForm.Meta.fields}
        )
        obj.pk, obj.owner = made.pk, owner

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> Any:
        if obj.owner.has_usable_password():
            return super().response_add(request, obj, post_url_continue)
        page = reverse("admin:restaurants_restaurant_change", args=[obj.pk], current_app=self.admin_site.name)
        context = {**self.admin_site.each_context(request), "title": f"{obj.name} is made", "page": page}
        context |= {"row": obj.owner, "link": password_link(obj.owner), "opts": self.opts}
        return TemplateResponse(request, "platform/link.html", context)


class WorkplaceInline(MemberInline):
    fields = ["restaurant", "name", "role", "is_active"]
    readonly_fields = fields
    verbose_name_plural = "works in"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("restaurant")


class UserAdmin(PlatformAdmin):
    list_display = ["email", "name", "is_active", "is_superuser", "last_login", "created_at"]
    list_filter = ["is_active", "is_superuser"]
    search_fields = ["email", "name"]
    search_help_text = "E-mail address or name"
    ordering = ["email"]
    fields = readonly_fields = ["email", "name", "is_active", "is_superuser", "last_login", "created_at"]
    inlines = [WorkplaceInline]
    row_actions = {
        "deactivate": RowAction(
            "Deactivate",
            "The person can sign in nowhere any more, and what they are signed in to ends.",
            "deactivated",
            lambda row, by: _none(set_user_active(row.pk, is_active=False, by=by)),
            fits=lambda row: row.is_active,
        ),
        "reactivate": RowAction(
            "Reactivate",
            "The person can sign in again.",
            "reactivated",
            lambda row, by: _none(set_user_active(row.pk, is_active=True, by=by)),
            fits=lambda row: not row.is_active,
        ),
        "password-link": RowAction(
            "Set-password link",
            "Whoever has the link can set the person's password: make sure that it is the right person.",
            "made a set-password link",
            lambda row, by: password_link(row),
            fits=lambda row: row.is_active and not row.is_superuser,
        ),
    }


class NumberOrSlug(PlatformAdmin):
    """Search that an index answers, over all restaurants."""

    search_fields = ["number"]
    number_field = "number"

    def get_search_results(self, request: HttpRequest, queryset: Any, term: str) -> tuple[Any, bool]:
        term = term.strip()
        if not term:
            return queryset, False
        if term.isdecimal() and len(term) < 18:
            return queryset.filter(**{self.number_field: int(term)}), False
        restaurants = list(Restaurant.objects.filter(slug=term.lower()).values_list("pk", flat=True))
        return queryset.filter(restaurant__in=restaurants), False


class OrderAdmin(NumberOrSlug):
    list_display = ["number", "restaurant", "business_date", "kind", "status", "total", "opened_at"]
    list_filter = ["status", "kind"]
    list_select_related = ["restaurant"]
    search_help_text = "Order number, or a restaurant's slug"
    ordering = ["-pk"]
    fields = readonly_fields = [
        *["restaurant", "number", "status", "kind", "table", "covers", "business_date", "total"],
        *["opened_by", "opened_at", "closed_at", "voided_by", "voided_at", "void_reason"],
    ]

    @display(description="total")
    def total(self, order: Order) -> str:
        return format_money(order.total_minor, order.currency)


class PaymentAdmin(NumberOrSlug):
    list_display = ["created_at", "restaurant", "order", "method", "state", "amount", "tip"]
    list_filter = ["method", "state"]
    list_select_related = ["restaurant", "order"]
    number_field = "order__number"
    search_help_text = "Order number, or a restaurant's slug"
    ordering = ["-pk"]
    fields = readonly_fields = [
        *["restaurant", "order", "method", "state", "amount", "tip"],
        *["taken_by", "device", "business_date", "created_at", "settled_at"],
    ]

    @display(description="amount")
    def amount(self, payment: PaymentIntent) -> str:
        return format_money(payment.amount_minor, payment.order.currency)

    @display(description="tip")
    def tip(self, payment: PaymentIntent) -> str:
        return format_money(payment.tip_minor, payment.order.currency)


class ApplicationFeeForm(forms.ModelForm):
    application_fee_percent = forms.DecimalField(
        min_value=0,
        max_value=20,
        max_digits=6,
        decimal_places=3,
        label="The platform keeps, percent",
        help_text="Of each payment begun from now on. Only accounts connected through the platform pay it.",
    )

    class Meta:
        model = ProviderAccount
        fields = ["application_fee_percent"]


class ProviderAccountAdmin(NumberOrSlug):
    """Who takes cards and how it stands; of the keys nothing. What the platform keeps is set here only."""

    form = ApplicationFeeForm
    list_display = ["restaurant", "provider", "kind", "mode", "status", "application_fee_percent"]
    list_filter = ["provider", "kind", "status", "mode"]
    list_select_related = ["restaurant"]
    search_help_text = "A restaurant's number or slug"
    number_field = "restaurant"
    ordering = ["restaurant", "priority"]
    readonly_fields = [
        *["restaurant", "provider", "kind", "mode", "status", "status_detail", "external_account_id"],
        "created_at",
    ]
    fields = [*readonly_fields, "application_fee_percent"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        connected = (ProviderAccount.Kind.STRIPE_CONNECT, ProviderAccount.Kind.SQUARE_OAUTH)
        is_connected = obj is not None and obj.kind in connected
        return is_connected and self.has_view_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        set_application_fee(obj.pk, obj.application_fee_percent)


def _none(_: Any) -> None:
    return None


platform_site.register(Restaurant, RestaurantAdmin)
platform_site.register(User, UserAdmin)
platform_site.register(Order, OrderAdmin)
platform_site.register(PaymentIntent, PaymentAdmin)
platform_site.register(ProviderAccount, ProviderAccountAdmin)
