"""`manage.py platform_owner`: the first way in."""

import base64
import io
import json
import uuid

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Authenticator, User
from tests.databases import database_role
from tests.platform.conftest import sign_in

PASSWORD = "copper pots and pans"


@pytest.fixture
def email():
    return f"{uuid.uuid4().hex[:10]}@example.test"


def run(*arguments):
    out = io.StringIO()
    call_command("platform_owner", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_new_owner_enrols_and_signs_in(email, monkeypatch):
    monkeypatch.setenv("PLATFORM_OWNER_PASSWORD", PASSWORD)
    outcome = run(email)
    user = User.objects.get(email=email)
    device = Authenticator.objects.get(user=user)
    assert (user.is_superuser, user.is_active, user.check_password(PASSWORD)) == (True, True, True)
    assert base64.b32decode(outcome["secret"] + "=" * (-len(outcome["secret"]) % 8)) == device.bin_key
    assert outcome["otpauth_url"].startswith("otpauth://totp/Fynlo")
    assert sign_in(Client(), user, password=PASSWORD).status_code == 302


def test_again_it_keeps_password_and_device_and_shows_no_secret(email, monkeypatch):
    monkeypatch.setenv("PLATFORM_OWNER_PASSWORD", PASSWORD)
    first = run(email)
    monkeypatch.delenv("PLATFORM_OWNER_PASSWORD")
    assert run(email.upper()) == {"email": email, "password_set": False}
    replaced = run(email, "--new-device")
    assert replaced["secret"] != first["secret"]
    assert Authenticator.objects.filter(user__email=email).count() == 1
    assert User.objects.get(email=email).check_password(PASSWORD)


@pytest.mark.parametrize(
    ("address", "password", "error"),
    [
        ("nobody", PASSWORD, "valid email"),
        (None, "short", "too short"),
        (None, "", "PLATFORM_OWNER_PASSWORD"),
    ],
)
def test_wrong_input_exits_2(email, monkeypatch, address, password, error):
    monkeypatch.setenv("PLATFORM_OWNER_PASSWORD", password)
    with pytest.raises(CommandError, match=error) as refusal:
        run(address or email)
    assert refusal.value.returncode == 2
    assert not User.objects.filter(email=email).exists()


def test_the_applications_login_cannot(email):
    with database_role("app"), pytest.raises(CommandError) as refusal:
        run(email)
    assert refusal.value.returncode == 2
