"""Cut a large table into months by its UUIDv7 keys, without a change to the code that uses it.

Postgres asks that every unique key of a partitioned table holds the column it is cut by. So a table whose
only unique key is its id can be cut as it is; the others, where a number is unique too, cannot. Partitions
lie in a schema of their own that no application role may enter: rows are reached through the table alone,
and so through its fence.
"""

import datetime
from collections.abc import Iterator
from uuid import UUID

from django.db import connection, transaction
from psycopg import sql

from .command import Exit, OpsError
from .distribution import tenant_tables

SCHEMA = "partitions"

REFERRERS = """
    SELECT conrelid::regclass::text FROM pg_constraint
     WHERE contype = 'f' AND confrelid = %s::regclass ORDER BY 1
"""
OTHER_KEYS = """
    SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid = %s::regclass AND i.indisunique AND NOT EXISTS (
           SELECT 1 FROM pg_attribute a
            WHERE a.attrelid = i.indrelid AND a.attname = 'id' AND a.attnum = ANY(i.indkey)) ORDER BY 1
"""
CONSTRAINT_TRIGGERS = """
    SELECT tgname FROM pg_trigger
     WHERE tgrelid = %s::regclass AND tgconstraint <> 0 AND NOT tgisinternal ORDER BY 1
"""
# What makes the table what it is, as statements to repeat on the one that takes its name.
CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid), contype = 'p' FROM pg_constraint
     WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'f', 'c') ORDER BY contype DESC, conname
"""
INDEXES = """
    SELECT x.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid = %s::regclass
       AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)
"""
TRIGGERS = """
    SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal
"""
POLICIES = """
    SELECT policyname, permissive, array_to_string(roles, ', '), cmd, qual, with_check
      FROM pg_policies WHERE schemaname = 'public' AND tablename = %s
"""
GRANTS = """
    SELECT privilege_type, '', grantee::regrole::text FROM pg_class, aclexplode(relacl)
     WHERE oid = %s::regclass AND grantee <> relowner
    UNION ALL
    SELECT privilege_type, format('(%%I)', attname), grantee::regrole::text
      FROM pg_attribute, aclexplode(attacl)
     WHERE attrelid = %s::regclass AND attnum > 0
