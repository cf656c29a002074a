"""Square's OAuth, held to Square's own OpenAPI document by the simulator.

The page of consent is in no such document: what is asked of it, and what it sends back, is as Square's
written documentation has it.
"""

import datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from fynlo.events.models import Event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import ProviderAccount
from payments.seal import unseal
from payments.services import onboarding
from payments.tasks import renew_square_tokens
from tests import factories
from tests.backoffice.conftest import user_of
from tests.client import ApiClient
from tests.payments.bills import close, open_bill
from tests.peers.square import APPLICATION_ID, APPLICATION_SECRET

ACCOUNTS = "/admin/payments/provideraccount/"
COME_BACK = f"{ACCOUNTS}square/"


@pytest.fixture(autouse=True)
def platform(square_sim, point_at):
    """The platform's application at Square."""
    point_at(
        square_base_url=square_sim.url,
        square_application_id=APPLICATION_ID,
        square_application_secret=APPLICATION_SECRET,
        square_webhook_signature_keys=("platform-key",),
    )


@pytest.fixture
def boss(owner):
    return ApiClient(owner)


@pytest.fixture
def browser(owner):
    client = Client(REMOTE_ADDR="2001:db8::1")
    client.force_login(user_of(owner))
    return client


@pytest.fixture
def seller(restaurant, square_sim):
    """A token of the restaurant's own Square account, by which the simulator knows it."""
    token = f"seller-{restaurant.pk}"
    square_sim.add_device(token, "device-1", "Bar reader")
    return token


@pytest.fixture
def connected(boss, browser, square_sim, seller, restaurant):
    url = boss.post("payment-accounts/connect-square").json()["url"]
    page = browser.get(COME_BACK, square_sim.allow(url, seller), follow=True)
    assert "Square takes the account. Card readers: Bar reader." in page.content.decode()
    return account(restaurant)


def account(restaurant):
    with restaurant_scope(restaurant.pk):
        return ProviderAccount.objects.get()


def tokens(row):
    return unseal(row.credentials_sealed, restaurant_id=row.restaurant_id, provider="square")


def pay(till, bill):
    body = {"id": bill["id"], "method": "card_online", "source_token": "cnon:card-nonce-ok"}
    return till.post(f"orders/{bill['id']}/card-payments", body)


def test_an_owner_consents_and_the_restaurant_takes_cards(
    connected, restaurant, square_sim, seller, till, scene
):
    merchant = square_sim.seller(seller)
    assert (connected.kind, connected.status) == ("square_oauth", "active")
    assert (connected.external_account_id, connected.location_id) == (
        merchant.merchant_id,
        merchant.location_id,
    )
    assert tokens(connected)["access_token"] not in connected.credentials_sealed
    assert connected.key_hint == f"…{tokens(connected)['access_token'][-4:]}"
    paid = pay(till, open_bill(till, scene.takeaway(scene.burger())))
    assert (paid.status_code, paid.json()["state"]) == (201, "paid")
    assert [payment["total_money"]["amount"] for payment in merchant.payments.values()] == [1250]
    with restaurant_scope(restaurant.pk):
        (event,) = Event.objects.filter(kind="payment_account.added")
        assert event.payload["connection"] == "square_oauth"
        assert not [e for e in Event.objects.all() if tokens(connected)["access_token"] in str(e.payload)]


def test_what_is_asked_for_on_squares_page(boss):
    url = boss.post("payment-accounts/connect-square").json()["url"]
    asked = dict(parse_qsl(urlsplit(url).query))
    assert asked["redirect_uri"].endswith(COME_BACK)
    assert asked["client_id"] == APPLICATION_ID
    assert {"PAYMENTS_WRITE", "PAYMENTS_WRITE_ADDITIONAL_RECIPIENTS", "PAYOUTS_READ", "DISPUTES_READ"} <= set(
        asked["scope"].split()
    )
    assert "session" not in asked


