"""The cast, on real services.

Every test works on restaurants of its own and nothing is rolled back or emptied between tests: other
tests' rows are always there, as other restaurants' rows are in production.
"""

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connections
from psycopg.conninfo import make_conninfo
from pytest_django.fixtures import Settings

from accounts.models import Role
from accounts.staff import Staff
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import Restaurant
from tests import factories
from tests.client import ApiClient
from tests.databases import create_test_database, drop_test_database, only_one_at_a_time, use_database

pytest_plugins = ["tests.peers.fixtures"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """pytest-django's own test databases are not used."""


@pytest.fixture(scope="session", autouse=True)
def django_db_setup(django_db_blocker: pytest.FixtureRequest, worker_id: str) -> Iterator[None]:
    """A database of this worker's own, built by the migrator; tests run as fynlo_app, as production does."""
    name = create_test_database(worker_id)
    use_database(name)
    with django_db_blocker.unblock():
        yield
        connections["default"].close()
        connections["default"].close_pool()
    drop_test_database(name)


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture
def test_database() -> str:
    """The name of this worker's database."""
    return str(connections["default"].settings_dict["NAME"])


@pytest.fixture
def cluster_roles() -> Iterator[None]:
    """The roles of the whole cluster, for this test alone: the other workers wait."""
    with only_one_at_a_time():
        yield


@pytest.fixture
def dba() -> Iterator[psycopg.Connection]:
    """A superuser's connection, in autocommit: for looking behind the fence and for sabotage."""
    name = connections["default"].settings_dict["NAME"]
    with psycopg.connect(
        make_conninfo(os.environ["TEST_ADMIN_DATABASE_URL"], dbname=name), autocommit=True
    ) as c:
        yield c


@pytest.fixture
def limits_in_force(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rate limits as in production, within one minute: a test that crosses its end would count in two."""
    settings.RATE_LIMIT_FACTOR = 1
    now = time.time()
    monkeypatch.setattr("django_ratelimit.core.time", SimpleNamespace(time=lambda: now))


@pytest.fixture
def restaurant() -> Restaurant:
    """The Copper Pot: GBP, London, business day until 04:00, with a floor, a menu and two stations."""
    return factories.make_restaurant("The Copper Pot")


@pytest.fixture
def other_restaurant() -> Restaurant:
    """The stranger's own restaurant, with the same things in it."""
    return factories.make_restaurant("Stranger's Diner")


@pytest.fixture
def owner(restaurant: Restaurant) -> Staff:
    return factories.staff(restaurant, Role.OWNER)


@pytest.fixture
def manager(restaurant: Restaurant) -> Staff:
    return factories.staff(restaurant, Role.MANAGER)


@pytest.fixture
def waiter(restaurant: Restaurant) -> Staff:
    return factories.staff(restaurant, Role.WAITER)


@pytest.fixture
def cook(restaurant: Restaurant) -> Staff:
    return factories.staff(restaurant, Role.KITCHEN)


@pytest.fixture
def stranger(other_restaurant: Restaurant) -> Staff:
    return factories.staff(other_restaurant, Role.OWNER)


@pytest.fixture
def in_restaurant(restaurant: Restaurant) -> Iterator[Restaurant]:
    """The test body runs inside the restaurant's scope (one transaction): for services and models."""
    with restaurant_scope(restaurant.pk):
        yield restaurant


@pytest.fixture
def api() -> type[ApiClient]:
    """`api(staff)` is an HTTP client signed in as that member, bound to the member's restaurant."""
    return ApiClient
