"""manage.py bootstrap_roles: create or check the database's roles, as its administrator."""

import os
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandParser
from psycopg.conninfo import make_conninfo

from fynlo.ops.command import Exit, OpsCommand, OpsError, Outcome
from fynlo.ops.roles import LOGINS, UnsafeRole, bootstrap_roles, role_drift


class Command(OpsCommand):
    help = (
        "Create or correct the database roles and their rights in this installation's database. Logs in "
        "with ADMIN_DATABASE_URL (a superuser, or CREATEROLE and owner of the database) and sets the "
        "passwords found in FYNLO_APP_PASSWORD, FYNLO_MIGRATOR_PASSWORD and so on, or in the files that "
        "FYNLO_APP_PASSWORD_FILE and so on name; other passwords stay as they are."
    )
    requires_system_checks: list[str] = []  # they connect with a login that may not exist yet

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--check", action="store_true", help="Change nothing; exit 3 on a difference.")

    def run(self, *, check: bool, **options: Any) -> Outcome:
        database = str(settings.DATABASES["default"]["NAME"])
        url = _secret("ADMIN_DATABASE_URL")
        if not url:
            raise OpsError(Exit.USAGE, "ADMIN_DATABASE_URL is not set.")
        passwords = {name: password for name in LOGINS if (password := _secret(f"{name.upper()}_PASSWORD"))}
        try:
            with psycopg.connect(make_conninfo(url, dbname=database), connect_timeout=10) as connection:
                drift = role_drift(connection, database)
                if not check:
                    bootstrap_roles(connection, database, passwords)
        except UnsafeRole as error:
            raise OpsError(Exit.UNSAFE, str(error)) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise OpsError(Exit.USAGE, f"ADMIN_DATABASE_URL: {error}") from error
        except psycopg.OperationalError as error:
            raise OpsError(Exit.UNREACHABLE, f"ADMIN_DATABASE_URL: {error}") from error
        for line in drift:
            self.say(line)
        done = "as they should be" if not drift else f"{len(drift)} {'differ' if check else 'corrected'}"
        return Outcome(
            f"Roles of {database}: {done}.",
            {
                "database": database,
                "checked_only": check,
                "differences": drift,
                "passwords_set": [] if check else sorted(passwords),
            },
            Exit.CHECK_FAILED if check and drift else Exit.OK,
        )


def _secret(name: str) -> str:
    """The variable's value, or the content of the file that NAME_FILE names."""
    path = os.environ.get(f"{name}_FILE", "")
    return os.environ.get(name, "") or (Path(path).read_text().strip() if path else "")
