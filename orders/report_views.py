"""The reports, for managers and owners."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from accounts.permissions import Manages
from fynlo.api.views import RestaurantView
from restaurants.models import Restaurant

from .report_serializers import DAYS_MAX, PeriodSerializer, RevenueSerializer, TodaySerializer
from .reports import revenue_by_day, today_live

PERIOD = [
    OpenApiParameter("from", str, required=True, description="The first business day, as 2026-01-31."),
    OpenApiParameter("to", str, required=True, description=f"The last one, at most {DAYS_MAX} days on."),
]


class DailyRevenueView(RestaurantView):
    rate_group = "reports"
    permission_classes = [Manages]

    @extend_schema(parameters=PERIOD, responses=RevenueSerializer)
    def get(self, request: Any, restaurant_id: int, **kwargs: Any) -> Response:
        """What the closed orders of each business day came to; some seconds behind the tills."""
        period = PeriodSerializer.read(request.query_params.dict())
        days = revenue_by_day(period["from"], period["to"])
        totals = {
            name: sum(getattr(day, name) for day in days) for name in ("orders", "revenue_minor", "tax_minor")
        }
        currency = Restaurant.objects.values_list("currency", flat=True).get(pk=restaurant_id)
        return Response({"currency": currency, **totals, "days": [asdict(day) for day in days]})


class TodayView(RestaurantView):
    rate_group = "reports"
    permission_classes = [Manages]

    @extend_schema(responses=TodaySerializer)
    def get(self, request: Any, restaurant_id: int, **kwargs: Any) -> Response:
        """The business day up to this moment."""
        restaurant = Restaurant.objects.get(pk=restaurant_id)
        return Response({"currency": restaurant.currency, **today_live(restaurant).as_dict})
