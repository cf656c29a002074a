"""The API of a restaurant, its floor and its menu."""

import gzip
import re
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse, HttpResponseNotModified
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view, inline_serializer
from rest_framework import serializers as drf
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.response import Response

from accounts.models import Device
from accounts.permissions import IsStaff, IsStaffOrDevice, Manages
from accounts.staff import JoinedDevice
from fynlo.api.pagination import CursorPagination
from fynlo.api.parsers import PictureParser
from fynlo.api.views import RestaurantView, RestaurantViewSet
from fynlo.errors import InvalidInput, NotFound

from . import models, serializers, services
from .menu import current_edition, render_menu
from .payloads import HANGING, restaurant_payload, row_payload

WANTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


class CooksOrStaff(BasePermission):
    """Anyone signed in, or a kitchen screen on its own."""

    def has_permission(self, request: Any, view: Any) -> bool:
        caller = request.user
        is_screen = isinstance(caller, JoinedDevice) and caller.kind == Device.Kind.KITCHEN
        return is_screen or IsStaff().has_permission(request, view)


class ReadsOrManages(BasePermission):
    """Anyone signed in and any joined device reads; managers and owners change."""

    def has_permission(self, request: Any, view: Any) -> bool:
        needed = IsStaffOrDevice if request.method in SAFE_METHODS else Manages
        return needed().has_permission(request, view)


@extend_schema(tags=["menu"])
class MenuView(RestaurantView):
    """The whole menu in one document, as it is today."""

    permission_classes = [IsStaffOrDevice]

    @extend_schema(
        operation_id="get_menu",
        summary="The menu; 304 while nothing has changed",
        parameters=[
            OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="The ETag last seen.")
        ],
        responses={200: serializers.MenuSerializer, 304: None},
    )
    def get(self, request: Any, restaurant_id: int) -> HttpResponse:
        edition = current_edition()
        unchanged = get_conditional_response(request, etag=edition.etag)
        if isinstance(unchanged, HttpResponseNotModified):
            return _headed(unchanged, edition.etag)
        edition, body = render_menu(edition)
        if WANTS_GZIP.search(request.headers.get("Accept-Encoding", "")):
            response = HttpResponse(body, content_type="application/json")
            response["Content-Encoding"] = "gzip"
        else:
            response = HttpResponse(gzip.decompress(body), content_type="application/json")
        return _headed(response, edition.etag)


def _headed(response: HttpResponse, etag: str) -> HttpResponse:
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"  # keep it, but ask each time
    response["Vary"] = "Accept-Encoding, Authorization"
    return response


@extend_schema(tags=["restaurant"])
class RestaurantDetailsView(RestaurantView):
    """A restaurant's name, address, VAT number, zone and times."""

    permission_classes = [ReadsOrManages]

    @extend_schema(
        operation_id="get_restaurant",
        summary="The restaurant's details",
        responses=serializers.RestaurantSerializer,
    )
    def get(self, request: Any, restaurant_id: int) -> Response:
        return Response(restaurant_payload(models.Restaurant.objects.get(pk=restaurant_id)))

    @extend_schema(
        operation_id="change_restaurant",
        summary="Change the restaurant's details",
        request=serializers.RestaurantSerializer,
        responses=serializers.RestaurantSerializer,
    )
    def patch(self, request: Any, restaurant_id: int) -> Response:
        changes = serializers.RestaurantSerializer.read_changes(request.data)
        return Response(restaurant_payload(services.update_restaurant(changes, by=request.user)))


class _SoldOutView(RestaurantView):
    """86. Saying it again changes nothing; orders for it are refused from now on."""

    permission_classes = [CooksOrStaff]
    model: ClassVar[Any]

    def post(self, request: Any, restaurant_id: int, row_id: UUID) -> Response:
        values = serializers.SoldOutSerializer.read(request.data)
        row = services.set_sold_out(self.model, row_id, **values, by=request.user)
        return Response({"id": row.pk, "name": row.name, "is_sold_out": row.is_sold_out})


def _sold_out(what: str) -> Callable[[Any], Any]:
    return extend_schema(
        tags=["menu"],
        operation_id=f"set_{what}_sold_out",
        summary=f"86 {'an' if what == 'item' else 'a'} {what}, or put it back",
        request=serializers.SoldOutSerializer,
        responses=serializers.SoldOutSerializer,
    )


@extend_schema_view(post=_sold_out("item"))
class ItemSoldOutView(_SoldOutView):
    model = models.MenuItem


@extend_schema_view(post=_sold_out("modifier"))
class ModifierSoldOutView(_SoldOutView):
    model = models.Modifier


