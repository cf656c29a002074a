"""Keys of tenant rows."""

import uuid
from typing import Any

import uuid_utils.compat
from django.db import models


def uuid7() -> uuid.UUID:
    """A time-ordered id (RFC 9562), as the tills make them."""
    return uuid_utils.compat.uuid7()


class TenantForeignKey(models.ForeignKey):
    """A ForeignKey between rows of one restaurant.

    Django sees an ordinary ForeignKey; the database has the composite constraint
    (restaurant_id, x_id) -> (restaurant_id, id), see `constraints.TenantFK`, because a
    single-column foreign key ignores row-level security.
    """

    def __init__(self, to: Any, on_delete: Any, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        super().__init__(to, on_delete, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["db_constraint"]
        return name, path, args, kwargs


class TenantOneToOneField(TenantForeignKey, models.OneToOneField):
    """At most one row for each referenced row. Its unique key is (restaurant_id, x_id), see `models`."""

    def __init__(self, to: Any, on_delete: Any, **kwargs: Any) -> None:
        super().__init__(to, on_delete, **{**kwargs, "db_index": False})

    @property
    def unique(self) -> bool:
        """Not by itself: a key without the restaurant in it could never be distributed."""
        return False

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("db_index", None)
        return name, path, args, kwargs
