"""A restaurant sees and edits its own row; only the platform sees all, makes and suspends them."""

from django.db import migrations

from fynlo.tenancy.constraints import CURRENT_RESTAURANT, MIGRATING

FENCE = f"""
ALTER TABLE restaurants_restaurant ENABLE ROW LEVEL SECURITY;
ALTER TABLE restaurants_restaurant FORCE ROW LEVEL SECURITY;
CREATE POLICY restaurant_fence ON restaurants_restaurant AS RESTRICTIVE FOR ALL TO fynlo_app, fynlo_readonly
    USING (id = {CURRENT_RESTAURANT}) WITH CHECK (id = {CURRENT_RESTAURANT});
CREATE POLICY restaurant_app ON restaurants_restaurant FOR ALL TO fynlo_app USING (true) WITH CHECK (true);
CREATE POLICY restaurant_readonly ON restaurants_restaurant FOR SELECT TO fynlo_readonly USING (true);
CREATE POLICY restaurant_platform ON restaurants_restaurant FOR ALL TO fynlo_platform USING (true) WITH CHECK (true);
CREATE POLICY restaurant_rollup ON restaurants_restaurant FOR SELECT TO fynlo_rollup USING (true);
CREATE POLICY restaurant_directory ON restaurants_restaurant FOR SELECT TO fynlo_directory USING (true);
CREATE POLICY restaurant_migrate ON restaurants_restaurant FOR ALL TO fynlo_owner
    USING ({MIGRATING}) WITH CHECK ({MIGRATING});

-- A restaurant neither makes nor removes restaurants, nor lifts its own suspension.
REVOKE INSERT, DELETE, UPDATE ON restaurants_restaurant FROM fynlo_app;
GRANT UPDATE (name, timezone, business_day_cutoff, vat_number, address, phone, menu_version,
              late_after_seconds, warn_after_seconds) ON restaurants_restaurant TO fynlo_app;
"""

UNFENCE = """
GRANT INSERT, DELETE, UPDATE ON restaurants_restaurant TO fynlo_app;
DROP POLICY restaurant_fence ON restaurants_restaurant;
DROP POLICY restaurant_app ON restaurants_restaurant;
DROP POLICY restaurant_readonly ON restaurants_restaurant;
DROP POLICY restaurant_platform ON restaurants_restaurant;
DROP POLICY restaurant_rollup ON restaurants_restaurant;
DROP POLICY restaurant_directory ON restaurants_restaurant;
DROP POLICY restaurant_migrate ON restaurants_restaurant;
ALTER TABLE restaurants_restaurant NO FORCE ROW LEVEL SECURITY;
ALTER TABLE restaurants_restaurant DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [("restaurants", "0001_initial")]

    operations = [migrations.RunSQL(FENCE, UNFENCE)]
