"""Second factors at rest: a stolen dump shows none, and the keys that seal them can be changed."""

import io
import json
from importlib import import_module

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from accounts.models import Authenticator
from accounts.seal import seal_seed
from fynlo.sealing import SealBroken
from tests import factories
from tests.platform.conftest import sign_in, token_for

SEED = "00112233445566778899aabbccddeeff00112233"


def reseal(settings, *keys):
    settings.OWNER_SEAL_KEYS = list(keys)
    out, code = io.StringIO(), 0
    try:
        call_command("platform_owner", "--reseal", "--json", stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return json.loads(out.getvalue()), code


@pytest.fixture
def alone(platform_owner):
    """No second factor but this owner's: other tests' are of other keys."""
    Authenticator.objects.exclude(user=platform_owner).delete()
    return platform_owner


def test_the_table_shows_no_seed(platform_owner, dba):
    device = Authenticator.objects.get(user=platform_owner)
    (row,) = dba.execute("SELECT t::text FROM otp_totp_totpdevice t WHERE id = %s", [device.pk]).fetchone()
    assert device.bin_key.hex() not in row
    assert device.key in row


def test_a_seed_copied_to_another_owner_does_not_open(platform_owner):
    mine = Authenticator.objects.get(user=platform_owner)
    other = Authenticator.objects.create(user=factories.make_user(), name="copy", key=mine.key)
    with pytest.raises(SealBroken):
        _ = other.bin_key


def test_keys_are_rotated(alone, settings):
    old, new = settings.OWNER_SEAL_KEYS[0], Fernet.generate_key().decode()
    assert reseal(settings, new, old) == ({"sealed": 1, "current": 0, "broken": []}, 0)
    assert reseal(settings, new, old) == ({"sealed": 0, "current": 1, "broken": []}, 0)
    settings.OWNER_SEAL_KEYS = [new]
    assert sign_in(Client(), alone).status_code == 302


def test_a_lost_key_is_said_and_lets_nobody_in(alone, settings, caplog):
    token = token_for(alone)
    device = Authenticator.objects.get(user=alone)
    outcome = reseal(settings, Fernet.generate_key().decode())
    assert outcome == ({"sealed": 0, "current": 0, "broken": [device.pk]}, 3)
    assert sign_in(Client(), alone, token=token).status_code == 200
    assert f"Authenticator {device.pk} cannot be opened" in caplog.text


def test_reseal_takes_no_address():
    with pytest.raises(CommandError) as refusal:
        call_command("platform_owner", "somebody@example.test", "--reseal")
    assert refusal.value.returncode == 2


def test_rows_from_before_are_sealed_and_can_be_opened_again(platform_owner):
    migration = import_module("accounts.migrations.0006_seal_authenticators")
    device = Authenticator.objects.get(user=platform_owner)
    Authenticator.objects.filter(pk=device.pk).update(key=SEED)
    with transaction.atomic():
        migration.seal(apps, None)
    device.refresh_from_db()
    assert device.bin_key.hex() == SEED
    sealed = device.key
    with transaction.atomic():
        migration.seal(apps, None)  # what is sealed stays as it is
    device.refresh_from_db()
    assert device.key == sealed
    Authenticator.objects.exclude(pk=device.pk).delete()
    with transaction.atomic():
        migration.unseal(apps, None)
    device.refresh_from_db()
    assert device.key == SEED
    Authenticator.objects.filter(pk=device.pk).update(key=seal_seed(SEED, platform_owner.pk))
