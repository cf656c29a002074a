"""The base of every table that belongs to a restaurant."""

from typing import Any

from django.apps import apps
from django.db import models
from django.db.models.base import ModelBase

from .constraints import TenantFK, TenantPolicy
from .fields import TenantForeignKey, TenantOneToOneField, uuid7
from .scope import current_restaurant_id


class TenantBase(ModelBase):
    """Adds the fence, the key (restaurant_id, id) and the composite foreign keys to a model.

    A leaf that nothing references says `class Tenancy: referenced = False` and saves the index of
    the key (32 to 69 bytes a row).
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any], **kwargs: Any) -> Any:
        tenancy = attrs.pop("Tenancy", None)
        model: Any = super().__new__(mcs, name, bases, attrs, **kwargs)
        meta = model._meta
        if meta.abstract or meta.proxy or not meta.managed:
            return model
        table = meta.db_table
        added: list[models.BaseConstraint] = [TenantPolicy(name=f"{table}_tenant")]
        if getattr(tenancy, "referenced", True):
            added.append(models.UniqueConstraint(fields=["restaurant", "id"], name=f"{table}_rid_id"))
        for field in meta.local_fields:
            if isinstance(field, TenantForeignKey):
                added.append(TenantFK(field=field.name, name=f"{table}_{field.column}_tfk"))
            if isinstance(field, TenantOneToOneField):
                key = ["restaurant", field.name]
                added.append(models.UniqueConstraint(fields=key, name=f"{table}_rid_{field.column}"))
        present = {constraint.name for constraint in meta.constraints}
        meta.constraints = [*meta.constraints, *(c for c in added if c.name not in present)]
        meta.original_attrs["constraints"] = meta.constraints  # what the autodetector reads
        return model


class TenantModel(models.Model, metaclass=TenantBase):
    """A row of one restaurant, keyed by a UUIDv7."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    restaurant = models.ForeignKey(
        "restaurants.Restaurant",
        models.PROTECT,
        # None outside a scope, where no query would be let through anyway: migrations ask for it too.
        default=current_restaurant_id,
        editable=False,
        related_name="+",
        db_index=False,
    )

    class Meta:
        abstract = True


def tenant_models() -> list[Any]:
    """Every concrete model that carries a restaurant."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if isinstance(model, TenantBase) and model._meta.managed and not model._meta.proxy
    ]


__all__ = ["TenantBase", "TenantForeignKey", "TenantModel", "TenantOneToOneField", "tenant_models", "uuid7"]
