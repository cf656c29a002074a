"""Giving money back when others do so too, when the bank changes its mind, and when nobody knows (T5, T9)."""

import datetime
import fnmatch

import pytest
from django.conf import settings
from django.utils import timezone

from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from payments.models import Refund
from payments.providers import PROVIDERS
from payments.providers.base import RefundRequest
from payments.services import accounts
from tests.client import ApiClient
from tests.payments.bills import all_at_once, open_bill, pay
from tests.peers.square import sign_webhook

BURGER = 1250


@pytest.fixture
def payment(rig, till, scene):
    """A burger for £12.50, paid by card; the bill is still open."""
    return rig.paid(till, open_bill(till, scene.takeaway(scene.burger())))


@pytest.fixture
def boss(owner):
    return ApiClient(owner)


def give_back(boss, payment, amount: int):
    body = {"id": str(uuid7()), "amount_minor": amount, "reason": "Cold soup"}
    return boss.post(f"payments/{payment['id']}/refunds", body)


def elsewhere(rig, payment, amount: int) -> None:
    """Somebody gives money back at the vendor's own dashboard."""
    with restaurant_scope(rig.restaurant_id):
        account = accounts.load_account(rig.house.account.pk)
    request = RefundRequest(
        refund_id=uuid7(),
        attempt_id=uuid7(),
        payment_ref=rig.house.attempt(payment).provider_ref,
        amount_minor=amount,
        currency="GBP",
        idem_key=f"dashboard-{uuid7()}"[:45],
    )
    PROVIDERS[rig.house.name].refund(account, request)


def states(rig) -> list[str]:
    with restaurant_scope(rig.restaurant_id):
        return sorted(Refund.objects.values_list("state", flat=True))


def test_equal_refunds_one_after_the_other_are_two(rig, boss, payment):
    for _ in range(2):
        assert give_back(boss, payment, 300).status_code in (201, 202)
        rig.finish()
    assert states(rig) == ["succeeded", "succeeded"]
    assert rig.audit() == BURGER - 600


def test_equal_refunds_at_once_are_as_many_as_were_asked_for(rig, boss, payment):
    answers = all_at_once(4, lambda n: give_back(boss, payment, 400))
    given = [answer for answer in answers if answer.status_code in (201, 202)]
    rig.finish()
    rig.look(payment)
    rig.finish()
    assert len(given) <= 3
    assert states(rig) == ["succeeded"] * len(given)
    assert rig.audit() == BURGER - 400 * len(given)


def test_one_made_elsewhere_is_adopted(rig, boss, payment):
    elsewhere(rig, payment, 200)
    rig._vendor_goes_on()
    rig.look(payment)
    rig.finish()
    assert rig.issues() == ["external_refund"]
    assert rig.audit() == BURGER - 200
    too_much = give_back(boss, payment, BURGER)
    assert too_much.json()["code"] == "more_than_taken"
    assert give_back(boss, payment, BURGER - 200).status_code in (201, 202)
    rig.finish()
    assert rig.audit() == 0


def test_all_was_given_back_elsewhere_before_we_heard(rig, boss, payment):
    """Ours is refused by the vendor, and what was set aside for it is free again."""
    elsewhere(rig, payment, BURGER)
    rig._vendor_goes_on()
    give_back(boss, payment, 500)
    rig.finish()
    rig.look(payment)
    rig.finish()
    assert rig.audit() == 0
    assert rig.payment(payment["id"]).refunded_minor == BURGER


def test_the_bank_sends_it_back_after_it_succeeded(rig_of, square, till, scene, boss):
    rig = rig_of(square)
    payment = rig.paid(till, open_bill(till, scene.takeaway(scene.burger())))
    give_back(boss, payment, 500)
    rig.finish()
    assert rig.audit() == BURGER - 500
    with restaurant_scope(rig.restaurant_id):
        ref = Refund.objects.get().provider_ref
    square.peer.bounce_refund(ref)
    rig.look(payment)
    assert states(rig) == ["failed"]
    assert rig.issues() == ["refund_failed"]
    assert rig.audit() == BURGER
    assert give_back(boss, payment, BURGER).status_code in (201, 202)
    rig.finish()
    assert rig.audit() == 0


def test_what_was_too_much_is_so_again_when_the_bank_sends_it_back(rig_of, square, till, scene, boss):
    rig = rig_of(square)
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = rig.paid(till, bill)
    told = pay(till, bill, amount_minor=BURGER, taken_offline_at=timezone.now().isoformat())
    assert told.status_code == 201, told.content
    assert rig.issues() == ["overpaid"]
    give_back(boss, payment, BURGER)
    rig.finish()
    assert rig.issues() == []
    assert rig.audit() == 0
    with restaurant_scope(rig.restaurant_id):
        ref = Refund.objects.get().provider_ref
    square.peer.bounce_refund(ref)
    rig.look(payment)
    assert sorted(rig.issues()) == ["overpaid", "refund_failed"]
    [overpaid] = [each for each in boss.get("issues").json()["results"] if each["about"] == "overpaid"][:1]
    assert (overpaid["ours_minor"], overpaid["theirs_minor"]) == (BURGER, 2 * BURGER)
    assert rig.audit() == BURGER


