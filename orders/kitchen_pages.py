"""The kitchen's page in a browser: joining the screen, and the screen."""

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.cookies import identify_cookie, set_device_cookie
from accounts.errors import RestaurantSuspended
from accounts.models import Device
from accounts.services import join_device
from accounts.staff import JoinedDevice
from fynlo.api.address import client_address
from fynlo.errors import DomainError
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import KitchenStation, Restaurant

LARGEST_ID = 2_147_483_647


class JoinForm(forms.Form):
    restaurant = forms.IntegerField(min_value=1, max_value=LARGEST_ID)
    code = forms.CharField(max_length=40)


@never_cache
@require_safe
def screen(request: HttpRequest) -> HttpResponse:
    """The screen of whoever's cookie this is; where there is none, how to join."""
    try:
        device = identify_cookie(request)
    except RestaurantSuspended as refusal:
        return _refused(request, refusal)
    if device is None:
        return render(request, "kitchen/join.html")
    with restaurant_scope(device.restaurant_id):
        config = _config(device, request.GET.get("station", ""))
    return render(request, "kitchen/screen.html", {"config": config})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest) -> HttpResponse:
    """A form for the code that a manager gives; the cookie of an earlier joining does not hide it."""
    if request.method != "POST":
        return render(request, "kitchen/join.html")
    form = JoinForm(request.POST)
    if not form.is_valid():
        return _ask_again(request, "Enter the restaurant's number and the code.", 422)
    restaurant_id = form.cleaned_data["restaurant"]
    try:
        with restaurant_scope(restaurant_id):
            _, token = join_device(
                form.cleaned_data["code"], address=client_address(request), kind=Device.Kind.KITCHEN
            )
    except RestaurantSuspended as refusal:
        return _refused(request, refusal)
    except DomainError as refusal:
        return _ask_again(request, refusal.message, refusal.status)
    response = redirect("kitchen-screen")
    set_device_cookie(response, token)
    return response


def _config(device: JoinedDevice, station_id: str) -> dict[str, Any]:
    restaurant = Restaurant.objects.get(pk=device.restaurant_id)
    stations = [
        {"id": str(pk), "name": name} for pk, name in KitchenStation.objects.values_list("pk", "name")
    ]
    return {
        "restaurant_id": restaurant.pk,
        "restaurant_name": restaurant.name,
        "device_id": str(device.device_id),
        "device_name": device.name,
        "websocket_url": settings.WEBSOCKET_URL,
        "warn_after_seconds": restaurant.warn_after_seconds,
        "late_after_seconds": restaurant.late_after_seconds,
        "timezone": restaurant.timezone,
        "stations": stations,
        "station_id": station_id if any(station["id"] == station_id for station in stations) else None,
    }


def _ask_again(request: HttpRequest, message: str, status: int) -> HttpResponse:
    """The form with what was typed, but never the code: a wrong one is of no more use."""
    typed = request.POST.get("restaurant", "")
    return render(request, "kitchen/join.html", {"message": message, "restaurant": typed}, status=status)


def _refused(request: HttpRequest, refusal: DomainError) -> HttpResponse:
    page = {"title": "Not open", "detail": refusal.message}
    return render(request, "error.html", page, status=refusal.status)
