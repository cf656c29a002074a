"""How cards are taken, as owners set it up: their keys go in, and never come out again."""

import dataclasses
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role
from fynlo.events.models import Event
from fynlo.tenancy.scope import restaurant_scope
from payments.models import ProviderAccount, Terminal
from payments.services import accounts
from tests import factories
from tests.backoffice.conftest import user_of
from tests.databases import database_role
from tests.payments.cards.conftest import point_at

__all__ = ["point_at"]

ACCOUNTS = "/admin/payments/provideraccount/"


@pytest.fixture
def square(restaurant, square_sim, point_at):
    """Square, and the token with which it knows this restaurant and its reader."""
    point_at(square_base_url=square_sim.url)
    square_sim.token = f"sandbox-secret-{restaurant.pk}"
    square_sim.add_device(square_sim.token, "device-1", "Bar reader")
    return square_sim


@pytest.fixture
def account(restaurant):
    with restaurant_scope(restaurant.pk):
        row = accounts.add_account(provider="stripe", secrets={"secret_key": "sk_test_hidden_one"})
        Terminal.objects.create(account=row, reader_id="tmr_1", label="Bar reader", is_online=False)
    return row


def rows(restaurant):
    with restaurant_scope(restaurant.pk):
        return list(ProviderAccount.objects.order_by("created_at").values())


def kinds(restaurant):
    with restaurant_scope(restaurant.pk):
        events = Event.objects.filter(kind__startswith="payment_account.").order_by("seq")
        return [event.kind for event in events]


def text(answer):
    return answer.content.decode()


def test_an_owner_adds_square_and_never_sees_the_key_again(restaurant, owner, office, square, caplog):
    client = office(owner)
    assert "Take cards with Stripe, Square or SumUp" in text(client.get(ACCOUNTS))
    assert "Square Terminal" in text(client.get(f"{ACCOUNTS}add/"))
    form = client.get(f"{ACCOUNTS}add/?provider=square")
    assert text(form).count('type="password"') == 2
    keys = {"access_token": square.token, "location_id": square.seller(square.token).location_id}
    page = client.post(f"{ACCOUNTS}add/?provider=square", keys, follow=True)

    (row,) = rows(restaurant)
    assert (row["status"], row["key_hint"]) == ("active", f"…{square.token[-4:]}")
    assert page.redirect_chain == [(f"{ACCOUNTS}{row['id']}/change/", 302)]
    assert "Square takes the account. Card readers: Bar reader." in text(page)
    assert f"/webhooks/square/{restaurant.pk}/{row['public_id']}" in text(page)
    assert "Takes cards" in text(page)
    shown = [page, client.get(ACCOUNTS), client.get(f"{ACCOUNTS}{row['id']}/keys/"), client.get("/admin/")]
    assert not [answer for answer in shown if square.token in text(answer)]
    assert square.token not in caplog.text
    with restaurant_scope(restaurant.pk):
        assert not [event for event in Event.objects.all() if square.token[:10] in str(event.payload)]
    assert kinds(restaurant) == ["payment_account.added"]
    assert square.violations == []


def test_a_key_that_is_refused_stands_there_until_another_is_put_in(restaurant, owner, office, square):
    client = office(owner)
    square.revoked.add("sandbox-revoked")
    page = client.post(f"{ACCOUNTS}add/?provider=square", {"access_token": "sandbox-revoked"}, follow=True)
    assert "The provider does not take this account" in text(page)
    assert "Takes no cards: the provider refuses it." in text(page)
    (row,) = rows(restaurant)
    assert row["status"] == "degraded"
    page = client.post(f"{ACCOUNTS}{row['id']}/keys/", {"access_token": square.token}, follow=True)
    assert "Square takes the account." in text(page)
    assert rows(restaurant)[0]["status"] == "active"
    assert kinds(restaurant) == ["payment_account.added", "payment_account.keys_replaced"]


@pytest.mark.parametrize(
    ("provider", "keys", "message"),
    [
        ("stripe", {"secret_key": "sk_live_real"}, "This key takes real money, and this is not production."),
        ("stripe", {"publishable_key": "pk_test_x"}, "This key is needed."),
        ("sumup", {"api_key": "sup_sk_test_x"}, "This field is required."),
        ("stripe", {"secret_key": "sk_test_twin"}, "This account of Stripe is here already"),
    ],
)
def test_what_cannot_be_right_is_said_and_typed_keys_are_not_shown(
    restaurant, owner, office, account, provider, keys, message
):
    page = office(owner).post(f"{ACCOUNTS}add/?provider={provider}", keys)
    assert page.status_code == 200
    assert message in text(page)
    assert not [value for value in keys.values() if value in text(page)]
    assert len(rows(restaurant)) == 1


