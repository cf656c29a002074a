"""Signing in by password and by PIN, and what ends it."""

import datetime
import uuid

import jwt
import pytest
from django.conf import settings
from django.contrib.auth import hashers
from django.db import IntegrityError
from django.utils import timezone

from accounts.models import Membership, Role, StaffSession, User
from accounts.tokens import make_session_token
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import Restaurant
from tests import factories
from tests.client import ApiClient
from tests.databases import database_role

from .conftest import PASSWORD, PIN, give_password, give_pin, row, suspend

SIGN_IN = "/api/v1/sign-in"


def sign_in(email, password=PASSWORD, **more):
    return ApiClient().post(SIGN_IN, {"email": email, "password": password, **more})


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_person_signs_in_by_password(restaurant, waiter, events):
    email = give_password(waiter)
    before = timezone.now()
    response = sign_in(email.upper())

    assert response.status_code == 200
    body = response.json()
    claims = jwt.decode(body["token"], settings.TOKEN_KEYS[0], ["HS256"], audience="fynlo-api")
    with restaurant_scope(restaurant.pk):
        session = StaffSession.objects.get(pk=claims["sid"])
    assert (session.membership_id, session.device_id, session.ended_at) == (waiter.membership_id, None, None)
    assert (
        datetime.timedelta(0)
        <= session.expires_at - before - datetime.timedelta(hours=16)
        < datetime.timedelta(minutes=1)
    )
    assert claims["rid"] == restaurant.pk
    assert claims["exp"] == int(session.expires_at.timestamp())
    assert body == {
        "token": body["token"],
        "expires_at": session.expires_at.isoformat().replace("+00:00", "Z"),
        "restaurant": {"id": restaurant.pk, "name": "The Copper Pot"},
        "staff": {"id": str(waiter.membership_id), "name": waiter.name, "role": "waiter"},
    }
    assert ApiClient(restaurant_id=restaurant.pk).get("me", **bearer(body["token"])).status_code == 200
    assert [(e.kind, e.subject_id, e.payload, e.actor) for e in events()] == [
        (
            "staff.signed_in",
            waiter.membership_id,
            {
                "id": str(waiter.membership_id),
                "name": waiter.name,
                "role": "waiter",
                "is_active": True,
                "method": "password",
            },
            {"membership": str(waiter.membership_id), "name": waiter.name, "device": None},
        )
    ]
    assert User.objects.get(email=email).last_login >= before


def test_wrong_password_unknown_and_closed_accounts_get_one_answer(waiter, manager, events):
    email = give_password(waiter)
    closed = give_password(manager)
    with database_role("platform"):
        User.objects.filter(email=closed).update(is_active=False)
    answers = []
    for address, password in [
        (email, "wrong"),
        (f"{uuid.uuid4()}@example.test", PASSWORD),
        (closed, PASSWORD),
    ]:
        response = sign_in(address, password)
        body = response.json()
        del body["request_id"]
        answers.append((response.status_code, response["Content-Type"], body))
    assert (
        answers
        == [
            (
                401,
                "application/problem+json",
                {
                    "type": "about:blank",
                    "title": "Sign in first",
                    "status": 401,
                    "code": "sign_in_failed",
                    "detail": "The e-mail address or the password is not right.",
                },
            )
        ]
        * 3
    )
    assert events() == []


@pytest.mark.parametrize("who", ["right", "wrong password", "no password", "nobody"])
def test_every_sign_in_hashes_once(waiter, manager, monkeypatch, who):
    email = give_password(waiter)
    hashed = []
    encode = hashers.ScryptPasswordHasher.encode

    def count(*args, **kwargs):
        hashed.append(1)
        return encode(*args, **kwargs)

    monkeypatch.setattr(hashers.ScryptPasswordHasher, "encode", count)
    if who == "right":
        assert sign_in(email).status_code == 200
    elif who == "wrong password":
        assert sign_in(email, "wrong").status_code == 401
    elif who == "no password":
        assert sign_in(row(manager).user.email).status_code == 401
    else:
        assert sign_in(f"{uuid.uuid4()}@example.test").status_code == 401
    assert len(hashed) == 1


