"""The restaurants' process may not make anybody a platform owner, nor read the secrets of their second factor.

A trigger rather than rights by column: Django's save() and INSERT name every column of a user, also
those that do not change.
"""

from django.db import migrations

GUARD = """
CREATE FUNCTION accounts_guard_user() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_user = 'fynlo_app' THEN
        IF TG_OP = 'INSERT' THEN
            IF NEW.is_superuser OR NEW.is_staff THEN
                RAISE insufficient_privilege USING MESSAGE = 'fynlo_app may not make a platform owner';
            END IF;
        ELSIF (NEW.is_superuser, NEW.is_staff, NEW.is_active, NEW.id)
              IS DISTINCT FROM (OLD.is_superuser, OLD.is_staff, OLD.is_active, OLD.id) THEN
            RAISE insufficient_privilege USING MESSAGE = 'fynlo_app may not change what a user is';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER accounts_user_guard BEFORE INSERT OR UPDATE ON accounts_user
    FOR EACH ROW EXECUTE FUNCTION accounts_guard_user();

REVOKE DELETE ON accounts_user FROM fynlo_app;
REVOKE INSERT, UPDATE, DELETE ON accounts_user_groups, accounts_user_user_permissions,
    auth_group, auth_group_permissions, auth_permission FROM fynlo_app;
REVOKE ALL ON otp_totp_totpdevice FROM fynlo_app;
"""

UNGUARD = """
GRANT SELECT, INSERT, UPDATE, DELETE ON otp_totp_totpdevice TO fynlo_app;
GRANT INSERT, UPDATE, DELETE ON accounts_user_groups, accounts_user_user_permissions,
    auth_group, auth_group_permissions, auth_permission TO fynlo_app;
GRANT DELETE ON accounts_user TO fynlo_app;
DROP TRIGGER accounts_user_guard ON accounts_user;
DROP FUNCTION accounts_guard_user();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_fence_admin_log"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("otp_totp", "0003_add_timestamps"),
    ]

    operations = [migrations.RunSQL(GUARD, UNGUARD)]
