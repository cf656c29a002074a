"""Which backups may go."""

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from fynlo.env import BackupEnv
from fynlo.ops.command import Exit, OpsError

from .catalogue import Backup, chain


def backups_to_remove(backups: list[Backup], now: datetime.datetime, env: BackupEnv) -> list[Backup]:
    """Those that no rule keeps, oldest first. Raises OpsError where none of a family was ever verified."""
    logical = [b for b in backups if b.family == "logical"]
    physical = [b for b in backups if b.family == "physical"]
    kept = {
        *_kept_of_logical(logical, env),
        *_kept_of_physical(physical, now - datetime.timedelta(days=env.keep_days_of_wal)),
        *_always_kept(logical, backups),
        *_always_kept(physical, backups),
    }
    gone = [backup for backup in backups if backup.id not in kept]
    for family in (logical, physical):
        if any(b in gone for b in family) and not any(b.verified_at for b in family):
            raise OpsError(
                Exit.CHECK_FAILED,
                f"No {family[0].family} backup was ever verified, so none is removed: verify_backup --latest "
                "--restore shows whether the newest restores.",
            )
    return gone


def _always_kept(family: list[Backup], backups: list[Backup]) -> set[str]:
    """The newest, and the newest of those that were found to restore, with what they add to."""
    verified = [backup for backup in family if backup.verified_at]
    newest = [max(group, key=lambda backup: backup.ended_at) for group in (family, verified) if group]
    return {part.id for backup in newest for part in chain(backup, backups)}


def _kept_of_logical(backups: list[Backup], env: BackupEnv) -> set[str]:
    """The last of each of so many days, weeks and months that have one."""

    def last_of_each(period: Callable[[datetime.datetime], Any], count: int) -> set[str]:
        newest = {period(b.ended_at): b.id for b in sorted(backups, key=lambda b: b.ended_at)}
        return {newest[key] for key in sorted(newest, reverse=True)[:count]}

    return (
        last_of_each(lambda at: at.date(), env.keep_daily)
        | last_of_each(lambda at: tuple(at.isocalendar())[:2], env.keep_weekly)
        | last_of_each(lambda at: (at.year, at.month), env.keep_monthly)
    )


def _kept_of_physical(backups: Iterable[Backup], oldest_moment: datetime.datetime) -> set[str]:
    """All that a restore to any moment since needs: from the last full one before it on."""
    backups = list(backups)
    before = [b.ended_at for b in backups if b.kind == "full" and b.ended_at <= oldest_moment]
    begin = max(before, default=datetime.datetime.min.replace(tzinfo=datetime.UTC))
    by_id = {b.id: b for b in backups}

    def root(backup: Backup) -> Backup:
        return root(by_id[backup.follows]) if backup.follows in by_id else backup

    return {b.id for b in backups if root(b).ended_at >= begin}
