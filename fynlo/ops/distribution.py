"""Whether every restaurant's rows could move to another machine today, by restaurant_id.

What a distributed Postgres (Citus) or a cut into cells asks of a table: the restaurant in the key, in
every unique index and in every foreign key, and no numbering that spans restaurants.
Source of the rules: Citus, "Determining the distribution column" and "Constraints and primary keys".
"""

from collections.abc import Iterator

from django.db import connection, transaction
from psycopg import sql

KEY = "restaurant_id"

# Small tables without a restaurant that every machine would hold a copy of.
REFERENCE_TABLES = {
    "accounts_user": "people may work in several restaurants",
    "auth_group": "Django's, unused by restaurants",
    "auth_permission": "Django's list of models and what may be done with them",
    "django_content_type": "Django's list of models",
    "restaurants_restaurant": "the restaurants themselves; their id is the key",
}

TENANT_TABLES = """
    SELECT c.oid, c.relname, format_type(a.atttypid, a.atttypmod), a.attnotnull
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'restaurant_id' AND NOT a.attisdropped
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname
"""
UNIQUE_INDEXES = """
    SELECT x.relname, i.indisprimary, coalesce(con.conname, ''),
           ARRAY(SELECT attname::text FROM pg_attribute
                  WHERE attrelid = i.indrelid AND attnum = ANY(i.indkey))
      FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
      LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid AND con.contype IN ('p', 'u', 'x')
     WHERE i.indrelid = %s AND (i.indisunique OR i.indisexclusion) ORDER BY 1
"""
FOREIGN_KEYS = """
    SELECT f.conname, t.relname,
           ARRAY(SELECT attname::text FROM unnest(f.conkey) WITH ORDINALITY k(n, o)
                   JOIN pg_attribute ON attrelid = f.conrelid AND attnum = k.n ORDER BY o),
           ARRAY(SELECT attname::text FROM unnest(f.confkey) WITH ORDINALITY k(n, o)
                   JOIN pg_attribute ON attrelid = f.confrelid AND attnum = k.n ORDER BY o)
      FROM pg_constraint f JOIN pg_class t ON t.oid = f.confrelid
     WHERE f.conrelid = %s AND f.contype = 'f' ORDER BY 1
"""
SEQUENCES = """
    SELECT a.attname FROM pg_attribute a WHERE a.attrelid = %s AND a.attidentity <> '' AND NOT a.attisdropped
    UNION
    SELECT a.attname FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = %s AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%'
"""

# Tables of other packages, which keep a restaurant only as a fence around their rows.
NOT_DISTRIBUTED = {"django_admin_log": "Django's own history, which stays on one machine"}


def tenant_tables() -> list[tuple[int, str, str, bool]]:
    """Object id, name, type of the key and whether it is NOT NULL, of every table to distribute."""
    with connection.cursor() as cursor:
        cursor.execute(TENANT_TABLES)
        return [row for row in cursor.fetchall() if row[1] not in NOT_DISTRIBUTED]


def distribution_problems() -> list[str]:
    """What stands in the way, one sentence each, by the catalogue alone."""
    return [problem for table in tenant_tables() for problem in _table_problems(*table)]


def rehearse() -> int:
    """Give every table the primary key (restaurant_id, id) instead of (id), and take it back.

    Returns how many were changed. Takes an exclusive lock on each table until the end: for a restored
    copy, not for a live database. Raises DatabaseError where a foreign key still hangs on the old key.
    """
    changed = 0
    statement = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}, ADD PRIMARY KEY (restaurant_id, id)")
    with transaction.atomic(), connection.cursor() as cursor:
        for oid, name, _, _ in tenant_tables():
            cursor.execute(UNIQUE_INDEXES, [oid])
            for _, is_primary, constraint, columns in cursor.fetchall():
                if is_primary and columns == ["id"]:
                    cursor.execute(statement.format(sql.Identifier(name), sql.Identifier(constraint)))
                    changed += 1
        transaction.set_rollback(True)
    return changed


def _table_problems(oid: int, name: str, key_type: str, not_null: bool) -> Iterator[str]:
    if key_type != "integer":
        yield f"{name}: {KEY} is {key_type}; tables are kept together only where the type is the same."
    if not not_null:
        yield f"{name}: {KEY} may be null."
    with connection.cursor() as cursor:
        cursor.execute(UNIQUE_INDEXES, [oid])
        for index, is_primary, _, columns in cursor.fetchall():
            # The id alone is a primary key that can be dropped: see `rehearse`.
            if KEY not in columns and not (is_primary and columns == ["id"]):
                yield f"{name}: unique index {index} over {', '.join(columns)} spans restaurants."
        cursor.execute(FOREIGN_KEYS, [oid])
        for constraint, target, columns, targets in cursor.fetchall():
            if (KEY, KEY) not in zip(columns, targets, strict=True) and target not in REFERENCE_TABLES:
                yield f"{name}: foreign key {constraint} to {target} does not carry the restaurant."
        cursor.execute(SEQUENCES, [oid, oid])
        for (column,) in cursor.fetchall():
            yield f"{name}: {column} is numbered across restaurants."
