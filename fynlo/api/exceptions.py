"""Every error of the API as `application/problem+json` (RFC 9457)."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import IntegrityError, OperationalError, transaction
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error

from fynlo.errors import DomainError
from fynlo.logs import current_request_id

from .idempotency import Replay

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

TITLES = {
    400: "Bad request",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    428: "If-Match required",
    429: "Too many requests",
    500: "Server error",
    503: "Try again later",
    507: "No room left",
}
# A lock wait, a statement time-out, a serialisation failure, a deadlock.
BUSY_SQLSTATES = {"55P03", "57014", "40001", "40P01"}


def problem(status: int, code: str, detail: str, **members: Any) -> dict[str, Any]:
    """The members of a problem document."""
    body = {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "code": code}
    return {**body, "detail": detail, "request_id": current_request_id(), **members}


def problem_json(
    status: int, code: str, detail: str, members: Mapping[str, Any] | None = None, /, **headers: str
) -> HttpResponse:
    """A problem as an answer, for where DRF does not reach."""
    body = orjson.dumps(problem(status, code, detail, **(members or {})))
    return HttpResponse(body, status=status, content_type=PROBLEM_TYPE, headers=headers)


def field_errors(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Flatten DRF's nested error detail to one entry per fault: {"field", "code", "detail"}."""
    if isinstance(detail, dict):
        for key, value in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from field_errors(value, ".".join(part for part in (path, name) if part))
    elif isinstance(detail, list):
        for index, value in enumerate(detail):
            nested = isinstance(value, dict | list)
            yield from field_errors(value, f"{path}.{index}" if nested else path)
    else:
        yield {"field": path, "code": getattr(detail, "code", None) or "invalid", "detail": str(detail)}


def _validation(error: exceptions.ValidationError) -> dict[str, Any]:
    errors = list(field_errors(error.detail))
    first = errors[0]
    detail = f"{first['field']}: {first['detail']}" if first["field"] else first["detail"]
    return problem(400, "invalid", detail, errors=errors)


def _domain(error: DomainError) -> dict[str, Any]:
    members = dict(error.extra)
    if error.field:
        members["errors"] = [{"field": error.field, "code": error.code, "detail": error.message}]
    return problem(error.status, error.code, error.message, **members)


def describe(error: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The problem and headers for an exception, or None for a fault of ours."""
    headers: dict[str, str] = {}
    match error:
        case DomainError():
            if error.retry_after:
                headers["Retry-After"] = str(error.retry_after)
            return _domain(error), headers
        case exceptions.ValidationError():
            return _validation(error), headers
        case ModelValidationError():
            return _validation(exceptions.ValidationError(as_serializer_error(error))), headers
        case Http404():
            return problem(404, "not_found", "There is no such thing here."), headers
        case PermissionDenied():
            return problem(403, "not_allowed", "Your role does not allow this."), headers
        case RequestDataTooBig():
            return problem(413, "too_large", "The request body is too large."), headers
        case exceptions.APIException():
            if wait := getattr(error, "wait", None):
                headers["Retry-After"] = str(int(wait) + 1)
            if challenge := getattr(error, "auth_header", None):
                headers["WWW-Authenticate"] = challenge
            codes = error.get_codes()
            code = codes if isinstance(codes, str) else error.default_code
            return problem(error.status_code, code, str(error.detail)), headers
        case OperationalError() if getattr(error.__cause__, "sqlstate", None) in BUSY_SQLSTATES:
            return problem(503, "busy", "The restaurant is busy just now; try again."), {"Retry-After": "1"}
        case IntegrityError():
            # The last line behind the services' own checks: a race that a constraint decided.
            logger.warning("A database constraint refused a request: %s", error)
            return problem(409, "conflict", "This contradicts what is stored already."), headers
    return None


def problem_response(error: Exception, context: dict[str, Any]) -> Response | HttpResponse | None:
    """DRF's exception handler. A refused request leaves nothing behind."""
    if isinstance(error, Replay):
        response = HttpResponse(error.body, status=error.status, content_type="application/json")
        response["Idempotency-Replayed"] = "true"
        if error.etag:
            response["ETag"] = error.etag
        return response
    if transaction.get_connection().in_atomic_block:
        transaction.set_rollback(True)
    described = describe(error)
    if described is None:
        return None
    body, headers = described
    return Response(body, status=body["status"], headers=headers, content_type=PROBLEM_TYPE)
