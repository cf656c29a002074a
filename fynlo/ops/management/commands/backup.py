"""Take a backup: `manage.py backup --kind logical|full|diff|incr`."""

from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops.backup import wal
from fynlo.ops.backup.catalogue import KINDS, Backup, all_backups, sync_offsite
from fynlo.ops.backup.engines import get_engine
from fynlo.ops.backup.logical import dump_database
from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome, only_one


class Command(OpsCommand):
    help = (
        "Takes a backup into BACKUP_DIR, encrypted to BACKUP_AGE_RECIPIENT, and copies it off site. Needs "
        "the backup's login (DB_ROLE=backup). logical: a dump of the database; full, diff and incr: the "
        "cluster, for any second since. May be repeated; what an earlier run could not copy off site goes "
        "too. Exit codes: 0 done, 2 configured wrongly, 4 another run is under way, 5 not encrypted in "
        "production, 6 no database, or the backup is here and not off site."
    )
    requires_system_checks: list[str] = []  # works also where the rest does not

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--kind", choices=KINDS, default="logical")
        parser.add_argument("--reason", default="", help="Why, for the list: such as a release's version.")

    def run(self, *, kind: str, reason: str, **options: Any) -> Outcome:
        with only_one("backup"):
            if kind == "logical":
                backup = dump_database(reason, self.say)
            else:
                backup = get_engine().backup(kind, reason, all_backups(offsite=False), self.say)
            offsite = self._copy(backup)
        seconds = round((backup.ended_at - backup.started_at).total_seconds(), 1)
        where = "here and off site" if offsite else "here"
        sealed = "encrypted" if backup.encrypted or backup.engine == "pgbackrest" else "not encrypted"
        message = f"{backup.id}: {backup.bytes:,} bytes in {seconds} s, {sealed}, {where}."
        return Outcome(message, {"backup": backup.summary(), "offsite": offsite})

    def _copy(self, backup: Backup) -> bool:
        try:
            copied = sync_offsite(self.say)
            wal.ship(self.say)
        except OpsError as error:
            if error.outcome.code != Exit.UNREACHABLE:
                raise
            message = f"{backup.id} is here, but not off site; the next run tries again. {error}"
            raise OpsError(Exit.UNREACHABLE, message, backup=backup.summary(), offsite=False) from error
        return copied > 0
