"""Whom this code acts for: one ContextVar, and one transaction per restaurant."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

from django.db import transaction


class TenancyError(Exception):
    """A mistake in the code, never in the request: shows as a 500 and is reported."""


class RestaurantNotSet(TenancyError):
    """A tenant table was touched outside `restaurant_scope`."""


class RestaurantSwitched(TenancyError):
    """One transaction serves one restaurant; this one was asked to serve a second."""


_restaurant_id: contextvars.ContextVar[int | None] = contextvars.ContextVar("restaurant_id", default=None)


def current_restaurant_id() -> int | None:
    return _restaurant_id.get()


def require_restaurant_id() -> int:
    restaurant_id = _restaurant_id.get()
    if restaurant_id is None:
        raise RestaurantNotSet("No restaurant is set: wrap the code in restaurant_scope(id).")
    return restaurant_id


@contextlib.contextmanager
def bind_restaurant(restaurant_id: int) -> Iterator[None]:
    """Name the restaurant without opening a transaction (for code that opens its own)."""
    if not isinstance(restaurant_id, int) or isinstance(restaurant_id, bool):
        raise TypeError("A restaurant id is an int.")
    outer = _restaurant_id.get()
    if outer is not None and outer != restaurant_id and transaction.get_connection().in_atomic_block:
        raise RestaurantSwitched(f"{outer} -> {restaurant_id} inside one transaction.")
    token = _restaurant_id.set(restaurant_id)
    try:
        yield
    finally:
        _restaurant_id.reset(token)


@contextlib.contextmanager
def restaurant_scope(restaurant_id: int) -> Iterator[None]:
    """One transaction that sees and writes this restaurant's rows, and no others."""
    with bind_restaurant(restaurant_id), transaction.atomic():
        yield


def on_commit(callback: Callable[[], object]) -> None:
    """Like `transaction.on_commit`, with the callback in a scope of its own."""
    restaurant_id = require_restaurant_id()

    def run() -> None:
        with restaurant_scope(restaurant_id):
            callback()

    transaction.on_commit(run)
