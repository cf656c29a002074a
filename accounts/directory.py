"""What may be known before a restaurant is: the functions of fynlo_directory, outside the fence."""

from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Workplace:
    """A restaurant where somebody is an active member, and as what."""

    restaurant_id: int
    name: str
    role: str
    status: str


def my_restaurants(user_id: int) -> list[Workplace]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT restaurant_id, name, role, status FROM definer.my_restaurants(%s)", [user_id])
        return [Workplace(*row) for row in cursor.fetchall()]


def active_restaurants() -> list[int]:
    """The ids of all restaurants that are not suspended, for tasks that visit each in its own scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT definer.active_restaurants()")
        return [restaurant_id for (restaurant_id,) in cursor.fetchall()]
