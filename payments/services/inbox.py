"""What providers tell us: stored as it came, then taken as a hint to ask them.

A webhook is answered once it is committed, and worked off by the worker. So it may come early, late,
twice, or in any order; what counts is what the provider says when it is asked.
"""

import datetime
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from fynlo.errors import NotFound
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope
from payments import metrics
from payments.models import PaymentAttempt, ProviderAccount, Terminal, WebhookEvent
from payments.providers import PROVIDERS
from payments.providers.base import Account, NamesAttempts, VerifiedEvent
from payments.providers.errors import BadSignature, Misconfigured, StaleWebhook

from . import accounts, cards, keeping
from .calling import call

logger = logging.getLogger(__name__)

TRIES = 10
RETRY_SECONDS = (5, 15, 60, 300, 900, 1800, 3600, 3600, 3600, 3600)
KEPT_HEADERS = (
    "content-type",
    "stripe-signature",
    "x-square-hmacsha256-signature",
    "x-sumup-webhook-signature",
)

# Of Stripe Connect, and of Square's OAuth: what the account may do has changed, or access to it.
ABOUT_ACCOUNTS = ("account.", "capability.", "oauth.authorization.revoked")

STORE = """
    INSERT INTO payments_webhookevent
           (id, restaurant_id, account_id, provider, event_id, kind, object_ref, attempt_hint, raw, headers,
            state, tries, repeats, next_try_at, last_error, received_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, 0, 0, now(), '', now())
    ON CONFLICT (restaurant_id, account_id, event_id)
       DO UPDATE SET repeats = payments_webhookevent.repeats + 1
    RETURNING repeats
"""


class UnknownAccount(NotFound):
    code = "no_such_account"
    detail = "There is no such account."


@dataclass(frozen=True, slots=True)
class Received:
    """What was made of a webhook: "ok", "duplicate" or "ignored"."""

    result: str
    restaurant_id: int


def receive(
    provider: str,
    *,
    headers: Mapping[str, str],
    raw: bytes,
    url: str,
    restaurant_id: int | None = None,
    public_id: UUID | None = None,
) -> Received:
    """Verify a webhook and store it. Committed when this returns.

    With a restaurant and an account's public id it is that account's own; without, it is the platform's
    and says itself whose it is about. Raises UnknownAccount, BadSignature and StaleWebhook.
    """
    if restaurant_id is not None and public_id is not None:
        account = _account_of(provider, restaurant_id, public_id)
        event = _verify(account, headers, raw, url)
    else:
        event = _verify(accounts.platform_account(provider), headers, raw, url)
        account = _account_named(provider, event.account_ref)
    with restaurant_scope(account.restaurant_id):
        repeats, state = _store(account, event, headers, raw)
    result = "duplicate" if repeats else "ignored" if state == WebhookEvent.State.IGNORED else "ok"
    metrics.WEBHOOKS.labels(provider, result).inc()
    return Received(result, account.restaurant_id)


def work_off(*, limit: int = 50) -> int:
    """Ask the providers about what the restaurant's webhooks hint at. Returns how many were taken up."""
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        due = list(_take_due(limit))
    for event in due:
        _work_off_one(event)
    return len(due)


@transaction.atomic
def replay(event_id: UUID) -> None:
    """Work a webhook off once more, a dead one too. Harmless: the provider is asked, as ever."""
    WebhookEvent.objects.filter(pk=event_id).update(
        state=WebhookEvent.State.NEW, tries=0, next_try_at=timezone.now(), last_error=""
    )


def _verify(account: Account, headers: Mapping[str, str], raw: bytes, url: str) -> VerifiedEvent:
    try:
        return PROVIDERS[account.provider].parse_webhook(account, headers, raw, url, timezone.now())
    except BadSignature:
        metrics.WEBHOOKS.labels(account.provider, "bad_signature").inc()
        raise
    except StaleWebhook:
        metrics.WEBHOOKS.labels(account.provider, "stale").inc()
        raise


def _account_of(provider: str, restaurant_id: int, public_id: UUID) -> Account:
    with restaurant_scope(restaurant_id):
        row = ProviderAccount.objects.filter(provider=provider, public_id=public_id).first()
        try:
            if row is not None:
                return accounts.open_account(row)
        except Misconfigured as error:
            logger.warning("A webhook came for payment account %s: %s", row.pk if row else "", error)
    metrics.WEBHOOKS.labels(provider, "unknown_account").inc()
    raise UnknownAccount


