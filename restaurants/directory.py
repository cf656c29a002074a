"""What may be known before a restaurant is: a function of fynlo_directory, outside the fence."""

from django.db import connection


def restaurant_by_slug(slug: str) -> int | None:
    """The id of the restaurant with this slug, for commands; raises nothing where there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT definer.restaurant_by_slug(%s)", [slug])
        row = cursor.fetchone()
    return row[0] if row else None
