"""Websockets."""

from typing import Any

from django.urls import path, re_path

import fynlo.api.converters  # noqa: F401  (registers <restaurant_id:…>)

from .consumers import KitchenConsumer, NoSuchSocket

kitchen: Any = KitchenConsumer.as_asgi()
nothing: Any = NoSuchSocket.as_asgi()

websocket_urlpatterns = [
    path("ws/v1/restaurants/<restaurant_id:restaurant_id>/kitchen", kitchen),
    re_path("", nothing),
]
