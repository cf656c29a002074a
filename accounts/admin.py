"""The team and its devices in the back office. Everything is written by accounts.services."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.utils.html import format_html

from fynlo.api.address import client_address
from fynlo.errors import DomainError
from fynlo.office import ServiceAdmin, ServiceForm

from . import services
from .models import Device, Membership


class MembershipForm(ServiceForm):
    email = forms.EmailField(
        required=False, label="E-mail address", help_text="For signing in by password; empty for PIN only."
    )
    pin = forms.RegexField(
        r"^[0-9]{4,8}$",
        required=False,
        label="New PIN",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
        error_messages={"invalid": "A PIN is four to eight digits."},
        help_text="For signing in on a till. Empty keeps the present one.",
    )
    current_pin = forms.CharField(
        required=False,
        label="Present PIN",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
        help_text="Needed only to change your own.",
    )

    class Meta:
        model = Membership
        fields = ["name", "role", "is_active"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = None if self.instance._state.adding else self.instance.user
        if user:
            self.initial["email"] = user.email
            self.fields["email"].disabled = True

    def call_service(self) -> Membership:
        fields, by = self.cleaned_data, self.request.staff
        who = {"name": fields["name"], "role": fields["role"], "email": fields["email"]}
        if self.instance._state.adding:
            return services.create_membership(**who, pin=fields["pin"], by=by)
        member = services.update_membership(self.instance.pk, **who, is_active=fields["is_active"], by=by)
        if fields["pin"]:
            address = client_address(self.request)
            pins = {"pin": fields["pin"], "current_pin": fields["current_pin"]}
            services.set_pin(member.pk, **pins, by=by, address=address)
        return member


@admin.register(Membership)
class MembershipAdmin(ServiceAdmin):
    form = MembershipForm
    list_display = ["name", "role", "user", "is_active"]
    list_filter = ["role", "is_active"]
    list_select_related = ["user"]
    search_fields = ["name"]
    ordering = ["name"]

    def get_fields(self, request: Any, obj: Any = None) -> list[str]:
        more = ["is_active", "pin", "current_pin"] if obj else ["pin"]
        return ["name", "role", "email", *more]


class DeviceForm(ServiceForm):
    join_code = ""

    class Meta:
        model = Device
        fields = ["name", "kind"]

    def call_service(self) -> Device:
        by = self.request.staff
        if not self.instance._state.adding:
            return services.rename_device(self.instance.pk, name=self.cleaned_data["name"], by=by)
        device, self.join_code = services.create_device(
            name=self.cleaned_data["name"], kind=self.cleaned_data["kind"], by=by
        )
        return device


@admin.register(Device)
class DeviceAdmin(ServiceAdmin):
    form = DeviceForm
    empty_text = "No tills or screens yet. Add one, and type its code in on the device."
    list_display = ["name", "kind", "state", "last_seen_at"]
    list_filter = ["kind"]
    search_fields = ["name"]
    ordering = ["name"]
    actions = ["revoke", "renew_code"]

    def get_fields(self, request: Any, obj: Any = None) -> list[str]:
        return ["name", "kind", *(["state", "joined_at", "last_seen_at"] if obj else [])]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str]:
        return ["kind", "state", "joined_at", "last_seen_at"] if obj else []

    @admin.display(description="state")
    def state(self, device: Device) -> str:
        if device.revoked_at:
            return "Revoked"
        return "Joined" if device.token_hash else "Waiting to join"

    def save_related(self, request: Any, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.join_code:
            self._show_code(request, form.instance, form.join_code)

    @admin.action(description="Revoke the selected devices and sign out everybody on them")
    def revoke(self, request: Any, queryset: Any) -> None:
        for device in queryset:
            services.revoke_device(device.pk, by=request.staff)
            messages.success(request, f"{device.name} is not trusted any more.")

    @admin.action(description="Make a new join code for the selected devices")
    def renew_code(self, request: Any, queryset: Any) -> None:
        for device in queryset:
            try:
                device, code = services.renew_join_code(device.pk, by=request.staff)
            except DomainError as refusal:
                messages.error(request, refusal.message)
            else:
                self._show_code(request, device, code)

    def _show_code(self, request: Any, device: Device, code: str) -> None:
        minutes = int(services.devices.JOIN_CODE_LIFE.total_seconds() // 60)
        text = (
            'Type this on {} within {} minutes; it is shown only now: <strong class="join-code">{}</strong>'
        )
        messages.success(request, format_html(text, device.name, minutes, code))
