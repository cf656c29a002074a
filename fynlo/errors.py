"""Refusals that a service raises and the API shows."""

from typing import Any, ClassVar


class DomainError(Exception):
    """A rule of the trade was broken. Becomes `application/problem+json` (RFC 9457).

    `code` is what a till program looks at and never changes; `detail` is for people; `field` names
    the part of the request at fault, if one is; `retry_after` is in seconds (header Retry-After).
    """

    status: ClassVar[int] = 409
    code: ClassVar[str] = "conflict"
    detail: ClassVar[str] = "This cannot be done now."
    retry_after: int | None = None

    def __init__(self, detail: str | None = None, *, field: str | None = None, **extra: Any) -> None:
        self.message = detail or self.detail
        self.field = field
        self.extra = extra  # further members of the problem, such as the current order
        super().__init__(self.message)


class InvalidInput(DomainError):
    """Well-formed input that cannot be right, such as an unknown modifier."""

    status = 422
    code = "invalid"
    detail = "The input is not valid."


class NotAllowed(DomainError):
    status = 403
    code = "not_allowed"
    detail = "Your role does not allow this."


class NotFound(DomainError):
    status = 404
    code = "not_found"
    detail = "There is no such thing here."
