"""The inbox of money in the back office: read, and settled with a reason."""

from django.utils import timezone

from fynlo.tenancy.scope import restaurant_scope
from payments.models import Payout, PayoutLine, ProviderAccount, ReconciliationIssue, ReconciliationRun
from payments.services.issues import raise_issue, settle_issue

ISSUES = "/admin/payments/reconciliationissue/"


def test_an_issue_is_looked_at_and_settled(restaurant, manager, office):
    client = office(manager)
    assert "every payment has its bill" in client.get(ISSUES).content.decode()
    with restaurant_scope(restaurant.pk):
        row = raise_issue("theirs_only", "charge:x", theirs_minor=425, currency="GBP", detail="Till 2")
    page = client.get(ISSUES).content.decode()
    assert "Money without a bill" in page
    assert "£4.25" in page
    place = f"{ISSUES}{row.pk}/change/"
    assert "Till 2" in client.get(place).content.decode()
    assert client.post(place, {"resolution": " "}).status_code == 200
    assert client.post(place, {"resolution": "Typed in as order 7"}).status_code == 302
    with restaurant_scope(restaurant.pk):
        settled = ReconciliationIssue.objects.get()
    assert (settled.resolution, settled.resolved_by_id) == ("Typed in as order 7", manager.membership_id)
    assert client.post(place, {"resolution": "changed"}).status_code == 403


def test_a_stranger_finds_none_of_it(restaurant, stranger, office):
    with restaurant_scope(restaurant.pk):
        row = raise_issue("overpaid", "order:x", theirs_minor=425, currency="GBP")
    client = office(stranger)
    assert "£4.25" not in client.get(ISSUES).content.decode()
    assert client.get(f"{ISSUES}{row.pk}/change/").status_code == 302
    assert client.post(f"{ISSUES}{row.pk}/change/", {"resolution": "x"}).status_code == 302


def test_refunds_payouts_and_comparisons_have_pages(restaurant, manager, office):
    client = office(manager)
    for page in ("refund", "payout", "reconciliationrun"):
        assert client.get(f"/admin/payments/{page}/").status_code == 200


def test_what_is_left_to_do_comes_first_and_can_be_had_alone(restaurant, manager, office):
    with restaurant_scope(restaurant.pk):
        for n in range(3):
            raise_issue("theirs_only", f"charge:{n}", currency="GBP", theirs_minor=100 + n, detail=f"no. {n}")
        last = ReconciliationIssue.objects.get(subject="charge:2")
        settle_issue(last.pk, resolution="A gift card", by=manager)
    client = office(manager)
    page = client.get(ISSUES).content.decode()
    assert sorted(["no. 2", "no. 1", "no. 0"], key=page.index) == ["no. 1", "no. 0", "no. 2"]
    todo = client.get(f"{ISSUES}?open=1").content.decode()
    assert ("no. 1" in todo, "no. 2" in todo) == (True, False)
    settled = client.get(f"{ISSUES}{last.pk}/change/").content.decode()
    assert "A gift card" in settled
    assert "_continue" not in settled


def test_a_comparison_and_a_payout_in_words(restaurant, manager, office):
    now = timezone.now()
    with restaurant_scope(restaurant.pk):
        account = ProviderAccount.objects.create(provider="square", mode="test", external_account_id="ML1")
        common = {"account": account, "since": now, "until": now, "started_at": now, "finished_at": now}
        ReconciliationRun.objects.create(**common, error="unknown: no answer")
        counts = {"matched": 7, "theirs_only": 2, "unknown": 1, "fee_estimated_minor": 250, "fee_minor": 438}
        run = ReconciliationRun.objects.create(**common, counts={**counts, "clearing_minor": 1250})
        payout = Payout.objects.create(
            account=account,
            provider_ref="po_1",
            amount_minor=1228,
            currency="GBP",
            status="paid",
            created_at=now,
        )
        PayoutLine.objects.create(
            payout=payout, provider_ref="x", kind="charge", amount_minor=1250, fee_minor=22
        )
    client = office(manager)
    page = client.get("/admin/payments/reconciliationrun/").content.decode()
    for words in ("2 only at the provider, 1 unknown", "unknown: no answer", "£2.50 and £4.38"):
        assert words in page
    assert "£12.50" in client.get(f"/admin/payments/reconciliationrun/{run.pk}/change/").content.decode()
    page = client.get(f"/admin/payments/payout/{payout.pk}/change/").content.decode()
    for words in ("£12.28", "£12.50", "£0.22"):
        assert words in page
    assert client.post(f"/admin/payments/payout/{payout.pk}/change/", {"status": "failed"}).status_code == 403