def test_a_webhook_secret_is_added_and_the_key_stays(
    restaurant, owner, office, account, stripe_world, point_at
):
    point_at(stripe_api_base=stripe_world.url)
    client = office(owner)
    place = f"{ACCOUNTS}{account.pk}/keys/"
    assert client.post(place, {"webhook_secrets": "whsec_one"}).status_code == 302
    assert client.post(place, {"webhook_secrets": "whsec_two"}).status_code == 302
    assert "Type in at least one new key." in text(client.post(place, {}))
    with restaurant_scope(restaurant.pk):
        opened = accounts.load_account(account.pk)
    assert opened.secrets == {
        "secret_key": "sk_test_hidden_one",
        "webhook_secrets": ["whsec_two", "whsec_one"],
    }


def test_settings_and_readers_are_written_as_people_say_them(restaurant, owner, office, account):
    client = office(owner)
    page = f"{ACCOUNTS}{account.pk}/change/"
    assert "Not reachable" in text(client.get(page))
    saved = client.post(page, {"priority": "2", "fee_percent": "1.4", "fee_fixed_minor": "0.20"})
    assert saved.status_code == 302
    (row,) = rows(restaurant)
    assert (row["priority"], str(row["fee_percent"]), row["fee_fixed_minor"]) == (2, "1.400", 20)
    for bad in ({"fee_percent": "101"}, {"fee_fixed_minor": "-1"}, {"fee_fixed_minor": "lots"}):
        fine = {"priority": "2", "fee_percent": "1.4", "fee_fixed_minor": "0.20"}
        assert client.post(page, {**fine, **bad}).status_code == 200
    with restaurant_scope(restaurant.pk):
        terminal = Terminal.objects.get()
    client.post(f"{ACCOUNTS}{account.pk}/readers/{terminal.pk}/", {"label": "Terrace"})
    with restaurant_scope(restaurant.pk):
        assert Terminal.objects.get().label == "Terrace"
    assert rows(restaurant) == [row]
    assert kinds(restaurant) == ["payment_account.changed"] * 2


def test_disconnecting_asks_first_and_keeps_the_keys_for_refunds(restaurant, owner, office, account):
    client = office(owner)
    place = f"{ACCOUNTS}{account.pk}/disconnect/"
    assert "can still be given back" in text(client.get(place))
    assert rows(restaurant)[0]["status"] == "active"
    page = client.post(place, follow=True)
    assert "Disconnected: takes no more cards." in text(page)
    assert "Connect again" in text(page)
    with restaurant_scope(restaurant.pk):
        assert accounts.load_account(account.pk).secrets["secret_key"] == "sk_test_hidden_one"


def test_a_manager_looks_and_has_the_provider_asked(restaurant, manager, office, square):
    with restaurant_scope(restaurant.pk):
        row = accounts.add_account(provider="square", secrets={"access_token": square.token})
        accounts.mark_degraded(row.pk, "it was")
    client = office(manager)
    page = text(client.get(f"{ACCOUNTS}{row.pk}/change/"))
    assert "Check" in page
    assert not [words for words in ("Replace keys", "Disconnect</a>", "Save") if words in page]
    before = rows(restaurant)
    refused = [
        client.get(f"{ACCOUNTS}add/"),
        client.post(f"{ACCOUNTS}add/?provider=stripe", {"secret_key": "sk_test_x"}),
        client.post(f"{ACCOUNTS}{row.pk}/keys/", {"access_token": "other"}),
        client.post(f"{ACCOUNTS}{row.pk}/disconnect/"),
        client.get(f"{ACCOUNTS}connect/"),
    ]
    assert [answer.status_code for answer in refused] == [403] * 5
    page = client.post(
        f"{ACCOUNTS}{row.pk}/change/", {"priority": 9, "fee_percent": 0, "fee_fixed_minor": 0}, follow=True
    )
    assert "Only an owner" in text(page)
    assert rows(restaurant) == before
    page = client.post(f"{ACCOUNTS}{row.pk}/check/", follow=True)
    assert "Square takes the account. Card readers: Bar reader." in text(page)
    assert rows(restaurant)[0]["status"] == "active"


