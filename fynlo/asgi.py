"""Websockets only: `daphne fynlo.asgi:application` serves /ws/. HTTP goes to fynlo.wsgi."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fynlo.settings")
_http = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  (needs the apps loaded)

from fynlo.tenancy.checks import refuse_unsafe_role  # noqa: E402
from orders.routing import websocket_urlpatterns  # noqa: E402

refuse_unsafe_role()
application = ProtocolTypeRouter({"http": _http, "websocket": URLRouter(websocket_urlpatterns)})
