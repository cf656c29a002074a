"""What people do with a restaurant's payment accounts: add, check, change and leave them.

Owners hold the keys; managers may look, and have a provider asked. Each change leaves an event, in which
no key ever is. What asks a provider opens transactions of its own, and none may be open.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction

from accounts.models import Role
from accounts.staff import Staff
from fynlo.errors import NotAllowed
from fynlo.events.log import record_event
from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope
from payments.errors import (
    CredentialsInvalid,
    CredentialsRefused,
    NoSuchAccount,
    NoSuchTerminal,
    ProviderUnavailable,
)
from payments.models import Provider, ProviderAccount, Terminal
from payments.providers import square_oauth
from payments.providers.errors import InvalidRequest, Misconfigured, ProviderError
from payments.seal import SealBroken, unseal

from . import accounts, onboarding
from .accounts import SECRETS, mode_here
from .settling import THE_SYSTEM

logger = logging.getLogger(__name__)

T = TypeVar("T")

Kind = ProviderAccount.Kind
Status = ProviderAccount.Status

CHANGEABLE = frozenset({"priority", "fee_percent", "fee_fixed_minor", "location_id"})


@transaction.atomic
def add_account(
    *,
    provider: str,
    secrets: Mapping[str, Any],
    external_account_id: str = "",
    location_id: str = "",
    priority: int = 0,
    by: Staff,
) -> ProviderAccount:
    """Take cards with an account and keys of the restaurant's own. Raises NotAllowed, CredentialsInvalid."""
    _require_owner(by)
    accounts.check_secrets(provider, secrets)
    _refuse_twin(provider, external_account_id)
    account = accounts.add_account(
        provider=provider,
        secrets=secrets,
        external_account_id=external_account_id,
        location_id=location_id,
        priority=priority,
    )
    _tell("payment_account.added", account, by.actor)
    return account


@transaction.atomic
def replace_keys(account_id: UUID, secrets: Mapping[str, Any], *, by: Staff) -> ProviderAccount:
    """New keys, or only some of them: what is left empty stays. Connects a disconnected account again.

    Raises NotAllowed, NoSuchAccount, CredentialsInvalid.
    """
    _require_owner(by)
    row = _find(account_id)
    if row.kind != Kind.OWN_KEYS:
        raise CredentialsInvalid("This account has no keys of the restaurant's own.")
    if row.status == Status.DISCONNECTED:
        _refuse_twin(row.provider, row.external_account_id, but=row.pk)
    given = {name: value for name, value in secrets.items() if value}
    if not given:
        raise CredentialsInvalid("Type in at least one new key.")
    account = accounts.replace_credentials(row.pk, {**_first_key(row), **given})
    _tell("payment_account.keys_replaced", account, by.actor)
    return account


@transaction.atomic
def change_account(account_id: UUID, changes: Mapping[str, Any], *, by: Staff) -> ProviderAccount:
    """When the account is asked, and what its provider may keep. Raises NotAllowed, NoSuchAccount."""
    _require_owner(by)
    if unknown := set(changes) - CHANGEABLE:
        raise NotAllowed(f"{sorted(unknown)[0]} is not changed here.")
    row = _find(account_id)
    if changes:
        for name, value in changes.items():
            setattr(row, name, value)
        row.save(update_fields=list(changes))
        _tell("payment_account.changed", row, by.actor)
    return row


def disconnect_account(account_id: UUID, *, by: Staff) -> ProviderAccount:
    """Take no more payments with it; what it took can be given back.

    Our access to a Square account that was connected by consent is given back, and with it the way to
    refund, until it is connected again. Opens transactions of its own. Raises NotAllowed, NoSuchAccount and
    AccountInUse.
    """
    _require_owner(by)
    with restaurant_scope(require_restaurant_id()):
        if _find(account_id).kind == Kind.SQUARE_OAUTH:
            onboarding.check_unused(_find(account_id))
        account = accounts.disconnect_account(account_id)
        _tell("payment_account.disconnected", account, by.actor)
    if account.kind == Kind.SQUARE_OAUTH:
        try:
            onboarding.leave_square(account_id)
        except (ProviderError, SealBroken) as error:  # it is tried again every night
            logger.warning("Our access to Square account %s was not given back yet: %s", account_id, error)
    return account


@transaction.atomic
def rename_terminal(account_id: UUID, terminal_id: UUID, label: str, *, by: Staff) -> Terminal:
    """Call a card reader what the staff call it. Raises NotAllowed, NoSuchTerminal."""
    _require_owner(by)
    terminal = Terminal.objects.select_related("account").filter(pk=terminal_id, account=account_id).first()
    if terminal is None:
        raise NoSuchTerminal
    if terminal.label != label:
        terminal.label = label
        terminal.save(update_fields=["label"])
        _tell("payment_account.changed", terminal.account, by.actor)
    return terminal


@transaction.atomic
def set_application_fee(account_id: UUID, percent: Any) -> None:
    """What the platform keeps of each payment. For its own console, outside of any restaurant's scope:
    inside one not even the platform's process has the right."""
    ProviderAccount.objects.filter(pk=account_id).update(application_fee_percent=percent)