def _account_named(provider: str, account_ref: str) -> Account:
    """Whose the platform's webhook is about. Looked up before a restaurant is known."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT restaurant_id, account_id FROM definer.provider_account(%s, %s, %s)",
            [provider, account_ref, accounts.mode_here()],
        )
        rows = cursor.fetchall()
    if not rows:
        metrics.WEBHOOKS.labels(provider, "unknown_account").inc()
        raise UnknownAccount
    restaurant_id, account_id = rows[0]
    with restaurant_scope(restaurant_id):
        return accounts.load_account(account_id)


def _store(account: Account, event: VerifiedEvent, headers: Mapping[str, str], raw: bytes) -> tuple[int, str]:
    state = WebhookEvent.State.NEW
    if event.livemode is not None and event.livemode != settings.PRODUCTION:
        logger.error("A webhook of %s is of the wrong mode: live is %s", account.provider, event.livemode)
        state = WebhookEvent.State.IGNORED
    elif not event.object_ref and event.attempt_id is None:
        state = WebhookEvent.State.IGNORED
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    with connection.cursor() as cursor:
        cursor.execute(
            STORE,
            [
                *(uuid7(), account.restaurant_id, account.id, account.provider, event.event_id[:120]),
                *(event.kind[:80], event.object_ref[:120], event.attempt_id, raw),
                *(orjson.dumps(kept).decode(), state),
            ],
        )
        (repeats,) = cursor.fetchone()
    return repeats, state


def _take_due(limit: int) -> list[WebhookEvent]:
    """Due webhooks, oldest first; each is taken up by one worker, and by another after a minute."""
    due = WebhookEvent.objects.filter(state=WebhookEvent.State.NEW, next_try_at__lte=timezone.now())
    rows = list(due.select_for_update(skip_locked=True).order_by("received_at")[:limit])
    later = timezone.now() + datetime.timedelta(seconds=60)
    WebhookEvent.objects.filter(pk__in=[row.pk for row in rows]).update(next_try_at=later)
    return rows


def _work_off_one(event: WebhookEvent) -> None:
    if event.kind.startswith(ABOUT_ACCOUNTS):
        _look_at_account(event)
        return
    with restaurant_scope(require_restaurant_id()):
        attempt = _attempt_of(event)
        if attempt is None and _is_about_terminals(event):
            _finish(event, WebhookEvent.State.IGNORED)
            return
    try:
        attempt_id = attempt.pk if attempt else _named_by_provider(event)
        if attempt_id is None:
            _try_later(event, "No payment of ours has this reference.")
            return
        cards.check(attempt_id)
    except Exception as error:
        logger.exception("Webhook %s could not be worked off", event.pk)
        _try_later(event, f"{type(error).__name__}: {error}")
        return
    with restaurant_scope(require_restaurant_id()):
        _finish(event, WebhookEvent.State.DONE)


def _look_at_account(event: WebhookEvent) -> None:
    """The event says that the account is not as it was; how it stands says the provider, when asked."""
    try:
        keeping.look_again(event.account_id)
    except Exception as error:
        logger.exception("Webhook %s could not be worked off", event.pk)
        _try_later(event, f"{type(error).__name__}: {error}")
        return
    with restaurant_scope(require_restaurant_id()):
        _finish(event, WebhookEvent.State.DONE)


def _attempt_of(event: WebhookEvent) -> PaymentAttempt | None:
    of_account = PaymentAttempt.objects.filter(account=event.account_id)
    named = Q(pk=event.attempt_hint) if event.attempt_hint else Q(pk=None)
    if event.object_ref:
        named |= Q(provider_ref=event.object_ref) | Q(refunds__provider_ref=event.object_ref)
    return of_account.filter(named).distinct().order_by("-created_at").first()


def _named_by_provider(event: WebhookEvent) -> UUID | None:
    """Our attempt by what the provider has kept of it: some events name only the provider's own object."""
    provider = PROVIDERS[event.provider]
    if not isinstance(provider, NamesAttempts) or not event.object_ref:
        return None
    with restaurant_scope(require_restaurant_id()):
        account = accounts.load_account(event.account_id)
    named = call("attempt_of", provider.attempt_of, account, event.object_ref)
    with restaurant_scope(require_restaurant_id()):
        found = PaymentAttempt.objects.filter(pk=named, account=event.account_id).first() if named else None
    return found.pk if found else None


def _is_about_terminals(event: WebhookEvent) -> bool:
    return Terminal.objects.filter(account=event.account_id, reader_id=event.object_ref).exists()


def _finish(event: WebhookEvent, state: str) -> None:
    WebhookEvent.objects.filter(pk=event.pk).update(state=state, processed_at=timezone.now(), last_error="")


def _try_later(event: WebhookEvent, error: str) -> None:
    tries = event.tries + 1
    values: dict[str, object] = {"tries": tries, "last_error": error[:300]}
    if tries >= TRIES:
        values |= {"state": WebhookEvent.State.DEAD, "processed_at": timezone.now()}
    else:
        wait = datetime.timedelta(seconds=RETRY_SECONDS[tries - 1])
        values["next_try_at"] = timezone.now() + wait
    with restaurant_scope(require_restaurant_id()):
        WebhookEvent.objects.filter(pk=event.pk).update(**values)