@pytest.mark.parametrize("who", ["right", "wrong PIN", "no PIN", "nobody"])
def test_every_pin_hashes_once(waiter, manager, till, monkeypatch, who):
    give_pin(waiter)
    hashed = []
    encode = hashers.ScryptPasswordHasher.encode

    def count(*args, **kwargs):
        hashed.append(1)
        return encode(*args, **kwargs)

    monkeypatch.setattr(hashers.ScryptPasswordHasher, "encode", count)
    member = {"no PIN": manager.membership_id, "nobody": uuid.uuid4()}.get(who, waiter.membership_id)
    pin = "4712" if who == "wrong PIN" else PIN
    response = ApiClient(till).post("sign-in/pin", {"membership_id": str(member), "pin": pin})
    assert response.status_code == (200 if who == "right" else 403)
    assert len(hashed) == 1


class TestSeveralRestaurants:
    @pytest.fixture
    def email(self, waiter, other_restaurant):
        email = give_password(waiter)
        user = User.objects.get(email=email)
        with restaurant_scope(other_restaurant.pk):
            Membership.objects.create(user=user, name="Wanda", role=Role.MANAGER)
        return email

    def test_must_be_named_and_are_listed_only_after_the_right_password(
        self, email, restaurant, other_restaurant
    ):
        refused = sign_in(email)
        assert refused.status_code == 409
        assert refused.json()["code"] == "restaurant_required"
        assert refused.json()["restaurants"] == [
            {"id": other_restaurant.pk, "name": "Stranger's Diner"},
            {"id": restaurant.pk, "name": "The Copper Pot"},
        ]
        wrong = sign_in(email, "wrong")
        assert wrong.status_code == 401
        assert "restaurants" not in wrong.json()

    def test_the_named_one_is_entered(self, email, other_restaurant):
        body = sign_in(email, restaurant_id=other_restaurant.pk).json()
        assert body["restaurant"] == {"id": other_restaurant.pk, "name": "Stranger's Diner"}
        assert (body["staff"]["name"], body["staff"]["role"]) == ("Wanda", "manager")

    def test_one_left_needs_no_naming(self, email, restaurant, other_restaurant):
        with restaurant_scope(restaurant.pk):
            Membership.objects.filter(user__email=email).update(is_active=False)
        assert sign_in(email).json()["restaurant"]["id"] == other_restaurant.pk


def test_somebody_elses_restaurant_is_refused(waiter, other_restaurant):
    response = sign_in(give_password(waiter), restaurant_id=other_restaurant.pk)
    assert (response.status_code, response.json()["code"]) == (403, "not_a_member")


def test_a_person_of_no_restaurant_is_refused():
    user = factories.make_user(password=PASSWORD)
    response = sign_in(user.email)
    assert (response.status_code, response.json()["code"]) == (403, "not_a_member")


def test_a_suspended_restaurant_lets_nobody_in(restaurant, waiter, till, events):
    email = give_password(waiter)
    give_pin(waiter)
    suspend(restaurant)
    answers = [
        sign_in(email),
        ApiClient(till).post("sign-in/pin", {"membership_id": str(waiter.membership_id), "pin": PIN}),
        ApiClient(waiter).get("me"),
        ApiClient(till).get("staff"),
    ]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(403, "restaurant_suspended")] * 4
    assert events() == []


