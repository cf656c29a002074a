"""What a migration of ours says about itself, and which are still to be applied.

A migration may carry two attributes: `deploy_phase = "contract"` when the release before it cannot run
with it (it takes something away), and `lint_exceptions = {rule: reason}`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor

# The gate begins after these: what was made before anybody ran Fynlo in production locked no live table
# and met no release before it.
BASELINE = {
    "accounts": "0006_seal_authenticators",
    "api": "0001_initial",
    "events": "0003_find_heads",
    "ops": "0001_record_runs",
    "orders": "0008_key_splits_by_restaurant",
    "payments": "0013_know_what_was_taken_offline",
    "restaurants": "0006_grant_charges_and_closing",
}


def label(migration: Migration) -> str:
    return f"{migration.app_label}.{migration.name}"


def is_ours(migration: Migration) -> bool:
    path = Path(apps.get_app_config(migration.app_label).path)
    return path.is_relative_to(settings.BASE_DIR) and "site-packages" not in path.parts


def is_gated(migration: Migration) -> bool:
    """Whether it is ours and was made after the baseline."""
    return is_ours(migration) and migration.name > BASELINE.get(migration.app_label, "")


def is_contract(migration: Migration) -> bool:
    return getattr(migration, "deploy_phase", "expand") == "contract"


def exceptions(migration: Migration) -> Mapping[str, str]:
    found: Mapping[str, str] = getattr(migration, "lint_exceptions", {})
    return found


def pending(executor: MigrationExecutor | None = None) -> list[Migration]:
    """The migrations that are not applied, in the order in which they would be."""
    executor = executor or MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [migration for migration, _ in plan]


def before_contract(plan: Iterable[Migration]) -> list[Migration]:
    """Those up to the first contract migration: what may run while the old release still serves."""
    found = []
    for migration in plan:
        if is_contract(migration):
            break
        found.append(migration)
    return found
