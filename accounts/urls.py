"""Below /api/v1/restaurants/<restaurant_id>/; signing in by password is in fynlo/urls.py."""

from django.urls import path

from . import views

urlpatterns = [
    path("sign-in/pin", views.PinSignInView.as_view()),
    path("sign-out", views.SignOutView.as_view()),
    path("me", views.MeView.as_view()),
    path("staff", views.StaffListView.as_view()),
    path("staff/<uuid:membership_id>", views.StaffView.as_view()),
    path("staff/<uuid:membership_id>/pin", views.PinView.as_view()),
    path("devices", views.DeviceListView.as_view()),
    path("devices/join", views.JoinDeviceView.as_view()),
    path("devices/<uuid:device_id>", views.DeviceView.as_view()),
    path("devices/<uuid:device_id>/code", views.DeviceCodeView.as_view()),
    path("devices/<uuid:device_id>/revoke", views.RevokeDeviceView.as_view()),
]
