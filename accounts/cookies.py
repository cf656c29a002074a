"""The cookie by which a browser's screen, such as the kitchen page, stays joined."""

from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, parse_cookie

from fynlo.tenancy.scope import restaurant_scope

from .identity import DeviceRevoked, identify
from .staff import JoinedDevice
from .tokens import DeviceToken, InvalidToken, read_token

# With __Host- a browser takes the cookie only over HTTPS, for this very host and from nobody beside it.
COOKIE_NAME = "__Host-fynlo_device" if settings.PRODUCTION else "fynlo_device"
MAX_AGE_SECONDS = 400 * 24 * 60 * 60  # as long as browsers keep any: a screen must not sign itself out

Headers = Iterable[tuple[bytes, bytes]]


def set_device_cookie(response: HttpResponseBase, token: str) -> None:
    response.set_cookie(
        COOKIE_NAME,
        token,
        max_age=MAX_AGE_SECONDS,
        secure=settings.PRODUCTION,
        httponly=True,
        samesite="Strict",
    )


def delete_device_cookie(response: HttpResponseBase) -> None:
    response.delete_cookie(COOKIE_NAME, samesite="Strict")


def read_device_cookie(source: HttpRequest | Headers) -> str | None:
    """The device token in a request, or in the headers of an ASGI scope."""
    if isinstance(source, HttpRequest):
        return source.COOKIES.get(COOKIE_NAME) or None
    header = b"; ".join(value for name, value in source if name == b"cookie")
    return parse_cookie(header.decode("latin-1")).get(COOKIE_NAME) or None


def identify_cookie(source: HttpRequest | Headers) -> JoinedDevice | None:
    """The screen whose cookie this is, or None where there is none or it does not count any more.

    Looks in a scope of its own, so call it outside of any. Raises RestaurantSuspended.
    """
    try:
        named = read_token(read_device_cookie(source) or "")
    except InvalidToken:
        return None
    if not isinstance(named, DeviceToken):
        return None
    with restaurant_scope(named.restaurant_id):
        try:
            caller = identify(named)
        except DeviceRevoked:
            return None
    return caller if isinstance(caller, JoinedDevice) else None
