"""The restaurants' back office: Django admin of one restaurant at a time, for its managers and owners.

Each request looks the member up anew, inside the scope of the restaurant that the session names; nothing
of a view, its template included, runs outside of that scope.
"""

import csv
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.views import redirect_to_login
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from accounts.directory import Workplace, my_restaurants
from accounts.errors import LockedOut, SignInFailed
from accounts.models import Membership, Role
from accounts.services import authenticate_person
from accounts.staff import Staff
from fynlo.api.address import client_address
from fynlo.errors import DomainError
from fynlo.logs import set_caller
from fynlo.money import amount_text, format_money
from fynlo.office import ByStaff
from fynlo.ratelimit import TooManyRequests, limit_caller, too_many
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from orders.reports import Day, revenue_by_day, today_live
from restaurants.models import Restaurant

MANAGING = (Role.OWNER, Role.MANAGER)
SESSION_KEY = "restaurant_id"
CHART_DAYS = 30
CSV_DAYS = {"30": 30, "365": 365}

# What the pages are called on the front page and in the margin, in the trade's words.
SECTIONS = {
    "Takings": {
        "Order": "Orders",
        "PaymentIntent": "Payments",
        "ReconciliationIssue": "Money to look at",
        "Refund": "Refunds",
        "Receipt": "Receipts",
        "DayClose": "Days closed",
        "DrawerSession": "Drawer counts",
        "LedgerTransaction": "Books",
        "ReconciliationRun": "Compared with providers",
        "Payout": "Payouts",
        "Event": "Event log",
    },
    "Menu": {
        "MenuItem": "Items",
        "MenuCategory": "Categories",
        "ModifierGroup": "Modifier groups",
        "TaxClass": "Taxes",
    },
    "Floor and kitchen": {"Floor": "Floors", "Table": "Tables", "KitchenStation": "Kitchen stations"},
    "Team and settings": {
        "Membership": "Team",
        "Device": "Devices",
        "CashDrawer": "Cash drawers",
        "ProviderAccount": "Card payments",
        "WebhookEvent": "Webhooks",
        "Restaurant": "Settings",
    },
}


class SignInForm(AdminAuthenticationForm):
    """By e-mail address and password, with the same lock-out as everywhere."""

    def clean(self) -> dict[str, Any]:
        email, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not email or not password:
            return self.cleaned_data
        try:
            user = authenticate_person(
                email=email,
                password=password,
                address=client_address(self.request),
            )
        except (SignInFailed, LockedOut, TooManyRequests) as refusal:
            raise forms.ValidationError(refusal.message, code=refusal.code) from None
        if not managed_by(user.pk):
            raise forms.ValidationError("You manage no restaurant: ask an owner.", code="not_a_manager")
        self.user_cache = user
        return self.cleaned_data


def managed_by(user_id: int) -> list[Workplace]:
    return [workplace for workplace in my_restaurants(user_id) if workplace.role in MANAGING]


