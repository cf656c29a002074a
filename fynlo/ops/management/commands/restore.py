"""Restore a backup: `manage.py restore ID`."""

import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connections

from fynlo.ops.backup import restoring
from fynlo.ops.backup.catalogue import Backup, all_backups, find_backup
from fynlo.ops.backup.lock import only_one_restore
from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome


class Command(OpsCommand):
    help = (
        "Restores a backup into a new database beside the present one, compares it with its manifest, and "
        "only then gives it the name; the present one is kept under another. With --data-directory a "
        "physical backup fills an empty directory, for a server whose disk is lost. Every screen's stream "
        "starts afresh. May be repeated. Exit codes: 0 restored, 2 used or configured wrongly, 3 the backup "
        "is not to be trusted, or its log ends before --to-time, 4 another restore is under way, 5 refused: "
        "something is there already, 6 the server or the bucket does not answer, 75 the database is in use."
    )
    requires_system_checks: list[str] = []  # works also where the rest does not

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("id", help="As in list_backups; or latest, latest-logical, latest-physical.")
        parser.add_argument(
            "--to-time", type=_moment, help="As it was at this moment (2026-11-24T14:03:07Z): physical only."
        )
        parser.add_argument("--target-db", help="The database to make; as a rule that of this installation.")
        parser.add_argument("--replace", action="store_true", help="The target may have rows already...")
        parser.add_argument("--confirm", default="", metavar="NAME", help="...and this is its name.")
        parser.add_argument(
            "--only-restaurant", type=int, metavar="ID", help="Only its rows, in fynlo_restaurant_ID."
        )
        parser.add_argument(
            "--data-directory", type=Path, help="Fill this empty directory instead of a database."
        )

    def run(
        self,
        *,
        id: str,
        to_time: datetime.datetime | None,
        target_db: str | None,
        replace: bool,
        confirm: str,
        only_restaurant: int | None,
        data_directory: Path | None,
        **options: Any,
    ) -> Outcome:
        if data_directory and (target_db or only_restaurant is not None):
            raise CommandError("--data-directory restores the whole cluster: it goes with neither of these.")
        with only_one_restore(self.say):
            backups = all_backups(warn=self.say)
            backup = find_backup(id, backups, before=to_time)
            _refuse_impossible(backup, to_time, data_directory)
            if data_directory:
                data = restoring.restore_cluster(backup, backups, data_directory, self.say, to_time=to_time)
                message = (
                    f"{backup.id} is in {data_directory}: start the server on it, then take a full backup at "
                    "once, for the write-ahead log begins anew."
                )
                return Outcome(message, {"backup": backup.id, **data})
            if only_restaurant is not None:
                target = target_db or f"fynlo_restaurant_{only_restaurant}"
            else:
                target = target_db or settings.DATABASES["default"]["NAME"]
            restoring.refuse_unless_allowed(target, replace=replace, confirm=confirm)
            data = restoring.restore_database(
                backup, backups, target, self.say, to_time=to_time, only_restaurant=only_restaurant
            )
        # Its sessions ended with the database that they were in.
        connections["default"].close()
        getattr(connections["default"], "close_pool", lambda: None)()
        message = f"{backup.id} is the database {target}: {data['orders']:,} orders, {data['rows']:,} rows."
        if data["kept_as"]:
            message += f" What it replaced is {data['kept_as']}."
        return Outcome(message, {"backup": backup.id, **data})


def _moment(text: str) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("without a time zone")
    return moment.astimezone(datetime.UTC)


def _refuse_impossible(
    backup: Backup, to_time: datetime.datetime | None, data_directory: Path | None
) -> None:
    if backup.kind == "logical" and (to_time or data_directory):
        raise OpsError(
            Exit.USAGE, f"{backup.id} is a dump, of one moment: choose a full, diff or incr backup."
        )
    if to_time and to_time < backup.ended_at:
        raise OpsError(
            Exit.USAGE,
            f"{backup.id} ended at {backup.ended_at:%H:%M:%S} UTC, after that: choose an earlier one.",
        )
    if to_time and to_time > datetime.datetime.now(datetime.UTC):
        raise OpsError(Exit.USAGE, "--to-time has not come yet.")