def test_a_stranger_finds_nothing_to_look_at_or_press(restaurant, stranger, office, account):
    client, before = office(stranger), rows(restaurant)
    assert "hidden_one" not in text(client.get(ACCOUNTS))
    assert str(account.pk) not in text(client.get(ACCOUNTS))
    for page in ("change/", "keys/", "disconnect/"):
        assert client.get(f"{ACCOUNTS}{account.pk}/{page}").status_code == 404
        assert client.post(f"{ACCOUNTS}{account.pk}/{page}", {"secret_key": "sk_test_x"}).status_code == 404
    for page in ("check/", "readers/", "connected/", "resume/"):
        client.post(f"{ACCOUNTS}{account.pk}/{page}")
    assert rows(restaurant) == before


def test_nobody_is_asked_where_the_provider_is_away(restaurant, owner, office, account, point_at):
    point_at(stripe_api_base="http://127.0.0.1:9")
    page = office(owner).post(f"{ACCOUNTS}{account.pk}/check/", follow=True)
    assert "The provider does not answer just now; try again." in text(page)
    assert rows(restaurant)[0]["status"] == "active"


@pytest.fixture
def platform(settings, stripe_world):
    """The platform's own account at Stripe, through which restaurants open theirs."""
    payments = dataclasses.replace(
        settings.ENV.payments, stripe_secret_key="sk_test_platform", stripe_api_base=stripe_world.url
    )
    settings.ENV = dataclasses.replace(settings.ENV, payments=payments)
    return stripe_world


def test_connect_with_stripe_from_beginning_to_end(restaurant, owner, office, platform):
    client = office(owner)
    assert "Connect with Stripe" in text(client.get(f"{ACCOUNTS}add/"))
    page = client.post(f"{ACCOUNTS}connect/", {"country": "GB", "email": "olive@example.test"})
    (link,) = re.findall(r'href="(https://connect\.stripe\.com/[^"]+)"', text(page))
    (row,) = rows(restaurant)
    assert (row["kind"], row["status"]) == ("stripe_connect", "pending")
    platform.onboard(row["external_account_id"], complete=False)
    back = client.get(f"{ACCOUNTS}{row['id']}/connected/", follow=True)
    assert "Takes no cards yet. Stripe" in text(back)
    assert "Go on at Stripe" in text(back)
    again = client.get(f"{ACCOUNTS}{row['id']}/resume/")
    assert re.findall(r'href="(https://connect\.stripe\.com/[^"]+)"', text(again)) != [link]
    platform.onboard(row["external_account_id"])
    back = client.get(f"{ACCOUNTS}{row['id']}/connected/", follow=True)
    assert "Stripe takes the account." in text(back)
    assert [found["status"] for found in rows(restaurant)] == ["active"]
    assert kinds(restaurant) == ["payment_account.added", "payment_account.changed"]


def test_without_a_platform_account_nothing_is_offered(owner, office):
    client = office(owner)
    assert "Connect with Stripe" not in text(client.get(f"{ACCOUNTS}add/"))
    assert client.get(f"{ACCOUNTS}connect/").status_code == 404


def test_a_waiter_is_not_even_let_in(restaurant, office, account):
    client = office(factories.staff(restaurant, Role.WAITER))
    assert client.post(f"{ACCOUNTS}{account.pk}/check/").status_code == 302
    assert client.post(f"{ACCOUNTS}{account.pk}/disconnect/").status_code == 302
    assert rows(restaurant)[0]["status"] == "active"


def test_a_form_of_another_page_presses_nothing(owner, account):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user_of(owner))
    for page in ("check/", "disconnect/", "keys/"):
        answer = client.post(f"{ACCOUNTS}{account.pk}/{page}", {"secret_key": "sk_test_y"})
        assert answer.status_code == 403


def test_the_list_costs_the_same_with_three(restaurant, owner, office, account):
    client = office(owner)
    client.get(ACCOUNTS)
    with CaptureQueriesContext(connection) as one:
        client.get(ACCOUNTS)
    with restaurant_scope(restaurant.pk):
        for provider, key in (("square", "access_token"), ("sumup", "api_key")):
            row = accounts.add_account(provider=provider, secrets={key: "x-test"})
            Terminal.objects.create(account=row, reader_id=provider, label=provider)
    with CaptureQueriesContext(connection) as three:
        client.get(ACCOUNTS)
    assert len(three) == len(one)


def test_no_key_is_in_the_database_in_the_clear(restaurant, account, dba):
    with database_role("platform"):
        found = dba.execute(
            "SELECT a::text FROM payments_provideraccount a WHERE id = %s", [account.pk]
        ).fetchone()
    assert "hidden_one" not in found[0]
