"""Seal payment accounts' credentials with the first of the keys: `manage.py rotate_payment_keys`."""

from typing import Any

from django.db import transaction

from fynlo.ops.command import Exit, OpsCommand, Outcome
from payments.models import ProviderAccount
from payments.seal import SealBroken, is_current, reseal


class Command(OpsCommand):
    help = (
        "Put a new key first in PAYMENTS_SEAL_KEYS, restart, run this, then take the old key out. May be "
        "repeated. Exit codes: 0 all are sealed with the first key, 3 some cannot be opened, 6 no database."
    )

    def run(self, **options: Any) -> Outcome:
        counts = self._rotate()
        for account in counts["broken"]:
            self.say(f"account {account} cannot be opened: put its keys in again.")
        return Outcome(
            f"{counts['sealed']} sealed anew, {counts['current']} were already, "
            f"{len(counts['broken'])} cannot be opened.",
            counts,
            Exit.CHECK_FAILED if counts["broken"] else Exit.OK,
        )

    def _rotate(self) -> dict[str, Any]:
        outcome: dict[str, Any] = {"sealed": 0, "current": 0, "broken": []}
        accounts = ProviderAccount.objects.exclude(credentials_sealed="").order_by("pk")
        for account_id in accounts.values_list("pk", flat=True):
            with transaction.atomic():
                row = ProviderAccount.objects.select_for_update().get(pk=account_id)
                if is_current(row.credentials_sealed):
                    outcome["current"] += 1
                    continue
                try:
                    row.credentials_sealed = reseal(row.credentials_sealed)
                except SealBroken:
                    outcome["broken"].append(str(account_id))
                    continue
                row.save(update_fields=["credentials_sealed"])
                outcome["sealed"] += 1
        return outcome
