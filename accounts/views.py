"""The API of sign-ins, the team and its devices."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from fynlo.api.address import client_address
from fynlo.api.pagination import CursorPagination
from fynlo.api.views import RestaurantView
from fynlo.logs import set_caller
from fynlo.ratelimit import limit
from fynlo.tenancy.scope import restaurant_scope

from . import serializers, services
from .errors import LockedOut
from .models import Device, Membership
from .permissions import IsDevice, IsStaff, IsStaffOrDevice, Manages, manages
from .staff import Staff


def valid(serializer: type[Serializer], request: Any) -> dict[str, Any]:
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


class ByName(CursorPagination):
    ordering = "name"
    page_size = 200


class RecordsLockout(RestaurantView):
    """A view that tells the restaurant of a lock-out after the refused request was rolled back."""

    locked_out: UUID | None = None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        if self.locked_out:
            with restaurant_scope(kwargs["restaurant_id"]):
                services.record_lockout(self.locked_out)
        return response

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, LockedOut):
            self.locked_out = exc.membership_id
        return super().handle_exception(exc)


# Signing in


@extend_schema(tags=["sign-in"])
class PasswordSignInView(APIView):
    """By e-mail address and password, for people; there is no restaurant in the URL.

    Whoever works in several restaurants and names none is refused with `restaurant_required` (409)
    and the list of them as `restaurants`, each with `id` and `name`.
    """

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="sign_in",
        summary="Sign a person in by password",
        request=serializers.PasswordSignInSerializer,
        responses=serializers.SignedInSerializer,
        auth=[],
    )
    def post(self, request: Any) -> Response:
        fields = valid(serializers.PasswordSignInSerializer, request)
        signed_in = services.sign_in_with_password(**fields, address=client_address(request))
        set_caller(signed_in.staff)
        return Response(serializers.SignedInSerializer(signed_in).data)


@extend_schema(tags=["sign-in"])
class SupabaseSignInView(APIView):
    """By a session at Supabase, where the installation uses it; 404 elsewhere.

    The person is found by the e-mail address that Supabase has verified, and must be in the team already.
    """

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="sign_in_by_supabase",
        summary="Sign a person in by their session at Supabase",
        request=serializers.SupabaseSignInSerializer,
        responses=serializers.SignedInSerializer,
        auth=[],
    )
    def post(self, request: Any) -> Response:
        fields = valid(serializers.SupabaseSignInSerializer, request)
        signed_in = services.sign_in_with_supabase(**fields, address=client_address(request))
        set_caller(signed_in.staff)
        return Response(serializers.SignedInSerializer(signed_in).data)


@extend_schema(tags=["sign-in"])
class PinSignInView(RecordsLockout):
    """On a joined device, with the device's own token. The answer says until when the sign-in counts."""

    permission_classes = [IsDevice]
    idempotent = False

    @extend_schema(
        operation_id="sign_in_by_pin",
        summary="Sign a member in by PIN on a joined device",
        request=serializers.PinSignInSerializer,
        responses=serializers.SignedInSerializer,
    )
    def post(self, request: Any, restaurant_id: int) -> Response:
        limit("pin", str(request.user.device_id))
        fields = valid(serializers.PinSignInSerializer, request)
        signed_in = services.sign_in_with_pin(request.user, **fields, address=client_address(request))
        set_caller(signed_in.staff)
        return Response(serializers.SignedInSerializer(signed_in).data)


@extend_schema(tags=["sign-in"])
class SignOutView(RestaurantView):
    """The token counts no more from now on."""

    permission_classes = [IsStaff]
    idempotent = False

    @extend_schema(operation_id="sign_out", summary="End this sign-in", request=None, responses={204: None})
    def post(self, request: Any, restaurant_id: int) -> Response:
        services.sign_out(request.user)
        return Response(status=204)


@extend_schema(tags=["sign-in"])
class MeView(RestaurantView):
    """What a till asks first when it starts."""

    permission_classes = [IsStaffOrDevice]

    @extend_schema(
        operation_id="who_am_i",
        summary="Who the token belongs to, and where",
        responses=serializers.MeSerializer,
    )
    def get(self, request: Any, restaurant_id: int) -> Response:
        found: dict[str, Any] = {"staff": None, "device": None}
        if request.user.device_id:
            device = Device.objects.select_related("restaurant").get(pk=request.user.device_id)
            found |= {"device": device, "restaurant": device.restaurant}
        if isinstance(request.user, Staff):
            member = Membership.objects.select_related("restaurant").get(pk=request.user.membership_id)
            found |= {"staff": member, "restaurant": member.restaurant}
        return Response(serializers.MeSerializer(found).data)


# The team


@extend_schema(tags=["staff"])
class StaffListView(RestaurantView, ListAPIView):
    """Anybody signed in and any joined device sees names and roles. A new member's PIN is set afterwards."""

    serializer_class = serializers.StaffSerializer
    pagination_class = ByName

    def get_permissions(self) -> list[Any]:
        return [Manages()] if self.request.method == "POST" else [IsStaffOrDevice()]

    def get_queryset(self) -> QuerySet[Membership]:
        team = Membership.objects.select_related("user")
        return team if manages(self.request.user) else team.filter(is_active=True)

    @extend_schema(
        operation_id="list_staff",
        summary="The team by name; without those who left unless you manage",
    )
    def get(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="add_staff",
        summary="Add somebody to the team",
        request=serializers.CreateStaffSerializer,
        responses={201: serializers.StaffSerializer},
    )
    def post(self, request: Any, restaurant_id: int) -> Response:
        fields = valid(serializers.CreateStaffSerializer, request)
        member = services.create_membership(**fields, by=request.user)
        return Response(self.get_serializer(member).data, status=201)


