"""What every response gets."""

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fynlo.api.cards import CardNumberRefused, refuse_card_numbers
from fynlo.api.exceptions import problem_json
from fynlo.logs import set_request_id
from fynlo.tenancy.fields import uuid7

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Names each request, by the proxy's X-Request-ID where it is sane, and answers with the name."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if re.fullmatch(r"[A-Za-z0-9-]{8,64}", given) else uuid7().hex
        set_request_id(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class CardNumberMiddleware:
    """Refuses card numbers in addresses and in the forms of pages; the API's parser does so in bodies."""

    FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
    SECRETS = {"csrfmiddlewaretoken", "password", "password1", "password2"}

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        fields = list(request.GET.lists()) if request.META.get("QUERY_STRING") else []
        if request.method == "POST" and request.content_type in self.FORMS:
            fields += [field for field in request.POST.lists() if field[0] not in self.SECRETS]
        try:
            refuse_card_numbers(dict(fields))
        except CardNumberRefused as refusal:
            return self._refuse(request, refusal)
        return self.get_response(request)

    def _refuse(self, request: HttpRequest, refusal: CardNumberRefused) -> HttpResponse:
        if request.path.startswith("/api/"):
            return problem_json(refusal.status, refusal.code, refusal.message)
        page = {"title": "No card numbers, please", "detail": refusal.message}
        return render(request, "error.html", page, status=refusal.status)


class ContentSecurityPolicyMiddleware:
    """No script, style or frame from anywhere else, and none inline."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        sockets = f" {settings.WEBSOCKET_URL}" if settings.WEBSOCKET_URL else ""
        self.policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
            f"connect-src 'self'{sockets}; manifest-src 'self'; worker-src 'self'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self.policy)
        return response
