"""The seeds of platform owners' second factors lay open; seal them with PLATFORM_OWNER_SECRET_KEY."""

import re

from django.db import migrations

from accounts.seal import seal_seed, unseal_seed


def seal(apps, schema_editor):
    for device in apps.get_model("otp_totp", "TOTPDevice").objects.select_for_update():
        if re.fullmatch("([0-9a-f]{2})+", device.key):
            device.key = seal_seed(device.key, device.user_id)
            device.save(update_fields=["key"])


def unseal(apps, schema_editor):
    for device in apps.get_model("otp_totp", "TOTPDevice").objects.select_for_update():
        device.key = unseal_seed(device.key, device.user_id)
        device.save(update_fields=["key"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_widen_authenticator_keys")]

    operations = [migrations.RunPython(seal, unseal)]
