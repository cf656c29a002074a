"""Reads pg_catalog, not Django: finds the table that nobody remembered to protect."""

from typing import Any

import psycopg

from fynlo.tenancy.fields import TenantForeignKey
from fynlo.tenancy.models import tenant_models

APP = "fynlo_app"
OUR_SCHEMAS = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
FENCE = "(restaurant_id = (NULLIF(current_setting('app.restaurant_id'::text, true), ''::text))::integer)"

# Tables of other packages, fenced by a migration of ours with rules of their own.
CUSTOM_FENCE = {"django_admin_log"}
APPEND_ONLY = {
    "events_event",
    "payments_ledgertransaction",
    "payments_ledgerentry",
    "payments_receipt",
}
DEFINER_OWNERS = {"fynlo_directory", "fynlo_rollup"}


def problems(connection: psycopg.Connection) -> list[str]:
    """Everything in this database that would let a restaurant see or touch another's rows."""
    found: list[str] = []
    for table in tenant_tables(connection):
        found += table_problems(connection, *table)
    return found + model_problems(connection) + object_problems(connection) + role_problems(connection)


def rows(connection: psycopg.Connection, query: str, *params: Any) -> list[Any]:
    return connection.execute(query, params).fetchall()  # type: ignore[arg-type]


def tenant_tables(connection: psycopg.Connection) -> list[Any]:
    return rows(
        connection,
        f"""SELECT c.oid, c.relname, c.relrowsecurity AND c.relforcerowsecurity, c.relowner::regrole::text,
                   a.attnotnull, c.relkind, c.relispartition
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'restaurant_id' AND NOT a.attisdropped
             WHERE {OUR_SCHEMAS} AND c.relkind IN ('r', 'p') ORDER BY 2""",
    )


def table_problems(
    c: psycopg.Connection,
    oid: int,
    name: str,
    forced: bool,
    owner: str,
    notnull: bool,
    kind: str,
    is_partition: bool,
) -> list[str]:
    bad = []
    if not forced:
        bad.append(f"{name}: row security is not enabled and forced")
    if owner != "fynlo_owner":
        bad.append(f"{name}: owned by {owner}")
    if is_partition:  # the fence is its table's, so it must not be reached by itself
        return bad + [f"{name}: a partition, but {APP} holds {p}" for p in privileges(c, oid)]
    if not notnull and name not in CUSTOM_FENCE:
        bad.append(f"{name}: restaurant_id may be null")
    bad += policy_problems(c, oid, name)
    if name not in CUSTOM_FENCE:
        bad += key_problems(c, oid, name)
    held = privileges(c, oid)
    bad += [f"{name}: {APP} holds {p}" for p in held & {"TRUNCATE", "REFERENCES", "TRIGGER"}]
    if name in APPEND_ONLY:
        bad += [f"{name}: append-only, but {APP} holds {p}" for p in held & {"UPDATE", "DELETE"}]
    return bad


def privileges(c: psycopg.Connection, oid: int) -> set[str]:
    """What the application may do with a table."""
    every = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
    query = "SELECT p FROM unnest(%s::text[]) p WHERE has_table_privilege(%s, %s::oid, p)"
    return {privilege for (privilege,) in rows(c, query, every, APP, oid)}


def policy_problems(c: psycopg.Connection, oid: int, name: str) -> list[str]:
    policies = rows(
        c,
        """SELECT polname, polpermissive, polcmd,
                  pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid),
                  ARRAY(SELECT rolname::text FROM pg_roles WHERE oid = ANY(polroles)), 0::oid = ANY(polroles)
             FROM pg_policy WHERE polrelid = %s""",
        oid,
    )
    bad = [f"{name}: policy {policy[0]} applies TO PUBLIC" for policy in policies if policy[6]]
    fences = [p for p in policies if not p[1] and p[2] == "*" and APP in p[5]]
    if not fences:
        bad.append(f"{name}: no RESTRICTIVE policy FOR ALL to {APP}")
    elif name not in CUSTOM_FENCE and any(p[3] != FENCE or p[4] != FENCE for p in fences):
        bad.append(f"{name}: the fence is another expression")
    readable = rows(c, "SELECT has_table_privilege('fynlo_readonly', %s::oid, 'SELECT')", oid)[0][0]
    if readable and not any(not p[1] and "fynlo_readonly" in p[5] for p in policies):
        bad.append(f"{name}: no RESTRICTIVE policy to fynlo_readonly")
    return bad


