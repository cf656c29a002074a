"""A restaurant's id by its slug, for commands that are told the slug before any scope exists."""

from django.db import migrations

FIND = """
GRANT SELECT (slug) ON restaurants_restaurant TO fynlo_directory;

CREATE FUNCTION definer.restaurant_by_slug(wanted text) RETURNS int
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT id FROM public.restaurants_restaurant WHERE slug = wanted
$$;

REVOKE ALL ON FUNCTION definer.restaurant_by_slug(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION definer.restaurant_by_slug(text) TO fynlo_app, fynlo_platform;
ALTER FUNCTION definer.restaurant_by_slug(text) OWNER TO fynlo_directory;
"""

DO_NOT_FIND = """
DROP FUNCTION definer.restaurant_by_slug(text);
REVOKE SELECT (slug) ON restaurants_restaurant FROM fynlo_directory;
"""


class Migration(migrations.Migration):
    # accounts.0002 lets fynlo_directory read the ids.
    dependencies = [("restaurants", "0003_raise_menu_version"), ("accounts", "0002_directory")]

    operations = [migrations.RunSQL(FIND, DO_NOT_FIND)]
