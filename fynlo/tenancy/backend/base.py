"""PostgreSQL backend that begins a transaction and names its restaurant in one message.

Saves a round trip per request. `_start_transaction_under_autocommit` is the hook that Django itself
uses for SQLite when `atomic()` opens the outermost block; psycopg stays in autocommit meanwhile.
"""

from django.conf import settings
from django.db.backends.postgresql import base

from ..guard import PLATFORM
from ..scope import current_restaurant_id


class DatabaseWrapper(base.DatabaseWrapper):
    applied_restaurant_id: int | None = None

    def _start_transaction_under_autocommit(self) -> None:
        restaurant_id = current_restaurant_id()
        begin = "BEGIN"
        if restaurant_id is not None:
            begin += f"; SET LOCAL app.restaurant_id = '{int(restaurant_id)}'"
            if settings.DB_ROLE == PLATFORM:
                begin += "; SET LOCAL ROLE fynlo_app"
        with self.wrap_database_errors:
            self.connection.execute(begin)
        self.applied_restaurant_id = restaurant_id
