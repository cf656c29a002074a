"""Stripe's library, held the way money needs it: one client per account, no retries of its own."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import stripe

from . import transport
from .base import Account
from .errors import Misconfigured, UnknownOutcome
from .stripe_codes import translate

PAGE_SIZE = 100
MAX_PAGES = 50

Answer = dict[str, Any]


class GuardedClient(stripe.RequestsClient):
    """Sends nothing while a transaction is open."""

    def request(  # type: ignore[override]  # as its own base class has it
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        transport.refuse_inside_transaction()
        return super().request(method, url, headers, post_data)


def api(account: Account) -> Any:
    """Stripe's resources for this account; typed Any because parameters are built as plain dicts.

    Raises Misconfigured without a secret.
    """
    secret_key = account.secrets.get("secret_key")
    if not secret_key:
        raise Misconfigured("This account has no secret key.", code="secret_key_required")
    return client(secret_key, account.base_url).v1


@functools.lru_cache(maxsize=256)
def client(secret_key: str, base_url: str | None) -> stripe.StripeClient:
    """A client and its connections, kept. Its retries are off: whoever repeats a payment decides that."""
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": base_url} if base_url else None,
        max_network_retries=0,
        http_client=GuardedClient(timeout=(transport.CONNECT_SECONDS, transport.ANSWER_SECONDS)),
    )


def options(account: Account, key: str = "") -> dict[str, str]:
    """On whose behalf, and under which idempotency key.

    With Connect the platform's secret acts for the restaurant's account: charges, readers, refunds and
    fees are then the restaurant's own. Raises Misconfigured where that account is not known: without its
    name the platform would charge for itself.
    """
    chosen: dict[str, str] = {}
    if account.kind == "stripe_connect":
        if not account.external_account_id:
            raise Misconfigured("No account at Stripe is connected.", code="account_invalid")
        chosen["stripe_account"] = account.external_account_id
    if key:
        chosen["idempotency_key"] = key
    return chosen


def call(operation: Callable[..., Any], *args: Any) -> Answer:
    """Carry out one request. The answer is a plain dict with the request's id under `_request_id`.

    Raises ProviderError, whatever the library raised.
    """
    try:
        answer = operation(*args)
    except stripe.StripeError as error:
        raise translate(error) from error
    if not isinstance(answer, stripe.StripeObject):
        raise UnknownOutcome("Stripe's answer is not an object.")
    found: Answer = answer.to_dict()
    response = getattr(answer, "last_response", None)
    found["_request_id"] = (response.request_id if response else None) or ""
    return found


def every(operation: Callable[..., Any], params: Answer, opts: dict[str, str]) -> Iterator[Answer]:
    """All objects of a list, newest first.

    Raises UnknownOutcome when there are more than MAX_PAGES pages: what was not looked at is not absent.
    """
    after: Answer = {}
    for _ in range(MAX_PAGES):
        page = call(operation, {"limit": PAGE_SIZE, **params, **after}, opts)
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}
    raise UnknownOutcome(f"More than {MAX_PAGES} pages at Stripe.", code="too_many_pages")


def id_of(reference: Any) -> str:
    """Of an object that may be expanded, or absent."""
    return str(reference["id"] if isinstance(reference, dict) else reference or "")
