"""Carries the restaurant into Postgres, and refuses queries that have none.

Row-level security alone would answer a forgotten scope with "no rows", which reads as "no open
orders". The execute wrapper raises instead. Cursors that bypass Django's wrappers (COPY, raw
psycopg) still meet the fence in the database.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.conf import settings
from psycopg.pq import TransactionStatus

from .scope import RestaurantNotSet, current_restaurant_id

ENTER_RESTAURANT = "SELECT set_config('app.restaurant_id', %s, true)"
# The platform's login stands outside the fence, and services rely on it: inside a scope the platform's
# process is fynlo_app, with its fence and no more than its rights.
PLATFORM = "platform"
ENTER_AS_APP = f"{ENTER_RESTAURANT}, set_config('role', 'fynlo_app', true)"
LEAVE_RESTAURANT = "SELECT set_config('app.restaurant_id', '', true), set_config('role', 'none', true)"
UNKNOWN = -1


@functools.cache
def _tenant_table_pattern() -> re.Pattern[str]:
    from .models import TenantBase

    fenced = (model for model in apps.get_models(include_auto_created=True) if isinstance(model, TenantBase))
    names = "|".join(re.escape(model._meta.db_table) for model in fenced)  # views under the fence too
    return re.compile(rf"\b(?:{names})\b") if names else re.compile(r"(?!)")


def _touches_tenant_table(sql: object) -> bool:
    return bool(_tenant_table_pattern().search(sql if isinstance(sql, str) else str(sql)))


def execute_in_scope(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Execute wrapper: send the restaurant once per transaction, or raise `RestaurantNotSet`."""
    connection = context["connection"]
    raw = connection.connection
    if raw.info.transaction_status == TransactionStatus.IDLE:
        connection.applied_restaurant_id = None  # what was set ended with its transaction
        restaurant_id = None if raw.autocommit else current_restaurant_id()
    else:
        restaurant_id = current_restaurant_id()
    if restaurant_id is None:
        _leave_restaurant(connection, sql)
    elif connection.applied_restaurant_id != restaurant_id:
        enter = ENTER_AS_APP if settings.DB_ROLE == PLATFORM else ENTER_RESTAURANT
        raw.execute(enter, (str(restaurant_id),))
        connection.applied_restaurant_id = restaurant_id
    result = execute(sql, params, many, context)
    if isinstance(sql, str) and sql.startswith("ROLLBACK TO SAVEPOINT"):
        connection.applied_restaurant_id = UNKNOWN  # Postgres put an older value back
    return result


def _leave_restaurant(connection: Any, sql: object) -> None:
    if settings.DB_ROLE == PLATFORM and connection.applied_restaurant_id is not None:
        connection.connection.execute(LEAVE_RESTAURANT)
        connection.applied_restaurant_id = None
    if settings.DB_ROLE in settings.FENCED_DB_ROLES and _touches_tenant_table(sql):
        raise RestaurantNotSet(f"Tenant table outside restaurant_scope: {str(sql)[:120]}")


def install_guard(sender: object, connection: Any, **kwargs: object) -> None:
    if execute_in_scope not in connection.execute_wrappers:
        connection.execute_wrappers.append(execute_in_scope)
    connection.applied_restaurant_id = None
