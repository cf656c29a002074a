"""Where a request comes from."""

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The caller's IP address, as the outermost of our own TRUSTED_PROXIES saw it.

    Each proxy appends to X-Forwarded-For, so what a caller wrote there itself stands further left and
    is never believed.
    """
    peer = str(request.META.get("REMOTE_ADDR") or "")
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    if not 0 < settings.TRUSTED_PROXIES <= len(hops):
        return peer
    return hops[-settings.TRUSTED_PROXIES] or peer
