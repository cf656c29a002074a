"""What ops run about payments: keys are rotated, webhooks replayed, the journal verified."""

import json
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.utils import timezone

from fynlo.tenancy.scope import restaurant_scope
from payments.models import PaymentIntent, ProviderAccount, WebhookEvent
from payments.seal import SealBroken, seal, unseal
from payments.services import accounts
from tests.databases import database_role
from tests.payments.bills import open_bill, pay

SHARED = ("command", "exit", "status", "message", "seconds")  # what every operations command says


def run(*command):
    """What a command alone says in its JSON, and its exit code, run by the login that manage.py gives it."""
    out, code = StringIO(), 0
    try:
        call_command(*command, "--json", stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    answer = json.loads(out.getvalue())
    assert (answer["command"], answer["exit"]) == (command[0], code)
    return {key: value for key, value in answer.items() if key not in SHARED}, code


def test_credentials_open_for_their_own_restaurant_only():
    sealed = seal({"api_key": "x"}, restaurant_id=1, provider="sumup")
    assert unseal(sealed, restaurant_id=1, provider="sumup") == {"api_key": "x"}
    for other in ({"restaurant_id": 2, "provider": "sumup"}, {"restaurant_id": 1, "provider": "stripe"}):
        with pytest.raises(SealBroken):
            unseal(sealed, **other)


def test_keys_are_rotated(restaurant, settings):
    old, new = settings.PAYMENTS_SEAL_KEYS[0], Fernet.generate_key().decode()
    with restaurant_scope(restaurant.pk):
        row = accounts.add_account(provider="stripe", secrets={"secret_key": "sk_test_x"})
    settings.PAYMENTS_SEAL_KEYS = [new, old]
    with database_role("platform"):
        ProviderAccount.objects.exclude(pk=row.pk).exclude(credentials_sealed="").update(
            credentials_sealed=""
        )
        assert run("rotate_payment_keys") == ({"sealed": 1, "current": 0, "broken": []}, 0)
        assert run("rotate_payment_keys") == ({"sealed": 0, "current": 1, "broken": []}, 0)
    settings.PAYMENTS_SEAL_KEYS = [new]
    with restaurant_scope(restaurant.pk):
        opened = accounts.open_account(ProviderAccount.objects.get())
    assert opened.secrets == {"secret_key": "sk_test_x"}
    settings.PAYMENTS_SEAL_KEYS = [old]
    with database_role("platform"):
        assert run("rotate_payment_keys") == ({"sealed": 0, "current": 0, "broken": [str(row.pk)]}, 3)


def test_dead_webhooks_are_taken_up_again(house, till, scene, restaurant):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = house.begin(till, bill).json()
    house.tap(payment)
    with restaurant_scope(restaurant.pk):
        WebhookEvent.objects.create(
            provider=house.name,
            account=house.account,
            event_id="evt_dead",
            kind="payment.updated",
            attempt_hint=house.attempt(payment).pk,
            raw=b"{}",
            state="dead",
            tries=10,
            next_try_at=timezone.now() - timedelta(days=1),
            received_at=timezone.now(),
        )
    answer, code = run("replay_webhooks", "--restaurant", str(restaurant.pk))
    assert (answer, code) == ({"restaurants": 1, "replayed": 1}, 0)
    assert till.get(f"payments/{payment['id']}").json()["state"] == "paid"
    with restaurant_scope(restaurant.pk):
        assert WebhookEvent.objects.get().state == "done"
    assert run("replay_webhooks", "--restaurant", str(restaurant.pk))[0]["replayed"] == 0


@pytest.mark.parametrize("options", [("--restaurant", "0"), ("--event", str(UUID(int=0)))])
def test_what_is_not_there_is_not_replayed(options):
    assert run("replay_webhooks", *options)[1] == 2


def test_the_journal_is_verified_and_the_broken_row_named(till, scene, restaurant, dba):
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = pay(till, bill).json()
    one = ("verify_journal", "--restaurant", str(restaurant.pk))
    with database_role("platform"):
        assert run(*one) == ({"restaurants": 1, "problems": []}, 0)
        dba.execute("UPDATE payments_paymentintent SET captured_minor = 1 WHERE id = %s", [payment["id"]])
        answer, code = run(*one)
        dba.execute("UPDATE payments_paymentintent SET captured_minor = 1250 WHERE id = %s", [payment["id"]])
    assert code == 3
    assert {problem["check"] for problem in answer["problems"]} == {"I2", "I5"}
    assert all(bill["id"] in problem["row"] for problem in answer["problems"])
    with restaurant_scope(restaurant.pk):
        assert PaymentIntent.objects.get().captured_minor == 1250
