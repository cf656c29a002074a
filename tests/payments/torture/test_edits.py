"""The bill, the account and the cash drawer change while money is under way (T13, T14, T15, T16)."""

import datetime

import pytest
from django.utils import timezone

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import PaymentAttempt, ProviderAccount
from payments.providers import PROVIDERS
from payments.providers.errors import Misconfigured
from payments.services import accounts, sweeping
from tests.client import ApiClient
from tests.orders.scene import refused
from tests.payments.bills import open_bill, pay

BURGERS = 2500


@pytest.fixture
def bill(till, scene):
    """Two burgers, sent."""
    return open_bill(till, scene.takeaway(scene.burger(), scene.burger()))


@pytest.fixture
def boss(owner):
    return ApiClient(owner)


def test_what_is_being_paid_stays_on_the_bill(rig, boss, till, bill, scene):
    """No item, no void, no split, no discount takes the bill below what the guest is asked for."""
    payment = rig.house.begin(till, bill).json()
    item = bill["items"][0]["id"]
    with scene.nothing_changes():
        void = boss.post(f"orders/{bill['id']}/items/{item}/void", {"reason": "Cold"})
        refused(void, 409, "less_than_paid")
        assert boss.post(f"orders/{bill['id']}/void", {"reason": "Gone"}).status_code == 409
        assert till.post(f"orders/{bill['id']}/close").status_code == 409
    rig.house.tap(payment)
    rig.finish()
    assert rig.audit() == BURGERS


def test_what_is_added_meanwhile_is_due_afterwards(rig, till, bill, scene):
    payment = rig.house.begin(till, bill).json()
    added = till.post(f"orders/{bill['id']}/items", {"items": [scene.line("Fries")]})
    assert added.status_code in (200, 201), added.content
    rig.house.tap(payment)
    rig.finish()
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == 425
    assert pay(till, bill).status_code == 201
    assert rig.audit() == BURGERS


def test_after_it_was_given_up_the_item_may_go(rig, boss, till, bill):
    rig.house.begin(till, bill)
    rig.finish()
    void = boss.post(f"orders/{bill['id']}/items/{bill['items'][0]['id']}/void", {"reason": "Cold"})
    assert void.status_code == 200, void.content
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == BURGERS // 2


def test_an_account_that_is_disconnected_finishes_what_it_began(rig, till, bill, scene):
    payment = rig.house.begin(till, bill).json()
    with restaurant_scope(rig.restaurant_id):
        accounts.disconnect_account(rig.house.account.pk)
    rig.house.tap(payment)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    other = open_bill(till, scene.takeaway(scene.line("Fries")))
    assert rig.house.begin(till, other).json()["code"] == "no_payment_account"
    body = {"id": payment["id"], "amount_minor": 300, "reason": "Cold"}
    assert till.post(f"payments/{payment['id']}/refunds", body).status_code in (201, 202)
    rig.finish()
    assert rig.audit() == BURGERS - 300


def test_a_refund_goes_to_the_account_that_took_it(rig_of, square, till, bill, point_at):
    """The restaurant has changed its provider since; the guest gets it back from the old one (T14)."""
    rig = rig_of(square)
    payment = rig.paid(till, bill)
    with restaurant_scope(rig.restaurant_id):
        accounts.disconnect_account(square.account.pk)
        accounts.add_account(provider="stripe", secrets={"secret_key": "sk_test_new"}, priority=9)
    body = {"id": payment["id"], "amount_minor": 2000, "reason": "Cold"}
    assert till.post(f"payments/{payment['id']}/refunds", body).status_code in (201, 202)
    rig.finish()
    assert rig.audit() == BURGERS - 2000


