"""URLs of the restaurants' process: API, back office, kitchen, receipts."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

import fynlo.api.converters  # noqa: F401  (registers <restaurant_id:…>)
from accounts.password_pages import SetPasswordView
from accounts.views import PasswordSignInView, SupabaseSignInView
from fynlo.ops import health
from fynlo.pages import media_file
from fynlo.ratelimit import limited
from payments.views.webhooks import webhook

restaurant_api = [
    path("", include("orders.urls")),
    path("", include("accounts.urls")),
    path("", include("restaurants.urls")),
    path("", include("payments.urls")),
]

handler400 = "fynlo.api.handlers.bad_request"
handler403 = "fynlo.api.handlers.forbidden"
handler404 = "fynlo.api.handlers.not_found"
handler500 = "fynlo.api.handlers.server_error"

urlpatterns = [
    # First what is asked for most: Django tries one after the other.
    path("api/v1/restaurants/<restaurant_id:restaurant_id>/", include(restaurant_api)),
    path("health/live", health.live),
    path("health", health.ready),
    path("version", health.version),
    path("api/schema/", limited("schema")(SpectacularAPIView.as_view()), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(), name="api-docs"),
    path("api/v1/sign-in", PasswordSignInView.as_view()),
    path("api/v1/sign-in/supabase", SupabaseSignInView.as_view()),
    path("webhooks/<str:provider>", webhook),
    path("webhooks/<str:provider>/<int:restaurant_id>/<uuid:public_id>", webhook, name="webhook"),
    path("admin/", admin.site.urls),
    path(
        "set-password/<uidb64>/<token>",
        limited("password page")(SetPasswordView.as_view()),
        name="set-password",
    ),
    path("kitchen/", include("orders.kitchen_page_urls")),
    path("", TemplateView.as_view(template_name="start.html"), name="start"),
]

if not settings.PRODUCTION:  # there nginx has them, or a CDN
    urlpatterns.append(path("media/<path:name>", media_file))
