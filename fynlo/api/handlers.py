"""What Django answers where no view did: problems below /api/, small pages elsewhere.

With ERROR_DETAIL_ENABLED=1, which production refuses, a 500 says which exception it was."""

import sys
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .exceptions import problem_json

PAGES = {
    400: ("bad_request", "Bad request", "The request could not be understood."),
    403: ("not_allowed", "Not allowed", "You may not see this page."),
    404: ("not_found", "Not found", "There is no such page."),
    500: ("server_error", "Something went wrong", "It has been reported. Please try again in a moment."),
}


def _answer(request: HttpRequest, status: int) -> HttpResponse:
    code, title, detail = PAGES[status]
    error = sys.exc_info()[1] if status == 500 and settings.ERROR_DETAIL else None
    if request.path.startswith("/api/"):
        members = {"exception": {"type": type(error).__name__, "text": str(error)}} if error else {}
        return problem_json(status, code, detail, members)
    if error:
        detail = f"{type(error).__name__}: {error}"
    return render(request, "error.html", {"title": title, "detail": detail}, status=status)


def bad_request(request: HttpRequest, exception: Any) -> HttpResponse:
    return _answer(request, 400)


def forbidden(request: HttpRequest, exception: Any = None, reason: str = "") -> HttpResponse:
    """Also the answer to a form without a valid CSRF token."""
    return _answer(request, 403)


def not_found(request: HttpRequest, exception: Any) -> HttpResponse:
    return _answer(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(request, 500)
