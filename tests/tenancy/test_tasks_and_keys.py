"""Tasks and cache keys carry the restaurant too."""

import pytest
from django.core.cache import cache

from fynlo.celery import app
from fynlo.tenancy.celery import RestaurantTask
from fynlo.tenancy.scope import RestaurantNotSet, current_restaurant_id, restaurant_scope
from restaurants.models import Table


@app.task(base=RestaurantTask, name="tests.count_tables")
def count_tables() -> tuple[int | None, int]:
    return current_restaurant_id(), Table.objects.count()


def test_a_task_runs_in_the_restaurant_of_its_header(restaurant, other_restaurant):
    for one in (restaurant, other_restaurant):
        result = count_tables.apply(headers={"restaurant_id": one.pk})
        assert result.get() == (one.pk, 3)
    assert current_restaurant_id() is None


def test_a_task_without_a_restaurant_is_neither_sent_nor_run():
    with pytest.raises(RestaurantNotSet, match="was sent without"):
        count_tables.delay()
    with pytest.raises(RestaurantNotSet, match="was run without"):
        count_tables.apply().get()


def test_a_cache_key_belongs_to_its_restaurant(restaurant, other_restaurant):
    with restaurant_scope(restaurant.pk):
        cache.set("test-key", "ours")
    with restaurant_scope(other_restaurant.pk):
        assert cache.get("test-key") is None
    with restaurant_scope(restaurant.pk):
        assert cache.get("test-key") == "ours"
    with pytest.raises(RestaurantNotSet):
        cache.get("test-key")