def test_a_key_that_is_revoked_meanwhile_ends_nothing(rig, till, bill, monkeypatch):
    """The vendor refuses us: nobody knows, so it stays set aside until there is a key again."""

    provider = type(PROVIDERS[rig.house.name])
    payment = rig.house.begin(till, bill).json()
    with monkeypatch.context() as patch:

        def revoked(*args, **kwargs):
            raise Misconfigured("revoked", status=401)

        for name in ("fetch", "cancel"):
            patch.setattr(provider, name, revoked)
        for _ in range(4):
            rig.sweep("2 minutes")
        assert rig.house.attempt(payment).state == "unknown"
        assert pay(till, bill).json()["code"] == "amount_not_due"
    with restaurant_scope(rig.restaurant_id):
        account = ProviderAccount.objects.get(pk=rig.house.account.pk)
        assert account.status == "degraded"
        accounts.replace_credentials(account.pk, dict(accounts.open_account(account).secrets))
    rig.house.tap(payment)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.audit() == BURGERS


def test_credentials_that_cannot_be_read_call_a_person(rig, till, bill):
    """The seal does not open: the attempt is unknown, a day later an issue says so, then it goes on."""
    payment = rig.house.begin(till, bill).json()
    with restaurant_scope(rig.restaurant_id):
        sealed = ProviderAccount.objects.get(pk=rig.house.account.pk).credentials_sealed
        ProviderAccount.objects.filter(pk=rig.house.account.pk).update(credentials_sealed="broken")
    rig.sweep("1 day")
    assert rig.house.attempt(payment).state == "unknown"
    assert rig.issues() == ["unknown_too_long"]
    with restaurant_scope(rig.restaurant_id):
        ProviderAccount.objects.filter(pk=rig.house.account.pk).update(credentials_sealed=sealed)
    rig.finish()
    assert rig.payment(payment["id"]).state == "canceled"
    assert rig.issues() == []
    assert rig.audit() == 0


@pytest.mark.parametrize("vendor", ["square", "sumup"])
def test_another_amount_than_was_asked_is_booked_and_named(vendor, request, rig_of, till, bill):
    """T16: what the vendor took is the fact; that it differs is an issue."""
    rig = rig_of(request.getfixturevalue(vendor))
    payment = rig.house.begin(till, bill).json()
    rig.house.tap(payment)
    charge_less(rig, payment, by=100)
    rig.finish()
    paid = rig.payment(payment["id"])
    assert (paid.state, paid.captured_minor) == ("paid", BURGERS - 100)
    assert rig.issues() == ["amount_differs"]
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == 100
    assert rig.audit() == BURGERS - 100


def test_more_than_the_bill_is_booked_and_called_overpaid(rig_of, sumup, till, bill):
    rig = rig_of(sumup)
    payment = sumup.begin(till, bill).json()
    sumup.tap(payment)
    charge_less(rig, payment, by=-700)
    rig.finish()
    assert sorted(rig.issues()) == ["amount_differs", "overpaid"]
    assert rig.audit() == BURGERS + 700


def charge_less(rig, payment, *, by: int) -> None:
    """The vendor took another amount than it was asked for."""
    ref = rig.house.reader_ref(payment)
    if rig.house.name == "sumup":
        row = rig.peer.transaction(ref)
        row["amount"] = round(row["amount"] - by / 100, 2)
        return
    taken = rig.peer.payment(rig.peer.checkout(ref)["payment_ids"][0])
    for name in ("amount_money", "total_money", "approved_money"):
        taken[name] = {**taken[name], "amount": taken[name]["amount"] - by}


def test_cash_that_is_synced_twice_is_taken_once(till, bill, scene, restaurant):
    """T13: the till was offline and does not know whether it was heard."""
    tap = str(uuid7())
    first = pay(till, bill, id=tap, amount_minor=1000)
    again = pay(till, bill, id=tap, amount_minor=1000)
    assert (first.status_code, again.status_code) == (201, 200)
    with restaurant_scope(restaurant.pk):
        assert PaymentAttempt.objects.count() == 1
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == BURGERS - 1000