def test_only_an_owner_begins_and_only_where_the_platform_may(boss, restaurant, till, point_at):
    manager = ApiClient(factories.staff(restaurant, Role.MANAGER))
    assert manager.post("payment-accounts/connect-square").status_code == 403
    assert till.post("payment-accounts/connect-square").status_code == 403
    point_at(square_application_secret="")
    refused = boss.post("payment-accounts/connect-square")
    assert (refused.status_code, refused.json()["code"]) == (422, "credentials_refused")


def answers(sent, browser, restaurant):
    """What the owner reads on coming back, and that nothing was connected."""
    page = browser.get(COME_BACK, sent, follow=True).content.decode()
    with restaurant_scope(restaurant.pk):
        assert not ProviderAccount.objects.exists()
    return page


def test_a_consent_that_was_not_begun_here_connects_nothing(
    boss, browser, square_sim, seller, restaurant, other_restaurant, monkeypatch
):
    url = boss.post("payment-accounts/connect-square").json()["url"]
    sent = square_sim.allow(url, seller)
    assert "begin again" in answers({**sent, "state": "made-up"}, browser, restaurant)
    assert "was not allowed" in answers({"error": "access_denied"}, browser, restaurant)
    assert "does not take this account" in answers({**sent, "code": "invalid"}, browser, restaurant)
    for staff in (
        factories.staff(other_restaurant, Role.OWNER),
        factories.staff(restaurant, Role.OWNER),
    ):
        other = ApiClient(staff).post("payment-accounts/connect-square").json()["url"]
        theirs = square_sim.allow(other, seller)
        assert "Somebody else began this" in answers(theirs, browser, restaurant)
    monkeypatch.setattr(onboarding, "STATE_SECONDS", -1)
    assert "begin again" in answers(sent, browser, restaurant)


def test_a_manager_who_comes_back_connects_nothing(boss, square_sim, seller, restaurant):
    sent = square_sim.allow(boss.post("payment-accounts/connect-square").json()["url"], seller)
    client = Client(REMOTE_ADDR="2001:db8::1")
    client.force_login(user_of(factories.staff(restaurant, Role.MANAGER)))
    assert client.get(COME_BACK, sent).status_code == 403
    with restaurant_scope(restaurant.pk):
        assert not ProviderAccount.objects.exists()


def test_a_seller_of_another_currency_is_refused(boss, browser, square_sim, seller, restaurant):
    for place in square_sim.seller(seller).locations.values():
        place["currency"] = "EUR"
    sent = square_sim.allow(boss.post("payment-accounts/connect-square").json()["url"], seller)
    assert "takes EUR, not GBP" in answers(sent, browser, restaurant)


def test_tokens_are_renewed_a_week_after_they_were_given(connected, restaurant, square_sim, seller):
    first = tokens(connected)
    renew_square_tokens()
    assert tokens(account(restaurant)) == first
    square_sim.clock = lambda: timezone.now() + datetime.timedelta(days=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(onboarding, "RENEW_BEFORE", datetime.timedelta(days=30))
        renew_square_tokens()
    second = tokens(account(restaurant))
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] == first["refresh_token"]
    assert second["expires_at"] > first["expires_at"]
    assert account(restaurant).status == "active"


def test_a_consent_that_was_taken_back_at_square_is_said_so(
    connected, boss, restaurant, square_sim, monkeypatch
):
    monkeypatch.setattr(onboarding, "RENEW_BEFORE", datetime.timedelta(days=31))
    square_sim.revoked |= set(tokens(connected).values())
    renew_square_tokens()
    row = account(restaurant)
    assert row.status == "degraded"
    assert row.status_detail.startswith("Square gives no new token, so connect again")


