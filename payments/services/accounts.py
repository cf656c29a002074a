"""A restaurant's accounts with providers: which one takes a payment, and with what credentials."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope
from payments.errors import CredentialsInvalid, NoSuchAccount, NoSuchTerminal, NoWayToPay, ProviderUnavailable
from payments.models import Provider, ProviderAccount, Terminal
from payments.providers import PROVIDERS, breaker
from payments.providers.base import Account, TerminalProvider
from payments.providers.errors import Misconfigured
from payments.seal import SealBroken, seal, unseal
from restaurants.models import Restaurant

from .calling import call

logger = logging.getLogger(__name__)

Kind = ProviderAccount.Kind
Mode = ProviderAccount.Mode
Status = ProviderAccount.Status

NOBODY = UUID(int=0)

# What each provider's credentials consist of; all but the first may be left out.
SECRETS = {
    Provider.STRIPE: ("secret_key", "publishable_key", "webhook_secrets"),
    Provider.SQUARE: ("access_token", "webhook_signature_keys"),
    Provider.SUMUP: ("api_key", "affiliate_key", "app_id", "webhook_secrets"),
}


def mode_here() -> Mode:
    """Real money is taken in production only, and nothing else is."""
    return Mode.LIVE if settings.PRODUCTION else Mode.TEST


@transaction.atomic
def add_account(
    *,
    provider: str,
    secrets: Mapping[str, Any],
    external_account_id: str = "",
    location_id: str = "",
    kind: str = Kind.OWN_KEYS,
    priority: int = 0,
) -> ProviderAccount:
    """Keep a provider's account, its credentials sealed for this restaurant.

    Raises CredentialsInvalid for keys that are incomplete, or live where this is not production.
    """
    check_secrets(provider, secrets)
    restaurant_id = require_restaurant_id()
    return ProviderAccount.objects.create(
        provider=provider,
        kind=kind,
        mode=mode_here(),
        external_account_id=external_account_id,
        location_id=location_id,
        priority=priority,
        credentials_sealed=seal(dict(secrets), restaurant_id=restaurant_id, provider=provider),
        key_hint=_hint(provider, secrets),
    )


@transaction.atomic
def replace_credentials(account_id: UUID, secrets: Mapping[str, Any]) -> ProviderAccount:
    """New keys for the same account; payments it took go on being refunded through it.

    The webhook secrets that were there stay valid beside the new one, as providers roll them slowly.
    """
    row = _lock(account_id)
    check_secrets(row.provider, secrets)
    old = open_account(row).secrets if row.credentials_sealed else {}
    merged = {**old, **{name: value for name, value in secrets.items() if value}}
    for name in ("webhook_secrets", "webhook_signature_keys"):
        fresh = [*secrets.get(name, ()), *old.get(name, ())]
        if fresh:
            merged[name] = list(dict.fromkeys(fresh))[:2]
    row.credentials_sealed = seal(merged, restaurant_id=require_restaurant_id(), provider=row.provider)
    row.key_hint = _hint(row.provider, merged)
    row.status, row.status_detail = Status.ACTIVE, ""
    row.save(update_fields=["credentials_sealed", "key_hint", "status", "status_detail"])
    return row


@transaction.atomic
def disconnect_account(account_id: UUID) -> ProviderAccount:
    """Take no more payments with it. Its credentials stay: what it took may have to be refunded."""
    row = _lock(account_id)
    row.status = Status.DISCONNECTED
    row.save(update_fields=["status"])
    return row


def check_secrets(provider: str, secrets: Mapping[str, Any]) -> None:
    """Raises CredentialsInvalid, naming the field."""
    names = SECRETS[Provider(provider)]
    first = names[0]
    if unknown := set(secrets) - set(names):
        raise CredentialsInvalid(f"{sorted(unknown)[0]} is not one of {provider}'s.", field="secrets")
    value = str(secrets.get(first) or "")
    if not value:
        raise CredentialsInvalid(f"{provider} needs its {first}.", field=first)
    is_live = value.startswith(("sk_live_", "rk_live_"))
    is_test = value.startswith(("sk_test_", "rk_test_", "sup_sk_test_"))
    if is_live and not settings.PRODUCTION:
        raise CredentialsInvalid("This key takes real money, and this is not production.", field=first)
    if is_test and settings.PRODUCTION:
        raise CredentialsInvalid("This is a test key: it takes no money.", field=first)


def open_account(row: ProviderAccount) -> Account:
    """The account with its credentials. Raises Misconfigured where there are none that may be used."""
    if row.mode != mode_here():
        raise Misconfigured(f"A {row.mode} account cannot be used here.")
    try:
        secrets = _secrets_of(row)
    except SealBroken as error:
        raise Misconfigured(str(error)) from error
    currency = Restaurant.objects.values_list("currency", flat=True).get(pk=require_restaurant_id())
    return Account(
        id=row.pk,
        restaurant_id=require_restaurant_id(),
        provider=row.provider,
        kind=row.kind,
        mode=row.mode,
        external_account_id=row.external_account_id,
        location_id=row.location_id or _platforms_location(row),
        public_id=row.public_id,
        currency=currency,
        secrets=secrets,
        base_url=_base_url(row.provider),
    )


def platform_account(provider: str) -> Account:
    """The platform's own account with a provider, to verify what the provider tells the platform."""
    return Account(
        id=NOBODY,
        restaurant_id=0,
        provider=provider,
        kind=Kind.PLATFORM_ENV,
        mode=mode_here(),
        external_account_id="",
        location_id="",
        public_id=NOBODY,
        currency="GBP",
        secrets=_platform(provider),
        base_url=_base_url(provider),
    )


