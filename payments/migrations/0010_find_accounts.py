"""Which restaurants have accounts to reconcile: asked before a restaurant is known."""

from django.db import migrations

FIND = """
CREATE FUNCTION definer.restaurants_with_accounts() RETURNS SETOF int
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT restaurant_id FROM public.payments_provideraccount ORDER BY restaurant_id
$$;

-- Before the change of owner: fynlo_owner has none of fynlo_directory's rights.
REVOKE ALL ON FUNCTION definer.restaurants_with_accounts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION definer.restaurants_with_accounts() TO fynlo_app, fynlo_platform;
ALTER FUNCTION definer.restaurants_with_accounts() OWNER TO fynlo_directory;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0009_name_models")]

    operations = [migrations.RunSQL(FIND, "DROP FUNCTION definer.restaurants_with_accounts()")]
