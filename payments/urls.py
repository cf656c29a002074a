"""Paths below /api/v1/restaurants/<restaurant_id>/."""

from django.urls import path

from .views.accounts import AccountViewSet, IssueViewSet, PaymentOptionsView
from .views.cards import CardPaymentView, DecidePaymentView, PaymentActionsViewSet, RefundViewSet
from .views.days import CloseDayView, DayListView, DayView, XReportView
from .views.drawers import (
    CountDrawerView,
    DrawerListView,
    DrawerSessionView,
    ExplainVarianceView,
    MoveCashView,
    OpenDrawerView,
    ReopenDrawerView,
)
from .views.receipts import (
    MailReceiptView,
    PartBillPageView,
    PartBillView,
    ReceiptEscposView,
    ReceiptPageView,
    ReceiptView,
)
from .views.tenders import CloseOrderView, PaymentViewSet

ORDER = "orders/<uuid:order_id>"
PAYMENT = "payments/<uuid:payment_id>"
SESSION = "drawer-sessions/<uuid:session_id>"

ACCOUNT = "payment-accounts/<uuid:account_id>"

urlpatterns = [
    path("payment-options", PaymentOptionsView.as_view()),
    path("payment-accounts", AccountViewSet.as_view({"get": "list", "post": "create"})),
    path("payment-accounts/connect-stripe", AccountViewSet.as_view({"post": "connect"})),
    path("payment-accounts/connect-square", AccountViewSet.as_view({"post": "ask_for_square"})),
    path(f"{ACCOUNT}/check", AccountViewSet.as_view({"post": "check"})),
    path(f"{ACCOUNT}/credentials", AccountViewSet.as_view({"post": "replace"})),
    path(f"{ACCOUNT}/disconnect", AccountViewSet.as_view({"post": "disconnect"})),
    path("issues", IssueViewSet.as_view({"get": "list"})),
    path("issues/<uuid:issue_id>/settle", IssueViewSet.as_view({"post": "settle"})),
    path("payments", PaymentViewSet.as_view({"get": "list"})),
    path(PAYMENT, PaymentViewSet.as_view({"get": "retrieve"})),
    path(f"{PAYMENT}/retry", PaymentActionsViewSet.as_view({"post": "retry"})),
    path(f"{PAYMENT}/cancel", PaymentActionsViewSet.as_view({"post": "cancel"})),
    path(f"{PAYMENT}/capture", PaymentActionsViewSet.as_view({"post": "capture"})),
    path(f"{PAYMENT}/check", PaymentActionsViewSet.as_view({"post": "check"})),
    path(f"{PAYMENT}/decide", DecidePaymentView.as_view()),
    path(f"{PAYMENT}/refunds", RefundViewSet.as_view({"get": "list_of_payment", "post": "create"})),
    path("refunds/<uuid:refund_id>", RefundViewSet.as_view({"get": "retrieve"})),
    path(f"{ORDER}/payments", PaymentViewSet.as_view({"get": "list_of_order", "post": "take"})),
    path(f"{ORDER}/card-payments", CardPaymentView.as_view()),
    path(f"{ORDER}/close", CloseOrderView.as_view()),
    path(f"{ORDER}/receipt", ReceiptView.as_view()),
    path(f"{ORDER}/receipt/print", ReceiptPageView.as_view()),
    path(f"{ORDER}/receipt/escpos", ReceiptEscposView.as_view()),
    path(f"{ORDER}/receipt/mail", MailReceiptView.as_view()),
    path(f"{ORDER}/parts/<uuid:part_id>/bill", PartBillView.as_view()),
    path(f"{ORDER}/parts/<uuid:part_id>/bill/print", PartBillPageView.as_view()),
    path("drawers", DrawerListView.as_view()),
    path("drawers/<uuid:drawer_id>/sessions", OpenDrawerView.as_view()),
    path(SESSION, DrawerSessionView.as_view()),
    path(f"{SESSION}/movements", MoveCashView.as_view()),
    path(f"{SESSION}/count", CountDrawerView.as_view()),
    path(f"{SESSION}/note", ExplainVarianceView.as_view()),
    path(f"{SESSION}/reopen", ReopenDrawerView.as_view()),
    path("reports/x", XReportView.as_view()),
    path("days", DayListView.as_view()),
    path("days/<day:day>", DayView.as_view()),
    path("days/<day:day>/close", CloseDayView.as_view()),
]
