#!/usr/bin/env python
"""Run a Django management command."""

import json
import logging
import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

# Commands that another login than the application's runs.
ROLES = {
    "migrate": "migrator",
    "migrate_safely": "migrator",
    "rollback_migration": "migrator",
    "makemigrations": "migrator",
    "sqlmigrate": "migrator",
    "load_demo": "platform",
    "platform_owner": "platform",
    "replay_orders": "platform",
    "rotate_payment_keys": "platform",
    "verify_journal": "platform",
    "backup": "backup",
    "list_backups": "backup",
    "prune_backups": "backup",
    "restore": "backup",
    "verify_backup": "backup",
}

# Commands that make the environment, and so run without one.
BEFORE_ALL = {"generate_secrets", "rotate_secret"}
NOWHERE = {"DATABASE_URL": "postgresql:///", "REDIS_URL": "redis://", "ENVIRONMENT": "development"}

_told: set[str] = set()


def tell_once(record: logging.LogRecord) -> bool:
    """A database that is away is told once, however often the pool tries."""
    is_new = record.msg not in _told
    _told.add(record.msg)
    return is_new


def use_running_server() -> None:
    """Where no DATABASE_URL is set, take the environment of the `script/server` of this checkout."""
    path = Path(__file__).parent / ".data" / "environment.json"
    if os.environ.get("DATABASE_URL") or not path.exists():
        return
    role = os.environ.get("DB_ROLE") or ROLES.get(sys.argv[1] if len(sys.argv) > 1 else "", "app")
    for name, value in json.loads(path.read_text())[role].items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fynlo.settings")
    if len(sys.argv) > 1 and sys.argv[1] in BEFORE_ALL:
        os.environ.update(NOWHERE)
    logging.getLogger("psycopg.pool").addFilter(tell_once)
    use_running_server()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        print(f"error: {error}", file=sys.stderr)  # one line for a person, not thirty of Python
        sys.exit(2)