def test_disconnecting_gives_the_consent_back_and_connecting_again_refunds(
    connected, boss, browser, restaurant, square_sim, seller, till, scene
):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = pay(till, bill).json()
    close(till, bill)
    gone = boss.post(f"payment-accounts/{connected.pk}/disconnect").json()
    assert (gone["account_status"], gone["key_hint"]) == ("disconnected", "")
    assert set(tokens(connected).values()) - square_sim.revoked == {tokens(connected)["expires_at"]}
    assert account(restaurant).credentials_sealed == ""
    body = {"id": str(uuid7()), "reason": "Cold soup", "amount_minor": 500}
    refused = boss.post(f"payments/{payment['id']}/refunds", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_left")
    renew_square_tokens()
    page = browser.get(f"{ACCOUNTS}{connected.pk}/change/").content.decode()
    assert "Connect again" in page

    square_sim.revoked.discard(seller)
    sent = square_sim.allow(boss.post("payment-accounts/connect-square").json()["url"], seller)
    browser.get(COME_BACK, sent)
    assert (account(restaurant).pk, account(restaurant).status) == (connected.pk, "active")
    assert boss.post(f"payments/{payment['id']}/refunds", body).status_code in (201, 202)
    assert [r["amount_money"]["amount"] for r in square_sim.seller(seller).refunds.values()] == [500]


def test_it_is_not_disconnected_while_a_payment_is_under_way(connected, boss, restaurant, till, scene):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    body = {"id": bill["id"], "method": "link"}
    payment = till.post(f"orders/{bill['id']}/card-payments", body).json()
    refused = boss.post(f"payment-accounts/{connected.pk}/disconnect")
    assert (refused.status_code, refused.json()["code"]) == (409, "account_in_use")
    assert account(restaurant).status == "active"
    assert till.post(f"payments/{payment['id']}/cancel").json()["state"] == "canceled"
    assert boss.post(f"payment-accounts/{connected.pk}/disconnect").status_code == 200


def test_a_consent_that_could_not_be_given_back_is_given_back_at_night(
    connected, boss, restaurant, square_sim, point_at
):
    point_at(square_base_url="http://127.0.0.1:9")
    assert boss.post(f"payment-accounts/{connected.pk}/disconnect").status_code == 200
    assert account(restaurant).credentials_sealed != ""
    point_at(square_base_url=square_sim.url)
    renew_square_tokens()
    assert account(restaurant).credentials_sealed == ""
    assert tokens(connected)["access_token"] in square_sim.revoked


def test_of_a_shared_merchant_only_our_own_token_is_given_back(
    connected, boss, square_sim, seller, other_restaurant, restaurant
):
    theirs = factories.staff(other_restaurant, Role.OWNER)
    client = Client(REMOTE_ADDR="2001:db8::1")
    client.force_login(user_of(theirs))
    url = ApiClient(theirs).post("payment-accounts/connect-square").json()["url"]
    client.get(COME_BACK, square_sim.allow(url, seller))
    other = account(other_restaurant)
    assert other.status == "active"
    boss.post(f"payment-accounts/{connected.pk}/disconnect")
    assert tokens(connected)["access_token"] in square_sim.revoked
    assert not set(tokens(other).values()) & square_sim.revoked


def test_keys_of_the_same_merchant_are_not_taken_twice(boss, browser, square_sim, seller, restaurant):
    merchant = square_sim.seller(seller)
    body = {
        "provider": "square",
        "secrets": {"access_token": seller},
        "external_account_id": merchant.merchant_id,
    }
    assert boss.post("payment-accounts", body).status_code == 201
    sent = square_sim.allow(boss.post("payment-accounts/connect-square").json()["url"], seller)
    assert "is here already" in browser.get(COME_BACK, sent, follow=True).content.decode()
    assert account(restaurant).kind == "own_keys"


def test_a_state_is_signed_for_this_use_only(browser, owner, square_sim, seller, boss, restaurant):
    sent = square_sim.allow(boss.post("payment-accounts/connect-square").json()["url"], seller)
    forged = signing.dumps([owner.restaurant_id, str(owner.membership_id)], salt="another")
    assert "begin again" in answers({**sent, "state": forged}, browser, restaurant)
