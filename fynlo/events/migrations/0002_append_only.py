"""The event log is only ever added to."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "REVOKE UPDATE, DELETE ON events_event FROM fynlo_app, fynlo_platform",
            "GRANT UPDATE, DELETE ON events_event TO fynlo_app, fynlo_platform",
        )
    ]
