"""Room for sealed seeds in django_otp's table. Its model goes on saying 80; nothing checks that in here."""

from django.db import migrations

WIDEN = "ALTER TABLE otp_totp_totpdevice ALTER COLUMN key TYPE varchar(255)"
NARROW = "ALTER TABLE otp_totp_totpdevice ALTER COLUMN key TYPE varchar(80)"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_guard_people"),
        ("otp_totp", "0003_add_timestamps"),
    ]

    operations = [
        migrations.CreateModel(
            name="Authenticator",
            fields=[],
            options={"proxy": True, "indexes": [], "constraints": []},
            bases=("otp_totp.totpdevice",),
        ),
        migrations.RunSQL(WIDEN, NARROW),
    ]
