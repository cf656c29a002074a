"""What a database holds, in figures: taken with a backup, compared after its restore.

Rows and sums of money by table and restaurant, and the structure line by line: row-level security,
policies, rights, constraints, indexes, functions, roles.
"""

import re
from typing import Any

import psycopg
from psycopg import sql

Manifest = dict[str, Any]

# Rows of these are only ever added. A restored database must have at least those of the manifest, where
# it cannot have exactly those: a physical backup is of a moment a little later.
APPEND_ONLY = ("payments_ledgertransaction", "payments_ledgerentry", "payments_receipt")
NOTATION = re.compile(r"::(?:character varying|text)(?:\[\])?|[()\s]")
SHOWN = 20  # differences told of; more make no difference

TABLES = """
    SELECT c.oid::bigint, c.relname,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'restaurant_id'
                                                AND NOT a.attisdropped),
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND a.attname LIKE '%\\_minor' AND a.atttypid IN ('int4'::regtype, 'int8'::regtype)
                  ORDER BY 1)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname
"""

STRUCTURE = """
WITH ours AS (
    SELECT c.*, n.nspname || '.' || c.relname AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'definer')
),
rights AS (
    SELECT 'relation ' || name AS what, relacl AS acl FROM ours WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure, proacl FROM pg_proc p JOIN pg_namespace n
        ON n.oid = p.pronamespace AND n.nspname IN ('public', 'definer')
    UNION ALL
    SELECT 'schema ' || nspname, nspacl FROM pg_namespace WHERE nspname IN ('public', 'definer')
)
SELECT format('table %s: owner %s, row security %s, forced %s', name, relowner::regrole,
              relrowsecurity, relforcerowsecurity) FROM ours WHERE relkind IN ('r', 'p')
UNION ALL
SELECT format('column %s.%s: %s, not null %s, default %s', name, attname, format_type(atttypid, atttypmod),
              attnotnull, pg_get_expr(adbin, adrelid))
  FROM ours JOIN pg_attribute a ON a.attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum WHERE relkind IN ('r', 'p')
UNION ALL
SELECT format('policy %s on %s: permissive %s, %s for %s using %s check %s', polname, ours.name,
              polpermissive, polcmd,
              (SELECT string_agg(coalesce(rolname, 'PUBLIC'), ', ' ORDER BY rolname)
                 FROM unnest(polroles) r LEFT JOIN pg_roles ON pg_roles.oid = r),
              pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
  FROM pg_policy JOIN ours ON ours.oid = polrelid
UNION ALL
SELECT format('constraint %s on %s: %s, validated %s', conname, ours.name, pg_get_constraintdef(con.oid),
              convalidated)
  FROM pg_constraint con JOIN ours ON ours.oid = conrelid WHERE contype <> 'n'  -- new in 18; a column's line
UNION ALL
SELECT format('index: %s, valid %s', pg_get_indexdef(indexrelid), indisvalid)
  FROM pg_index JOIN ours ON ours.oid = indrelid
UNION ALL
SELECT format('view %s: owner %s, options %s, %s', name, relowner::regrole, reloptions,
              md5(pg_get_viewdef(oid))) FROM ours WHERE relkind IN ('v', 'm')
UNION ALL
SELECT format('function %s: owner %s, definer %s, settings %s, %s', p.oid::regprocedure, proowner::regrole,
              prosecdef, proconfig, md5(prosrc))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname IN ('public', 'definer')
UNION ALL
SELECT format('trigger %s on %s: %s', tgname, ours.name, pg_get_triggerdef(t.oid))
  FROM pg_trigger t JOIN ours ON ours.oid = tgrelid WHERE NOT tgisinternal
UNION ALL
SELECT format('right: %s on %s to %s', privilege_type, what,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
  FROM rights, aclexplode(acl)
UNION ALL
SELECT format('role %s: login %s, superuser %s, inherit %s, bypasses row security %s', rolname, rolcanlogin,
              rolsuper, rolinherit, rolbypassrls) FROM pg_roles WHERE rolname LIKE 'fynlo\\_%'
UNION ALL
SELECT format('member: %s of %s', member::regrole, roleid::regrole) FROM pg_auth_members
 WHERE member::regrole::text LIKE 'fynlo\\_%'
UNION ALL
SELECT format('migration %s.%s', app, name) FROM public.django_migrations
"""


