"""Whatever a test does with money, the books are right afterwards."""

from collections.abc import Iterator

import pytest

from fynlo.tenancy.scope import current_restaurant_id, restaurant_scope
from payments.invariants import broken_invariants
from restaurants.models import Restaurant
from tests.client import ApiClient
from tests.orders.scene import Scene, look_at


@pytest.fixture
def scene(restaurant: Restaurant) -> Scene:
    return look_at(restaurant)


@pytest.fixture
def till(waiter) -> ApiClient:
    return ApiClient(waiter)


@pytest.fixture(autouse=True)
def _invariants_hold(restaurant: Restaurant) -> Iterator[None]:
    yield
    assert current_restaurant_id() is None
    with restaurant_scope(restaurant.pk):
        assert broken_invariants() == []