def key_problems(c: psycopg.Connection, oid: int, name: str) -> list[str]:
    bad = []
    unique = rows(
        c,
        """SELECT i.indexrelid::regclass::text,
                  array_agg(a.attname::text), array_agg(a.atttypid::regtype::text)
             FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
            WHERE i.indrelid = %s AND i.indisunique GROUP BY i.indexrelid""",
        oid,
    )
    for index, columns, types in unique:
        if "restaurant_id" not in columns and types != ["uuid"]:
            bad.append(f"{name}: unique index {index} over {columns} spans restaurants")
    foreign = rows(
        c,
        """SELECT conname, confrelid::regclass::text, convalidated,
                  ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY u(k, o)
                          JOIN pg_attribute ON attrelid = conrelid AND attnum = k ORDER BY o),
                  ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY u(k, o)
                          JOIN pg_attribute ON attrelid = confrelid AND attnum = k ORDER BY o)
             FROM pg_constraint WHERE contype = 'f' AND conrelid = %s AND EXISTS (
                  SELECT 1 FROM pg_attribute
                   WHERE attrelid = confrelid AND attname = 'restaurant_id' AND NOT attisdropped)""",
        oid,
    )
    for constraint, target, validated, columns, targets in foreign:
        pairs = dict(zip(columns, targets, strict=True))
        if pairs.get("restaurant_id") != "restaurant_id":
            bad.append(f"{name}: foreign key {constraint} to {target} is not composite")
        if not validated:
            bad.append(f"{name}: foreign key {constraint} is not validated")
    return bad


def model_problems(c: psycopg.Connection) -> list[str]:
    """References that have no constraint in the database at all."""
    bad = []
    fenced = {model for model in tenant_models()}
    for model in fenced:
        for field in model._meta.local_fields:
            if (
                field.is_relation
                and field.related_model in fenced
                and not isinstance(field, TenantForeignKey)
            ):
                bad.append(f"{model._meta.label}.{field.name}: is not a TenantForeignKey")
            if isinstance(field, TenantForeignKey) and not rows(
                c,
                """SELECT 1 FROM pg_constraint
                     JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY(conkey)
                    WHERE conrelid = %s::regclass AND contype = 'f' AND convalidated AND attname = %s""",
                model._meta.db_table,
                field.column,
            ):
                bad.append(f"{model._meta.label}.{field.name}: no validated foreign key in the database")
        for field in model._meta.local_many_to_many:
            if field.remote_field.through._meta.auto_created:
                bad.append(f"{model._meta.label}.{field.name}: its own table has no restaurant")
    return bad


def object_problems(c: psycopg.Connection) -> list[str]:
    bad = []
    views = rows(
        c,
        f"""SELECT c.oid::regclass::text, c.relkind, coalesce(c.reloptions, '{{}}')
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('v', 'm') AND {OUR_SCHEMAS} AND has_table_privilege(%s, c.oid, 'SELECT')""",
        APP,
    )
    for view, kind, options in views:
        if kind == "m":
            bad.append(f"{view}: a materialised view that {APP} may read")
        elif "security_invoker=true" not in options:
            bad.append(f"{view}: {APP} may read it, and it is not security_invoker")
    functions = rows(
        c,
        f"""SELECT p.oid::regprocedure::text, proowner::regrole::text, coalesce(proconfig, '{{}}')
              FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE {OUR_SCHEMAS} AND prosecdef AND has_function_privilege(%s, p.oid, 'EXECUTE')""",
        APP,
    )
    for function, owner, config in functions:
        if owner not in DEFINER_OWNERS:
            bad.append(f"{function}: SECURITY DEFINER of {owner}")
        if not any(setting.startswith("search_path=") for setting in config):
            bad.append(f"{function}: SECURITY DEFINER without a search_path of its own")
    return bad


def role_problems(c: psycopg.Connection) -> list[str]:
    bad = [
        f"{name}: may bypass row security"
        for (name,) in rows(
            c,
            r"""SELECT rolname FROM pg_roles WHERE (rolsuper OR rolbypassrls)
                   AND rolname LIKE 'fynlo\_%%' AND rolname <> 'fynlo_backup'""",
        )
    ]
    members = rows(
        c,
        """SELECT u.rolname, g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
             JOIN pg_roles u ON u.oid = m.member
            WHERE u.rolname IN ('fynlo_app', 'fynlo_platform', 'fynlo_readonly')""",
    )
    allowed = ("fynlo_platform", "fynlo_app")  # without its rights, until it sets the role
    bad += [f"{user} is a member of {group}" for user, group in members if (user, group) != allowed]
    if rows(c, "SELECT pg_has_role('fynlo_platform', 'fynlo_app', 'USAGE')")[0][0]:
        bad.append("fynlo_platform inherits from fynlo_app, whose fence would close around the console")
    for schema in ("public", "definer"):
        if rows(c, "SELECT has_schema_privilege(%s, %s, 'CREATE')", APP, schema)[0][0]:
            bad.append(f"{APP} may create objects in {schema}")
    if rows(c, "SELECT has_database_privilege(%s, current_database(), 'TEMP, CREATE')", APP)[0][0]:
        bad.append(f"{APP} may create schemas or temporary tables")
    return bad
