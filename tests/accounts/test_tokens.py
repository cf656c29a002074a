"""Tokens: keys are rotated without signing anybody out, and a key that is taken out counts no more."""

import datetime
import uuid

import jwt
import pytest
from django.utils import timezone

from accounts import tokens
from accounts.models import StaffSession
from accounts.services import sign_in_with_password
from accounts.tokens import InvalidToken, SessionToken, make_session_token, read_token
from fynlo.tenancy.scope import restaurant_scope

from .conftest import PASSWORD, give_password

OLD, NEW = "the old key, of at least 32 characters", "the new key, of at least 32 characters"
SESSION = uuid.UUID("01980000-0000-7000-8000-000000000001")


def later(minutes=5):
    return timezone.now() + datetime.timedelta(minutes=minutes)


def signed(key, algorithm="HS256", **changes):
    claims = {"aud": tokens.AUDIENCE, "rid": 7, "sid": str(SESSION), "exp": later(), **changes}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, algorithm=algorithm)


def test_the_first_key_signs_and_all_are_accepted(settings):
    settings.TOKEN_KEYS = (OLD,)
    before = make_session_token(7, SESSION, later())
    settings.TOKEN_KEYS = (NEW, OLD)
    after = make_session_token(7, SESSION, later())
    assert read_token(before) == read_token(after) == SessionToken(7, SESSION)
    settings.TOKEN_KEYS = (NEW,)
    assert read_token(after) == SessionToken(7, SESSION)
    with pytest.raises(InvalidToken):  # although it was read, and remembered, a moment ago
        read_token(before)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_algorithm_may_be_changed_while_tokens_are_about(settings, algorithm):
    settings.TOKEN_KEYS, settings.TOKEN_ALGORITHM = (NEW * 2,), algorithm
    token = make_session_token(7, SESSION, later())
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    settings.TOKEN_ALGORITHM = "HS256"
    assert read_token(token) == SessionToken(7, SESSION)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: signed("", "none"), id="unsigned"),
        pytest.param(lambda: signed("of somebody else, and long enough for it"), id="another key"),
        pytest.param(lambda: signed(NEW, exp=later(-1)), id="expired"),
        pytest.param(lambda: signed(NEW, exp=None), id="for ever"),
        pytest.param(lambda: signed(NEW, aud="somebody-else"), id="for another audience"),
        pytest.param(lambda: signed(NEW, sid="no uuid"), id="no session"),
        pytest.param(lambda: signed(NEW)[:-3] + "abc", id="altered"),
        pytest.param(lambda: "", id="empty"),
        pytest.param(lambda: "fyd.7.", id="device without a secret"),
    ],
)
def test_anything_else_is_refused(settings, token):
    settings.TOKEN_KEYS = (NEW, OLD)
    with pytest.raises(InvalidToken):
        read_token(token())


def test_django_s_own_key_signs_no_token(settings):
    with pytest.raises(InvalidToken):
        read_token(signed(settings.SECRET_KEY))


def test_a_sign_in_lasts_as_long_as_the_installation_says(settings, waiter, api):
    settings.SESSION_MINUTES = 30
    started = timezone.now()
    signed_in = sign_in_with_password(email=give_password(waiter), password=PASSWORD, address="2001:db8::9")
    minutes = (signed_in.expires_at - started).total_seconds() / 60
    assert 30 <= minutes < 31
    client = api(restaurant_id=waiter.restaurant_id)
    client.headers["Authorization"] = f"Bearer {signed_in.token}"
    assert client.get("me").status_code == 200
    with restaurant_scope(waiter.restaurant_id):  # the row decides, whatever the token says
        StaffSession.objects.filter(pk=signed_in.staff.session_id).update(ended_at=timezone.now())
    assert client.get("me").json()["code"] == "sign_in_again"
