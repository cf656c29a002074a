"""Below /api/v1/restaurants/<restaurant_id>/."""

from typing import Any

from django.urls import path

from . import views

ROWS = {
    "categories": views.CategoryViewSet,
    "items": views.ItemViewSet,
    "modifier-groups": views.ModifierGroupViewSet,
    "tax-classes": views.TaxClassViewSet,
    "stations": views.StationViewSet,
    "floors": views.FloorViewSet,
    "tables": views.TableViewSet,
}
ALL: dict[str, Any] = {"get": "list", "post": "create"}
ONE: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    path("restaurant", views.RestaurantDetailsView.as_view()),
    path("menu", views.MenuView.as_view()),
    path("items/<uuid:row_id>/sold-out", views.ItemSoldOutView.as_view()),
    path("items/<uuid:row_id>/photo", views.ItemPhotoView.as_view()),
    path("modifiers/<uuid:row_id>/sold-out", views.ModifierSoldOutView.as_view()),
    *(path(name, rows.as_view(ALL)) for name, rows in ROWS.items()),
    *(path(f"{name}/<uuid:row_id>", rows.as_view(ONE)) for name, rows in ROWS.items()),
]
