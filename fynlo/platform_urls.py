"""URLs of the platform owner's process."""

from typing import Any

from django.urls import path

from fynlo.ops import health
from fynlo.platform_console import platform_site

handler400 = "fynlo.api.handlers.bad_request"
handler403 = "fynlo.api.handlers.forbidden"
handler404 = "fynlo.api.handlers.not_found"
handler500 = "fynlo.api.handlers.server_error"

urlpatterns: list[Any] = [
    path("health/live", health.live),
    path("health", health.ready),
    path("version", health.version),
    path("", platform_site.urls),
]
