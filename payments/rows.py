"""Rows written without the ORM's ceremony: a payment is taken all evening long."""

import functools
from collections.abc import Sequence

from django.db import connection, models

from orders.services.rows import columns_of


def insert_rows(rows: Sequence[models.Model]) -> None:
    """Insert rows of one model, as `bulk_create` would, at a tenth of its calls. Not for JSON columns."""
    values = [columns_of(row) for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(_insert(type(rows[0]), len(rows)), [v for row in values for v in row.values()])


@functools.cache
def _insert(model: type[models.Model], count: int) -> str:
    columns = [str(field.column) for field in model._meta.concrete_fields]
    row = f"({', '.join(['%s'] * len(columns))})"
    return f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"  # noqa: S608