def tell_of_refund(square, ref):
    """Square's signed webhook about a refund, as the web process gets it."""
    body = square.peer.event("refund.updated", ref)
    path = f"/webhooks/square/{square.restaurant.pk}/{square.account.public_id}"
    signature = sign_webhook(body, settings.BASE_URL + path, "square-key")
    return ApiClient().post(path, body, x_square_hmacsha256_signature=signature)


def test_a_webhook_says_that_the_bank_sent_it_back(rig_of, square, till, scene, boss):
    """Days later, twice: the till sees it, a person is called, and the guest can be given it again."""
    rig = rig_of(square)
    payment = rig.paid(till, open_bill(till, scene.takeaway(scene.burger())))
    refund = give_back(boss, payment, 500).json()
    rig.finish()
    with restaurant_scope(rig.restaurant_id):
        ref = Refund.objects.get().provider_ref
    square.peer.bounce_refund(ref)
    for _ in range(2):
        assert tell_of_refund(square, ref).status_code == 200
        rig.sweep("0 seconds")
    seen = boss.get(f"refunds/{refund['id']}").json()
    assert (seen["state"], seen["refundable_minor"]) == ("failed", BURGER)
    [issue] = boss.get("issues").json()["results"]
    assert (issue["about"], issue["refund_id"], issue["ours_minor"]) == ("refund_failed", refund["id"], 500)
    assert rig.audit() == BURGER


def test_what_a_guests_bank_asks_for_back_is_not_refunded(rig_of, square, till, scene, boss, monkeypatch):
    """It would be paid twice; once the dispute is won it may be."""
    monkeypatch.setattr("payments.providers.square.UNDISPUTED", datetime.timedelta(0))
    rig = rig_of(square)
    bill = open_bill(till, scene.takeaway(scene.burger()))
    payment = rig.paid(till, bill)
    # The reader's checkout leads to the payment, which is what a bank disputes.
    [paid] = square.peer.seller(f"sandbox-{rig.restaurant_id}").payments
    dispute = square.peer.open_dispute(paid)
    rig.look(payment)
    refused = give_back(boss, payment, 500)
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_disputed")
    assert states(rig) == []
    assert rig.payment(payment["id"]).refund_reserved_minor == 0
    due = datetime.datetime.fromisoformat(dispute["due_at"])
    [issue] = boss.get("issues").json()["results"]
    assert issue["detail"] == f"No knowledge. Answer it at Square by {due:%-d %B %Y}."
    assert (issue["order_id"], issue["theirs_minor"], issue["currency"]) == (bill["id"], BURGER, "GBP")
    dispute["state"] = "PROCESSING"
    rig.look(payment)
    [issue] = boss.get("issues").json()["results"]
    assert issue["detail"] == "No knowledge. The bank decides."
    dispute["state"] = "WON"
    rig.look(payment)
    assert rig.issues() == []
    assert give_back(boss, payment, 500).status_code in (201, 202)
    rig.finish()
    assert rig.audit() == BURGER - 500


def test_one_made_elsewhere_that_never_arrived_frees_nothing_of_ours(rig_of, square, till, scene, boss):
    """Adopted while the bank was at it; then the bank refused it."""
    rig = rig_of(square)
    payment = rig.paid(till, open_bill(till, scene.takeaway(scene.burger())))
    elsewhere(rig, payment, 200)
    rig.look(payment)
    assert states(rig) == ["pending"]
    square.peer.settle_refunds(status="FAILED")
    rig.look(payment)
    assert states(rig) == ["failed"]
    assert rig.payment(payment["id"]).refund_reserved_minor == 0
    assert rig.audit() == BURGER


def test_a_key_that_may_be_forgotten_is_never_sent_again(rig, boss, payment):
    """T9: after 23 hours a refund that is not there did not arrive; it failed, and was asked for once."""
    rig.fail("refund", "drop_before")
    answer = give_back(boss, payment, 500)
    assert answer.status_code == 202
    method, path = rig.wire("refund")
    sent = []
    usual = rig.peer.faults.take
    rig.peer.faults.take = lambda m, p: (sent.append((m, p)), usual(m, p))[1]
    replay = PROVIDERS[rig.house.name].capabilities.replay_hours
    rig.age(f"{replay} hours")
    refund = rig.check_refund(answer.json()["id"])
    assert (refund.state, refund.provider_code) == ("failed", "never_arrived")

    assert [call for call in sent if call[0] == method and fnmatch.fnmatch(call[1], path)] == []
    assert refund.settled_at - refund.created_at > datetime.timedelta(hours=replay)
    assert rig.audit() == BURGER
    assert give_back(boss, payment, 500).status_code in (201, 202)
    rig.finish()
    assert rig.audit() == BURGER - 500


def test_a_young_key_is_sent_again_and_pays_once(rig, boss, payment):
    rig.fail("refund", "drop_after")
    answer = give_back(boss, payment, 500)
    rig.finish()
    refund = rig.check_refund(answer.json()["id"])
    assert refund.state == "succeeded"
    assert rig.audit() == BURGER - 500


@pytest.mark.parametrize("times", [1, 2])
def test_the_same_request_at_once_is_one_refund(rig, boss, payment, times):
    refund_id = str(uuid7())
    body = {"id": refund_id, "amount_minor": 300, "reason": "Cold soup"}
    all_at_once(6 * times, lambda n: boss.post(f"payments/{payment['id']}/refunds", body))
    rig.finish()
    assert states(rig) == ["succeeded"]
    assert rig.audit() == BURGER - 300
