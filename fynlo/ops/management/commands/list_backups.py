"""Which backups there are: `manage.py list_backups`."""

from typing import Any

from fynlo.ops.backup.catalogue import Backup, all_backups, latest
from fynlo.ops.command import OpsCommand, Outcome


class Command(OpsCommand):
    help = (
        "Lists the backups here and off site, the oldest first, and which were verified by a restore. Exit "
        "codes: 0 also when there are none, 2 configured wrongly."
    )
    requires_system_checks: list[str] = []  # works also where the rest does not

    def run(self, **options: Any) -> Outcome:
        backups = all_backups(warn=self.say)
        for backup in [] if options["json"] else backups:
            self.stdout.write(_line(backup))
        data = {"backups": [backup.summary() for backup in backups], "latest": latest()}
        return Outcome(f"{len(backups)} backups, {sum(b.bytes for b in backups):,} bytes.", data)


def _line(backup: Backup) -> str:
    verified = f"verified {backup.verified_at:%Y-%m-%d %H:%M}" if backup.verified_at else "not verified"
    where = " and ".join(backup.places)
    reason = f"  {backup.reason}" if backup.reason else ""
    return f"{backup.id:<30} {backup.bytes:>14,} bytes  {where:<17} {verified}{reason}"
