"""A browser's screen stays joined by a cookie that no other site can use."""

import pytest
from django.http import HttpResponse

from accounts import cookies
from accounts.cookies import delete_device_cookie, identify_cookie, read_device_cookie, set_device_cookie
from accounts.errors import RestaurantSuspended
from accounts.models import Device
from fynlo.tenancy.scope import restaurant_scope
from tests import factories
from tests.client import ApiClient

from .conftest import suspend


def with_cookie(caller, path="me", restaurant_id=None, **headers):
    client = ApiClient(restaurant_id=restaurant_id or caller.restaurant_id)
    client.http.cookies[cookies.COOKIE_NAME] = factories.token_of(caller)
    return client.get(path, **headers)


def request_with(rf, value):
    return rf.get("/", headers={"Cookie": f"other=1; {cookies.COOKIE_NAME}={value}"})


def test_the_cookie_is_closed_to_scripts_and_to_other_sites(screen):
    response = HttpResponse()
    token = factories.token_of(screen)
    set_device_cookie(response, token)
    morsel = response.cookies["fynlo_device"]
    assert (morsel.value, morsel["httponly"], morsel["samesite"], morsel["path"], morsel["domain"]) == (
        token,
        True,
        "Strict",
        "/",
        "",
    )
    assert morsel["max-age"] == 400 * 24 * 3600
    assert not morsel["secure"]


def test_in_production_it_is_of_this_host_only(settings, monkeypatch):
    settings.PRODUCTION = True
    monkeypatch.setattr(cookies, "COOKIE_NAME", "__Host-fynlo_device")
    response = HttpResponse()
    set_device_cookie(response, "fyd.1.x")
    assert response.cookies["__Host-fynlo_device"]["secure"]
    delete_device_cookie(response)
    morsel = response.cookies["__Host-fynlo_device"]
    assert (morsel.value, morsel["max-age"], morsel["secure"]) == ("", 0, True)


def test_it_counts_only_with_a_header_that_no_other_site_can_send(screen):
    assert with_cookie(screen).status_code == 401
    assert with_cookie(screen, X_Requested_With="XMLHttpRequest").status_code == 401
    response = with_cookie(screen, X_Requested_With="fynlo")
    assert response.status_code == 200
    assert response.json()["device"]["id"] == str(screen.device_id)


def test_a_token_comes_before_the_cookie(screen, waiter):
    client = ApiClient(waiter)
    client.http.cookies[cookies.COOKIE_NAME] = factories.token_of(screen)
    assert client.get("me", X_Requested_With="fynlo").json()["device"] is None


def test_it_is_for_one_restaurant(screen, other_restaurant):
    response = with_cookie(screen, restaurant_id=other_restaurant.pk, X_Requested_With="fynlo")
    assert (response.status_code, response.json()["code"]) == (403, "wrong_restaurant")


def test_a_page_knows_its_screen(screen, rf):
    request = request_with(rf, factories.token_of(screen))
    assert read_device_cookie(request) == factories.token_of(screen)
    assert identify_cookie(request) == screen


def test_a_socket_knows_its_screen(screen):
    cookie = f"other=1; fynlo_device={factories.token_of(screen)}".encode()
    assert identify_cookie([(b"host", b"x"), (b"cookie", cookie)]) == screen
    assert read_device_cookie([(b"host", b"x")]) is None


@pytest.mark.parametrize("value", ["", "nonsense", "fyd.1", "fyd.999999999.guess", "%00", "é"])
def test_a_cookie_that_is_none_of_ours_is_nobody(rf, value):
    assert identify_cookie(request_with(rf, value)) is None
    assert identify_cookie([(b"cookie", f"fynlo_device={value}".encode("latin-1"))]) is None


def test_a_session_token_in_the_cookie_is_nobody(waiter, rf):
    assert identify_cookie(request_with(rf, factories.token_of(waiter))) is None


def test_a_revoked_screen_is_nobody(screen, rf):
    with restaurant_scope(screen.restaurant_id):
        Device.objects.filter(pk=screen.device_id).update(revoked_at="2026-11-24T12:00Z")
    assert identify_cookie(request_with(rf, factories.token_of(screen))) is None


def test_a_screen_of_a_suspended_restaurant_hears_so(restaurant, screen, rf):
    suspend(restaurant)
    with pytest.raises(RestaurantSuspended):
        identify_cookie(request_with(rf, factories.token_of(screen)))
