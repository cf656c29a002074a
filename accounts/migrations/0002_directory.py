"""The look-ups before a restaurant is known: which ones a person works in, and which ones are open for business.

They see across the fence, as fynlo_directory, and that role can read no more columns than they need.
"""

from django.db import migrations

DIRECTORY = """
GRANT SELECT (id, name, status) ON restaurants_restaurant TO fynlo_directory;
GRANT SELECT (restaurant_id, user_id, role, is_active) ON accounts_membership TO fynlo_directory;
CREATE POLICY accounts_membership_tenant_directory ON accounts_membership FOR SELECT TO fynlo_directory USING (true);

CREATE FUNCTION definer.my_restaurants(user_id int)
    RETURNS TABLE (restaurant_id int, name text, role text, status text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.id, r.name, m.role, r.status
      FROM public.accounts_membership m JOIN public.restaurants_restaurant r ON r.id = m.restaurant_id
     WHERE m.user_id = my_restaurants.user_id AND m.is_active ORDER BY r.name, r.id
$$;
CREATE FUNCTION definer.active_restaurants() RETURNS SETOF int
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT id FROM public.restaurants_restaurant WHERE status = 'active' ORDER BY id
$$;

-- Before the change of owner: fynlo_owner has none of fynlo_directory's rights.
REVOKE ALL ON FUNCTION definer.my_restaurants(int), definer.active_restaurants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION definer.my_restaurants(int), definer.active_restaurants() TO fynlo_app, fynlo_platform;
ALTER FUNCTION definer.my_restaurants(int) OWNER TO fynlo_directory;
ALTER FUNCTION definer.active_restaurants() OWNER TO fynlo_directory;
"""

NO_DIRECTORY = """
DROP FUNCTION definer.my_restaurants(int);
DROP FUNCTION definer.active_restaurants();
DROP POLICY accounts_membership_tenant_directory ON accounts_membership;
REVOKE SELECT (restaurant_id, user_id, role, is_active) ON accounts_membership FROM fynlo_directory;
REVOKE SELECT (id, name, status) ON restaurants_restaurant FROM fynlo_directory;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("restaurants", "0002_fence_restaurant")]

    operations = [migrations.RunSQL(DIRECTORY, NO_DIRECTORY)]