def test_a_member_signs_in_by_pin_on_a_joined_device(restaurant, waiter, till, events):
    give_pin(waiter)
    response = ApiClient(till).post("sign-in/pin", {"membership_id": str(waiter.membership_id), "pin": PIN})

    assert response.status_code == 200
    body = response.json()
    assert body["staff"] == {"id": str(waiter.membership_id), "name": waiter.name, "role": "waiter"}
    me = ApiClient(restaurant_id=restaurant.pk).get("me", **bearer(body["token"]))
    assert me.json() == {
        "staff": {"id": str(waiter.membership_id), "name": waiter.name, "role": "waiter"},
        "device": {"id": str(till.device_id), "name": till.name, "kind": "till"},
        "restaurant": {
            "id": restaurant.pk,
            "name": "The Copper Pot",
            "currency": "GBP",
            "timezone": "Europe/London",
            "business_day_cutoff": "04:00:00",
        },
    }
    (event,) = events()
    assert (event.kind, event.payload["method"]) == ("staff.signed_in", "pin")
    assert event.actor["device"] == str(till.device_id)
    assert PIN not in str(event.payload)
    assert row(till).last_seen_at is not None


def test_a_pin_needs_a_device(waiter, api):
    give_pin(waiter)
    body = {"membership_id": str(waiter.membership_id), "pin": PIN}
    assert api(waiter).post("sign-in/pin", body).status_code == 403
    assert ApiClient(restaurant_id=waiter.restaurant_id).post("sign-in/pin", body).status_code == 401


@pytest.mark.parametrize("case", ["wrong", "left", "stranger", "unknown", "no pin"])
def test_a_wrong_pin_says_nothing_more(waiter, manager, till, stranger, case):
    give_pin(waiter)
    give_pin(stranger)
    member, pin = waiter.membership_id, PIN
    if case == "wrong":
        pin = "4712"
    elif case == "left":
        with restaurant_scope(waiter.restaurant_id):
            Membership.objects.filter(pk=member).update(is_active=False)
    elif case == "stranger":
        member = stranger.membership_id
    elif case == "unknown":
        member = uuid.uuid4()
    else:
        member = manager.membership_id
    response = ApiClient(till).post("sign-in/pin", {"membership_id": str(member), "pin": pin})
    body = response.json()
    assert (response.status_code, body["code"], body["detail"]) == (
        403,
        "wrong_pin",
        "The name or the PIN is not right.",
    )
    assert "errors" not in body


def test_signing_out_ends_the_token_and_no_other(waiter, manager, api):
    assert api(waiter).post("sign-out").status_code == 204
    ended = api(waiter).get("me")
    assert (ended.status_code, ended.json()["code"]) == (401, "sign_in_again")
    assert ended["WWW-Authenticate"] == "Bearer"
    assert api(manager).get("me").status_code == 200


def test_an_expired_session_does_not_count(waiter, api):
    with restaurant_scope(waiter.restaurant_id):
        StaffSession.objects.filter(pk=waiter.session_id).update(expires_at=timezone.now())
    response = api(waiter).get("me")
    assert (response.status_code, response.json()["code"]) == (401, "sign_in_again")


def test_an_expired_token_does_not_count_whatever_the_session_says(waiter):
    token = make_session_token(
        waiter.restaurant_id, waiter.session_id, timezone.now() - datetime.timedelta(seconds=1)
    )
    response = ApiClient(restaurant_id=waiter.restaurant_id).get("me", **bearer(token))
    assert (response.status_code, response.json()["code"]) == (401, "sign_in_again")


