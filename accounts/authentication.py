"""Who is calling: `Authorization: Bearer <staff token or device token>`, or a screen's cookie."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import PermissionDenied

from fynlo.api.address import client_address
from fynlo.ratelimit import limit_address

from .cookies import read_device_cookie
from .errors import RestaurantSuspended
from .identity import DeviceRevoked, SignInAgain, identify
from .staff import JoinedDevice, Staff
from .tokens import InvalidToken, read_token

__all__ = [
    "DeviceRevoked",
    "RestaurantSuspended",
    "SignInAgain",
    "TokenAuthentication",
    "WrongRestaurant",
    "identify",
]


class WrongRestaurant(PermissionDenied):
    default_code = "wrong_restaurant"
    default_detail = "This token is for another restaurant."


class TokenAuthentication(BaseAuthentication):
    """Tokens of staff and of devices, for the restaurant in the URL and no other.

    A browser's screen may send its device cookie instead, with `X-Requested-With: fynlo`: no other
    site's page can make a browser send that header, so none can act in the screen's name.
    """

    def authenticate_header(self, request: Any) -> str:
        return "Bearer"

    def authenticate(self, request: Any) -> tuple[Staff | JoinedDevice, str] | None:
        token = self.find_token(request)
        if token is None:
            return None
        try:
            named = read_token(token)
            if named.restaurant_id != request.parser_context["kwargs"].get("restaurant_id"):
                raise WrongRestaurant
            return identify(named), token
        except (InvalidToken, SignInAgain, DeviceRevoked, WrongRestaurant) as error:
            limit_address("refused tokens", client_address(request))
            if isinstance(error, InvalidToken):
                raise SignInAgain from error
            raise

    def find_token(self, request: Any) -> str | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme:
            return token.strip() if scheme.lower() == "bearer" else None
        if request.headers.get("X-Requested-With") == "fynlo":
            return read_device_cookie(request._request)
        return None
