"""Where payment providers tell us what happened. Answered once it is committed, and never before."""

import logging
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from fynlo.api.address import client_address
from fynlo.ratelimit import TooManyRequests, limit_address, too_many
from payments import metrics
from payments.errors import NoSuchAccount
from payments.providers import PROVIDERS
from payments.providers.errors import BadSignature, StaleWebhook
from payments.services import inbox
from payments.tasks import sweep_soon

logger = logging.getLogger(__name__)

MAX_BYTES = 256 * 1024


@csrf_exempt
@require_POST
def webhook(
    request: HttpRequest, provider: str, restaurant_id: int | None = None, public_id: UUID | None = None
) -> HttpResponse:
    """Store a provider's message: the platform's own, or that of one restaurant's account.

    2xx only after commit, so that the provider sends it again otherwise: 400 for a signature that is
    wrong or stale, 404 for an account nobody has, 413 above 256 KiB, 503 while the database is away.
    """
    if provider not in PROVIDERS:
        return _refuse(404, "There is no such provider.")
    if int(request.headers.get("Content-Length") or 0) > MAX_BYTES:
        metrics.WEBHOOKS.labels(provider, "too_large").inc()
        return _refuse(413, "Too large.")
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        received = inbox.receive(
            provider,
            headers=headers,
            raw=request.body,
            url=settings.BASE_URL + request.get_full_path(),  # as the provider knows it, proxies or not
            restaurant_id=restaurant_id,
            public_id=public_id,
        )
    except (inbox.UnknownAccount, NoSuchAccount):
        return _refuse(404, "There is no such account.")
    except BadSignature:
        logger.warning("A webhook of %s is not signed by it", provider)
        try:
            limit_address("unsigned webhooks", client_address(request))
        except TooManyRequests as refusal:
            return too_many(request, refusal)
        return _refuse(400, "The signature is wrong.")
    except StaleWebhook:
        return _refuse(400, "The signature is too old, or from the future.")
    except DatabaseError:
        logger.exception("A webhook of %s could not be stored", provider)
        return _refuse(503, "Try again.")
    if received.result == "ok":
        sweep_soon(received.restaurant_id)
    return HttpResponse(status=200)


def _refuse(status: int, detail: str) -> HttpResponse:
    return HttpResponse(detail, status=status, content_type="text/plain")
