"""The scope, the guard and the fence, from inside Django."""

import threading

import pytest
from django.db import connection, transaction

from fynlo.tenancy.scope import (
    RestaurantNotSet,
    RestaurantSwitched,
    current_restaurant_id,
    on_commit,
    restaurant_scope,
)
from restaurants.models import MenuItem, Restaurant, Table
from restaurants.services import next_number


def test_a_scope_sees_its_own_rows_only(restaurant, other_restaurant):
    with restaurant_scope(restaurant.pk):
        assert {table.restaurant_id for table in Table.objects.all()} == {restaurant.pk}
        assert Table.objects.count() == 3
        assert [r.pk for r in Restaurant.objects.all()] == [restaurant.pk]
        assert not Table.objects.filter(restaurant_id=other_restaurant.pk).exists()


def test_without_a_scope_a_query_raises_instead_of_finding_nothing(restaurant):
    with pytest.raises(RestaurantNotSet):
        MenuItem.objects.count()
    with pytest.raises(RestaurantNotSet), transaction.atomic():
        MenuItem.objects.count()


def test_behind_the_guard_the_database_shows_nothing(restaurant):
    with transaction.atomic():
        rows = connection.connection.execute("SELECT count(*) FROM restaurants_menuitem").fetchone()
    assert rows == (0,)


def test_after_commit_and_after_a_rolled_back_savepoint_the_database_shows_nothing(restaurant):
    with restaurant_scope(restaurant.pk):
        assert MenuItem.objects.count() == 4
        raw = connection.connection
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            raise ZeroDivisionError
        assert MenuItem.objects.count() == 4
    assert raw.execute("SELECT count(*) FROM restaurants_menuitem").fetchone() == (0,)


def test_writing_another_restaurants_row_is_refused(restaurant, other_restaurant, dba):
    before = dba.execute("SELECT count(*) FROM restaurants_floor").fetchone()
    with pytest.raises(Exception, match="row-level security"), restaurant_scope(restaurant.pk):
        connection.connection.execute(
            "INSERT INTO restaurants_floor (id, restaurant_id, name, position)"
            " VALUES (gen_random_uuid(), %s, 'Theirs', 0)",
            [other_restaurant.pk],
        )
    assert dba.execute("SELECT count(*) FROM restaurants_floor").fetchone() == before


def test_a_row_cannot_point_at_another_restaurants_row(restaurant, other_restaurant, dba):
    theirs = dba.execute(
        "SELECT id FROM restaurants_floor WHERE restaurant_id = %s", [other_restaurant.pk]
    ).fetchone()
    with pytest.raises(Exception, match="restaurants_table_floor_id_tfk"), restaurant_scope(restaurant.pk):
        Table.objects.create(floor_id=theirs[0], name="T9")


def test_one_transaction_serves_one_restaurant(restaurant, other_restaurant):
    with (
        restaurant_scope(restaurant.pk),
        pytest.raises(RestaurantSwitched),
        restaurant_scope(other_restaurant.pk),
    ):
        pass
    assert current_restaurant_id() is None


def test_a_restaurant_id_is_an_int(restaurant):
    for wrong in (str(restaurant.pk), True, None):
        with pytest.raises(TypeError), restaurant_scope(wrong):
            pass


def test_a_thread_starts_without_a_scope(restaurant):
    seen = []
    with restaurant_scope(restaurant.pk):
        thread = threading.Thread(target=lambda: seen.append(current_restaurant_id()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_on_commit_runs_in_a_scope_of_its_own_and_only_after_commit(restaurant):
    seen = []
    with restaurant_scope(restaurant.pk):
        on_commit(lambda: seen.append((current_restaurant_id(), Table.objects.count())))
        assert seen == []
    assert seen == [(restaurant.pk, 3)]


def test_numbers_have_no_gap_after_a_refusal(restaurant):
    with restaurant_scope(restaurant.pk):
        assert next_number("order") == 1
    with restaurant_scope(restaurant.pk):
        assert next_number("order") == 2
        transaction.set_rollback(True)
    with restaurant_scope(restaurant.pk):
        assert next_number("order") == 2


def test_a_suspension_cannot_be_lifted_from_inside(restaurant):
    with pytest.raises(Exception, match="permission denied"), restaurant_scope(restaurant.pk):
        Restaurant.objects.filter(pk=restaurant.pk).update(status=Restaurant.Status.ACTIVE)
