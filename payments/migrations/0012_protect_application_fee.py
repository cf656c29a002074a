"""What the platform keeps of a payment is set by the platform's console, and by no restaurant's process.

A column that is added to the table later needs a grant of its own, as do those of `restaurants_restaurant`.
"""

from django.db import migrations

COLUMNS = """provider, kind, mode, status, priority, external_account_id, location_id, credentials_sealed,
    key_hint, public_id, fee_percent, fee_fixed_minor, status_detail, created_at"""
PROTECT = f"""
REVOKE UPDATE ON payments_provideraccount FROM fynlo_app;
GRANT UPDATE ({COLUMNS}) ON payments_provideraccount TO fynlo_app;
CREATE POLICY payments_provideraccount_tenant_no_fee ON payments_provideraccount
    AS RESTRICTIVE FOR INSERT TO fynlo_app WITH CHECK (application_fee_percent = 0);
"""
UNDO = f"""
DROP POLICY payments_provideraccount_tenant_no_fee ON payments_provideraccount;
REVOKE UPDATE ({COLUMNS}) ON payments_provideraccount FROM fynlo_app;
GRANT UPDATE ON payments_provideraccount TO fynlo_app;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0011_key_receipts_by_restaurant")]

    operations = [migrations.RunSQL(PROTECT, UNDO)]