def test_a_token_that_another_key_signed_does_not_count(waiter):
    claims = {"aud": "fynlo-api", "rid": waiter.restaurant_id, "sid": str(waiter.session_id), "exp": 2**33}
    for token in [
        jwt.encode(claims, "x" * 40, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode({**claims, "aud": "other"}, settings.TOKEN_KEYS[0], algorithm="HS256"),
        jwt.encode({**claims, "sid": "7"}, settings.TOKEN_KEYS[0], algorithm="HS256"),
        "nonsense",
        "fyd.1",
        "fyd.x.y",
        f"fyd.{waiter.restaurant_id}.guess",
        "",
    ]:
        response = ApiClient(restaurant_id=waiter.restaurant_id).get("me", **bearer(token))
        assert response.status_code == 401, token


def test_a_token_is_for_one_restaurant(waiter, stranger, till):
    for caller in (waiter, till):
        response = ApiClient(caller, restaurant_id=stranger.restaurant_id).get("me")
        assert (response.status_code, response.json()["code"]) == (403, "wrong_restaurant")


def test_a_member_who_left_or_whose_account_was_closed_is_out_at_once(waiter, manager, api):
    with restaurant_scope(waiter.restaurant_id):
        Membership.objects.filter(pk=waiter.membership_id).update(is_active=False)
    user_id = row(manager).user_id
    with database_role("platform"):
        User.objects.filter(pk=user_id).update(is_active=False)
    assert [api(who).get("me").status_code for who in (waiter, manager)] == [401, 401]


def test_a_restaurant_that_is_not_there_looks_like_one_that_is(waiter):
    missing = ApiClient(restaurant_id=999_999_999)
    assert missing.get("me").status_code == 401
    assert missing.post("devices/join", {"code": "ABCD2345"}).json()["code"] == "wrong_code"
    response = sign_in(give_password(waiter), restaurant_id=999_999_999)
    assert response.json()["code"] == "not_a_member"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"password": "x"}, "email", "required"),
        ({"email": "a@example.test"}, "password", "required"),
        ({"email": "not an address", "password": "x"}, "email", "invalid"),
        ({"email": 7, "password": "x"}, "email", "invalid"),
        ({"email": f"{'a' * 255}@example.test", "password": "x"}, "email", "max_length"),
        ({"email": "a@example.test", "password": None}, "password", "null"),
        ({"email": "a@example.test", "password": ["x"]}, "password", "invalid"),
        ({"email": "a@example.test", "password": "x\0"}, "password", "control_character"),
        ({"email": "a@example.test", "password": "x" * 1001}, "password", "max_length"),
        ({"email": "a@example.test", "password": "x", "restaurant_id": "seven"}, "restaurant_id", "invalid"),
        ({"email": "a@example.test", "password": "x", "restaurant_id": 2**31}, "restaurant_id", "max_value"),
        ({"email": "a@example.test", "password": "x", "restaurant_id": -1}, "restaurant_id", "min_value"),
    ],
)
def test_bad_input_names_the_field(body, field, code):
    response = ApiClient().post(SIGN_IN, body)
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert (field, code) in [(e["field"], e["code"]) for e in response.json()["errors"]]


@pytest.mark.parametrize("body", ["{", "[]", "7", "null", '"text"', b"\xff\xfe", ""])
def test_a_body_that_is_no_object_is_refused(body):
    response = ApiClient().post(SIGN_IN, body)
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("pin", [4711, "", "123", "123456789", "12a4", "٤٧١١", "4711\n", None, True])
def test_a_pin_is_four_to_eight_digits_of_text(waiter, till, pin):
    response = ApiClient(till).post("sign-in/pin", {"membership_id": str(waiter.membership_id), "pin": pin})
    assert response.status_code == 400
    assert [e["field"] for e in response.json()["errors"]] == ["pin"]


def test_email_addresses_are_unique_whatever_their_case():
    user = factories.make_user()
    with pytest.raises(IntegrityError, match="email_lower"):
        User.objects.create_user(user.email.upper())
    assert User.objects.filter(email_lower=user.email).count() == 1


def test_the_restaurants_status_is_read_at_every_request(restaurant, waiter, api):
    assert api(waiter).get("me").status_code == 200
    suspend(restaurant)
    assert api(waiter).get("me").status_code == 403
    with database_role("platform"):
        Restaurant.objects.filter(pk=restaurant.pk).update(status=Restaurant.Status.ACTIVE)
    assert api(waiter).get("me").status_code == 200
