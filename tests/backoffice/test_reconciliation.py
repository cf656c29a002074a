"""The inbox of money in the back office: read, and settled with a reason."""

from fynlo.tenancy.scope import restaurant_scope
from payments.models import ReconciliationIssue
from payments.services.issues import raise_issue

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
