"""What providers told us, in the back office: to look at as it came, and to work off once more."""

import pytest
from django.utils import timezone

from fynlo.tenancy.scope import restaurant_scope
from payments.models import WebhookEvent
from payments.services import accounts

PAGE = "/admin/payments/webhookevent/"


@pytest.fixture
def dead(restaurant):
    now = timezone.now()
    with restaurant_scope(restaurant.pk):
        account = accounts.add_account(provider="stripe", secrets={"secret_key": "sk_test_x"})
        return WebhookEvent.objects.create(
            provider="stripe",
            account=account,
            event_id="evt_dead",
            kind="charge.updated",
            raw=b"<script>alert(1)</script>" + b"x" * 30_000 + b"the end",
            state="dead",
            tries=10,
            last_error="No payment of ours has this reference.",
            next_try_at=now,
            received_at=now,
            processed_at=now,
        )


def test_a_dead_one_stands_out_and_is_shown_as_text(manager, office, dead):
    client = office(manager)
    listed = client.get(f"{PAGE}?state__exact=dead").content.decode()
    assert '<strong class="dead">Given up</strong>' in listed
    assert "evt" not in client.get(f"{PAGE}?state__exact=new").content.decode().partition("result_list")[2]
    page = client.get(f"{PAGE}{dead.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "the end" not in page


def test_replayed_it_is_new_again(manager, office, dead, restaurant):
    answer = office(manager).post(PAGE, {"action": "replay_them", "_selected_action": [str(dead.pk)]})
    assert answer.status_code == 302
    with restaurant_scope(restaurant.pk):
        dead.refresh_from_db()
    assert (dead.state, dead.tries, dead.last_error) == ("new", 0, "")


def test_a_stranger_replays_nothing(stranger, office, dead, restaurant):
    client = office(stranger)
    assert "charge.updated" not in client.get(PAGE).content.decode()
    assert client.get(f"{PAGE}{dead.pk}/change/").status_code == 302
    client.post(PAGE, {"action": "replay_them", "_selected_action": [str(dead.pk)]})
    with restaurant_scope(restaurant.pk):
        dead.refresh_from_db()
    assert dead.state == "dead"
