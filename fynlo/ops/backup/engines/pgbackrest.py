"""pgBackRest: parallel, with a repository, encryption and retention of its own (see pgbackrest.conf)."""

import datetime
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings

from fynlo.ops.backup.catalogue import PHYSICAL, Backup, describe, make_draft, publish
from fynlo.ops.backup.crypto import BadBackup
from fynlo.ops.backup.logical import recipients, write_manifest
from fynlo.ops.backup.manifest import migration_heads
from fynlo.ops.backup.programs import as_server, connected, environment, give_to_server, run
from fynlo.ops.backup.storage import local_folder
from fynlo.ops.command import Exit, OpsError

from . import Say
from .native import manifest_of_now, recovery_settings, remove


class PgBackRestEngine:
    """Runs `pgbackrest`, which reads PGBACKREST_CONFIG and the stanza PGBACKREST_STANZA (fynlo).

    Its repository holds the cluster and the log; BACKUP_DIR only the list's entry and the manifest.
    """

    name = "pgbackrest"

    def backup(self, kind: str, reason: str, backups: Iterable[Backup], say: Say) -> Backup:
        started = datetime.datetime.now(datetime.UTC)
        draft = make_draft(local_folder().root)
        with connected(settings.ENV.database_url, autocommit=True) as connection:
            manifest = manifest_of_now(connection)
            say("copying the cluster")
            _pgbackrest("backup", f"--type={kind}", "--start-fast")
            made = _known()[-1]
            backup = describe(
                connection,
                migration_heads(manifest),
                id=made["label"],
                kind=made["type"],  # a full one where there was none to add to
                engine=self.name,
                started_at=started,
                files=(write_manifest(draft, manifest, recipients()),),
                reason=reason,
                follows=made["prior"] or "",
                first_wal=made["archive"]["start"],
            )
        if backup.kind not in PHYSICAL:
            raise OpsError(Exit.ERROR, f"pgbackrest made a backup of the unknown kind {backup.kind!r}.")
        publish(backup, draft, local_folder().root)
        return backup

    def check(self, backup: Backup, backups: Iterable[Backup], workplace: Path) -> None:
        """By what it says, perhaps nothing of a good repository: it exits with 0 for a corrupted one too."""
        if backup.id not in {known["label"] for known in _known()}:
            raise BadBackup(f"pgbackrest has no backup {backup.id} any more.")
        said = _pgbackrest("verify", "--output=text")
        if re.search("status: (?!ok)", said):
            raise BadBackup(f"pgbackrest verify: {' '.join(said.split())[:500]}")

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
        say("unpacking")
        give_to_server(data)
        _pgbackrest("restore", f"--pg1-path={data}", f"--set={backup.id}", "--type=none")
        (data / "recovery.signal").touch()
        give_to_server(data)
        variables = environment(_variables())
        prefix = " ".join(f"{name}={value}" for name, value in variables.items() if name.startswith("PGB"))
        return recovery_settings(f'{prefix} pgbackrest --pg1-path={data} archive-get %f "%p"', to_time)

    def prune(self, gone: Iterable[Backup], kept: Iterable[Backup], say: Say) -> list[str]:
        """It removes a backup with those that add to it, and the log from before the oldest one left."""
        known = {backup["label"] for backup in _known()}
        locked = []
        for backup in gone:
            if backup.kind == "full" and backup.id in known:
                _pgbackrest("expire", f"--set={backup.id}")
            if not remove(backup):
                locked.append(backup.id)
        return locked


def _variables() -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name.startswith("PGBACKREST_")}
    return {"PGBACKREST_STANZA": "fynlo", **given}


def _pgbackrest(*arguments: str) -> str:
    return run(["pgbackrest", *arguments], _variables(), **as_server())


def _known() -> list[dict[str, Any]]:
    """The backups in the repository, oldest first."""
    stanzas = json.loads(_pgbackrest("info", "--output=json"))
    return [backup for stanza in stanzas for backup in stanza.get("backup", [])]
