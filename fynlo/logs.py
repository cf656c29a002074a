"""Log lines carry the request, the restaurant and the member, and nothing personal.

With LOG_FORMAT=json each request leaves one line of its own, written past `logging`, whose ways would cost
a fiftieth of an order. nginx logs the same request by the same id; it knows the outside, this the inside.
"""

import contextvars
import datetime
import json
import logging
import os
import re
import time
from typing import Any

import orjson
from django.http import HttpRequest

from fynlo.api.cards import redact_card_numbers
from fynlo.tenancy.scope import current_restaurant_id

_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_caller: contextvars.ContextVar[Any] = contextvars.ContextVar("caller", default=None)

STDERR = 2
# What somebody looks after once every few seconds, and only wants to know of when it fails.
PROBES = {"health/live", "health"}
HIDDEN = [
    (re.compile(r"[\w.+%-]+@[\w-]+\.[\w.-]*\w"), "[e-mail]"),
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+"), r"\1 [token]"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "[token]"),
    (re.compile(r"\bfyd\.(\d+)\.[\w-]+"), r"fyd.\1.[token]"),
    (re.compile(r"(/set-password/)[^\s'\"<>]+"), r"\1[token]"),
    # Where Postgres quotes the row that a constraint refused.
    (re.compile(r"(Key \([^)]*\)=)\(.*?\)(?= (?:already|is|conflicts)|$)", re.MULTILINE), r"\1(…)"),
    (re.compile(r"(Failing row contains )\(.*\)"), r"\1(…)"),
]


def current_request_id() -> str:
    return _request_id.get()


def begin_request(request_id: str) -> None:
    _request_id.set(request_id)
    _caller.set(None)


def set_caller(caller: Any) -> None:
    """Who asks, once that is known: a member of staff or a device."""
    _caller.set(caller)


def redact(text: str) -> str:
    """The text without card numbers, e-mail addresses, tokens and the contents of rows."""
    text = redact_card_numbers(text)
    for pattern, instead in HIDDEN:
        text = pattern.sub(instead, text)
    return text


def log_request(request: HttpRequest, status: int, started: float) -> None:
    """One line for a request that was answered. `started` is of time.perf_counter.

    The route, never the address: that may hold what nobody else should read.
    """
    match = request.resolver_match
    route = match.route if match else None
    if status == 200 and route in PROBES:
        return
    caller = _caller.get()
    line = {
        "time": datetime.datetime.now(datetime.UTC),
        "level": "INFO" if status < 500 else "ERROR",
        "logger": "fynlo.requests",
        "message": "request",
        "request_id": _request_id.get(),
        "restaurant_id": match.kwargs.get("restaurant_id") if match else None,
        "membership_id": getattr(caller, "membership_id", None),
        "device_id": getattr(caller, "device_id", None),
        "method": request.method,
        "route": route,
        "status": status,
        "ms": round((time.perf_counter() - started) * 1000, 1),
    }
    if caller:
        line["restaurant_id"] = caller.restaurant_id
    os.write(STDERR, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


class ContextFilter(logging.Filter):
    """Adds request, restaurant and member to every record, and takes out of it what nobody may read."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = redact(message)
        if redacted != message:
            record.msg, record.args = redacted, None
        for name, value in context(record).items():
            setattr(record, name, value)
        return True


def context(record: logging.LogRecord | None = None) -> dict[str, Any]:
    """`request_id`, `restaurant_id` and `membership_id` of what goes on, as far as they are known."""
    caller = _caller.get()
    restaurant_id = current_restaurant_id() or getattr(caller, "restaurant_id", None)
    if restaurant_id is None and (match := getattr(getattr(record, "request", None), "resolver_match", None)):
        restaurant_id = match.kwargs.get("restaurant_id")
    membership_id = getattr(caller, "membership_id", None)
    return {
        "request_id": current_request_id(),
        "restaurant_id": restaurant_id,
        "membership_id": str(membership_id) if membership_id else None,
    }


class TextFormatter(logging.Formatter):
    """For people, in development."""

    def formatException(self, ei: Any) -> str:
        return redact(super().formatException(ei))


class JsonFormatter(TextFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", ""),
            "restaurant_id": getattr(record, "restaurant_id", None),
            "membership_id": getattr(record, "membership_id", None),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
