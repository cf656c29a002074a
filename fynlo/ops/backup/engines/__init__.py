"""Copies of the whole cluster for any second since: two ways to make them, behind one interface."""

import datetime
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from django.conf import settings

from fynlo.ops.backup.catalogue import Backup
from fynlo.ops.command import Exit, OpsError

Say = Callable[[str], None]


class Engine(Protocol):
    """How the cluster is copied and unpacked."""

    name: str

    def backup(self, kind: str, reason: str, backups: Iterable[Backup], say: Say) -> Backup:
        """Take a full, diff or incr backup; a full one where there is none to add to."""

    def check(self, backup: Backup, backups: Iterable[Backup], workplace: Path) -> None:
        """Read all of it. Raises BadBackup."""

    def unpack(
        self,
        backup: Backup,
        backups: Iterable[Backup],
        data: Path,
        *,
        to_time: datetime.datetime | None,
        workplace: Path,
        say: Say,
    ) -> dict[str, str]:
        """Fill an empty directory that a server can recover in. Answers the settings it needs for that."""

    def prune(self, gone: Iterable[Backup], kept: Iterable[Backup], say: Say) -> list[str]:
        """Remove these backups, and the log that only they needed. Answers what may not be removed yet."""


def get_engine(name: str = "") -> Engine:
    """The engine of BACKUP_ENGINE, or of a backup that another one made."""
    from .native import NativeEngine
    from .pgbackrest import PgBackRestEngine

    engines: dict[str, type[Engine]] = {"native": NativeEngine, "pgbackrest": PgBackRestEngine}
    name = name or settings.ENV.backup.engine
    if name not in engines:
        raise OpsError(
            Exit.USAGE, f"BACKUP_ENGINE is {name!r}: there are only logical backups, and no point in time."
        )
    return engines[name]()
