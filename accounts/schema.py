"""How the OpenAPI document describes our tokens. Imported for its effect by apps.py."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from .cookies import COOKIE_NAME


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.TokenAuthentication"
    name = ["token", "device_cookie"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "The token from a sign-in, or the token of a joined device.",
            },
            {
                "type": "apiKey",
                "in": "cookie",
                "name": COOKIE_NAME,
                "description": "A screen's cookie. Counts only with the header `X-Requested-With: fynlo`.",
            },
        ]
