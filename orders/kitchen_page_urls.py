"""Pages below /kitchen/."""

from django.urls import path

from . import kitchen_pages

urlpatterns = [
    path("", kitchen_pages.screen, name="kitchen-screen"),
    path("join", kitchen_pages.join, name="kitchen-join"),
]
