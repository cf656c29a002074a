"""Whether the database is as the migrations want it, by its own catalogue."""

from django.db import connection

from .plan import before_contract, label, pending

INVALID_INDEXES = """
    SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT (i.indisvalid AND i.indisready) AND n.nspname NOT IN ('pg_catalog', 'pg_toast') ORDER BY 1
"""
UNVALIDATED = """
    SELECT conname, conrelid::regclass::text FROM pg_constraint WHERE NOT convalidated ORDER BY 1
"""
# A partition that the application may not touch is reached through its table, and so through its fence.
UNFENCED = """
    SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
           EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive
                      AND 'fynlo_app'::regrole = ANY(p.polroles))
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'restaurant_id' AND NOT a.attisdropped
     WHERE c.relkind IN ('r', 'p')
       AND NOT (c.relispartition AND NOT has_table_privilege('fynlo_app', c.oid, 'SELECT'))
     ORDER BY 1
"""
UNFILLED = "SELECT matviewname FROM pg_matviews WHERE NOT ispopulated ORDER BY 1"


def schema_problems(*, leave_contract: bool = False) -> list[str]:
    """One sentence each. `leave_contract`: what waits for the next release is no problem."""
    return [*_unapplied(leave_contract), *catalogue_problems()]


def _unapplied(leave_contract: bool) -> list[str]:
    plan = pending()
    if leave_contract:
        plan = before_contract(plan)
    return [f"{label(migration)} is not applied." for migration in plan]


def catalogue_problems() -> list[str]:
    problems = []
    with connection.cursor() as cursor:
        cursor.execute(INVALID_INDEXES)
        problems += [
            f"Index {index} of {table} is invalid: drop it and let it be made again."
            for index, table in cursor.fetchall()
        ]
        cursor.execute(UNVALIDATED)
        problems += [f"Constraint {name} of {table} is not validated." for name, table in cursor.fetchall()]
        cursor.execute(UNFENCED)
        for table, enabled, forced, fenced in cursor.fetchall():
            if not (enabled and forced):
                problems.append(f"Row security of {table} is not enabled and forced.")
            if not fenced:
                problems.append(f"{table} has no restrictive policy for fynlo_app.")
        cursor.execute(UNFILLED)
        problems += [
            f"View {name} has never been filled: run refresh_views." for (name,) in cursor.fetchall()
        ]
    return problems
