"""Rows written without the ORM's ceremony: a payment is taken all evening long."""

import functools
from collections.abc import Sequence
from typing import Any

from django.db import connection, models
from psycopg.types.json import Jsonb

from orders.services.rows import columns_of


def insert_rows(rows: Sequence[models.Model]) -> None:
    """Insert rows of one model, as `bulk_create` would, at a tenth of its calls."""
    values = [[_ready(value) for value in columns_of(row).values()] for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(_insert(type(rows[0]), len(rows)), [v for row in values for v in row])


def _ready(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict | list) else value


@functools.cache
def _insert(model: type[models.Model], count: int) -> str:
    columns = [str(field.column) for field in model._meta.concrete_fields]
    row = f"({', '.join(['%s'] * len(columns))})"
    return f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"  # noqa: S608
