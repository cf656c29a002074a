"""Closing a restaurant to everybody, and opening it again: the platform owner's right."""

from django.db import transaction

from accounts.models import User
from fynlo.events.log import record_event
from fynlo.tenancy.scope import bind_restaurant
from restaurants.errors import AlreadySo
from restaurants.models import Restaurant
from restaurants.payloads import restaurant_payload


@transaction.atomic
def suspend_restaurant(restaurant_id: int, *, by: User) -> Restaurant:
    """From now on nobody of it is served; nothing is lost. Raises AlreadySo."""
    return _set_status(restaurant_id, Restaurant.Status.SUSPENDED, "restaurant.suspended", by)


@transaction.atomic
def resume_restaurant(restaurant_id: int, *, by: User) -> Restaurant:
    """Raises AlreadySo."""
    return _set_status(restaurant_id, Restaurant.Status.ACTIVE, "restaurant.resumed", by)


def _set_status(restaurant_id: int, status: Restaurant.Status, kind: str, by: User) -> Restaurant:
    restaurant = Restaurant.objects.select_for_update(no_key=True).get(pk=restaurant_id)
    if restaurant.status == status:
        raise AlreadySo(f"{restaurant.name} is {status.label.lower()} already.")
    restaurant.status = status
    restaurant.save(update_fields=["status"])
    actor = {"membership": None, "name": by.name or "Platform owner", "device": None}
    payload = {**restaurant_payload(restaurant), "status": status}
    with bind_restaurant(restaurant_id):
        record_event(kind, restaurant.public_id, payload, actor=actor)
    return restaurant
