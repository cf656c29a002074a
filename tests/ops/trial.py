"""A database and migrations of a test's own: the app `ops` with migrations that the test wrote."""

import contextlib
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
from django.db import connections
from django.test.utils import override_settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.databases import ROOT, admin_url, create_test_database, drop_test_database, role_url

HEAD = """
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
"""
numbers = itertools.count(1)


@contextlib.contextmanager
def migrations_of_ops(folder: Path, **written: str) -> Iterator[None]:
    """Put `written` (name: body of the class Migration) after the real migrations of ops."""
    package = f"trial_migrations_{next(numbers)}"
    place = folder / package
    shutil.copytree(ROOT / "fynlo/ops/migrations", place, ignore=shutil.ignore_patterns("__pycache__"))
    previous = sorted(path.stem for path in place.glob("0*.py"))[-1]
    for name, body in written.items():
        name = name.removeprefix("_")
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        (place / f"{name}.py").write_text(
            f"{HEAD}\nclass Migration(migrations.Migration):\n"
            f'    dependencies = [("ops", "{previous}")]\n{lines}\n'
        )
        previous = name
    sys.path.insert(0, str(folder))
    try:
        with override_settings(MIGRATION_MODULES={"ops": package}):
            yield
    finally:
        sys.path.remove(str(folder))
        for module in [module for module in sys.modules if module.split(".")[0] == package]:
            del sys.modules[module]


@contextlib.contextmanager
def own_database(name: str) -> Iterator[str]:
    """A copy of the migrated database, with the migrator's login on the default connection."""
    database = create_test_database(name)
    outer = connections["default"]
    inner = outer.copy()
    login = conninfo_to_dict(role_url("migrator", database))
    options = {key: value for key, value in inner.settings_dict["OPTIONS"].items() if key != "pool"}
    inner.settings_dict |= {
        "NAME": database,
        "USER": login["user"],
        "PASSWORD": login.get("password", ""),
        "OPTIONS": options | {"assume_role": "fynlo_owner", "server_side_binding": False},
    }
    connections["default"] = inner
    try:
        with override_settings(DB_ROLE="migrator"):
            yield database
    finally:
        inner.close()
        connections["default"] = outer
        drop_test_database(database)


def superuser(database: str) -> psycopg.Connection:
    return psycopg.connect(make_conninfo(admin_url(database)), autocommit=True)
