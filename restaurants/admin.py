"""The restaurant's own details, its floor, its kitchen and its menu in the back office."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.files.storage import default_storage
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html

from accounts.models import Role
from fynlo.errors import DomainError
from fynlo.events.log import record_event
from fynlo.money import format_money
from fynlo.office import OfficeAdmin, OfficeInline, ServiceAdmin, ServiceForm
from fynlo.tenancy.scope import restaurant_scope

from .models import (
    Floor,
    KitchenStation,
    MenuCategory,
    MenuItem,
    MenuItemModifierGroup,
    Modifier,
    ModifierGroup,
    Restaurant,
    Table,
    TaxClass,
    TaxRate,
)
from .payloads import row_payload
from .services import delete_row, remove_photo, set_photo, update_restaurant
from .services.editing import menu_version

LEGAL_FIELDS = [
    *["name", "address", "vat_number", "timezone", "business_day_cutoff"],
    *["service_charge_kind", "service_charge_percent", "service_charge_min_covers", "refund_limit_minor"],
]


class RestaurantForm(ServiceForm):
    class Meta:
        model = Restaurant
        # What the restaurants' database login may change; the rest is the platform owner's.
        fields = [
            "name",
            "address",
            "phone",
            "vat_number",
            "timezone",
            "business_day_cutoff",
            "warn_after_seconds",
            "late_after_seconds",
            "service_charge_kind",
            "service_charge_percent",
            "service_charge_min_covers",
            "refund_limit_minor",
        ]

    def call_service(self) -> Restaurant:
        changes = {name: self.cleaned_data[name] for name in self.changed_data}
        return update_restaurant(changes, by=self.request.staff)


@admin.register(Restaurant)
class RestaurantAdmin(ServiceAdmin):
    form = RestaurantForm
    readonly_fields = ["slug", "currency"]
    can_add = False

    def get_fields(self, request: Any, obj: Any = None) -> list[str]:
        return [*RestaurantForm.Meta.fields, *self.readonly_fields]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str]:
        """What the law and the books look at is the owner's."""
        is_owner = request.staff.has_role(Role.OWNER)
        return self.readonly_fields if is_owner else [*LEGAL_FIELDS, *self.readonly_fields]

    def changelist_view(self, request: Any, extra_context: Any = None) -> HttpResponse:
        """There is one: go to it."""
        place = reverse("admin:restaurants_restaurant_change", args=[request.restaurant.pk])
        return HttpResponseRedirect(place)