@extend_schema(tags=["menu"])
class ItemPhotoView(RestaurantView):
    """The picture that an item is shown by. Storing it may go over a network: no transaction waits for it."""

    permission_classes = [Manages]
    parser_classes = [PictureParser]
    in_transaction = False

    @extend_schema(
        operation_id="set_item_photo",
        summary="Give an item a picture: JPEG, PNG or WebP, at most 5 MB and 25 megapixels",
        request={f"image/{kind}": OpenApiTypes.BINARY for kind in ("jpeg", "png", "webp")},
        responses=serializers.ItemSerializer,
    )
    def put(self, request: Any, restaurant_id: int, row_id: UUID) -> Response:
        if not isinstance(request.data, bytes):
            raise InvalidInput("Send the picture as the body.", field="photo")
        return Response(row_payload(services.set_photo(row_id, request.data, by=request.user)))

    @extend_schema(
        operation_id="remove_item_photo", summary="Take an item's picture away", responses={204: None}
    )
    def delete(self, request: Any, restaurant_id: int, row_id: UUID) -> Response:
        services.remove_photo(row_id, by=request.user)
        return Response(status=204)


class RowViewSet(RestaurantViewSet):
    """List, make, read, change and delete rows of one kind."""

    permission_classes = [ReadsOrManages]
    model: ClassVar[Any]
    serializer: ClassVar[type[serializers.RowSerializer]]

    def list(self, request: Any, restaurant_id: int) -> Response:
        rows = self.model.objects.prefetch_related(*filter(None, [HANGING.get(self.model)]))
        pages = CursorPagination()
        page: Any = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response([row_payload(row) for row in page])

    def create(self, request: Any, restaurant_id: int) -> Response:
        row = services.save_row(self.model(), self.serializer.read(request.data), by=request.user)
        return Response(row_payload(row), status=201)

    def retrieve(self, request: Any, restaurant_id: int, row_id: UUID) -> Response:
        return Response(row_payload(self.find(row_id)))

    def partial_update(self, request: Any, restaurant_id: int, row_id: UUID) -> Response:
        row = self.find(row_id)
        changes = self.serializer.read_changes(request.data)
        return Response(row_payload(services.save_row(row, changes, by=request.user)))

    def destroy(self, request: Any, restaurant_id: int, row_id: UUID) -> Response:
        row = self.find(row_id)
        if services.delete_row(row, by=request.user):
            return Response(status=204)
        return Response(row_payload(row))

    def find(self, row_id: UUID) -> Any:
        row = self.model.objects.filter(pk=row_id).first()
        if row is None:
            raise NotFound
        return row


def _described(one: str, many: str, tag: str, serializer: Any) -> Callable[[Any], Any]:
    """Names and describes the five operations of a RowViewSet."""
    a = "an" if one[0] in "aeiou" else "a"
    page = inline_serializer(
        f"{serializer.__name__.removesuffix('Serializer')}Page",
        {
            "next": drf.URLField(allow_null=True),
            "previous": drf.URLField(allow_null=True),
            "results": serializer(many=True),
        },
    )
    paging = [
        OpenApiParameter("cursor", str, description="From `next` or `previous` of a page."),
        OpenApiParameter("page_size", int, description="Up to 200."),
    ]

    def operation(verb: str, name: str, summary: str, **schema: Any) -> Any:
        operation_id = f"{verb} {name}".replace(" ", "_")
        return extend_schema(tags=[tag], operation_id=operation_id, summary=summary, **schema)

    return extend_schema_view(
        list=operation("list", many, f"The {many}, newest first", parameters=paging, responses=page),
        create=operation("create", one, f"Make {a} {one}", request=serializer, responses={201: serializer}),
        retrieve=operation("get", one, f"One {one}", responses=serializer),
        partial_update=operation(
            "change", one, f"Change {a} {one}", request=serializer, responses=serializer
        ),
        destroy=operation(
            "delete",
            one,
            f"Delete {a} {one} that nothing uses",
            responses={200: serializer, 204: None} if "is_active" in serializer().fields else {204: None},
        ),
    )


@_described("category", "categories", "menu", serializers.CategorySerializer)
class CategoryViewSet(RowViewSet):
    model = models.MenuCategory
    serializer = serializers.CategorySerializer


@_described("item", "items", "menu", serializers.ItemSerializer)
class ItemViewSet(RowViewSet):
    model = models.MenuItem
    serializer = serializers.ItemSerializer


@_described("modifier group", "modifier groups", "menu", serializers.ModifierGroupSerializer)
class ModifierGroupViewSet(RowViewSet):
    model = models.ModifierGroup
    serializer = serializers.ModifierGroupSerializer


@_described("tax class", "tax classes", "menu", serializers.TaxClassSerializer)
class TaxClassViewSet(RowViewSet):
    model = models.TaxClass
    serializer = serializers.TaxClassSerializer


@_described("station", "stations", "restaurant", serializers.StationSerializer)
class StationViewSet(RowViewSet):
    model = models.KitchenStation
    serializer = serializers.StationSerializer


@_described("floor", "floors", "restaurant", serializers.RoomSerializer)
class FloorViewSet(RowViewSet):
    model = models.Floor
    serializer = serializers.RoomSerializer


@_described("table", "tables", "restaurant", serializers.TableSerializer)
class TableViewSet(RowViewSet):
    model = models.Table
    serializer = serializers.TableSerializer
