"""Log lines carry the request and the restaurant, and nothing personal."""

import contextvars
import datetime
import json
import logging

from fynlo.api.cards import redact_card_numbers
from fynlo.tenancy.scope import current_restaurant_id

_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


def current_request_id() -> str:
    return _request_id.get()


def set_request_id(request_id: str) -> None:
    _request_id.set(request_id)


class ContextFilter(logging.Filter):
    """Adds `request_id` and `restaurant_id` to every record, and takes card numbers out of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = redact_card_numbers(message)
        if redacted != message:
            record.msg, record.args = redacted, None
        record.request_id = current_request_id()
        record.restaurant_id = current_restaurant_id()
        return True


class JsonFormatter(logging.Formatter):
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
        }
        if record.exc_info:
            line["exception"] = redact_card_numbers(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)
