"""Paths below /api/v1/restaurants/<restaurant_id>/."""

from django.urls import include, path

from .report_views import DailyRevenueView, TodayView
from .views import FloorView, OrderViewSet

ORDER = "orders/<uuid:order_id>"
ITEM = f"{ORDER}/items/<uuid:item_id>"

urlpatterns = [
    path("orders", OrderViewSet.as_view({"get": "list", "post": "create"})),
    path(ORDER, OrderViewSet.as_view({"get": "retrieve", "patch": "partial_update"})),
    path(f"{ORDER}/items", OrderViewSet.as_view({"post": "add_items"})),
    path(ITEM, OrderViewSet.as_view({"patch": "change_item", "delete": "remove_item"})),
    path(f"{ITEM}/void", OrderViewSet.as_view({"post": "void_item"})),
    path(f"{ORDER}/service-charge", OrderViewSet.as_view({"patch": "change_service_charge"})),
    path(f"{ORDER}/split", OrderViewSet.as_view({"post": "split", "delete": "unsplit"})),
    path(f"{ORDER}/send", OrderViewSet.as_view({"post": "send"})),
    path(f"{ORDER}/void", OrderViewSet.as_view({"post": "void"})),
    path("floor", FloorView.as_view()),
    path("reports/daily-revenue", DailyRevenueView.as_view()),
    path("reports/today", TodayView.as_view()),
    path("kitchen/", include("orders.kitchen_urls")),
]
