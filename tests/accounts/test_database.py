"""What the database itself allows each login to do with people."""

import psycopg
import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import ProgrammingError, connection, connections, transaction
from psycopg.conninfo import make_conninfo

from accounts.directory import Workplace, active_restaurants, my_restaurants
from accounts.models import Membership, User
from fynlo.tenancy.scope import restaurant_scope
from tests import factories
from tests.databases import database_role, role_url

from .conftest import row, suspend


@pytest.fixture
def directory(dba):
    """What fynlo_directory may see, as that role."""
    dba.execute("SET ROLE fynlo_directory")
    yield dba
    dba.execute("RESET ROLE")


def test_my_restaurants_are_those_where_i_am_active(restaurant, other_restaurant, waiter, stranger):
    user = row(waiter).user
    with restaurant_scope(other_restaurant.pk):
        elsewhere = Membership.objects.create(user=user, name="Wanda", role="manager")
    here = Workplace(restaurant.pk, "The Copper Pot", "waiter", "active")
    there = Workplace(other_restaurant.pk, "Stranger's Diner", "manager", "active")
    assert my_restaurants(user.pk) == [there, here]
    assert my_restaurants(row(stranger).user.pk) == [
        Workplace(other_restaurant.pk, "Stranger's Diner", "owner", "active")
    ]
    with restaurant_scope(other_restaurant.pk):
        Membership.objects.filter(pk=elsewhere.pk).update(is_active=False)
    suspend(restaurant)
    assert my_restaurants(user.pk) == [Workplace(restaurant.pk, "The Copper Pot", "waiter", "suspended")]
    assert my_restaurants(0) == []


def test_active_restaurants_leave_out_the_suspended(restaurant, other_restaurant):
    suspend(restaurant)
    active = active_restaurants()
    assert restaurant.pk not in active
    assert other_restaurant.pk in active
    assert active == sorted(active)


def test_the_directory_sees_no_more_than_it_answers(directory, waiter):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        directory.execute("SELECT pin_hash FROM accounts_membership")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        directory.execute("SELECT name FROM accounts_membership")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        directory.execute("UPDATE accounts_membership SET role = 'owner'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        directory.execute("SELECT email FROM accounts_user")


@pytest.mark.parametrize("role", ["readonly", "backup"])
def test_only_the_app_and_the_platform_may_ask_the_directory(role):
    name = connections["default"].settings_dict["NAME"]
    with (
        psycopg.connect(role_url(role, name)) as c,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        c.execute("SELECT definer.active_restaurants()")


def test_a_restaurants_admin_log_is_its_own(restaurant, other_restaurant, waiter):
    user = row(waiter).user
    with restaurant_scope(restaurant.pk):
        kind = ContentType.objects.get_for_model(Membership)
        LogEntry.objects.create(
            user=user, content_type=kind, object_id="1", object_repr="Secret recipe", action_flag=CHANGE
        )
        assert [entry.object_repr for entry in LogEntry.objects.filter(user=user)] == ["Secret recipe"]
    with restaurant_scope(other_restaurant.pk):
        assert not LogEntry.objects.filter(user=user).exists()
    assert not LogEntry.objects.filter(user=user).exists()
    with pytest.raises(ProgrammingError, match="permission denied"), restaurant_scope(restaurant.pk):
        LogEntry.objects.filter(user=user).delete()
    with database_role("platform"):
        assert LogEntry.objects.filter(user=user).count() == 1


def test_nobody_logs_into_another_restaurants_admin_log(restaurant, other_restaurant, waiter):
    user = row(waiter).user
    with pytest.raises(ProgrammingError, match="row-level security"), restaurant_scope(restaurant.pk):
        connection.cursor().execute(
            "INSERT INTO django_admin_log"
            " (restaurant_id, user_id, action_time, object_repr, action_flag, change_message)"
            " VALUES (%s, %s, now(), 'x', 2, '')",
            [other_restaurant.pk, user.pk],
        )


@pytest.mark.parametrize("field", ["is_superuser", "is_staff"])
def test_the_app_makes_no_platform_owner(waiter, field):
    user = row(waiter).user
    with pytest.raises(ProgrammingError, match="fynlo_app may not"), transaction.atomic():
        User.objects.filter(pk=user.pk).update(**{field: True})
    with pytest.raises(ProgrammingError, match="fynlo_app may not"), transaction.atomic():
        factories.make_user(**{field: True})
    assert (User.objects.get(pk=user.pk).is_superuser, User.objects.get(pk=user.pk).is_staff) == (
        False,
        False,
    )
    with database_role("platform"):
        assert getattr(factories.make_user(**{field: True}), field)


def test_the_app_closes_no_account_and_deletes_none(waiter):
    user = row(waiter).user
    with pytest.raises(ProgrammingError, match="fynlo_app may not"), transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_active=False)
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])
    for table in ("accounts_user_groups", "accounts_user_user_permissions", "auth_group"):
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            connection.cursor().execute(f"DELETE FROM {table}")


def test_the_app_changes_passwords_and_names_as_djangos_forms_do(waiter):
    user = row(waiter).user
    user.set_password("another long one")
    user.name = "Wanda"
    user.save()
    assert User.objects.get(pk=user.pk).name == "Wanda"


def test_the_app_reads_no_second_factor():
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute("SELECT key FROM otp_totp_totpdevice")
    name = connections["default"].settings_dict["NAME"]
    with psycopg.connect(make_conninfo(role_url("platform", name))) as c:
        assert c.execute("SELECT count(*) FROM otp_totp_totpdevice").fetchone() is not None
