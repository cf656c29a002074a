"""The base of every view of a restaurant."""

import logging
from typing import Any, ClassVar

from django.db import OperationalError
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from fynlo.tenancy.scope import restaurant_scope

from . import idempotency
from .exceptions import problem_json

logger = logging.getLogger(__name__)


class RestaurantView(APIView):
    """One request enters one restaurant: the one in the URL, in one transaction.

    Every POST needs an Idempotency-Key unless the view says `idempotent = False` (sign-in, and what
    makes nothing).
    """

    idempotent: ClassVar[bool] = True
    _claim: idempotency.Claim | None = None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            with restaurant_scope(kwargs["restaurant_id"]):
                return super().dispatch(request, *args, **kwargs)
        except OperationalError:  # on the way in or at COMMIT; inside, problem_response answers
            logger.exception("The database did not carry a request through")
            detail = "This could not be saved just now; send the same request again."
            return problem_json(503, "unavailable", detail, **{"Retry-After": "1"})

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
