"""Websockets only: `daphne fynlo.asgi:application` serves /ws/. HTTP goes to fynlo.wsgi.

SIGUSR1 lets its sockets go, a few at a time (see fynlo/ops/draining.py).
"""

import os
import signal
import threading

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fynlo.settings")
_http = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  (needs the apps loaded)
from daphne.ws_protocol import WebSocketProtocol  # type: ignore[import-untyped]  # noqa: E402

from fynlo.events.hub import hub  # noqa: E402
from fynlo.ops.draining import MOVE_SOCKETS  # noqa: E402
from fynlo.ops.metrics import serve_metrics  # noqa: E402
from fynlo.tenancy.checks import refuse_unsafe_role  # noqa: E402
from orders.routing import websocket_urlpatterns  # noqa: E402


def _close(self: WebSocketProtocol, code: int | None = None) -> None:
    """As daphne's, but for 1012, "service restart", which the library under it refuses to send."""
    self.sendCloseFrame(code=code or 1000)


WebSocketProtocol.serverClose = _close

refuse_unsafe_role()
if threading.current_thread() is threading.main_thread():
    signal.signal(MOVE_SOCKETS, lambda *_: hub.move_sockets())
serve_metrics()
application = ProtocolTypeRouter({"http": _http, "websocket": URLRouter(websocket_urlpatterns)})
