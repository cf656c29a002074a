"""How a request to a provider can fail. What is not known for sure is `UnknownOutcome`.

The classes decide what the payment machine does, so a provider's error goes into the narrowest class
that is certain, and into `UnknownOutcome` where nothing is.
"""

from typing import ClassVar


class ProviderError(Exception):
    """`code` is the provider's own, `status` is HTTP's, `request_id` is what the provider's support wants."""

    error_class: ClassVar[str] = "unknown"

    def __init__(
        self, message: str, *, code: str = "", status: int | None = None, request_id: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id


class NotSent(ProviderError):
    """No byte left: the connection was refused, or the name is not known. Nothing happened."""

    error_class = "not_sent"


class Declined(ProviderError):
    """A definite no. `is_soft`: the same card may work later or in another way."""

    error_class = "declined"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        is_soft: bool = False,
        status: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id)
        self.is_soft = is_soft


class Retryable(ProviderError):
    """Definitely not carried out; the same request may be sent again after `retry_after` seconds."""

    error_class = "retryable"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        retry_after: float = 1.0,
        status: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id)
        self.retry_after = retry_after


class UnknownOutcome(ProviderError):
    """It may have happened: a time-out, a broken connection, a 5xx, an answer nobody can read."""

    error_class = "unknown"


class Misconfigured(ProviderError):
    """The account is refused: a wrong or revoked key, the wrong mode, a missing capability."""

    error_class = "misconfigured"


class InvalidRequest(ProviderError):
    """The provider finds the request itself wrong: a mistake of ours. Ask what became of it all the same."""

    error_class = "invalid"


class BadSignature(Exception):
    """A webhook that the provider did not sign, or that was changed on its way."""


class StaleWebhook(Exception):
    """A webhook whose signature is too old, or from the future."""


class CallInsideTransaction(RuntimeError):
    """A mistake in the code: a provider was about to be called while a transaction holds locks."""
