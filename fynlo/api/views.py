"""The base of every view of a restaurant."""

import logging
from typing import Any, ClassVar

from django.db import OperationalError, transaction
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from fynlo.logs import set_caller
from fynlo.ratelimit import limit_caller
from fynlo.tenancy.scope import bind_restaurant, restaurant_scope

from . import idempotency
from .exceptions import problem_json

logger = logging.getLogger(__name__)


class RestaurantView(APIView):
    """One request enters one restaurant: the one in the URL, in one transaction.

    Every POST needs an Idempotency-Key unless the view says `idempotent = False` (sign-in, and what
    makes nothing).

    A view that has a provider asked over the network says `in_transaction = False`: its services open
    their own, before and after. The ids in its bodies tell a repeat; the key has to be there all the same,
    but no answer is stored under it, since the answer is what has become of the payment by now.
    """

    idempotent: ClassVar[bool] = True
    rate_group: ClassVar[str] = "api"  # of fynlo.ratelimit.LIMITS
    in_transaction: ClassVar[bool] = True
    _claim: idempotency.Claim | None = None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        enter = restaurant_scope if self.in_transaction else bind_restaurant
        try:
            with enter(kwargs["restaurant_id"]):
                return super().dispatch(request, *args, **kwargs)
        except OperationalError:  # on the way in or at COMMIT; inside, problem_response answers
            logger.exception("The database did not carry a request through")
            detail = "This could not be saved just now; send the same request again."
            return problem_json(503, "unavailable", detail, **{"Retry-After": "1"})

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic(savepoint=False):
            super().initial(request, *args, **kwargs)
        if request.user:
            set_caller(request.user)
            limit_caller(request.user, self.rate_group)
        if request.method == "POST" and self.idempotent:
            key = idempotency.read_key(request.headers.get("Idempotency-Key"))
            if not self.in_transaction:
                return
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
