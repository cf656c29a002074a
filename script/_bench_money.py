"""Taking money, beside the same rows written by pgbench, with and without the books.

Each restaurant has one open bill that is paid a penny at a time. A payment is reserved, settled, booked
and told to the log in one transaction, as cash is; a card's differs by the provider's answer between two.
"""

import multiprocessing
import time
from typing import Any

# One statement a step, as fynlo_app inside the fence, prepared.
ROWS = """\
\\set restaurant random(:first, :last)
BEGIN;
SELECT set_config('app.restaurant_id', :restaurant::text, true);
SELECT id AS order_id, opened_by_id AS staff_id FROM orders_order WHERE number = 1
   FOR UPDATE \\gset
UPDATE orders_order SET reserved_minor = reserved_minor + 1, version = version + 1 WHERE id = :order_id::uuid;
SELECT gen_random_uuid() AS payment_id, gen_random_uuid() AS attempt_id,
       gen_random_uuid() AS booking_id \\gset
INSERT INTO payments_paymentintent (id, restaurant_id, order_id, method, state, amount_minor, tip_minor,
    captured_minor, tip_captured_minor, refund_reserved_minor, refunded_minor, tip_refund_reserved_minor,
    tip_refunded_minor, tendered_minor, change_minor, reference, client_key, request_hash, business_date,
    taken_by_id, created_at)
VALUES (:payment_id::uuid, :restaurant, :order_id::uuid, 'cash', 'open', 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, '',
    :payment_id::uuid, '', current_date, :staff_id::uuid, now());
INSERT INTO payments_paymentattempt (id, restaurant_id, intent_id, n, provider, provider_ref, idem_key,
    request, state, next_action, error_class, provider_code, card_brand, card_last4, application_fee_minor,
    fee_estimated_minor, checks, created_at)
VALUES (:attempt_id::uuid, :restaurant, :payment_id::uuid, 1, 'cash', '', '', '{}', 'created', '{}', '', '',
    '', '', 0, 0, 0, now());
UPDATE payments_paymentattempt SET state = 'captured', settled_at = now() WHERE id = :attempt_id::uuid;
UPDATE payments_paymentintent SET state = 'paid', captured_minor = 1, settled_at = now()
 WHERE id = :payment_id::uuid;
UPDATE orders_order SET reserved_minor = reserved_minor - 1, captured_minor = captured_minor + 1,
    version = version + 1 WHERE id = :order_id::uuid;
"""
BOOKS = """\
INSERT INTO payments_ledgertransaction (id, restaurant_id, key, business_date, created_at)
VALUES (:booking_id::uuid, :restaurant, 'capture:' || :attempt_id, current_date, now());
INSERT INTO payments_ledgerentry (id, restaurant_id, transaction_id, account, amount_minor, currency,
    order_id)
VALUES (gen_random_uuid(), :restaurant, :booking_id::uuid, 'cash', 1, 'GBP', :order_id::uuid),
       (gen_random_uuid(), :restaurant, :booking_id::uuid, 'receivable', -1, 'GBP', :order_id::uuid);
"""
LOG = """\
WITH head AS (UPDATE events_streamhead SET last_seq = last_seq + 1 RETURNING restaurant_id, last_seq)
INSERT INTO events_event (id, restaurant_id, seq, kind, subject_id, payload, actor, created_at)
SELECT gen_random_uuid(), restaurant_id, last_seq, 'payment.captured', :payment_id::uuid,
       jsonb_build_object('id', :payment_id::text, 'padding', repeat('x', 1200)), '{}', now()
  FROM head;
COMMIT;
"""
WITH_BOOKS = ROWS + BOOKS + LOG
WITHOUT_BOOKS = ROWS + LOG


def open_bills(restaurant_ids: list[int]) -> None:
    """One bill in each restaurant that nobody will pay in full."""
    from accounts.models import Membership
    from accounts.staff import Staff
    from fynlo.tenancy.fields import uuid7
    from fynlo.tenancy.scope import restaurant_scope
    from orders.services import opening
    from restaurants.models import MenuItem

    for restaurant_id in restaurant_ids:
        with restaurant_scope(restaurant_id):
            member, item = Membership.objects.get(), MenuItem.objects.first()
            by = Staff(restaurant_id, member.pk, member.name, member.role)
            line = {"id": uuid7(), "menu_item_id": item.pk, "quantity": 999, "modifiers": [], "note": ""}
            opening.open_order(
                id=uuid7(), kind="takeaway", items=[{**line, "seat": None, "course": 1}], by=by
            )
            MenuItem.objects.filter(pk=item.pk).update(price_minor=500)


def settle(restaurant_ids: list[int], clients: int, seconds: float) -> list[float]:
    """Latencies in seconds of payments by the service itself, in processes without pause."""
    context = multiprocessing.get_context("fork")
    results: Any = context.Queue()
    start = context.Barrier(clients)
    processes = [
        context.Process(target=_till, args=(restaurant_ids[n % len(restaurant_ids)], seconds, start, results))
        for n in range(clients)
    ]
    for process in processes:
        process.start()
    latencies = [latency for _ in processes for latency in results.get(timeout=seconds + 60)]
    for process in processes:
        process.join()
    return latencies


def _till(restaurant_id: int, seconds: float, start: Any, results: Any) -> None:
    from accounts.models import Membership
    from accounts.staff import Staff
    from fynlo.tenancy.fields import uuid7
    from fynlo.tenancy.scope import restaurant_scope
    from orders.models import Order
    from payments.services import pay_cash

    with restaurant_scope(restaurant_id):
        member = Membership.objects.get()
        order_id = Order.objects.get(number=1).pk
    by = Staff(restaurant_id, member.pk, member.name, member.role)
    latencies = []
    start.wait()
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        with restaurant_scope(restaurant_id):
            pay_cash(order_id, client_key=uuid7(), amount_minor=1, by=by)
        latencies.append(time.monotonic() - began)
    results.put(latencies)
