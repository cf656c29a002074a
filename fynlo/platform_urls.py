"""URLs of the platform owner's process."""

from typing import Any

from django.urls import path

from fynlo.ops import health

urlpatterns: list[Any] = [
    path("health/live", health.live),
    path("health", health.ready),
    path("version", health.version),
]
