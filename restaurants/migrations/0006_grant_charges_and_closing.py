"""A restaurant sets its service charge and refund limit itself, and closes its days."""

from django.db import migrations

COLUMNS = """service_charge_kind, service_charge_percent, service_charge_min_covers, refund_limit_minor,
             closed_through"""


class Migration(migrations.Migration):
    dependencies = [("restaurants", "0005_add_charges_and_closing")]

    operations = [
        migrations.RunSQL(
            f"GRANT UPDATE ({COLUMNS}) ON restaurants_restaurant TO fynlo_app",
            f"REVOKE UPDATE ({COLUMNS}) ON restaurants_restaurant FROM fynlo_app",
        )
    ]
