"""Remove old backups: `manage.py prune_backups`."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from fynlo.ops.backup.catalogue import Backup, all_backups
from fynlo.ops.backup.engines import get_engine
from fynlo.ops.backup.engines.native import remove
from fynlo.ops.backup.retention import backups_to_remove
from fynlo.ops.command import OpsCommand, Outcome, only_one


class Command(OpsCommand):
    help = (
        "Removes the backups that BACKUP_KEEP_DAILY, _WEEKLY, _MONTHLY and _DAYS_OF_WAL no longer ask for, "
        "here and off site, and the write-ahead log that only they needed. Never the last one that was "
        "verified by a restore, and nothing at all while none was. Exit codes: 0 done, 2 configured wrongly, "
        "3 nothing was ever verified, 4 another run is under way, 6 the bucket does not answer."
    )
    requires_system_checks: list[str] = []  # works also where the rest does not

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be removed.")

    def run(self, *, dry_run: bool, **options: Any) -> Outcome:
        with only_one("backup"):
            backups = all_backups()
            gone = backups_to_remove(backups, timezone.now(), settings.ENV.backup)
            for backup in gone:
                self.say(f"{'would remove' if dry_run else 'removing'} {backup.id}")
            locked = [] if dry_run else self._remove(gone, [b for b in backups if b not in gone])
        message = f"{len(gone)} of {len(backups)} backups {'would be ' if dry_run else ''}removed."
        if locked:
            message += f" Off site {len(locked)} of them stay until their lock ends."
        return Outcome(message, {"removed": [b.id for b in gone], "locked": locked, "dry_run": dry_run})

    def _remove(self, gone: list[Backup], kept: list[Backup]) -> list[str]:
        locked = [backup.id for backup in gone if backup.kind == "logical" and not remove(backup)]
        for name in sorted({b.engine for b in (*gone, *kept) if b.kind != "logical"}):
            locked += get_engine(name).prune([b for b in gone if b.engine == name], kept, self.say)
        return locked
