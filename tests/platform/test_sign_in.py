"""Two factors, or nothing."""

import re

import pytest
from django.test import Client

from accounts.models import Authenticator, User
from fynlo.platform_console import platform_site
from tests import factories
from tests.platform.conftest import PASSWORD, sign_in, token_for

PAGES = ["/", *(f"/{m._meta.app_label}/{m._meta.model_name}/" for m in platform_site._registry)]


def test_password_and_code_let_the_owner_in(platform_owner, text):
    client = Client()
    assert sign_in(client, platform_owner).headers["Location"] == "/"
    assert "All restaurants" in text(client.get("/"))


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_for_the_owner_and_asks_others_to_sign_in(console, page):
    assert console.get(page).status_code == 200
    answer = Client().get(page)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/login/?next={page}")


def test_the_password_alone_is_not_enough(platform_owner):
    client = Client()
    client.force_login(platform_owner)  # signed in, but without the second factor
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("fault", ["password", "token", "device", "right"])
def test_a_refusal_does_not_say_what_was_wrong(platform_owner, text, fault):
    password, token = PASSWORD, token_for(platform_owner)
    if fault == "password":
        password = "another password"
    if fault == "token":
        token = f"{(int(token) + 1) % 1_000_000:06d}"
    if fault == "device":
        Authenticator.objects.filter(user=platform_owner).delete()
    if fault == "right":
        User.objects.filter(pk=platform_owner.pk).update(is_superuser=False)
    answer = sign_in(Client(), platform_owner, password=password, token=token)
    assert answer.status_code == 200
    errors = re.findall(r'<p class="errornote"[^>]*>(.*?)</p>', text(answer))
    assert errors == ["The e-mail address, the password or the code is not right."]


def test_a_code_serves_once(platform_owner):
    token = token_for(platform_owner)
    assert sign_in(Client(), platform_owner, token=token).status_code == 302
    assert sign_in(Client(), platform_owner, token=token).status_code == 200


def test_guessing_passwords_locks_out(platform_owner, text):
    for _ in range(5):
        answer = sign_in(Client(), platform_owner, password="a wrong password", token="000000")
    assert "Too many wrong tries" in text(answer)
    assert "Too many wrong tries" in text(sign_in(Client(), platform_owner))


def test_an_owner_of_a_restaurant_is_nobody_here(text):
    user = factories.make_user()
    user.set_password(PASSWORD)
    user.save()
    assert sign_in(Client(), user, token="000000").status_code == 200


def test_losing_the_second_factor_or_the_right_ends_the_session(console, platform_owner):
    assert console.get("/").status_code == 200
    User.objects.filter(pk=platform_owner.pk).update(is_superuser=False)
    assert console.get("/").status_code == 302
    User.objects.filter(pk=platform_owner.pk).update(is_superuser=True)
    Authenticator.objects.filter(user=platform_owner).delete()
    assert console.get("/").status_code == 302
