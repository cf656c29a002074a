"""Putting a backup in place: beside what is there, compared, and only then swapped by name."""

import contextlib
import datetime
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from fynlo.ops import roles
from fynlo.ops.command import Exit, OpsError

from . import logical, manifest
from .catalogue import Backup
from .logical import Say, admin, admin_url
from .programs import give_to_server, workplace
from .verifying import examine, recovered

NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")

# Tables of the installation that a single restaurant's database needs rows of: which ones.
SHARED_ROWS = {
    "restaurants_restaurant": "id = {restaurant}",
    "accounts_user": "id IN (SELECT user_id FROM public.accounts_membership"
    " WHERE restaurant_id = {restaurant})",
    "django_migrations": "true",
    "django_content_type": "true",
    "auth_permission": "true",
}


def refuse_unless_allowed(target: str, *, replace: bool, confirm: str) -> None:
    """A database that has tables is only replaced by who says so twice. Raises OpsError."""
    if not NAME.fullmatch(target):
        raise OpsError(Exit.USAGE, f"--target-db: {target!r} must be lower-case letters, digits and _.")
    if not _has_tables(target):
        return
    if not replace:
        raise OpsError(
            Exit.UNSAFE,
            f"The database {target} is not empty. Restore into a new one with --target-db, or replace it "
            f"with --replace --confirm {target}; the present one is then kept under another name.",
        )
    if confirm != target:
        raise OpsError(Exit.UNSAFE, f"To replace {target} say --confirm {target}.")


def restore_database(
    backup: Backup,
    backups: Iterable[Backup],
    target: str,
    say: Say,
    *,
    to_time: datetime.datetime | None = None,
    only_restaurant: int | None = None,
) -> dict[str, Any]:
    """Restore into a new database, compare it, give it the target's name; what had it is kept."""
    beside = f"{target}_restoring"
    logical.drop_database(beside)  # of a run that was killed
    try:
        with workplace() as place:
            _fill(backup, backups, beside, place, say, to_time)
            if only_restaurant is not None:
                _keep_only(only_restaurant, beside, say)
        with admin(beside) as connection:
            figures = _figures(connection)
            rotated = rotate_epochs(connection)
        kept = _swap(beside, target, say)
    except BaseException:
        logical.drop_database(beside)
        raise
    return {"database": target, "kept_as": kept, "streams_restarted": rotated, **figures}


def restore_cluster(
    backup: Backup,
    backups: Iterable[Backup],
    data: Path,
    say: Say,
    *,
    to_time: datetime.datetime | None = None,
) -> dict[str, Any]:
    """Fill an empty data directory, recovered, compared and stopped, for a server to be started on."""
    if data.exists() and any(data.iterdir()):
        raise OpsError(Exit.UNSAFE, f"{data} is not empty: move away what is there, it may still be needed.")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    give_to_server(data)
    with workplace() as place, recovered(backup, backups, data, place, say, to_time) as url:
        expected = logical.read_manifest(backup, place) if backup.files else None
        database = make_conninfo(url, dbname=backup.database)
        examine(database, expected, say, exact=False)
        with psycopg.connect(database, autocommit=True) as connection:
            rotated = rotate_epochs(connection)
            figures = _figures(connection)
            connection.execute("CHECKPOINT")
    return {"data_directory": str(data), "streams_restarted": rotated, **figures}


def rotate_epochs(connection: psycopg.Connection) -> int:
    """Give every restaurant's log another name: its numbers will repeat, and screens must not go on."""
    return connection.execute("UPDATE public.events_streamhead SET epoch = gen_random_uuid()").rowcount


def _fill(
    backup: Backup,
    backups: Iterable[Backup],
    database: str,
    place: Path,
    say: Say,
    to_time: datetime.datetime | None,
) -> None:
    if backup.kind == "logical":
        logical.restore_dump(backup, database, place, say)
        expected = logical.read_manifest(backup, place)
    else:
        with recovered(backup, backups, place / "data", place, say, to_time) as url:
            source = make_conninfo(url, dbname=backup.database)
            before = logical.read_manifest(backup, place) if backup.files else None
            expected = examine(source, before, say, exact=False)
            logical.copy_database(source, backup.major, database, place, say)
    examine(admin_url(database), expected, say, exact=True)