def choose_account(
    method: str, *, provider: str | None = None, terminal_id: UUID | None = None
) -> tuple[Account, Terminal | None]:
    """Who takes a payment: the reader's account, else the first that can and that answers.

    Opens transactions of its own, and none may be open: a provider that was away is asked whether it is
    back. Raises NoSuchTerminal, NoWayToPay, ProviderUnavailable.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        terminal = _find_terminal(terminal_id)
        rows = [terminal.account] if terminal else _candidates(provider)
        able = [row for row in rows if row.status == Status.ACTIVE and method in methods_of(row.provider)]
        accounts = [account for row in able if (account := _try_open(row))]
    for account in accounts:
        if breaker.is_available(account.provider, account.id, _probe(account)):
            return account, terminal
    raise ProviderUnavailable if accounts else NoWayToPay


def usable_accounts() -> list[ProviderAccount]:
    """Those that may take payments here and now, with their readers, in the order in which they are asked."""
    rows = ProviderAccount.objects.usable().filter(mode=mode_here()).prefetch_related("terminals")
    return list(rows)


def publishable_key(rows: Sequence[ProviderAccount]) -> str | None:
    """What Stripe's own form on a till or page needs, of the first account that has one."""
    for row in rows:
        if row.provider == Provider.STRIPE and (account := _try_open(row)):
            return str(account.secrets.get("publishable_key") or "") or None
    return None


def methods_of(provider: str) -> frozenset[str]:
    return PROVIDERS[provider].capabilities.methods if provider in PROVIDERS else frozenset()


def load_account(account_id: UUID) -> Account:
    """The account that took a payment, whatever the settings say. Raises NoSuchAccount, Misconfigured."""
    row = ProviderAccount.objects.filter(pk=account_id).first()
    if row is None:
        raise NoSuchAccount
    return open_account(row)


def was_left(row: ProviderAccount) -> bool:
    """Whether our access to it was given back: then nothing can be asked of its provider."""
    return row.kind == Kind.SQUARE_OAUTH and not row.credentials_sealed


def row_of(account_id: UUID) -> ProviderAccount:
    return ProviderAccount.objects.get(pk=account_id)


def mark_degraded(account_id: UUID, detail: str) -> None:
    """The provider refuses the account's credentials: it is asked no more until somebody sees to it."""
    active = ProviderAccount.objects.filter(pk=account_id, status=Status.ACTIVE)
    if active.update(status=Status.DEGRADED, status_detail=detail[:300]):
        logger.error("Payment account %s is refused by its provider: %s", account_id, detail)


def check_account(account_id: UUID) -> None:
    """Ask the provider whether it takes the credentials, and keep the answer. Raises ProviderError."""
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        account = load_account(account_id)
    try:
        call("check", PROVIDERS[account.provider].check, account)
    except Misconfigured as error:
        with restaurant_scope(restaurant_id):
            mark_degraded(account_id, str(error))
        raise
    with restaurant_scope(restaurant_id):
        degraded = ProviderAccount.objects.filter(pk=account_id, status__in=[Status.DEGRADED, Status.PENDING])
        # Of a connected account Stripe says by itself whether it may charge: see onboarding.
        degraded.exclude(kind=Kind.STRIPE_CONNECT).update(status=Status.ACTIVE, status_detail="")


