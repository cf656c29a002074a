"""Payment accounts over the API: the owner's to change, and their keys nobody's to see."""

import dataclasses

import pytest

from accounts.models import Role
from fynlo.events.models import Event
from fynlo.tenancy.scope import restaurant_scope
from payments.models import ProviderAccount
from payments.services.issues import raise_issue
from tests import factories
from tests.client import ApiClient
from tests.payments.bills import close, open_bill
from tests.peers.stripe import PLATFORM


@pytest.fixture
def boss(owner):
    return ApiClient(owner)


@pytest.fixture
def bill(till, scene):
    return open_bill(till, scene.takeaway(scene.burger()))


def test_an_owner_adds_an_account_that_the_provider_has_taken(boss, restaurant, square_sim, point_at):
    point_at(square_base_url=square_sim.url)
    token = f"sandbox-{restaurant.pk}"
    square_sim.add_device(token, "device-9", "Bar reader")
    body = {
        "provider": "square",
        "secrets": {"access_token": token, "webhook_signature_keys": ["key"]},
        "location_id": square_sim.seller(token).location_id,
    }
    added = boss.post("payment-accounts", body)
    assert (added.status_code, added.json()["account_status"]) == (201, "active")
    assert token not in added.content.decode()
    assert added.json()["key_hint"] == f"…{token[-4:]}"
    assert f"/webhooks/square/{restaurant.pk}/" in added.json()["webhook_url"]
    checked = boss.post(f"payment-accounts/{added.json()['id']}/check").json()
    assert [terminal["name"] for terminal in checked["terminals"]] == ["Bar reader"]
    options = boss.get("payment-options").json()
    assert options["methods"] == ["cash", "card_present", "card_online", "link", "external"]
    assert options["terminals"] == checked["terminals"]
    with restaurant_scope(restaurant.pk):
        row = ProviderAccount.objects.get()
        assert token not in row.credentials_sealed
        assert not [event for event in Event.objects.all() if token in str(event.payload)]


def test_keys_that_the_provider_does_not_take_are_said_so(boss, restaurant, square_sim, point_at):
    point_at(square_base_url=square_sim.url)
    square_sim.revoked.add("sandbox-revoked")
    body = {"provider": "square", "secrets": {"access_token": "sandbox-revoked"}}
    refused = boss.post("payment-accounts", body)
    assert (refused.status_code, refused.json()["code"]) == (422, "credentials_refused")
    with restaurant_scope(restaurant.pk):
        assert ProviderAccount.objects.get().status == "degraded"


@pytest.mark.parametrize(
    ("secrets", "field"),
    [
        ({}, "secret_key"),
        ({"secret_key": "sk_live_real"}, "secret_key"),
        ({"secret_key": "sk_test_x", "colour": "blue"}, "secrets"),
    ],
)
def test_keys_that_cannot_be_right_are_refused(boss, restaurant, secrets, field):
    refused = boss.post("payment-accounts", {"provider": "stripe", "secrets": secrets})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    with restaurant_scope(restaurant.pk):
        assert not ProviderAccount.objects.exists()


def test_only_the_owner_touches_keys_and_strangers_see_nothing(house, restaurant, other_restaurant, till):
    account = f"payment-accounts/{house.account.pk}"
    manager = ApiClient(factories.staff(restaurant, Role.MANAGER))
    assert len(manager.get("payment-accounts").json()["results"]) == 1
    for path, body in [
        ("payment-accounts", {"provider": "stripe", "secrets": {"secret_key": "sk_test_x"}}),
        (f"{account}/credentials", {"secrets": {}}),
        (f"{account}/disconnect", {}),
    ]:
        assert manager.post(path, body).status_code == 403
        assert till.post(path, body).status_code == 403
    assert till.get("payment-accounts").status_code == 403
    stranger = ApiClient(factories.staff(other_restaurant, Role.OWNER))
    assert stranger.get("payment-accounts").json()["results"] == []
    assert stranger.post(f"{account}/check").status_code == 404
    assert stranger.post(f"{account}/disconnect").status_code == 404
    assert stranger.get("payment-options").json()["terminals"] == []


def test_after_it_is_disconnected_it_only_refunds(house, till, boss, bill):
    payment = house.begin(till, bill).json()
    house.tap(payment)
    till.post(f"payments/{payment['id']}/check")
    close(till, bill)
    gone = boss.post(f"payment-accounts/{house.account.pk}/disconnect").json()
    assert gone["account_status"] == "disconnected"
    refunded = boss.post(f"payments/{payment['id']}/refunds", {"id": payment["id"], "reason": "Cold"})
    assert refunded.status_code in (201, 202), refunded.content
    assert house.taken() == 0


def test_stripe_opens_an_account_through_the_platform(boss, restaurant, stripe_world, settings, till, bill):
    payments = dataclasses.replace(
        settings.ENV.payments, stripe_secret_key="sk_test_platform", stripe_api_base=stripe_world.url
    )
    settings.ENV = dataclasses.replace(settings.ENV, payments=payments)
    begun = boss.post("payment-accounts/connect-stripe", {"country": "GB", "email": "o@example.com"})
    assert begun.status_code == 201, begun.content
    account = begun.json()["account"]
    assert account["account_status"] == "pending"
    again = boss.post("payment-accounts/connect-stripe", {"country": "GB", "email": "o@example.com"})
    assert again.json()["account"]["id"] == account["id"]
    refused = till.post(f"orders/{bill['id']}/card-payments", {"id": bill["id"], "method": "card_online"})
    assert refused.json()["code"] == "no_payment_account"

    stripe_world.onboard(account["external_account_id"])
    ready = boss.post(f"payment-accounts/{account['id']}/check").json()
    assert ready["account_status"] == "active"
    paid = till.post(
        f"orders/{bill['id']}/card-payments",
        {"id": bill["id"], "method": "card_online", "source_token": "pm_card_visa"},
    )
    assert (paid.status_code, paid.json()["state"]) == (201, "paid")
    assert stripe_world.taken(account["external_account_id"]) == 1250
    assert stripe_world.taken(PLATFORM) == 0


def test_an_issue_is_settled_by_a_manager_with_a_reason(restaurant, till, other_restaurant):
    manager = ApiClient(factories.staff(restaurant, Role.MANAGER))
    with restaurant_scope(restaurant.pk):
        row = raise_issue("theirs_only", "charge:x", theirs_minor=425, currency="GBP")
    assert [i["about"] for i in manager.get("issues?open=true").json()["results"]] == ["theirs_only"]
    assert till.get("issues").status_code == 403
    stranger = ApiClient(factories.staff(other_restaurant, Role.OWNER))
    assert stranger.post(f"issues/{row.pk}/settle", {"resolution": "mine"}).status_code == 404
    assert manager.post(f"issues/{row.pk}/settle", {"resolution": " "}).status_code in (400, 422)
    settled = manager.post(f"issues/{row.pk}/settle", {"resolution": "Paid back at the bank"})
    assert settled.json()["resolution"] == "Paid back at the bank"
    assert manager.get("issues?open=true").json()["results"] == []
    assert manager.post(f"issues/{row.pk}/settle", {"resolution": "again"}).status_code == 404
