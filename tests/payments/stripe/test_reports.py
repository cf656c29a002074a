"""What Stripe says it moved, and paid out to the bank."""

import datetime
from typing import Any

import pytest

from payments.providers.base import ProviderPayoutLine
from tests.payments.stripe.till import Till, charge, refund_of
from tests.peers.stripe import PLATFORM
from tests.peers.stripe_overlay import Row, page_of

DAY = datetime.timedelta(days=1)


def since_until() -> tuple[datetime.datetime, datetime.datetime]:
    now = datetime.datetime.now(datetime.UTC)
    return now - DAY, now + DAY


def test_charges_and_refunds_are_listed_with_their_fees(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.providers.stripe_client.PAGE_SIZE", 1)
    reader = till.new_reader()
    online = charge(tip_minor=150)
    paid = till.pay(online)
    tapped = charge(method="card_present", reader_id=reader, source_token=None, tip_on_reader=True)
    ref = till.prepare(tapped)
    till.execute(ref, tapped)
    till.present_card(reader, tip=300)
    asked = refund_of(online, paid.provider_ref, 400)
    given = till.refund(asked)
    held = till.pay(charge(capture=False))
    till.prepare(charge())
    seen = {row.provider_ref: row for row in till.stripe.list_transactions(till.account, *since_until())}
    assert set(seen) == {paid.provider_ref, ref, given.provider_ref}
    assert held.provider_ref not in seen
    first, second, back = seen[paid.provider_ref], seen[ref], seen[given.provider_ref]
    assert (first.kind, first.amount_minor, first.tip_minor, first.currency) == ("charge", 1150, 150, "GBP")
    assert (first.status, first.reference) == ("succeeded", str(online.attempt_id))
    assert (first.fee_minor, first.description) == (paid.fee_minor, "Table 4")
    assert (second.amount_minor, second.tip_minor) == (1300, 300)
    assert (back.kind, back.amount_minor, back.payment_ref) == ("refund", 400, paid.provider_ref)
    assert (back.reference, back.fee_minor) == (str(asked.refund_id), 0)


def test_another_days_movements_are_left_out(till: Till) -> None:
    till.pay(charge())
    since, _ = since_until()
    assert list(till.stripe.list_transactions(till.account, since - DAY, since)) == []


@pytest.fixture
def _sources_are_expanded(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Stripe does when asked to; the overlay's payouts show the ids alone."""

    def expanded(rows: list[Row], query: Row, url: str) -> Row:
        page = page_of(rows, query, url)
        if "data.source" in query.get("expand", []):
            page["data"] = [{**row, "source": source_of(till, row)} for row in page["data"]]
        return page

    monkeypatch.setattr("tests.peers.stripe_connect.page_of", expanded)


def source_of(till: Till, row: Row) -> Any:
    paths = {"ch_": "/v1/charges", "re_": "/v1/refunds"}
    path = paths.get(row["source"][:3])
    return till.world.peer(till.name, "GET", f"{path}/{row['source']}").json() if path else row["source"]


@pytest.mark.usefixtures("_sources_are_expanded")
def test_a_payout_and_what_is_in_it(till: Till) -> None:
    request = charge()
    paid = till.pay(request)
    given = till.refund(refund_of(request, paid.provider_ref, 400))
    sent = till.world.pay_out(PLATFORM)
    till.pay(charge())  # not paid out yet
    [payout] = till.stripe.list_payouts(till.account, *since_until())
    assert (payout.provider_ref, payout.amount_minor) == (sent["id"], sent["amount"])
    assert (payout.currency, payout.status) == ("GBP", "paid")
    assert payout.arrives_on == payout.created_at.date()
    assert set(payout.lines) == {
        ProviderPayoutLine(paid.provider_ref, "charge", 1000, paid.fee_minor or 0),
        ProviderPayoutLine(given.provider_ref, "refund", -400),
    }
    assert sum(line.amount_minor - line.fee_minor for line in payout.lines) == payout.amount_minor
    since, _ = since_until()
    assert list(till.stripe.list_payouts(till.account, since - DAY, since)) == []