def refresh_terminals(account_id: UUID) -> list[Terminal]:
    """The account's card readers as the provider lists them now; those it has no more are put away.

    Opens transactions of its own. Raises ProviderError.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        account = load_account(account_id)
    provider = PROVIDERS[account.provider]
    readers = (
        call("list_readers", provider.list_readers, account) if isinstance(provider, TerminalProvider) else []
    )
    with restaurant_scope(restaurant_id):
        for reader in readers:
            Terminal.objects.update_or_create(
                account_id=account_id,
                reader_id=reader.reader_id,
                defaults={
                    "label": reader.label[:60] or reader.reader_id[:60],
                    "location_id": reader.location_id,
                    "device_type": reader.device_type[:60],
                    "is_online": reader.is_online,
                    "is_active": True,
                },
            )
        known = Terminal.objects.filter(account_id=account_id)
        known.exclude(reader_id__in=[reader.reader_id for reader in readers]).update(
            is_active=False, is_online=False
        )
        return list(known.filter(is_active=True))


def _candidates(provider: str | None) -> list[ProviderAccount]:
    rows = ProviderAccount.objects.usable().filter(mode=mode_here())
    found = list(rows.filter(provider=provider) if provider else rows)
    return found or [row for row in map(_platform_account, settings.ENV.payments.platform_fallback) if row]


def _platform_account(provider: str) -> ProviderAccount | None:
    """The row by which the platform's own credentials take payments, where that is allowed at all.

    A payment always names the account that took it, so there is one.
    """
    if not any(_platform(provider).values()):
        return None
    row, _ = ProviderAccount.objects.get_or_create(
        provider=provider,
        kind=Kind.PLATFORM_ENV,
        mode=mode_here(),
        external_account_id=_platform(provider).get("external_account_id", ""),
    )
    return row


def _find_terminal(terminal_id: UUID | None) -> Terminal | None:
    if terminal_id is None:
        return None
    terminal = Terminal.objects.select_related("account").filter(pk=terminal_id, is_active=True).first()
    if terminal is None:
        raise NoSuchTerminal(field="terminal_id")
    return terminal


def _try_open(row: ProviderAccount) -> Account | None:
    try:
        return open_account(row)
    except Misconfigured as error:
        mark_degraded(row.pk, str(error))
        return None


def _probe(account: Account) -> Any:
    return lambda: call("check", PROVIDERS[account.provider].check, account)


def _secrets_of(row: ProviderAccount) -> dict[str, Any]:
    if row.kind == Kind.OWN_KEYS or row.credentials_sealed:
        return unseal(row.credentials_sealed, restaurant_id=require_restaurant_id(), provider=row.provider)
    if was_left(row):
        raise Misconfigured("Fynlo has no access to this account any more.")
    if row.kind == Kind.PLATFORM_ENV and row.provider not in settings.ENV.payments.platform_fallback:
        raise Misconfigured("The platform's own credentials may not take payments for restaurants here.")
    return {
        name: value
        for name, value in _platform(row.provider).items()
        if name in SECRETS[Provider(row.provider)]
    }


def _platforms_location(row: ProviderAccount) -> str:
    """Of the platform's own seller: an account of another one sells elsewhere."""
    return "" if row.kind == Kind.SQUARE_OAUTH else str(_platform(row.provider).get("location_id", ""))


def _platform(provider: str) -> dict[str, Any]:
    """The platform's own credentials with a provider, from the environment."""
    env = settings.ENV.payments
    found: dict[str, dict[str, Any]] = {
        Provider.STRIPE: {
            "secret_key": env.stripe_secret_key,
            "publishable_key": env.stripe_publishable_key,
            "webhook_secrets": list(env.stripe_webhook_secrets),
        },
        Provider.SQUARE: {
            "access_token": env.square_access_token,
            "webhook_signature_keys": list(env.square_webhook_signature_keys),
            "location_id": env.square_location_id,
        },
        Provider.SUMUP: {
            "api_key": env.sumup_api_key,
            "affiliate_key": env.sumup_affiliate_key,
            "app_id": env.sumup_app_id,
            "webhook_secrets": list(env.sumup_webhook_secrets),
            "external_account_id": env.sumup_merchant_code,
        },
    }
    return found.get(provider, {})


def _base_url(provider: str) -> str | None:
    """A test peer's address; the environment refuses one in production."""
    env = settings.ENV.payments
    bases: dict[str, str] = {
        Provider.STRIPE: env.stripe_api_base,
        Provider.SQUARE: env.square_base_url,
        Provider.SUMUP: env.sumup_base_url,
    }
    return bases.get(provider) or None


def _hint(provider: str, secrets: Mapping[str, Any]) -> str:
    return f"…{str(secrets[SECRETS[Provider(provider)][0]])[-4:]}"


def _lock(account_id: UUID) -> ProviderAccount:
    row = ProviderAccount.objects.select_for_update().filter(pk=account_id).first()
    if row is None:
        raise NoSuchAccount
    return row