def tell_of_cash(till, bill, amount_minor):
    """A till that was offline tells what it took."""
    taken_at = timezone.now() - datetime.timedelta(minutes=5)
    return pay(till, bill, amount_minor=amount_minor, taken_offline_at=taken_at.isoformat())


def test_cash_that_is_asked_for_after_a_card_paid_is_refused(rig, till, bill, scene):
    """A till that asks hears that nothing is due, before the guest hands anything over."""
    rig.paid(till, bill)
    with scene.nothing_changes():
        answer = till.post(f"orders/{bill['id']}/payments", {"id": str(uuid7()), "method": "cash"})
    refused(answer, 409, "amount_not_due")
    assert rig.audit() == BURGERS


def test_cash_that_is_synced_after_a_card_paid_is_booked_and_overpays(rig, till, boss, bill):
    """T13: it is in the drawer, so it is in the books; the guest gets it back, and the card stays."""
    rig.paid(till, bill)
    told = tell_of_cash(till, bill, BURGERS)
    assert told.status_code == 201, told.content
    assert told.json()["balance_due_minor"] == -BURGERS
    assert rig.issues() == ["overpaid"]
    assert rig.audit() == BURGERS
    back = {"id": str(uuid7()), "reason": "Paid by card too"}
    answer = boss.post(f"payments/{told.json()['id']}/refunds", back)
    assert answer.status_code == 201, answer.content
    assert till.post(f"orders/{bill['id']}/close").status_code == 200
    assert rig.audit() == BURGERS


def test_cash_that_is_synced_while_a_card_is_asked_for_calls_the_reader_off(rig, till, bill):
    """The bill is paid, so nobody is to tap any more; the rest of a bill may still be asked for."""
    payment = rig.house.begin(till, bill, amount_minor=1000).json()
    assert tell_of_cash(till, bill, BURGERS - 1000).status_code == 201
    assert rig.house.attempt(payment).state == "requires_action"
    assert tell_of_cash(till, bill, 1000).status_code == 201
    assert rig.house.attempt(payment).state == "cancel_pending"
    sweeping.sweep_restaurant(rig.restaurant_id)  # now, not when the guest's time is up
    rig.finish()
    assert rig.payment(payment["id"]).state == "canceled"
    assert rig.issues() == []
    assert rig.audit() == 0
    assert till.get(f"orders/{bill['id']}").json()["balance_due_minor"] == 0


def test_a_tap_that_outruns_being_called_off_is_booked_and_overpays(rig, till, bill):
    payment = rig.house.begin(till, bill).json()
    rig.house.tap(payment)
    assert tell_of_cash(till, bill, BURGERS).status_code == 201
    sweeping.sweep_restaurant(rig.restaurant_id)
    rig.finish()
    assert rig.payment(payment["id"]).state == "paid"
    assert rig.issues() == ["overpaid"]
    assert rig.audit() == BURGERS


@pytest.mark.parametrize("of_the_part", [True, False])
def test_of_a_divided_bill_the_guest_whose_part_is_paid_is_called_off(
    rig_of, square, till, bill, of_the_part
):
    rig = rig_of(square)
    seen = till.get(f"orders/{bill['id']}")
    split = till.post(f"orders/{bill['id']}/split", {"kind": "even", "ways": 2}, If_Match=seen["ETag"])
    first, second = (part["id"] for part in split.json()["split"]["parts"])
    payment = rig.house.begin(till, bill, part_id=first if of_the_part else second).json()
    taken_at = timezone.now().isoformat()
    told = pay(till, bill, amount_minor=BURGERS // 2, taken_offline_at=taken_at, part_id=first)
    assert told.status_code == 201, told.content
    state = rig.house.attempt(payment).state
    assert state == ("cancel_pending" if of_the_part else "requires_action")
    if not of_the_part:
        rig.house.tap(payment)
    rig.finish()
    assert rig.issues() == []
    assert rig.audit() == (0 if of_the_part else BURGERS // 2)