def check_account(account_id: UUID, *, by: Staff) -> ProviderAccount:
    """Ask the provider whether the account can take cards, and keep the answer.

    Raises NotAllowed, NoSuchAccount, CredentialsRefused with the provider's own words, and
    ProviderUnavailable where it does not answer.
    """
    before = _to_look_at(account_id, by)
    _asking(lambda: _ask_about(before))
    return _tell_of_change(before, by.actor)


def look_again(account_id: UUID) -> None:
    """The provider hints that an account is not as it was: ask how it stands, and keep the answer.

    Raises NoSuchAccount, and ProviderError where it does not say.
    """
    with restaurant_scope(require_restaurant_id()):
        before = _find(account_id)
    with contextlib.suppress(Misconfigured):  # it is refused: that is an answer, and kept
        _ask_about(before)
    _tell_of_change(before, THE_SYSTEM)


def refresh_terminals(account_id: UUID, *, by: Staff) -> list[Terminal]:
    """The account's card readers as the provider lists them now. Raises what `check_account` raises."""
    _to_look_at(account_id, by)
    return _asking(lambda: accounts.refresh_terminals(account_id))


def connect_stripe(*, country: str, email: str, by: Staff) -> onboarding.Onboarding:
    """Begin, or go on with, opening an account at Stripe. Raises what `check_account` raises."""
    _require_owner(by)
    begun = _asking(lambda: onboarding.connect_stripe(country=country, email=email))
    if begun.is_new:
        with restaurant_scope(require_restaurant_id()):
            _tell("payment_account.added", begun.account, by.actor)
    return begun


def ask_for_square(*, by: Staff) -> str:
    """Square's page where the owner consents. Raises NotAllowed, CredentialsRefused."""
    _require_owner(by)
    return _asking(lambda: onboarding.ask_for_square(by=by))


def connect_square(*, code: str, state: str, by: Staff) -> ProviderAccount:
    """Keep the Square account whose owner has consented. Raises ConsentInvalid, and as `check_account`."""
    _require_owner(by)
    connected = _asking(lambda: onboarding.connect_square(code=code, state=state, by=by))
    with restaurant_scope(require_restaurant_id()):
        kind = "payment_account.added" if connected.is_new else "payment_account.changed"
        _tell(kind, connected.account, by.actor)
    return connected.account


def may_connect_square() -> bool:
    """Whether restaurants can connect their Square accounts through this platform."""
    return square_oauth.is_set_up()


def may_connect_stripe() -> bool:
    """Whether restaurants can open accounts at Stripe through this platform."""
    return bool(accounts.platform_account(Provider.STRIPE).secrets.get("secret_key"))


def _ask_about(row: ProviderAccount) -> None:
    if row.kind == Kind.STRIPE_CONNECT:  # the keys are the platform's: what counts is what Stripe allows
        onboarding.refresh_connected(row.pk)
    else:
        accounts.check_account(row.pk)


def _tell_of_change(before: ProviderAccount, actor: dict[str, Any]) -> ProviderAccount:
    with restaurant_scope(require_restaurant_id()):
        row = _find(before.pk)
        if row.status != before.status:
            _tell("payment_account.changed", row, actor)
        return row


def _to_look_at(account_id: UUID, by: Staff) -> ProviderAccount:
    if not by.has_role(Role.OWNER, Role.MANAGER):
        raise NotAllowed
    with restaurant_scope(require_restaurant_id()):
        return _find(account_id)


def _require_owner(by: Staff) -> None:
    if not by.has_role(Role.OWNER):
        raise NotAllowed("Only an owner sets up how cards are taken.")


def _find(account_id: UUID) -> ProviderAccount:
    row: ProviderAccount | None = ProviderAccount.objects.filter(pk=account_id).first()
    if row is None:
        raise NoSuchAccount
    return row


def _refuse_twin(provider: str, external_account_id: str, *, but: UUID | None = None) -> None:
    """One row for an account: two of the same would each be asked about the same money."""
    same = ProviderAccount.objects.filter(
        provider=provider, mode=mode_here(), external_account_id=external_account_id
    )
    others = same.exclude(pk=but) if but else same
    if others.exclude(status=Status.DISCONNECTED).exists():
        raise CredentialsInvalid(
            f"This account of {Provider(provider).label} is here already: replace its keys instead.",
            field="external_account_id",
        )


def _first_key(row: ProviderAccount) -> dict[str, Any]:
    """The key that stays where nobody types a new one; nothing where it does not open any more."""
    try:
        secrets = unseal(row.credentials_sealed, restaurant_id=require_restaurant_id(), provider=row.provider)
    except SealBroken:
        return {}
    name = SECRETS[Provider(row.provider)][0]
    return {name: secrets[name]}


def _asking(ask: Callable[[], T]) -> T:
    """What a provider answers; what it refuses, in words for a person."""
    try:
        return ask()
    except (Misconfigured, InvalidRequest) as error:
        raise CredentialsRefused(f"The provider does not take this account: {error}"[:300]) from error
    except ProviderError as error:
        logger.warning("A provider could not be asked: %s", error)
        raise ProviderUnavailable("The provider does not answer just now; try again.") from error


def _tell(kind: str, account: ProviderAccount, actor: dict[str, Any]) -> None:
    payload = {
        "id": str(account.pk),
        "provider": account.provider,
        "connection": account.kind,
        "account_status": account.status,
        "priority": account.priority,
    }
    record_event(kind, account.pk, payload, actor=actor)
