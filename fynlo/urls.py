"""URLs of the restaurants' process: API, back office, kitchen, receipts."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

import fynlo.api.converters  # noqa: F401  (registers <restaurant_id:…>)
from fynlo.ops import health

restaurant_api = [
    path("", include("accounts.urls")),
    path("", include("restaurants.urls")),
    path("", include("orders.urls")),
    path("", include("payments.urls")),
]

urlpatterns = [
    path("health/live", health.live),
    path("health", health.ready),
    path("version", health.version),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(), name="api-docs"),
    path("api/v1/restaurants/<restaurant_id:restaurant_id>/", include(restaurant_api)),
    path("admin/", admin.site.urls),
]
