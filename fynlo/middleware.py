"""What every response gets."""

import re
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.exceptions import ValidationError

from fynlo.api.cards import CardNumberRefused, refuse_card_numbers
from fynlo.api.exceptions import field_errors, problem_json
from fynlo.logs import begin_request, log_request
from fynlo.tenancy.fields import uuid7
from fynlo.validation import refuse_control_characters

GetResponse = Callable[[HttpRequest], HttpResponse]
SANE = re.compile("[A-Za-z0-9-]{8,64}")  # an id of a request that may go into logs


class RequestIdMiddleware:
    """Names each request, by the proxy's X-Request-ID where it is sane; answers with the name and logs it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if given and SANE.fullmatch(given) else uuid7().hex
        started = time.perf_counter()
        begin_request(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        if settings.LOG_REQUESTS:
            log_request(request, response.status_code, started)
        return response


class InputMiddleware:
    """Refuses, in addresses and in the forms of pages, what the API's parser refuses in bodies.

    Those are card numbers and control characters; and uploads that are too large are not read at all.
    """

    FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
    SECRETS = {"csrfmiddlewaretoken", "password", "password1", "password2"}

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        fields = list(request.GET.lists()) if request.META.get("QUERY_STRING") else []
        if request.method == "POST" and request.content_type in self.FORMS:
            if int(request.META.get("CONTENT_LENGTH") or 0) > settings.UPLOAD_MAX_BYTES:
                return self._refuse(request, 413, "too_large", "Too large", "This is too large to be taken.")
            fields += request.POST.lists()
        if not fields:
            return self.get_response(request)
        try:
            refuse_control_characters({name: "".join(values) for name, values in fields})
            refuse_card_numbers({name: values for name, values in fields if name not in self.SECRETS})
        except CardNumberRefused as refusal:
            title = "No card numbers, please"
            return self._refuse(request, refusal.status, refusal.code, title, refusal.message)
        except ValidationError as error:
            faults = list(field_errors(error.detail))
            detail = f"{faults[0]['field']}: {faults[0]['detail']}"
            return self._refuse(request, 400, "invalid", "Not valid", detail, errors=faults)
        return self.get_response(request)

    def _refuse(
        self, request: HttpRequest, status: int, code: str, title: str, detail: str, **members: Any
    ) -> HttpResponse:
        if request.path.startswith("/api/"):
            return problem_json(status, code, detail, members)
        return render(request, "error.html", {"title": title, "detail": detail}, status=status)


class ContentSecurityPolicyMiddleware:
    """No script, style or frame from anywhere else, and none inline."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        sockets = f" {settings.WEBSOCKET_URL}" if settings.WEBSOCKET_URL else ""
        pictures = f" {settings.MEDIA_ORIGIN}" if settings.MEDIA_ORIGIN else ""
        self.policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
            f"img-src 'self' data:{pictures}; connect-src 'self'{sockets}; "
            "manifest-src 'self'; worker-src 'self'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self.policy)
        return response