@extend_schema(tags=["staff"])
class StaffView(RestaurantView):
    """A manager may not change an owner, and the last active owner stays one."""

    permission_classes = [Manages]

    @extend_schema(
        operation_id="change_staff",
        summary="Change a member's name, role, address or whether they work here",
        request=serializers.ChangeStaffSerializer,
        responses=serializers.StaffSerializer,
    )
    def patch(self, request: Any, restaurant_id: int, membership_id: UUID) -> Response:
        fields = valid(serializers.ChangeStaffSerializer, request)
        member = services.update_membership(membership_id, **fields, by=request.user)
        return Response(serializers.StaffSerializer(member, context={"request": request}).data)


@extend_schema(tags=["staff"])
class PinView(RecordsLockout):
    """Four to eight digits, for signing in on a joined device."""

    permission_classes = [IsStaff]

    @extend_schema(
        operation_id="set_pin",
        summary="Set a member's PIN: one's own with the current one, or anybody's if you manage",
        request=serializers.SetPinSerializer,
        responses={204: None},
    )
    def put(self, request: Any, restaurant_id: int, membership_id: UUID) -> Response:
        fields = valid(serializers.SetPinSerializer, request)
        services.set_pin(membership_id, **fields, by=request.user, address=client_address(request))
        return Response(status=204)


# Devices


@extend_schema(tags=["devices"])
class DeviceListView(RestaurantView, ListAPIView):
    """Tills and kitchen screens. A new one comes with a code to type on it, once and within 10 minutes."""

    permission_classes = [Manages]
    serializer_class = serializers.DeviceSerializer
    pagination_class = ByName
    idempotent = False  # the answer holds a secret

    def get_queryset(self) -> QuerySet[Device]:
        return Device.objects.all()

    @extend_schema(operation_id="list_devices", summary="The tills and screens by name")
    def get(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_device",
        summary="Make a place for a till or screen, with a code to join by",
        request=serializers.CreateDeviceSerializer,
        responses={201: serializers.JoinCodeSerializer},
    )
    def post(self, request: Any, restaurant_id: int) -> Response:
        fields = valid(serializers.CreateDeviceSerializer, request)
        device, code = services.create_device(**fields, by=request.user)
        return Response(
            serializers.JoinCodeSerializer({"device": device, "join_code": code}).data, status=201
        )


@extend_schema(tags=["devices"])
class JoinDeviceView(RestaurantView):
    """Needs no token, only a code that a manager made. The answer's token is shown this once."""

    authentication_classes = []
    permission_classes = [AllowAny]
    idempotent = False

    @extend_schema(
        operation_id="join_device",
        summary="Join a till or screen by its code",
        request=serializers.JoinDeviceSerializer,
        responses=serializers.JoinedSerializer,
        auth=[],
    )
    def post(self, request: Any, restaurant_id: int) -> Response:
        fields = valid(serializers.JoinDeviceSerializer, request)
        device, token = services.join_device(**fields, address=client_address(request))
        return Response(serializers.JoinedSerializer({"device": device, "token": token}).data)


@extend_schema(tags=["devices"])
class DeviceView(RestaurantView):
    """One till or screen."""

    permission_classes = [Manages]

    @extend_schema(
        operation_id="rename_device",
        summary="Rename a device",
        request=serializers.RenameDeviceSerializer,
        responses=serializers.DeviceSerializer,
    )
    def patch(self, request: Any, restaurant_id: int, device_id: UUID) -> Response:
        fields = valid(serializers.RenameDeviceSerializer, request)
        device = services.rename_device(device_id, **fields, by=request.user)
        return Response(serializers.DeviceSerializer(device).data)


@extend_schema(tags=["devices"])
class DeviceCodeView(RestaurantView):
    """What is joined stays so until the new code is used."""

    permission_classes = [Manages]
    idempotent = False  # the answer holds a secret

    @extend_schema(
        operation_id="renew_join_code",
        summary="A new code for a device whose code lapsed, or that is replaced",
        request=None,
        responses=serializers.JoinCodeSerializer,
    )
    def post(self, request: Any, restaurant_id: int, device_id: UUID) -> Response:
        device, code = services.renew_join_code(device_id, by=request.user)
        return Response(serializers.JoinCodeSerializer({"device": device, "join_code": code}).data)


@extend_schema(tags=["devices"])
class RevokeDeviceView(RestaurantView):
    """For a device that is lost, sold or replaced. A new code lets it join again."""

    permission_classes = [Manages]

    @extend_schema(
        operation_id="revoke_device",
        summary="Stop trusting a device, and sign out everybody on it",
        request=None,
        responses=serializers.DeviceSerializer,
    )
    def post(self, request: Any, restaurant_id: int, device_id: UUID) -> Response:
        device = services.revoke_device(device_id, by=request.user)
        return Response(serializers.DeviceSerializer(device).data)
