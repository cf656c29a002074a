"""What every operation of the OpenAPI document has, said once."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from .exceptions import PROBLEM_TYPE
from .idempotency import MAX_KEY_LENGTH

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    OpenApiParameter.HEADER,
    required=True,
    description="The till's own name for this request, the same each time it is repeated.",
)
TEXT = {"type": "string"}
PROBLEM = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457). Some codes bring further members.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "code": {**TEXT, "description": "For programs; stays the same."},
        "detail": {**TEXT, "description": "For people."},
        "request_id": TEXT,
        "errors": {
            "type": "array",
            "description": "The fields at fault.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {"field": TEXT, "code": TEXT, "detail": TEXT},
            },
        },
    },
}


class Schema(AutoSchema):
    """Takes the summary from the first sentence of a view's docstring, and knows the Idempotency-Key."""

    def get_summary(self) -> str | None:
        return (
            super().get_summary() or self.get_description().split(". ")[0].split("\n")[0].rstrip(".") or None
        )

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        if self.method == "POST" and getattr(self.view, "idempotent", False):
            parameters.append(IDEMPOTENCY_KEY)
        return parameters


def add_problems(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Every operation may answer with a problem (drf-spectacular's postprocessing hook)."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    answer = {
        "description": "Refused",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"]["default"] = answer
    return result