class EditingAdmin(OfficeAdmin):
    """Rows of the menu or the floor: every change is told to the tills and screens."""

    def save_related(self, request: Any, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.changed_data or any(formset.has_changed() for formset in formsets):
            row = type(form.instance)._default_manager.get(pk=form.instance.pk)
            kind = "floor.changed" if isinstance(row, Floor | Table) else "menu.changed"
            document: dict[str, Any] = {
                "type": row._meta.model_name,
                "change": "changed" if change else "created",
                "row": row_payload(row),
                "changed": form.changed_data,
            }
            if kind == "menu.changed":
                document["menu_version"] = menu_version()
            record_event(kind, row.pk, document, actor=request.staff.actor)

    def delete_model(self, request: Any, obj: Any) -> None:
        delete_row(obj, by=request.staff)

    def delete_queryset(self, request: Any, queryset: Any) -> None:
        for row in queryset:
            delete_row(row, by=request.staff)


class TableInline(OfficeInline):
    model = Table
    fields = ["name", "seats", "position", "is_active"]


@admin.register(Floor)
class FloorAdmin(EditingAdmin):
    list_display = ["name", "position"]
    search_fields = ["name"]
    inlines = [TableInline]


@admin.register(Table)
class TableAdmin(EditingAdmin):
    empty_text = "No tables yet. They stand on a floor: add one, with its tables, under Floors."
    list_display = ["name", "floor", "seats", "is_active"]
    list_filter = ["is_active"]
    list_select_related = ["floor"]
    search_fields = ["name"]


@admin.register(KitchenStation)
class KitchenStationAdmin(EditingAdmin):
    empty_text = "No stations yet. Each item of the menu is made at one, such as the grill or the bar."
    list_display = ["name", "position"]


class TaxRateInline(OfficeInline):
    model = TaxRate


@admin.register(TaxClass)
class TaxClassAdmin(EditingAdmin):
    empty_text = "No taxes yet. Add a class for each kind of goods, such as hot food, with its rates."
    list_display = ["name"]
    inlines = [TaxRateInline]


@admin.register(MenuCategory)
class MenuCategoryAdmin(EditingAdmin):
    list_display = ["name", "position"]
    search_fields = ["name"]


class ModifierInline(OfficeInline):
    model = Modifier


@admin.register(ModifierGroup)
class ModifierGroupAdmin(EditingAdmin):
    list_display = ["name", "min_select", "max_select"]
    search_fields = ["name"]
    inlines = [ModifierInline]


class GroupLinkInline(OfficeInline):
    model = MenuItemModifierGroup
    verbose_name = "modifier group"


class PhotoForm(forms.Form):
    photo = forms.FileField(
        label="Picture",
        help_text="JPEG, PNG or WebP, at most 5 MB. Where and when it was taken is not kept.",
        widget=forms.FileInput(attrs={"accept": "image/jpeg,image/png,image/webp"}),
    )


@admin.register(MenuItem)
class MenuItemAdmin(EditingAdmin):
    empty_text = "No items yet. They need a category, a tax class and a kitchen station: add those first."
    list_display = ["name", "code", "category", "price", "is_active", "is_sold_out"]
    list_filter = ["is_active", "is_sold_out"]
    list_select_related = ["category", "restaurant"]
    search_fields = ["name", "code"]
    fields = [
        *["name", "code", "description", "category", "price_minor", "tax_class", "station"],
        *["position", "is_active", "is_sold_out"],
    ]
    readonly_fields = ["picture"]
    inlines = [GroupLinkInline]

    def get_fields(self, request: Any, obj: Any = None) -> list[Any]:
        return [*self.fields, "picture"] if obj else [*self.fields]

    @admin.display(description="price", ordering="price_minor")
    def price(self, item: MenuItem) -> str:
        return format_money(item.price_minor, item.restaurant.currency)

    @admin.display(description="picture")
    def picture(self, item: MenuItem) -> str:
        place = reverse("admin:restaurants_menuitem_photo", args=[item.pk])
        if not item.photo:
            return format_html('<a href="{}">Add a picture</a>', place)
        shown = '<a href="{}"><img src="{}" alt="{}" width="160"></a> <a href="{}">Change the picture</a>'
        return format_html(shown, place, default_storage.url(item.photo), item.name, place)

    def get_urls(self) -> list[Any]:
        page = self.admin_site.networked_view(self.photo_page)
        return [
            path("<uuid:item_id>/photo/", page, name="restaurants_menuitem_photo"),
            *super().get_urls(),
        ]

    def photo_page(self, request: Any, item_id: UUID) -> HttpResponse:
        """The picture on a page of its own: storing it may go over a network, so no transaction is open."""
        with restaurant_scope(request.staff.restaurant_id):
            item = MenuItem.objects.filter(pk=item_id).first()
        if item is None:
            raise Http404
        is_sent = request.method == "POST"
        form = PhotoForm(request.POST if is_sent else None, request.FILES if is_sent else None)
        if is_sent and self._save_photo(request, item, form):
            return HttpResponseRedirect(reverse("admin:restaurants_menuitem_change", args=[item_id]))
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": f"Picture of {item}"}
        photo_url = default_storage.url(item.photo) if item.photo else ""  # by whatever name we are reached
        context |= {"item": item, "form": form, "photo_url": photo_url}
        return TemplateResponse(request, "backoffice/photo.html", context)

    def _save_photo(self, request: Any, item: MenuItem, form: PhotoForm) -> bool:
        if "remove" in request.POST:
            remove_photo(item.pk, by=request.staff)
            messages.success(request, f"{item} is shown without a picture.")
            return True
        if form.is_valid():
            try:
                set_photo(item.pk, form.cleaned_data["photo"].read(), by=request.staff)
            except DomainError as refusal:
                form.add_error("photo", refusal.message)
            else:
                messages.success(request, f"{item} has a new picture.")
        return not form.errors
