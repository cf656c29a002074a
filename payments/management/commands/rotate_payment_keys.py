"""Seal payment accounts' credentials with the first of the keys: `manage.py rotate_payment_keys`."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, transaction

from payments.models import ProviderAccount
from payments.seal import SealBroken, is_current, reseal

# The exit codes that all operations commands share.
CHECK_FAILED, UNREACHABLE = 3, 6


class Command(BaseCommand):
    help = (
        "Put a new key first in PAYMENTS_SEAL_KEYS, restart, run this, then take the old key out. May be "
        "repeated. Exit codes: 0 all are sealed with the first key, 3 some cannot be opened, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")

    def handle(self, **options: Any) -> None:
        try:
            outcome = self._rotate()
        except OperationalError as error:
            raise CommandError(f"The database does not answer: {error}", returncode=UNREACHABLE) from error
        if options["json"]:
            self.stdout.write(json.dumps(outcome))
        else:
            for account in outcome["broken"]:
                self.stdout.write(f"account {account} cannot be opened: put its keys in again.")
            self.stdout.write(
                f"{outcome['sealed']} sealed anew, {outcome['current']} were already, "
                f"{len(outcome['broken'])} cannot be opened."
            )
        if outcome["broken"]:
            sys.exit(CHECK_FAILED)

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
