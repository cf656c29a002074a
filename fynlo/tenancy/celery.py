"""Tasks carry the restaurant in a header and run in its scope."""

from typing import Any

from celery import Task

from .scope import RestaurantNotSet, current_restaurant_id, restaurant_scope

HEADER = "restaurant_id"


class RestaurantTask(Task):
    """A task for one restaurant: cannot be sent or run without one.

    Send it inside `restaurant_scope`, or with `headers={"restaurant_id": id}`.
    """

    abstract = True

    def apply_async(self, *args: Any, **options: Any) -> Any:
        headers = dict(options.pop("headers", None) or {})
        headers.setdefault(HEADER, current_restaurant_id())
        if headers[HEADER] is None:
            raise RestaurantNotSet(f"Task {self.name} was sent without a restaurant.")
        return super().apply_async(*args, headers=headers, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        restaurant_id = (request.headers or {}).get(HEADER) or getattr(request, HEADER, None)
        if restaurant_id is None:
            raise RestaurantNotSet(f"Task {self.name} was run without a restaurant.")
        with restaurant_scope(int(restaurant_id)):
            return super().__call__(*args, **kwargs)