"""


def month_floor(month: datetime.date) -> UUID:
    """The lowest UUIDv7 of a month: its first 48 bits are milliseconds since 1970, UTC (RFC 9562)."""
    start = datetime.datetime(month.year, month.month, 1, tzinfo=datetime.UTC)
    return UUID(int=int(start.timestamp() * 1000) << 80)


def next_month(month: datetime.date) -> datetime.date:
    return (month.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)


def obstacles(table: str) -> list[str]:
    """Why a table cannot be cut as it is, one sentence each."""
    with connection.cursor() as cursor:
        found = []
        for query, sentence in (
            (REFERRERS, "{} refers to it."),
            (OTHER_KEYS, "{} is unique over columns without the id."),
            (CONSTRAINT_TRIGGERS, "{} is a constraint trigger, which partitioned tables cannot have."),
        ):
            cursor.execute(query, [table])
            found += [sentence.format(name) for (name,) in cursor.fetchall()]
    return found


def cut_by_month(table: str, ahead: int, today: datetime.date) -> list[str]:
    """Cut `table` at the end of this month, or add what months are missing. Returns new partitions' names.

    What is there stays where it is, as the first partition. Raises OpsError for a table that cannot be cut.
    """
    if table not in [name for _, name, _, _ in tenant_tables()]:
        raise OpsError(Exit.USAGE, f"{table} is no table of restaurants.")
    first = next_month(today)
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = %s::regclass", [table])
        is_cut = cursor.fetchone() == ("p",)
    if not is_cut:
        if why := obstacles(table):
            raise OpsError(Exit.UNSAFE, f"{table} cannot be cut: {' '.join(why)}", obstacles=why)
        _prove_bound(table, first)
    with transaction.atomic():
        if not is_cut:
            _cut(table, first)
        return list(_add_months(table, first, ahead))


def _prove_bound(table: str, first: datetime.date) -> None:
    """A constraint proved now, so that attaching need not read the table under its lock."""
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT IF EXISTS "{table}_before"')
        bound = f"CHECK (id IS NOT NULL AND id < '{month_floor(first)}')"
        cursor.execute(f'ALTER TABLE "{table}" ADD CONSTRAINT "{table}_before" {bound} NOT VALID')
        cursor.execute(f'ALTER TABLE "{table}" VALIDATE CONSTRAINT "{table}_before"')


def _cut(table: str, first: datetime.date) -> None:
    before = f"{table}_before"
    kept = {name: _read(query, table) for name, query in _PARTS.items()}
    grants = _read(GRANTS, table, table)
    statements = [
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
        f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE',
        *(f'DROP TRIGGER "{name}" ON "{table}"' for name, _ in kept["triggers"]),
        # Names of indexes are the schema's; those of other constraints their table's own.
        *(
            f'ALTER TABLE "{table}" RENAME CONSTRAINT "{n}" TO "{n}_before"'
            for n, _, key in kept["constraints"]
            if key
        ),
        *(f'ALTER INDEX "{name}" RENAME TO "{name}_before"' for name, _ in kept["indexes"]),
        f'ALTER TABLE "{table}" RENAME TO "{before}"',
        f'CREATE TABLE "{table}" (LIKE "{before}" INCLUDING DEFAULTS INCLUDING GENERATED)'
        " PARTITION BY RANGE (id)",
        f'REVOKE ALL ON "{table}" FROM fynlo_app, fynlo_platform',
        *(
            f'ALTER TABLE "{table}" ADD CONSTRAINT "{n}" {text}'
            for n, text, _ in kept["constraints"]
            if n != before
        ),
        *(text for _, text in kept["indexes"]),
        *(text for _, text in kept["triggers"]),
        f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
        *_policies(table, kept["policies"]),
        *(f'GRANT {what} {columns} ON "{table}" TO {role}' for what, columns, role in grants),
        f'ALTER TABLE "{table}" ATTACH PARTITION "{before}"'
        f" FOR VALUES FROM (MINVALUE) TO ('{month_floor(first)}')",
        *_close(before),
        # No row is ever refused because somebody forgot to add months.
        f'CREATE TABLE "{table}_later" PARTITION OF "{table}" DEFAULT',
        *_close(f"{table}_later"),
    ]
    _execute(statements)


_PARTS = {"constraints": CONSTRAINTS, "indexes": INDEXES, "triggers": TRIGGERS, "policies": POLICIES}


def _close(partition: str) -> list[str]:
    """A partition is reached through its table alone."""
    return [
        f'ALTER TABLE "{partition}" SET SCHEMA {SCHEMA}',
        f'REVOKE ALL ON {SCHEMA}."{partition}" FROM PUBLIC, fynlo_app, fynlo_platform, fynlo_readonly',
        f'ALTER TABLE {SCHEMA}."{partition}" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
    ]


def _policies(table: str, policies: list[tuple[str, ...]]) -> Iterator[str]:
    for name, permissive, roles, command, using, check in policies:
        statement = f'CREATE POLICY "{name}" ON "{table}" AS {permissive} FOR {command} TO {roles}'
        yield statement + (f" USING ({using})" if using else "") + (f" WITH CHECK ({check})" if check else "")


def _add_months(table: str, first: datetime.date, ahead: int) -> Iterator[str]:
    month = first
    for _ in range(ahead):
        name = f"{table}_{month:%Y_%m}"
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NULL", [f"{SCHEMA}.{name}"])
            is_missing = cursor.fetchone() == (True,)
        if is_missing:
            bounds = f"FROM ('{month_floor(month)}') TO ('{month_floor(next_month(month))}')"
            _execute([f'CREATE TABLE "{name}" PARTITION OF "{table}" FOR VALUES {bounds}', *_close(name)])
            yield name
        month = next_month(month)


def _read(query: str, *params: str) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, list(params))
        return cursor.fetchall()


def _execute(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(sql.SQL(statement))
