"""Find out whether a backup can be trusted: `manage.py verify_backup --latest --restore`."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from fynlo.ops.backup.catalogue import Backup, all_backups, find_backup
from fynlo.ops.backup.crypto import BadBackup
from fynlo.ops.backup.lock import only_one_run
from fynlo.ops.backup.verifying import check_backup, rehearse
from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome


class Command(OpsCommand):
    help = (
        "Checks that a backup's files are there and as they were written, and, with BACKUP_AGE_IDENTITY, "
        "that they can be opened. With --restore it is restored where it disturbs nobody (a logical one "
        "into a database of its own on ADMIN_DATABASE_URL's server, a physical one in a server of its own), "
        "compared with its manifest, and the money added up: only that makes it a verified backup. Exit "
        "codes: 0 good, 2 configured wrongly, 3 not to be trusted, 4 another run is under way, 6 the server "
        "or the bucket does not answer."
    )
    requires_system_checks: list[str] = []  # works also where the rest does not

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("id", nargs="?", help="As in list_backups.")
        parser.add_argument("--latest", action="store_true", help="The newest logical and physical one.")
        parser.add_argument("--restore", action="store_true", help="Restore it and compare.")

    def run(self, *, id: str | None, latest: bool, restore: bool, **options: Any) -> Outcome:
        if bool(id) == latest:
            raise CommandError("Say which backup: an id, or --latest.")
        with only_one_run("verify_backup", self.say):
            backups = all_backups(warn=self.say)
            chosen = _newest(backups) if latest else [find_backup(str(id), backups)]
            results, problems = [], []
            for backup in chosen:
                self.say(f"verifying {backup.id}")
                try:
                    results.append(self._verify(backup, backups, restore))
                except BadBackup as error:
                    problems.append(f"{backup.id}: {error}")
                    results.append({"id": backup.id, "problem": str(error), **error.outcome.data})
        if problems:
            return Outcome(" ".join(problems), {"backups": results}, Exit.CHECK_FAILED)
        how = "restored and compared" if restore else "whole"
        return Outcome(f"{', '.join(b.id for b in chosen)}: {how}.", {"backups": results})

    def _verify(self, backup: Backup, backups: list[Backup], restore: bool) -> dict[str, Any]:
        if restore:
            result = rehearse(backup, backups, self.say)
            self.say(f"{backup.id}: {result['rows']:,} rows compared in {result['seconds']} s")
            return result
        opens = bool(settings.ENV.backup.identity) or not backup.encrypted
        check_backup(backup, backups, opens=opens)
        return {"id": backup.id, "kind": backup.kind, "bytes": backup.bytes, "opened": opens}


def _newest(backups: list[Backup]) -> list[Backup]:
    chosen = []
    for family in ("logical", "physical"):
        if any(backup.family == family for backup in backups):
            chosen.append(find_backup(f"latest-{family}", backups))
    if not chosen:
        raise OpsError(Exit.CHECK_FAILED, "There is no backup.")
    return chosen