class BackOfficeSite(AdminSite):
    site_header = site_title = f"{settings.APP_NAME} back office"
    index_title = "Back office"
    site_url = None
    login_form = SignInForm
    login_template = "backoffice/login.html"
    index_template = "backoffice/index.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Only what was made for restaurants: packages register their own models with every site."""
        if admin_class is not None and issubclass(admin_class, ByStaff):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        return getattr(request, "staff", None) is not None

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        guarded = super().admin_view(view, cacheable)

        def enter(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path(), reverse("admin:login"))
            if view == self.logout:
                return csrf_protect(never_cache(view))(request, *args, **kwargs)
            restaurant_id = request.session.get(SESSION_KEY) or enter_the_only_one(request)
            if restaurant_id is None:
                return HttpResponseRedirect(reverse("admin:choose"))
            try:
                with restaurant_scope(restaurant_id):
                    if not let_in(request):
                        del request.session[SESSION_KEY]
                        return HttpResponseRedirect(reverse("admin:choose"))
                    limit_caller(request.staff, "office")
                    if request.restaurant.status != Restaurant.Status.ACTIVE:
                        return self._suspended(request)
                    with timezone.override(request.restaurant.timezone):
                        response = guarded(request, *args, **kwargs)
                        if isinstance(response, TemplateResponse) and not response.is_rendered:
                            response.render()
                    return response
            except TooManyRequests as refusal:
                return too_many(request, refusal)
            except DomainError as refusal:
                messages.error(request, refusal.message)
            except IntegrityError:  # two people at once; what either types is checked before
                messages.error(request, "Somebody else changed the same just now. Look at it again.")
            return HttpResponseRedirect(request.get_full_path())

        return update_wrapper(enter, view)

    def networked_view(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """Like `admin_view`, for a view that has a provider asked: it begins once no transaction is open.

        The restaurant is named; what the view reads, it reads in a `restaurant_scope` of its own.
        """

        def let_pass(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
            request.is_let_pass = True
            return HttpResponse(status=204)

        gate = self.admin_view(let_pass)

        def enter(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
            refusal = gate(request, *args, **kwargs)
            if not getattr(request, "is_let_pass", False):
                return refusal
            with bind_restaurant(request.staff.restaurant_id):
                response: HttpResponse = never_cache(view)(request, *args, **kwargs)
                if isinstance(response, TemplateResponse) and not response.is_rendered:
                    with restaurant_scope(request.staff.restaurant_id):
                        response.render()
                return response

        return update_wrapper(enter, view)

    def get_urls(self) -> list[Any]:
        return [
            path("choose/", self.choose, name="choose"),
            path("today", self.admin_view(self.today), name="today"),
            path("revenue.csv", self.admin_view(self.revenue_csv), name="revenue-csv"),
            # Nothing here has a page elsewhere to view.
            *(url for url in super().get_urls() if getattr(url, "name", "") != "view_on_site"),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = super().get_app_list(request, app_label)
        if app_label:
            return apps
        pages = {page["object_name"]: page for app in apps for page in app["models"]}
        sections = [
            (title, [{**pages[model], "name": name} for model, name in names.items() if model in pages])
            for title, names in SECTIONS.items()
        ]
        return [
            {"name": title, "app_label": title, "app_url": found[0]["admin_url"], "models": found}
            for title, found in sections
            if found
        ]

    def each_context(self, request: Any) -> dict[str, Any]:
        restaurant = getattr(request, "restaurant", None)
        more = {"site_header": restaurant.name, "is_in_restaurant": True} if restaurant else {}
        return {**super().each_context(request), **more}

    def index(self, request: Any, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        restaurant = request.restaurant
        today = restaurant.business_date(timezone.now())
        days = revenue_by_day(today - datetime.timedelta(days=CHART_DAYS - 1), today)
        total = format_money(sum(day.revenue_minor for day in days), restaurant.currency)
        figures = {
            "today": today_figures(restaurant),
            "bars": bars(days, restaurant.currency),
            "total": total,
        }
        return super().index(request, {**figures, **(extra_context or {})})

    def today(self, request: Any) -> HttpResponse:
        return JsonResponse({figure["name"]: figure["text"] for figure in today_figures(request.restaurant)})

    def revenue_csv(self, request: Any) -> HttpResponse:
        """Each business day of the last 30 or 365, for the accountant."""
        restaurant = request.restaurant
        last = restaurant.business_date(timezone.now())
        first = last - datetime.timedelta(days=CSV_DAYS.get(request.GET.get("days"), CHART_DAYS) - 1)
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="revenue-{first}-{last}.csv"'
        rows = csv.writer(response)
        rows.writerow(["Business day", "Bills", "Taken", "Tax in it", "Eaten in", "Taken away", "Currency"])
        for day in revenue_by_day(first, last):
            amounts = (day.revenue_minor, day.tax_minor, day.dine_in_minor, day.takeaway_minor)
            texts = [amount_text(minor, restaurant.currency) for minor in amounts]
            rows.writerow([day.business_date, day.orders, *texts, restaurant.currency])
        return response

    @method_decorator([csrf_protect, never_cache, require_http_methods(["GET", "POST"])])
    def choose(self, request: Any) -> HttpResponse:
        """Which restaurant, where somebody manages several."""
        if not request.user.is_authenticated:
            return redirect_to_login(reverse("admin:index"), reverse("admin:login"))
        workplaces = managed_by(request.user.pk)
        chosen = request.POST.get("restaurant_id") if request.method == "POST" else None
        if chosen in {str(workplace.restaurant_id) for workplace in workplaces}:
            request.session[SESSION_KEY] = int(chosen or 0)
            return HttpResponseRedirect(reverse("admin:index"))
        context = {**self.each_context(request), "title": "Choose a restaurant", "workplaces": workplaces}
        return TemplateResponse(request, "backoffice/choose.html", context, status=200 if workplaces else 403)

    def _suspended(self, request: Any) -> HttpResponse:
        name = request.restaurant.name
        request.staff = request.restaurant = None
        context = {**self.each_context(request), "title": "Suspended", "restaurant_name": name}
        return TemplateResponse(request, "backoffice/suspended.html", context, status=403).render()


def enter_the_only_one(request: Any) -> int | None:
    """Whoever manages one restaurant need not choose it."""
    workplaces = managed_by(request.user.pk)
    if len(workplaces) != 1:
        return None
    request.session[SESSION_KEY] = workplaces[0].restaurant_id
    return workplaces[0].restaurant_id


def let_in(request: Any) -> bool:
    """Whether the person manages the restaurant in scope; sets `request.staff` and `.restaurant`."""
    members = Membership.objects.select_related("restaurant")
    member = members.filter(user=request.user, is_active=True, role__in=MANAGING).first()
    if member is None:
        return False
    request.restaurant = member.restaurant
    request.staff = Staff(member.restaurant_id, member.pk, member.name, member.role)
    set_caller(request.staff)
    return True


def today_figures(restaurant: Restaurant) -> list[dict[str, str]]:
    """What the top of the front page says, ready to show."""
    today = today_live(restaurant)

    def money(minor: int) -> str:
        return format_money(minor, restaurant.currency)

    figures = [
        ("taken", "Taken today", money(today.closed_minor)),
        ("closed", "Bills closed", str(today.closed_orders)),
        ("average", "Average bill", money(today.average_minor)),
        ("tax", "Tax in it", money(today.closed_tax_minor)),
        ("covers", "Guests served", str(today.closed_covers)),
        ("open", "Bills open", str(today.open_orders + today.carried_over)),
        ("running", "On open bills", money(today.open_minor)),
    ]
    return [{"name": name, "label": label, "text": text} for name, label, text in figures]


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the chart, in units of its 720 by 180 box."""

    day: datetime.date
    text: str
    orders: int
    x: int
    y: int
    height: int


def bars(days: list[Day], currency: str) -> list[Bar]:
    highest = max((day.revenue_minor for day in days), default=0) or 1
    heights = [max(day.revenue_minor, 0) * 180 // highest for day in days]
    return [
        Bar(
            *(day.business_date, format_money(day.revenue_minor, currency), day.orders),
            *(n * 24 + 3, 180 - height, height),
        )
        for n, (day, height) in enumerate(zip(days, heights, strict=True))
    ]
