"""The fence and the composite foreign keys, as constraints that the autodetector tracks."""

from typing import Any

from django.db.backends.ddl_references import Statement
from django.db.models import BaseConstraint

CURRENT_RESTAURANT = "NULLIF(current_setting('app.restaurant_id', true), '')::int"
FENCE = f"restaurant_id = {CURRENT_RESTAURANT}"
MIGRATING = "session_user = 'fynlo_migrator'"

# The autodetector does not see a change of the policy texts below: raise the version with them.
POLICY_VERSION = 1


def fence_policies(fence: str = FENCE) -> dict[str, str]:
    """The row policies of a tenant table, by suffix of their names.

    One RESTRICTIVE fence that no later policy can widen, and a permissive policy per role. Anything
    but plain equality in the fence turns index look-ups into scans of every restaurant. The owner
    sees rows only while migrating: SET ROLE, views and SECURITY DEFINER change current_user, never
    session_user, and without that policy FORCE would validate foreign keys against no rows.
    """
    return {
        "fence": f"AS RESTRICTIVE FOR ALL TO fynlo_app, fynlo_readonly USING ({fence}) WITH CHECK ({fence})",
        "app": "FOR ALL TO fynlo_app USING (true) WITH CHECK (true)",
        "readonly": "FOR SELECT TO fynlo_readonly USING (true)",
        "platform": "FOR ALL TO fynlo_platform USING (true) WITH CHECK (true)",
        "rollup": "FOR SELECT TO fynlo_rollup USING (true)",
        "migrate": f"FOR ALL TO fynlo_owner USING ({MIGRATING}) WITH CHECK ({MIGRATING})",
    }


class _SchemaConstraint(BaseConstraint):
    """A constraint that only the database enforces: nothing to check in Python."""

    def validate(self, model: Any, instance: Any, exclude: Any = None, using: Any = None) -> None:
        return None

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        self.create_sql(model, schema_editor)

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        # Deferred to the end of the migration, as Django does with its own foreign keys: the
        # target's unique key may be created later in the same migration.
        sql = self._create(model, schema_editor.quote_name).replace("%", "%%")
        schema_editor.deferred_sql.append(Statement("%(sql)s", sql=sql))

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        return Statement("%(sql)s", sql=self._drop(model, schema_editor.quote_name).replace("%", "%%"))

    def _create(self, model: Any, quote: Any) -> str:
        raise NotImplementedError

    def _drop(self, model: Any, quote: Any) -> str:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.deconstruct() == other.deconstruct()

    def __hash__(self) -> int:
        return hash(self.name)


class TenantPolicy(_SchemaConstraint):
    """Row-level security, enabled and forced, with the policies of `fence_policies`."""

    def __init__(self, *, name: str, version: int = POLICY_VERSION) -> None:
        super().__init__(name=name)
        self.version = version

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "version": self.version}

    def _create(self, model: Any, quote: Any) -> str:
        table = quote(model._meta.db_table)
        statements = [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        ]
        for suffix, body in fence_policies().items():
            statements.append(f"CREATE POLICY {quote(f'{self.name}_{suffix}')} ON {table} {body}")
        return "; ".join(statements)

    def _drop(self, model: Any, quote: Any) -> str:
        table = quote(model._meta.db_table)
        statements = [
            f"DROP POLICY {quote(f'{self.name}_{suffix}')} ON {table}" for suffix in fence_policies()
        ]
        statements.append(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        statements.append(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        return "; ".join(statements)


class TenantFK(_SchemaConstraint):
    """FOREIGN KEY (restaurant_id, x_id) REFERENCES target (restaurant_id, id)."""

    def __init__(self, *, field: str, name: str) -> None:
        super().__init__(name=name)
        self.field = field

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "field": self.field}

    def _create(self, model: Any, quote: Any) -> str:
        field = model._meta.get_field(self.field)
        target = field.remote_field.model._meta.db_table
        return (
            f"ALTER TABLE {quote(model._meta.db_table)} ADD CONSTRAINT {quote(self.name)} "
            f"FOREIGN KEY (restaurant_id, {quote(field.column)}) "
            f"REFERENCES {quote(target)} (restaurant_id, id) DEFERRABLE INITIALLY IMMEDIATE"
        )

    def _drop(self, model: Any, quote: Any) -> str:
        return f"ALTER TABLE {quote(model._meta.db_table)} DROP CONSTRAINT {quote(self.name)}"
