"""Paths below /api/v1/restaurants/<restaurant_id>/kitchen/."""

from django.urls import path

from .kitchen_views import BoardView, DigestView, KitchenStationsView, NewsView, TicketViewSet

TICKET = "tickets/<uuid:ticket_id>"

urlpatterns = [
    path("stations", KitchenStationsView.as_view()),
    path("tickets", BoardView.as_view()),
    path("events", NewsView.as_view()),
    path("digest", DigestView.as_view()),
    path(f"{TICKET}/bump", TicketViewSet.as_view({"post": "bump"})),
    path(f"{TICKET}/recall", TicketViewSet.as_view({"post": "recall"})),
    path(f"{TICKET}/items/<uuid:item_id>/done", TicketViewSet.as_view({"post": "done"})),
]
