"""Reports of a business day, and its closing."""

import datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from accounts.permissions import Manages
from fynlo.api.pagination import CursorPagination
from fynlo.api.views import RestaurantView
from payments.errors_cash import NoSuchDay
from payments.models import DayClose
from payments.payloads_cash import z_payload
from payments.serializers.days import (
    CloseDaySerializer,
    DayClosePageSerializer,
    DayCloseSerializer,
    DayReportSerializer,
    DaysSerializer,
    ReportSerializer,
)
from payments.services.day import close_day, x_report

DAY = OpenApiParameter("day", datetime.date, OpenApiParameter.PATH, description="The business date.")


class XReportView(RestaurantView):
    permission_classes = [Manages]

    @extend_schema(parameters=[ReportSerializer], responses=DayReportSerializer)
    def get(self, request: Any, **kwargs: Any) -> Response:
        """What a business day comes to as it stands. Looking changes nothing."""
        filters = ReportSerializer.read(request.query_params.dict())
        return Response(x_report(filters.get("business_date")))


class CloseDayView(RestaurantView):
    permission_classes = [Manages]

    @extend_schema(
        parameters=[DAY],
        request=CloseDaySerializer,
        responses={201: DayCloseSerializer, 200: DayCloseSerializer},
    )
    def post(self, request: Any, day: datetime.date, **kwargs: Any) -> Response:
        """Close a business day with its Z report; nothing of the day changes after that.

        Refused while something stands open (`bill_open`, `payment_unknown`, `drawer_uncounted`; `open` lists
        it all) unless it is signed for. Answers 200 with the report where the day was closed before.
        """
        closed = close_day(day, by=request.user, **CloseDaySerializer.read(request.data))
        return Response(z_payload(closed), status=200 if closed.is_repeat else 201)


class DayListView(RestaurantView):
    permission_classes = [Manages]

    @extend_schema(
        operation_id="list_closed_days", parameters=[DaysSerializer], responses=DayClosePageSerializer
    )
    def get(self, request: Any, **kwargs: Any) -> Response:
        """The Z reports, newest first."""
        DaysSerializer.read(request.query_params.dict())
        pages = CursorPagination()
        page = pages.paginate_queryset(DayClose.objects.select_related("closed_by"), request, view=self)
        return pages.get_paginated_response([z_payload(closed) for closed in page or []])


class DayView(RestaurantView):
    permission_classes = [Manages]

    @extend_schema(operation_id="get_closed_day", parameters=[DAY], responses=DayCloseSerializer)
    def get(self, request: Any, day: datetime.date, **kwargs: Any) -> Response:
        """The Z report of a day, as it was made."""
        closed = DayClose.objects.select_related("closed_by").filter(business_date=day).first()
        if closed is None:
            raise NoSuchDay
        return Response(z_payload(closed))
