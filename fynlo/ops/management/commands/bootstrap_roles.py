"""manage.py bootstrap_roles: create or check the database's roles, as its administrator."""

import json
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from psycopg.conninfo import make_conninfo

from fynlo.ops.roles import LOGINS, UnsafeRole, bootstrap_roles, role_drift

# The exit codes that all operations commands share.
MISCONFIGURED, CHECK_FAILED, UNSAFE, UNREACHABLE = 2, 3, 5, 6


class Command(BaseCommand):
    help = (
        "Create or correct the database roles and their rights in this installation's database. Logs in "
        "with ADMIN_DATABASE_URL (a superuser, or CREATEROLE and owner of the database) and sets the "
        "passwords found in FYNLO_APP_PASSWORD, FYNLO_MIGRATOR_PASSWORD and so on, or in the files that "
        "FYNLO_APP_PASSWORD_FILE and so on name; other passwords stay as they are."
    )
    requires_system_checks: list[str] = []  # they connect with a login that may not exist yet

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit 3 on a difference")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, check: bool, json: bool, **options: Any) -> None:
        database = str(settings.DATABASES["default"]["NAME"])
        url = _secret("ADMIN_DATABASE_URL")
        if not url:
            raise CommandError("ADMIN_DATABASE_URL is not set.", returncode=MISCONFIGURED)
        passwords = {name: password for name in LOGINS if (password := _secret(f"{name.upper()}_PASSWORD"))}
        try:
            with psycopg.connect(make_conninfo(url, dbname=database), connect_timeout=10) as connection:
                drift = role_drift(connection, database)
                if not check:
                    bootstrap_roles(connection, database, passwords)
        except UnsafeRole as error:
            raise CommandError(str(error), returncode=UNSAFE) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise CommandError(f"ADMIN_DATABASE_URL: {error}", returncode=MISCONFIGURED) from error
        except psycopg.OperationalError as error:
            raise CommandError(f"ADMIN_DATABASE_URL: {error}", returncode=UNREACHABLE) from error
        self._report(database, drift, sorted(passwords), check, json)
        if check and drift:
            sys.exit(CHECK_FAILED)

    def _report(
        self, database: str, drift: list[str], passwords: list[str], check: bool, as_json: bool
    ) -> None:
        if as_json:
            outcome = {"database": database, "checked_only": check, "differences": drift}
            self.stdout.write(json.dumps(outcome | {"passwords_set": [] if check else passwords}))
            return
        for line in drift:
            self.stdout.write(line)
        done = "differ" if check else "corrected"
        self.stdout.write(
            f"Roles of {database}: {len(drift)} {done}."
            if drift
            else f"Roles of {database}: as they should be."
        )


def _secret(name: str) -> str:
    """The variable's value, or the content of the file that NAME_FILE names."""
    path = os.environ.get(f"{name}_FILE", "")
    return os.environ.get(name, "") or (Path(path).read_text().strip() if path else "")