def take_manifest(connection: psycopg.Connection) -> Manifest:
    """All figures of the connection's database. In a transaction of its own snapshot they are of one moment.

    The login must see every row: the backup's, or a superuser's.
    """
    # What the catalogue's functions print depends on it.
    connection.execute("SELECT set_config('search_path', 'pg_catalog', true)")
    rows: dict[str, dict[str, int]] = {}
    money: dict[str, dict[str, int]] = {}
    for _, table, is_tenant, columns in connection.execute(TABLES).fetchall():
        rows[table] = {}
        for restaurant, count, *sums in connection.execute(_figures(table, is_tenant, columns)):
            key = "" if restaurant is None else str(restaurant)
            rows[table][key] = count
            for column, total in zip(columns, sums, strict=True):
                money.setdefault(f"{table}.{column}", {})[key] = int(total)
    structure = sorted(line for (line,) in connection.execute(STRUCTURE))
    return {"rows": rows, "money": money, "structure": structure}


def _figures(table: str, is_tenant: bool, columns: list[str]) -> sql.Composed:
    sums = [sql.SQL(", coalesce(sum({}), 0)").format(sql.Identifier(column)) for column in columns]
    query = sql.SQL("SELECT {}, count(*){} FROM public.{}").format(
        sql.SQL("restaurant_id" if is_tenant else "NULL"), sql.SQL("").join(sums), sql.Identifier(table)
    )
    return query + sql.SQL(" GROUP BY 1") if is_tenant else query


def differences(expected: Manifest, found: Manifest) -> list[str]:
    """What a restored database has otherwise than the one that was backed up."""
    lines = structure_differences(expected, found)
    for what in ("rows", "money"):
        for place in sorted({*expected[what], *found[what]}):
            before, after = expected[what].get(place, {}), found[what].get(place, {})
            for restaurant in sorted({*before, *after}):
                ours, theirs = before.get(restaurant, 0), after.get(restaurant, 0)
                if ours != theirs:
                    whose = f"restaurant {restaurant}" if restaurant else "the installation"
                    unit = "rows" if what == "rows" else "minor units"
                    lines.append(f"{place} of {whose}: {ours} {unit} were backed up, {theirs} are restored")
    return lines


def structure_differences(expected: Manifest, found: Manifest) -> list[str]:
    before = {_written_alike(line): line for line in expected["structure"]}
    after = {_written_alike(line): line for line in found["structure"]}
    return [f"missing: {before[key]}" for key in sorted(before.keys() - after.keys())] + [
        f"not in the backup: {after[key]}" for key in sorted(after.keys() - before.keys())
    ]


def _written_alike(line: str) -> str:
    """PostgreSQL writes an expression otherwise once it has read it from a dump: casts move, brackets go."""
    return NOTATION.sub("", line)


def lost_rows(expected: Manifest, found: Manifest) -> list[str]:
    """Where a restored database has fewer rows than it had before, in tables that only grow."""
    return [
        f"{table} of restaurant {restaurant}: {count} rows were there, {now} are restored"
        for table in APPEND_ONLY
        for restaurant, count in expected["rows"].get(table, {}).items()
        if (now := found["rows"].get(table, {}).get(restaurant, 0)) < count
    ]


def unsound(found: Manifest) -> list[str]:
    """What must be of no database, whatever was backed up."""
    return [
        line
        for line in found["structure"]
        if (line.startswith("constraint ") and line.endswith("validated f"))
        or (line.startswith("index: ") and line.endswith("valid f"))
    ]


def migration_heads(manifest: Manifest) -> dict[str, str]:
    """The last migration of each app."""
    heads: dict[str, str] = {}
    for line in manifest["structure"]:
        kind, _, name = line.partition(" ")
        if kind == "migration":
            app, _, migration = name.partition(".")
            heads[app] = max(heads.get(app, ""), migration)
    return heads


def totals(manifest: Manifest) -> dict[str, int]:
    """The manifest in a nutshell, for people."""
    return {
        "restaurants": manifest["rows"].get("restaurants_restaurant", {}).get("", 0),
        "orders": sum(manifest["rows"].get("orders_order", {}).values()),
        "payments": sum(manifest["rows"].get("payments_paymentintent", {}).values()),
        "rows": sum(count for table in manifest["rows"].values() for count in table.values()),
    }
