"""Members who can sign in, and a look at what the log says."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password

from accounts.models import Device, Membership
from accounts.staff import JoinedDevice, Staff
from fynlo.events.models import Event
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import Restaurant
from tests import factories
from tests.databases import database_role

PASSWORD = "correct horse battery"
PIN = "4711"


def row(caller: Staff | JoinedDevice) -> Any:
    """The caller's membership or device, as it is now, with its user."""
    with restaurant_scope(caller.restaurant_id):
        if isinstance(caller, JoinedDevice):
            return Device.objects.get(pk=caller.device_id)
        return Membership.objects.select_related("user").get(pk=caller.membership_id)


def give_pin(member: Staff, pin: str = PIN) -> None:
    with restaurant_scope(member.restaurant_id):
        Membership.objects.filter(pk=member.membership_id).update(pin_hash=make_password(pin))


def give_password(member: Staff, password: str = PASSWORD) -> str:
    """Returns the e-mail address to sign in with."""
    user = row(member).user
    user.set_password(password)
    user.save(update_fields=["password"])
    return user.email


def suspend(restaurant: Restaurant) -> None:
    with database_role("platform"):
        Restaurant.objects.filter(pk=restaurant.pk).update(status=Restaurant.Status.SUSPENDED)


@pytest.fixture
def events(restaurant: Restaurant) -> Callable[[], list[Event]]:
    """The restaurant's log so far."""

    def read() -> list[Event]:
        with restaurant_scope(restaurant.pk):
            return list(Event.objects.order_by("seq"))

    return read


@pytest.fixture
def till(restaurant: Restaurant) -> JoinedDevice:
    return factories.device(restaurant)


@pytest.fixture
def screen(restaurant: Restaurant) -> JoinedDevice:
    return factories.device(restaurant, Device.Kind.KITCHEN)
