"""Test databases: built once by the migrator from the migrations, then copied for each worker."""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from django.db import connections
from django.test.utils import override_settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fynlo.ops.roles import bootstrap_roles

# What a pooler in front of the database serves; ops commands go past it.
POOLED_ROLES = {"app", "platform"}

ROOT = Path(__file__).resolve().parent.parent


def admin_url(database: str = "postgres") -> str:
    return make_conninfo(os.environ["TEST_ADMIN_DATABASE_URL"], dbname=database)


def role_url(role: str, database: str) -> str:
    """The connection string of a role's login; passwords come from TEST_ROLE_PASSWORD where needed."""
    password = os.environ.get("TEST_ROLE_PASSWORD", "")
    params = {"dbname": database, "user": f"fynlo_{role}", **({"password": password} if password else {})}
    parts = conninfo_to_dict(os.environ["TEST_ADMIN_DATABASE_URL"])
    place = {key: parts[key] for key in ("host", "port") if parts.get(key)}
    if role in POOLED_ROLES and "TEST_POOLER_HOST" in os.environ:
        place = {"host": os.environ["TEST_POOLER_HOST"], "port": os.environ["TEST_POOLER_PORT"]}
    return make_conninfo("", **place, **params)


def create_test_database(worker_id: str) -> str:
    """Make a database for this worker of this run and return its name."""
    name = f"fynlo_test_{os.getpid()}_{worker_id}"
    with only_one_at_a_time(), psycopg.connect(admin_url(), autocommit=True) as admin:
        template = _template(admin)
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        # CREATE DATABASE copies rows and policies, but not the database's own grants.
        with psycopg.connect(admin_url(name), autocommit=True) as connection:
            bootstrap_roles(connection, name, passwords=_passwords())
    return name


def drop_test_database(name: str) -> None:
    with psycopg.connect(admin_url(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _passwords() -> dict[str, str] | None:
    password = os.environ.get("TEST_ROLE_PASSWORD", "")
    logins = ("app", "platform", "migrator", "readonly", "backup", "monitor")
    return {f"fynlo_{login}": password for login in logins} if password else None


def _template(admin: psycopg.Connection) -> str:
    name = f"fynlo_template_{_schema_hash()}"
    if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        return name
    for (old,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'fynlo\\_template\\_%'"):
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(old)))
    building = "fynlo_template_building"
    admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(building)))
    with psycopg.connect(admin_url(building), autocommit=True) as connection:
        bootstrap_roles(connection, building, passwords=_passwords())
    env = {**os.environ, "DB_ROLE": "migrator", "DATABASE_URL": role_url("migrator", building)}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, env=env, check=True
    )
    admin.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(building), sql.Identifier(name))
    )
    return name


def _schema_hash() -> str:
    digest = hashlib.sha256()
    for path in [
        *sorted(ROOT.glob("[!.]*/**/migrations/*.py")),
        ROOT / "fynlo/tenancy/constraints.py",
        ROOT / "fynlo/ops/roles.py",
    ]:
        if ".venv" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """For whoever changes or looks at roles: they belong to the whole cluster, so to every worker."""
    key = hashlib.sha256(os.environ["TEST_ADMIN_DATABASE_URL"].encode()).hexdigest()[:12]
    with (Path(tempfile.gettempdir()) / f"fynlo-test-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def use_database(name: str) -> None:
    """From here on this process's default connection, and processes that it starts, go to this database."""
    connection = connections["default"]
    connection.close()
    connection.settings_dict["NAME"] = name  # first: asking for the pool makes one where none was
    connection.close_pool()
    os.environ["DATABASE_URL"] = role_url("app", name)


@contextlib.contextmanager
def database_of_its_own(purpose: str) -> Iterator[str]:
    """One that no other test has written to, for who verifies all that is in it; used until the end."""
    outer = str(connections["default"].settings_dict["NAME"])
    name = create_test_database(purpose)
    with psycopg.connect(admin_url(name), autocommit=True) as admin:
        # What this process remembers by a restaurant's id is another restaurant's.
        admin.execute("ALTER SEQUENCE restaurants_restaurant_id_seq RESTART WITH 1000000")
    use_database(name)
    try:
        yield name
    finally:
        use_database(outer)
        drop_test_database(name)


@contextlib.contextmanager
def database_role(role: str) -> Iterator[None]:
    """Run the body with another login on the default connection, such as the platform console's."""
    outer = connections["default"]
    inner = outer.copy()
    parts = conninfo_to_dict(role_url(role, outer.settings_dict["NAME"]))
    inner.settings_dict["USER"] = parts["user"]
    inner.settings_dict["PASSWORD"] = parts.get("password", "")
    inner.settings_dict["OPTIONS"] = {k: v for k, v in inner.settings_dict["OPTIONS"].items() if k != "pool"}
    connections["default"] = inner
    try:
        with override_settings(DB_ROLE=role):
            yield
    finally:
        inner.close()
        connections["default"] = outer
