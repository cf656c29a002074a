"""Whoever changes the menu raises its version: API, back office, import or a person with psql.

The version is in the ETag of the menu and in the key of its cached copy, so a change that did not raise
it would never reach the tills.
"""

from django.db import migrations

TABLES = [
    "restaurants_menucategory",
    "restaurants_menuitem",
    "restaurants_menuitemmodifiergroup",
    "restaurants_modifiergroup",
    "restaurants_modifier",
    "restaurants_kitchenstation",
    "restaurants_taxclass",
    "restaurants_taxrate",
]

FUNCTIONS = """
CREATE FUNCTION restaurants_raise_menu_version() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE public.restaurants_restaurant SET menu_version = menu_version + 1
     WHERE id IN (SELECT restaurant_id FROM changed);
    RETURN NULL;
END $$;

-- Those who change one restaurant's menu take turns from their first statement on. Without this, two that
-- change the same items in different order would each hold what the other waits for.
CREATE FUNCTION restaurants_take_turns_at_menu() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM 1 FROM public.restaurants_restaurant
      WHERE id = NULLIF(current_setting('app.restaurant_id', true), '')::int FOR NO KEY UPDATE;
    RETURN NULL;
END $$;

CREATE FUNCTION restaurants_raise_own_menu_version() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.menu_version := OLD.menu_version + 1;
    RETURN NEW;
END $$;

CREATE TRIGGER restaurants_restaurant_menu_version BEFORE UPDATE ON restaurants_restaurant
    FOR EACH ROW WHEN (OLD.currency <> NEW.currency) EXECUTE FUNCTION restaurants_raise_own_menu_version();

-- A restaurant without orders may still change its currency; the service refuses later.
GRANT UPDATE (currency) ON restaurants_restaurant TO fynlo_app;
"""

# A trigger with a transition table may name one event only.
TRIGGERS = """
CREATE TRIGGER {table}_menu_turn BEFORE INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION restaurants_take_turns_at_menu();
CREATE TRIGGER {table}_menu_insert AFTER INSERT ON {table} REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION restaurants_raise_menu_version();
CREATE TRIGGER {table}_menu_update AFTER UPDATE ON {table} REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION restaurants_raise_menu_version();
CREATE TRIGGER {table}_menu_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION restaurants_raise_menu_version();
"""

NO_TRIGGERS = """
DROP TRIGGER {table}_menu_turn ON {table};
DROP TRIGGER {table}_menu_insert ON {table};
DROP TRIGGER {table}_menu_update ON {table};
DROP TRIGGER {table}_menu_delete ON {table};
"""

NO_FUNCTIONS = """
REVOKE UPDATE (currency) ON restaurants_restaurant FROM fynlo_app;
DROP TRIGGER restaurants_restaurant_menu_version ON restaurants_restaurant;
DROP FUNCTION restaurants_raise_own_menu_version();
DROP FUNCTION restaurants_take_turns_at_menu();
DROP FUNCTION restaurants_raise_menu_version();
"""


class Migration(migrations.Migration):
    dependencies = [("restaurants", "0002_fence_restaurant")]

    operations = [
        migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
        *(
            migrations.RunSQL(TRIGGERS.format(table=table), NO_TRIGGERS.format(table=table))
            for table in TABLES
        ),
    ]
