"""The log has no gaps, whatever happens to the transactions that write it."""

import random
import threading
import uuid

import pytest
import redis
from django.conf import settings
from django.db import connection

from fynlo.events import poke as poke_module
from fynlo.events.log import NewEvent, record_event, record_events
from fynlo.events.models import Event, StreamHead
from fynlo.tenancy.scope import restaurant_scope


def seqs():
    return list(Event.objects.values_list("seq", flat=True))


def test_an_event_is_stored_in_full(in_restaurant, owner):
    subject = uuid.uuid4()
    assert record_event("order.opened", subject, {"number": 7, "name": "Zoë 🍕"}, actor=owner.actor) == 1
    event = Event.objects.get()
    assert (event.seq, event.kind, event.subject_id) == (1, "order.opened", subject)
    assert event.payload == {"number": 7, "name": "Zoë 🍕"}
    assert event.actor == {"membership": str(owner.membership_id), "name": owner.name, "device": None}
    assert StreamHead.objects.get().last_seq == 1


def test_several_events_keep_their_order(in_restaurant, owner):
    kinds = ["order.opened", "ticket.created", "ticket.created"]
    assert record_events([NewEvent(kind, uuid.uuid4(), {}) for kind in kinds], actor={}) == 3
    assert list(Event.objects.values_list("seq", "kind")) == list(enumerate(kinds, start=1))


def test_nothing_is_left_of_a_rolled_back_event(restaurant):
    with pytest.raises(ZeroDivisionError), restaurant_scope(restaurant.pk):
        _record_and_fail()
    with restaurant_scope(restaurant.pk):
        assert seqs() == []
        assert record_event("order.opened", uuid.uuid4(), {}, actor={}) == 1


def _record_and_fail():
    record_event("order.opened", uuid.uuid4(), {}, actor={})
    raise ZeroDivisionError


def test_many_writers_with_rollbacks_leave_no_gap(restaurant):
    committed = []

    def write(seed):
        chance = random.Random(seed)
        for _ in range(25):
            try:
                with restaurant_scope(restaurant.pk):
                    seq = record_event("order.opened", uuid.uuid4(), {}, actor={})
                    if chance.random() < 0.2:
                        raise ZeroDivisionError
                committed.append(seq)
            except ZeroDivisionError:
                pass
        connection.close()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with restaurant_scope(restaurant.pk):
        assert seqs() == sorted(committed) == list(range(1, len(committed) + 1))


def test_the_log_cannot_be_edited(restaurant):
    with restaurant_scope(restaurant.pk):
        record_event("order.opened", uuid.uuid4(), {}, actor={})
    for change in ("UPDATE events_event SET kind = 'x'", "DELETE FROM events_event"):
        with pytest.raises(Exception, match="permission denied"), restaurant_scope(restaurant.pk):
            connection.connection.execute(change)


def test_a_poke_follows_the_commit_and_never_a_rollback(restaurant):
    listener = redis.Redis.from_url(settings.REDIS_URL).pubsub(ignore_subscribe_messages=True)
    listener.subscribe(poke_module.CHANNEL)
    listener.get_message(timeout=2)
    with pytest.raises(ZeroDivisionError), restaurant_scope(restaurant.pk):
        _record_and_fail()
    with restaurant_scope(restaurant.pk):
        record_event("order.opened", uuid.uuid4(), {}, actor={})
    wanted = f"{restaurant.pk} 1".encode()
    heard = []
    while wanted not in heard:
        message = listener.get_message(timeout=5)
        assert message, f"only {heard}"
        heard.append(message["data"])
    assert heard.count(wanted) == 1
    listener.close()


def test_a_dead_redis_costs_nothing_but_the_poke(restaurant, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/none.sock"
    poke_module._client.cache_clear()
    try:
        with restaurant_scope(restaurant.pk):
            assert record_event("order.opened", uuid.uuid4(), {}, actor={}) == 1
        with restaurant_scope(restaurant.pk):
            assert seqs() == [1]
    finally:
        poke_module._client.cache_clear()
        poke_module._silent_until = 0.0
