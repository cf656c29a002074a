"""The base of every view of a restaurant."""

from typing import Any, ClassVar

from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from fynlo.tenancy.scope import restaurant_scope

from . import idempotency


class RestaurantView(APIView):
    """One request enters one restaurant: the one in the URL, in one transaction.

    Every POST needs an Idempotency-Key unless the view says `idempotent = False` (sign-in, and what
    makes nothing).
    """

    idempotent: ClassVar[bool] = True
    _claim: idempotency.Claim | None = None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with restaurant_scope(kwargs["restaurant_id"]):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "POST" and self.idempotent:
            key = idempotency.read_key(request.headers.get("Idempotency-Key"))
            body = request._request.body
            fingerprint = idempotency.fingerprint("POST", request.path, body)
            self._claim = idempotency.claim(caller=request.user.caller_id, key=key, fingerprint=fingerprint)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self._claim and isinstance(response, Response) and response.status_code < 300:
            response.render()
            self._claim.finish(response.status_code, response.content, response.headers.get("ETag", ""))
        return response


class RestaurantViewSet(ViewSetMixin, RestaurantView):
    """The same for a set of actions on one kind of thing."""
