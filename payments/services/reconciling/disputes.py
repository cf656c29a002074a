"""Charges that guests disputed, and what became of it: notices get lost, so each is asked about anew."""

from collections.abc import Sequence
from uuid import UUID

from fynlo.tenancy.scope import restaurant_scope
from payments.models import Dispute, PaymentAttempt
from payments.providers import PROVIDERS
from payments.providers.base import Account, NamesAttempts
from payments.services.calling import call

from .comparison import Comparison, ask


def look_at_disputes(comparison: Comparison, charges: Sequence[str]) -> None:
    """Ask about every charge that was disputed in the time, and about those whose dispute is not over."""
    with restaurant_scope(comparison.account.restaurant_id):
        ours = PaymentAttempt.objects.filter(account__in=comparison.account_ids)
        unsettled = ours.filter(disputes__status=Dispute.Status.OPEN)
        disputed = ours.filter(provider_ref__in=[ref for ref in charges if ref])
        ids = {*unsettled.values_list("pk", flat=True), *disputed.values_list("pk", flat=True)}
        known = set(disputed.values_list("provider_ref", flat=True))
    for ref in sorted(set(charges) - known):
        if named := _named_by_provider(comparison.account, ref):
            ids.add(named)
    for attempt_id in sorted(ids):
        ask(attempt_id)


def _named_by_provider(account: Account, ref: str) -> UUID | None:
    """Our attempt by what the provider has kept of it, such as of a link's charge."""
    provider = PROVIDERS[account.provider]
    if not isinstance(provider, NamesAttempts):
        return None
    named = call("attempt_of", provider.attempt_of, account, ref)
    with restaurant_scope(account.restaurant_id):
        is_ours = named and PaymentAttempt.objects.filter(pk=named, account__isnull=False).exists()
    return named if is_ours else None
