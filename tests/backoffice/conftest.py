"""Browsers that are signed in to the back office."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Membership, User
from accounts.staff import Staff
from fynlo.tenancy.scope import restaurant_scope

PASSWORD = "a long evening's work"


def user_of(staff: Staff) -> User:
    with restaurant_scope(staff.restaurant_id):
        user = Membership.objects.select_related("user").get(pk=staff.membership_id).user
    assert user
    return user


def give_password(user: User) -> User:
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    return user


def sign_in(client: Client, user: User, password: str = PASSWORD) -> Any:
    return client.post(
        "/admin/login/?next=/admin/", {"username": user.email, "password": password}, follow=True
    )


@pytest.fixture
def office() -> Callable[[Staff], Client]:
    """`office(staff)` is a browser in which the member has signed in."""

    def open_office(staff: Staff) -> Client:
        client = Client(REMOTE_ADDR="2001:db8::1")
        client.force_login(user_of(staff))
        return client

    return open_office
