"""The platform's process sees every restaurant outside a scope, and inside one only that restaurant."""

import pytest
from django.db import connection, transaction

from fynlo.tenancy.scope import bind_restaurant, restaurant_scope
from restaurants.models import Restaurant, Table
from tests.databases import database_role


@pytest.fixture
def both(restaurant, other_restaurant):
    return {restaurant.pk, other_restaurant.pk}


def seen() -> set[int]:
    return set(Table.objects.values_list("restaurant_id", flat=True))


def test_outside_it_sees_all_and_inside_one(both, restaurant):
    with database_role("platform"):
        assert both <= seen()
        with restaurant_scope(restaurant.pk):
            assert seen() == {restaurant.pk}
            assert [row.pk for row in Restaurant.objects.all()] == [restaurant.pk]
        assert both <= seen()


def test_within_one_transaction_it_goes_in_and_out(both, restaurant, other_restaurant):
    with database_role("platform"), transaction.atomic():
        assert both <= seen()
        for one in (restaurant, other_restaurant):
            with bind_restaurant(one.pk):
                assert seen() == {one.pk}
        assert both <= seen()


def test_a_savepoint_rolled_back_puts_nothing_wrong(both, restaurant):
    with database_role("platform"), transaction.atomic():
        with bind_restaurant(restaurant.pk):
            assert seen() == {restaurant.pk}
            savepoint = transaction.savepoint()
        assert both <= seen()
        transaction.savepoint_rollback(savepoint)
        assert both <= seen()
        with bind_restaurant(restaurant.pk):
            assert seen() == {restaurant.pk}


def test_inside_it_has_no_more_rights_than_the_app(restaurant):
    with database_role("platform"):
        with pytest.raises(Exception, match="permission denied"), restaurant_scope(restaurant.pk):
            Restaurant.objects.filter(pk=restaurant.pk).update(status=Restaurant.Status.SUSPENDED)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == ("fynlo_platform",)
