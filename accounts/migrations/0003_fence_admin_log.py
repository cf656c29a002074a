"""Each restaurant's back office sees its own recent actions.

The table is Django's, whose code knows no restaurant, so a column default fills it in. Rows of the
platform console outside any restaurant have none.
"""

from django.db import migrations

from fynlo.tenancy.constraints import CURRENT_RESTAURANT, FENCE, MIGRATING

FENCE_LOG = f"""
ALTER TABLE django_admin_log ADD COLUMN restaurant_id int DEFAULT {CURRENT_RESTAURANT};
CREATE INDEX django_admin_log_restaurant ON django_admin_log (restaurant_id, action_time);
ALTER TABLE django_admin_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE django_admin_log FORCE ROW LEVEL SECURITY;
CREATE POLICY django_admin_log_fence ON django_admin_log AS RESTRICTIVE FOR ALL TO fynlo_app, fynlo_readonly
    USING ({FENCE}) WITH CHECK ({FENCE});
CREATE POLICY django_admin_log_app ON django_admin_log FOR ALL TO fynlo_app USING (true) WITH CHECK (true);
CREATE POLICY django_admin_log_platform ON django_admin_log FOR ALL TO fynlo_platform USING (true) WITH CHECK (true);
CREATE POLICY django_admin_log_migrate ON django_admin_log FOR ALL TO fynlo_owner
    USING ({MIGRATING}) WITH CHECK ({MIGRATING});
REVOKE UPDATE, DELETE ON django_admin_log FROM fynlo_app, fynlo_platform;
"""

UNFENCE_LOG = """
GRANT UPDATE, DELETE ON django_admin_log TO fynlo_app, fynlo_platform;
DROP POLICY django_admin_log_fence ON django_admin_log;
DROP POLICY django_admin_log_app ON django_admin_log;
DROP POLICY django_admin_log_platform ON django_admin_log;
DROP POLICY django_admin_log_migrate ON django_admin_log;
ALTER TABLE django_admin_log NO FORCE ROW LEVEL SECURITY;
ALTER TABLE django_admin_log DISABLE ROW LEVEL SECURITY;
DROP INDEX django_admin_log_restaurant;
ALTER TABLE django_admin_log DROP COLUMN restaurant_id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_directory"),
        ("admin", "0003_logentry_add_action_flag_choices"),
    ]

    operations = [migrations.RunSQL(FENCE_LOG, UNFENCE_LOG)]
