"""Paths below /api/v1/restaurants/<restaurant_id>/."""

from django.urls import path

from .views.receipts import ReceiptPageView, ReceiptView
from .views.tenders import CloseOrderView, PaymentViewSet

ORDER = "orders/<uuid:order_id>"

urlpatterns = [
    path("payments", PaymentViewSet.as_view({"get": "list"})),
    path("payments/<uuid:payment_id>", PaymentViewSet.as_view({"get": "retrieve"})),
    path(f"{ORDER}/payments", PaymentViewSet.as_view({"get": "list_of_order", "post": "take"})),
    path(f"{ORDER}/close", CloseOrderView.as_view()),
    path(f"{ORDER}/receipt", ReceiptView.as_view()),
    path(f"{ORDER}/receipt/print", ReceiptPageView.as_view()),
]
