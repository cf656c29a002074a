"""The platform console, run in the tests' own process as its process runs it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import clear_url_caches
from django_otp.oath import TOTP

from accounts.models import Authenticator, User
from accounts.services import make_platform_owner
from tests import factories
from tests.databases import database_role

PASSWORD = "all restaurants at once"


@pytest.fixture(autouse=True)
def platform_process() -> Iterator[None]:
    with database_role("platform"), override_settings(ROOT_URLCONF="fynlo.platform_urls"):
        clear_url_caches()
        yield
    clear_url_caches()


@pytest.fixture
def platform_owner() -> User:
    user = factories.make_user("Pat Platform")
    return make_platform_owner(user.email, password=PASSWORD)[0]


def token_for(user: User) -> str:
    device = Authenticator.objects.get(user=user)
    totp = TOTP(device.bin_key)
    totp.time = time.time()
    return f"{totp.token():06d}"


def sign_in(client: Client, user: User, *, password: str = PASSWORD, token: str | None = None) -> Any:
    values = {"username": user.email, "password": password, "token": token or token_for(user)}
    return client.post("/login/?next=/", values)


@pytest.fixture
def console(platform_owner: User) -> Client:
    """A browser in which the platform owner has signed in."""
    client = Client(REMOTE_ADDR="2001:db8:1::1")
    assert sign_in(client, platform_owner).status_code == 302
    return client


@pytest.fixture
def text() -> Callable[[Any], str]:
    return lambda answer: answer.content.decode()
