"""Stripe's webhooks: whose signature holds, and what they are about."""

import datetime
import json
from collections.abc import Iterable, Mapping

import stripe

from .base import VerifiedEvent
from .errors import BadSignature, StaleWebhook
from .stripe_client import Answer, id_of
from .stripe_reading import uuid_of

TOLERANCE_SECONDS = 300
HEADER = "stripe-signature"


def parse(
    secrets: Iterable[str], headers: Mapping[str, str], raw: bytes, now: datetime.datetime
) -> VerifiedEvent:
    """The event, if one of the secrets signed it within five minutes of `now`, either way.

    Stripe's library has no bound for the future, where a replay could be kept ready. Raises
    BadSignature or StaleWebhook.
    """
    header = next((value for name, value in headers.items() if name.lower() == HEADER), "")
    if not any(_signed(raw, header, secret) for secret in secrets if secret):
        raise BadSignature("No secret of this account signed it.")
    signed_at = int(next(part.split("=")[1] for part in header.split(",") if part.startswith("t=")))
    if abs(now.timestamp() - signed_at) > TOLERANCE_SECONDS:
        raise StaleWebhook(f"Signed at {signed_at}.")
    return _read(raw)


def _signed(raw: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(raw, header, secret, None))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False  # the last two: a body or a signature that is not text


def _read(raw: bytes) -> VerifiedEvent:
    try:
        event = json.loads(raw)
        subject = event["data"]["object"]
        return VerifiedEvent(
            event["id"],
            event["type"],
            object_ref(subject),
            event.get("livemode"),
            uuid_of(subject.get("metadata"), "attempt"),
            event.get("account") or "",
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSignature("Signed, but no event of Stripe's v1.") from error


def object_ref(subject: Answer) -> str:
    """The PaymentIntent that an object is about, or the Checkout Session; else the object itself."""
    match subject.get("object"):
        case "charge" | "refund" | "dispute":
            return id_of(subject.get("payment_intent")) or id_of(subject.get("charge")) or subject["id"]
        case "terminal.reader":
            action = subject.get("action") or {}
            return id_of((action.get(action.get("type")) or {}).get("payment_intent"))
        case _:
            return str(subject.get("id") or "")
