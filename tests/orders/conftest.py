import pytest

from accounts.staff import Staff
from restaurants.models import Restaurant
from tests.client import ApiClient
from tests.orders.scene import Scene, look_at


@pytest.fixture
def scene(restaurant: Restaurant) -> Scene:
    """The restaurant's menu and tables by name."""
    return look_at(restaurant)


@pytest.fixture
def till(waiter: Staff) -> ApiClient:
    """The waiter's client."""
    return ApiClient(waiter)


@pytest.fixture
def office(manager: Staff) -> ApiClient:
    """The manager's client."""
    return ApiClient(manager)