def _has_tables(database: str) -> bool:
    with admin() as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            return False
    with admin(database) as connection:
        query = """
            SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
                              AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast'))
        """
        return connection.execute(query).fetchone() == (True,)


def _swap(beside: str, target: str, say: Say) -> str:
    """Give the new database the name, in one transaction. Answers the name of what had it, or nothing."""
    now = datetime.datetime.now(datetime.UTC)
    kept = f"{target}_before_{now:%Y%m%d%H%M%S}"
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    names = [sql.Identifier(name) for name in (beside, target, kept)]
    with admin() as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [target]).fetchone()
        with contextlib.ExitStack() as stack:
            if exists:
                stack.enter_context(_nobody_in(connection, target, kept))
            _end_sessions(connection, beside)
            with connection.transaction():
                if exists:
                    connection.execute(rename.format(names[1], names[2]))
                connection.execute(rename.format(names[0], names[1]))
    with admin(target) as connection:
        roles.bootstrap_roles(connection, target)
    if exists:
        say(f"what was {target} is now {kept}: drop it when you are sure")
    return kept if exists else ""


@contextlib.contextmanager
def _nobody_in(connection: psycopg.Connection, database: str, renamed: str) -> Iterator[None]:
    """No session in a database, and no new ones, until it has its new name (or keeps the old one)."""
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    connection.execute(allow.format(sql.Identifier(database), sql.SQL("false")))
    try:
        _end_sessions(connection, database)
        yield
    finally:
        names = [database, renamed]
        for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE datname = ANY(%s) AND NOT datallowconn", [names]
        ).fetchall():
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


def _end_sessions(connection: psycopg.Connection, database: str) -> None:
    """End them and wait until they are gone: a database with a session in it cannot be renamed."""
    for _ in range(100):
        left = connection.execute(
            "SELECT count(pg_terminate_backend(pid, 100)) FROM pg_stat_activity WHERE datname = %s",
            [database],
        ).fetchone()
        if left == (0,):
            return
    raise OpsError(Exit.LATER, f"Sessions in {database} do not end: stop what uses it.")


def _figures(connection: psycopg.Connection) -> dict[str, int]:
    with connection.transaction():
        return manifest.totals(manifest.take_manifest(connection))


# --- one restaurant


def _keep_only(restaurant: int, database: str, say: Say) -> None:
    """Turn a restored database into one that has a single restaurant's rows, and say so.

    The people are those who work there, without their passwords. Foreign keys that hold afterwards prove
    that nothing of the restaurant hangs from another one's rows.
    """
    say(f"leaving only restaurant {restaurant}")
    with admin(database) as connection:
        found = connection.execute("SELECT 1 FROM restaurants_restaurant WHERE id = %s", [restaurant])
        if not found.fetchone():
            raise OpsError(Exit.USAGE, f"In this backup there is no restaurant {restaurant}.")
        tables = connection.execute(manifest.TABLES).fetchall()
        with connection.transaction():
            # No trigger and no foreign key meanwhile: rows go table by table, in no order.
            connection.execute("SET LOCAL session_replication_role = replica")
            for _, table, is_tenant, _ in tables:
                connection.execute(_delete_others(table, is_tenant, restaurant))
            connection.execute("UPDATE accounts_user SET password = '!'")
            _check_foreign_keys(connection)
        for (view,) in connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'm' AND relispopulated"
        ).fetchall():
            connection.execute(f"REFRESH MATERIALIZED VIEW {view}".encode())
        connection.execute("VACUUM FULL")


def _delete_others(table: str, is_tenant: bool, restaurant: int) -> sql.Composed:
    kept = "restaurant_id = {restaurant}" if is_tenant else SHARED_ROWS.get(table, "false")
    return sql.SQL("DELETE FROM public.{table} WHERE ({kept}) IS NOT TRUE").format(
        table=sql.Identifier(table),
        kept=sql.SQL(kept).format(restaurant=sql.Literal(restaurant)),
    )


def _check_foreign_keys(connection: psycopg.Connection) -> None:
    """Have Postgres prove every foreign key again, from the rows. Raises IntegrityError."""
    query = """
        SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
         WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0
    """
    for table, name, definition in connection.execute(query).fetchall():
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}".encode())
