"""Payment accounts, card readers, and what somebody has to look at."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.response import Response

from accounts.models import Role
from accounts.permissions import Manages, ServesGuests
from fynlo.api.pagination import CursorPagination
from fynlo.api.views import RestaurantView, RestaurantViewSet
from fynlo.tenancy.scope import restaurant_scope
from payments.models import PaymentIntent, ProviderAccount, ReconciliationIssue
from payments.payloads import account_payload, issue_payload, terminal_payload
from payments.serializers.accounts import (
    AccountSerializer,
    AccountsSerializer,
    AddAccountSerializer,
    ConnectStripeSerializer,
    ConsentSerializer,
    IssueFilterSerializer,
    IssuePageSerializer,
    IssueSerializer,
    OnboardingSerializer,
    PaymentOptionsSerializer,
    ReplaceCredentialsSerializer,
    SettleIssueSerializer,
)
from payments.services import accounts, keeping
from payments.services.cards import webhook_address
from payments.services.issues import settle_issue


class IsOwner(Manages):
    """Keys that move money are the owner's alone."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return super().has_permission(request, view) and request.user.has_role(Role.OWNER)


class PaymentOptionsView(RestaurantView):
    permission_classes = [ServesGuests]

    @extend_schema(responses=PaymentOptionsSerializer)
    def get(self, request: Any, **kwargs: Any) -> Response:
        """What a till can offer a guest now: methods and card readers."""
        rows = list(accounts.usable_accounts())
        methods = {str(method) for row in rows for method in accounts.methods_of(row.provider)}
        methods |= {PaymentIntent.Method.CASH.value, PaymentIntent.Method.EXTERNAL.value}
        terminals = [
            terminal_payload(terminal, row.provider)
            for row in rows
            for terminal in row.terminals.all()
            if terminal.is_active
        ]
        return Response(
            {
                "methods": [method for method in PaymentIntent.Method.values if method in methods],
                "terminals": terminals,
                "publishable_key": accounts.publishable_key(rows),
            }
        )


class AccountViewSet(RestaurantViewSet):
    """The restaurant's accounts with payment providers."""

    in_transaction = False

    def get_permissions(self) -> list[BasePermission]:
        owners = ("create", "replace", "disconnect", "connect", "ask_for_square")
        return [IsOwner() if self.action in owners else Manages()]

    @extend_schema(responses=AccountsSerializer)
    def list(self, request: Any, **kwargs: Any) -> Response:
        """All payment accounts, those no longer connected too."""
        with restaurant_scope(request.user.restaurant_id):
            rows = ProviderAccount.objects.prefetch_related("terminals")
            return Response({"results": [_shown(row) for row in rows]})

    @extend_schema(request=AddAccountSerializer, responses={201: AccountSerializer})
    def create(self, request: Any, **kwargs: Any) -> Response:
        """Add an account by the restaurant's own keys, once the provider has taken them."""
        values = AddAccountSerializer.read(request.data)
        with restaurant_scope(request.user.restaurant_id):
            row = keeping.add_account(**values, by=request.user)
        keeping.check_account(row.pk, by=request.user)
        return self._answer(request, row.pk, status=201)

    @extend_schema(request=ReplaceCredentialsSerializer, responses=AccountSerializer)
    def replace(self, request: Any, account_id: Any, **kwargs: Any) -> Response:
        """Put new keys in; what is left out stays, and payments go on being refunded through the account."""
        values = ReplaceCredentialsSerializer.read(request.data)
        with restaurant_scope(request.user.restaurant_id):
            keeping.replace_keys(account_id, values["secrets"], by=request.user)
        keeping.check_account(account_id, by=request.user)
        return self._answer(request, account_id)

    @extend_schema(request=None, responses=AccountSerializer)
    def check(self, request: Any, account_id: Any, **kwargs: Any) -> Response:
        """Ask the provider whether the account can take cards, and which card readers it has."""
        keeping.check_account(account_id, by=request.user)
        keeping.refresh_terminals(account_id, by=request.user)
        return self._answer(request, account_id)

    @extend_schema(request=None, responses=AccountSerializer)
    def disconnect(self, request: Any, account_id: Any, **kwargs: Any) -> Response:
        """Take no more payments with it; what it took can still be refunded.

        Of a Square account that was connected by consent that consent is given back: to refund, connect it
        again.
        """
        keeping.disconnect_account(account_id, by=request.user)
        return self._answer(request, account_id)

    @extend_schema(request=ConnectStripeSerializer, responses={201: OnboardingSerializer})
    def connect(self, request: Any, **kwargs: Any) -> Response:
        """Open an account at Stripe through the platform; the owner goes on at `url`."""
        values = ConnectStripeSerializer.read(request.data)
        begun = keeping.connect_stripe(**values, by=request.user)
        with restaurant_scope(request.user.restaurant_id):
            return Response({"account": _shown(begun.account), "url": begun.url}, status=201)

    @extend_schema(request=None, responses=ConsentSerializer)
    def ask_for_square(self, request: Any, **kwargs: Any) -> Response:
        """Where the owner consents that Fynlo acts for their Square account.

        Square sends the owner back to the back office, which connects the account.
        """
        return Response({"url": keeping.ask_for_square(by=request.user)})

    def _answer(self, request: Any, account_id: Any, status: int = 200) -> Response:
        with restaurant_scope(request.user.restaurant_id):
            row = ProviderAccount.objects.prefetch_related("terminals").get(pk=account_id)
            return Response(_shown(row), status=status)


class IssueViewSet(RestaurantViewSet):
    """What about money somebody has to look at."""

    permission_classes = [Manages]

    @extend_schema(parameters=[IssueFilterSerializer], responses=IssuePageSerializer)
    def list(self, request: Any, **kwargs: Any) -> Response:
        """Issues, newest first."""
        filters = IssueFilterSerializer.read(request.query_params.dict())
        rows = ReconciliationIssue.objects.all()
        if "open" in filters:
            rows = rows.filter(resolved_at__isnull=filters["open"])
        pages = CursorPagination()
        page = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response([issue_payload(row) for row in page or []])

    @extend_schema(request=SettleIssueSerializer, responses=IssueSerializer)
    def settle(self, request: Any, issue_id: Any, **kwargs: Any) -> Response:
        """Say how an issue was settled."""
        values = SettleIssueSerializer.read(request.data)
        return Response(issue_payload(settle_issue(issue_id, by=request.user, **values)))


def _shown(row: ProviderAccount) -> dict[str, Any]:
    return account_payload(row, webhook_address(row))
