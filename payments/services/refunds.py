"""Giving money back: to the tender and the account it came from, at the VAT rate of the sale.

The same machine as for taking it: what may be refunded is set aside in one statement, so that two tills
cannot give the same money back twice; the provider is asked outside any transaction, with a key made from
the refund's row; what it answers is recorded once.
"""

import datetime
import hashlib
import logging
import uuid
from collections.abc import Sequence
from typing import Any, TypedDict
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import Membership, Role
from accounts.services.sign_in import approve_with_pin
from accounts.staff import Staff
from fynlo.events.log import NewEvent, record_events
from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope
from orders.models import Order, OrderItem
from orders.pricing import TaxLine, percent_text
from orders.services import money
from payments import books, metrics
from payments.errors import (
    AccountLeft,
    ApprovalNeeded,
    ItemNotRefundable,
    MoreThanTaken,
    NoSuchPayment,
    NotRefundable,
    PaymentDisputed,
    RefundIdReused,
)
from payments.models import (
    Dispute,
    PaymentAttempt,
    PaymentIntent,
    Provider,
    ReconciliationIssue,
    Refund,
)
from payments.payloads import refund_payload
from payments.providers import PROVIDERS
from payments.providers.base import Account, RefundOutcome, RefundRequest, RefundSnapshot
from payments.providers.errors import Misconfigured, ProviderError, UnknownOutcome
from payments.providers.transport import IN_FLIGHT_SECONDS
from payments.refunding import UNTAXED, RefundedItem, part_of_line, refund_tax_lines
from restaurants.models import Restaurant

from . import accounts, drawers, settling
from .calling import call
from .cards import idem_key, wait_for
from .issues import raise_issue
from .rows import lock_order

logger = logging.getLogger(__name__)

State = Refund.State
Kind = ReconciliationIssue.Kind

PENDING_CHECK_SECONDS = 15 * 60
# Of the sale's own names for refunds made elsewhere: the same refund gets the same key whoever finds it.
EXTERNAL = uuid.UUID("5b0f6a52-5a64-5d38-9c0e-6a1f0e7a41d2")


class RefundItem(TypedDict):
    item_id: UUID
    quantity: int


class Approval(TypedDict):
    """A second person's consent: who, and the PIN they typed in."""

    membership_id: UUID
    pin: str


def refund_payment(
    payment_id: UUID,
    *,
    client_key: UUID,
    amount_minor: int | None = None,
    tip_minor: int | None = None,
    items: Sequence[RefundItem] | None = None,
    reason: str,
    approval: Approval | None = None,
    address: str = "",
    by: Staff,
) -> Refund:
    """Give back all that is left of a payment, some items, or an amount (minor units).

    Without an amount and items it is all that is left, the tip included. Above the restaurant's limit
    another manager or the owner approves. Repeated with the same content it is the same refund
    (`is_repeat`). Opens transactions of its own. Raises NoSuchPayment, NotRefundable, PaymentDisputed,
    MoreThanTaken, ItemNotRefundable, ApprovalNeeded, LockedOut, RefundIdReused and DrawerNotOpen.
    """
    asked = [payment_id, amount_minor, tip_minor, items, reason]
    request_hash = hashlib.sha256(orjson.dumps(asked)).hexdigest()
    approver = None
    if approval:
        with restaurant_scope(by.restaurant_id):
            approver = approve_with_pin(**approval, address=address)
    with restaurant_scope(by.restaurant_id):
        refund = _begin(
            payment_id,
            client_key=client_key,
            request_hash=request_hash,
            amount_minor=amount_minor,
            tip_minor=tip_minor,
            items=items,
            reason=reason,
            approver=approver,
            by=by,
        )
        if refund.is_repeat:
            return refund
    if refund.is_open:
        wait_for(lambda: drive_refund(refund.pk))
    with restaurant_scope(by.restaurant_id):
        return load_refund(refund.pk)


def drive_refund(refund_id: UUID) -> None:
    """Ask the provider for the money back, with the same key whenever it is asked."""
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        refund = _lock(refund_id)
        if not refund.is_open:
            return
        account, request = _open(refund)
        refund.state = State.SUBMITTED if refund.state == State.CREATED else refund.state
        refund.sent_at = refund.sent_at or timezone.now()
        refund.save(update_fields=["state", "sent_at"])
    provider = PROVIDERS[account.provider]
    try:
        answer = call("refund", provider.refund, account, request, refund_id=refund_id)
    except ProviderError as error:
        with restaurant_scope(restaurant_id):
            _record_error(refund_id, error)
        return
    with restaurant_scope(restaurant_id):
        settle_refund(refund_id, answer)


def check_refund(refund_id: UUID) -> None:
    """Ask what became of a refund; one that never arrived is asked for again while its key still holds."""
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        refund = load_refund(refund_id)
        account, request = _open(refund)
    provider = PROVIDERS[account.provider]
    try:
        found = call(
            *("fetch_refund", provider.fetch_refund, account, request, refund.provider_ref),
            refund_id=refund_id,
        )
    except ProviderError as error:
        with restaurant_scope(restaurant_id):
            _record_error(refund_id, error, is_definite=False)
        return
    if found.outcome == RefundOutcome.NOT_FOUND and refund.is_open:
        age = timezone.now() - refund.created_at
        if age < datetime.timedelta(hours=provider.capabilities.replay_hours):
            drive_refund(refund_id)
            return
        found = RefundSnapshot(RefundOutcome.FAILED, code="never_arrived")
    with restaurant_scope(restaurant_id):
        settle_refund(refund_id, found)


@transaction.atomic(savepoint=False)
def settle_refund(
    refund_id: UUID, snapshot: RefundSnapshot, *, actor: dict[str, Any] | None = None
) -> Refund:
    """Record what became of a refund, once. A bank may send one back days after it succeeded."""
    refund = _lock(refund_id)
    was = refund.state
    refund.provider_ref = snapshot.provider_ref or refund.provider_ref
    match snapshot.outcome:
        case RefundOutcome.SUCCEEDED if was != State.SUCCEEDED:
            _move(refund, back=False, was_open=refund.is_open)
            _end(refund, State.SUCCEEDED)
            settling.look_at_excess(refund.intent_id)
            if refund.attempt.provider != Provider.CASH:
                metrics.REFUNDS.labels(refund.attempt.provider, "succeeded").inc()
        case RefundOutcome.FAILED if refund.is_open:
            _release(refund)
            _end(refund, State.FAILED, code=snapshot.code)
        case RefundOutcome.FAILED if was == State.SUCCEEDED:
            _move(refund, back=True, was_open=False)
            _end(refund, State.FAILED, code=snapshot.code)
            settling.look_at_excess(refund.intent_id)
            raise_issue(
                Kind.REFUND_FAILED,
                f"refund:{refund.pk}",
                detail=snapshot.code,
                account_id=refund.attempt.account_id,
                order_id=refund.intent.order_id,
                payment_id=refund.intent_id,
                refund_id=refund.pk,
                ours_minor=refund.amount_minor + refund.tip_minor,
            )
        case RefundOutcome.PENDING if refund.is_open:
            refund.state = State.PENDING
            refund.next_check_at = timezone.now() + datetime.timedelta(seconds=PENDING_CHECK_SECONDS)
            refund.lease_until = None
            refund.save(update_fields=["state", "provider_ref", "next_check_at", "lease_until"])
        case _:
            refund.save(update_fields=["provider_ref"])
    if refund.state == State.SUCCEEDED:
        books.book_fees_back(
            refund,
            fee=snapshot.fee_back_minor,
            application_fee=snapshot.application_fee_back_minor,
            at=timezone.now(),
        )
    if refund.state != was:
        _tell(refund, actor or settling.THE_SYSTEM)
    return refund


def adopt_refund(attempt: PaymentAttempt, found: RefundSnapshot) -> None:
    """Take over a refund that the provider knows of: one of ours, or one made at its own dashboard."""
    if found.outcome == RefundOutcome.NOT_FOUND:
        return
    of_attempt = Refund.objects.filter(attempt=attempt.pk)
    known = None
    if found.refund_id:
        known = of_attempt.filter(pk=found.refund_id).first()
    known = known or of_attempt.filter(provider_ref=found.provider_ref).exclude(provider_ref="").first()
    known = known or _unnamed(of_attempt, found.amount_minor)
    if known is None:
        if found.outcome == RefundOutcome.FAILED:
            return
        known = _adopt_external(attempt, found)
    settle_refund(known.pk, found)


def load_refund(refund_id: UUID) -> Refund:
    refund: Refund = Refund.objects.with_details().get(pk=refund_id)
    return refund


# Steps


@transaction.atomic(savepoint=False)
def _begin(
    payment_id: UUID,
    *,
    client_key: UUID,
    request_hash: str,
    amount_minor: int | None,
    tip_minor: int | None,
    items: Sequence[RefundItem] | None,
    reason: str,
    approver: Membership | None,
    by: Staff,
) -> Refund:
    payment = PaymentIntent.objects.filter(pk=payment_id).first()
    if payment is None:
        raise NoSuchPayment
    lock_order(payment.order_id)
    repeat = Refund.objects.filter(client_key=client_key).first()
    if repeat:
        if repeat.request_hash != request_hash:
            raise RefundIdReused(field="id")
        repeat = load_refund(repeat.pk)
        repeat.is_repeat = True
        return repeat
    payment = PaymentIntent.objects.select_for_update().get(pk=payment_id)
    order = Order.objects.with_details().get(pk=payment.order_id)
    captured = PaymentAttempt.objects.filter(intent=payment_id, state=PaymentAttempt.State.CAPTURED)
    attempt = captured.select_related("account").first()
    if attempt is None:
        raise NotRefundable
    if attempt.account and accounts.was_left(attempt.account):
        raise AccountLeft
    if Dispute.objects.filter(attempt=attempt.pk, status=Dispute.Status.OPEN).exists():
        raise PaymentDisputed
    lines, by_percent = _refunded_items(order, items or ())
    amount, tip = _amounts(payment, amount_minor, tip_minor, lines if items else None)
    _check_approved(payment, amount + tip, approver, by=by)
    reversed_sale, tax_lines = _reversed_sale(order, amount, by_percent if items else None)
    _reserve(payment, amount, tip)
    restaurant = Restaurant.objects.get(pk=by.restaurant_id)
    now = timezone.now()
    is_cash = attempt.provider == Provider.CASH
    refund = Refund.objects.create(
        id=client_key,
        intent=payment,
        attempt=attempt,
        amount_minor=amount,
        tip_minor=tip,
        reversed_sale_minor=reversed_sale,
        tax_lines=tax_lines,
        items=lines,
        reason=reason,
        requested_by_id=by.membership_id,
        approved_by=approver,
        device_id=by.device_id,
        drawer_session=drawers.cash_session_for(by) if is_cash else None,
        client_key=client_key,
        request_hash=request_hash,
        idem_key=idem_key(client_key, "r", 1),
        business_date=restaurant.open_business_date(now),
        created_at=now,
        next_check_at=now + datetime.timedelta(seconds=IN_FLIGHT_SECONDS),
    )
    if attempt.account_id is None:  # cash, or their own machine: given back once the till says so
        if refund.drawer_session:
            drawers.record_cash_refund(refund.drawer_session, refund)
        refund = settle_refund(refund.pk, RefundSnapshot(RefundOutcome.SUCCEEDED), actor=by.actor)
    else:
        refund = load_refund(refund.pk)
        _tell(refund, by.actor)
    return refund


def _amounts(
    payment: PaymentIntent,
    amount_minor: int | None,
    tip_minor: int | None,
    items: Sequence[RefundedItem] | None,
) -> tuple[int, int]:
    """How much of the bill and of the tip goes back."""
    if items is not None:
        amount = sum(item["total_minor"] for item in items)
        tip = tip_minor or 0
    elif amount_minor is None and tip_minor is None:
        amount, tip = payment.refundable_minor, payment.tip_refundable_minor
    else:
        amount, tip = amount_minor or 0, tip_minor or 0
    if amount + tip <= 0:
        raise NotRefundable
    if amount > payment.refundable_minor or tip > payment.tip_refundable_minor:
        field = "amount_minor" if amount > payment.refundable_minor else "tip_minor"
        raise MoreThanTaken(payment.refundable_minor, payment.tip_refundable_minor, field=field)
    return amount, tip


def _refunded_items(order: Order, asked: Sequence[RefundItem]) -> tuple[list[RefundedItem], dict[str, int]]:
    """The lines that are refunded with what they come to, and the amount of each VAT rate."""
    gone: dict[str, int] = {}
    for refund in Refund.objects.filter(intent__order=order.pk).exclude(state=State.FAILED):
        for item in refund.items:
            gone[item["item_id"]] = gone.get(item["item_id"], 0) + item["quantity"]
    lines = {line.pk: line for line in order.lines if line.status != OrderItem.Status.VOIDED}
    found: list[RefundedItem] = []
    by_percent: dict[str, int] = {}
    for n, item in enumerate(asked):
        line = lines.get(item["item_id"])
        if line is None:
            raise ItemNotRefundable("There is no such item on this bill.", field=f"items.{n}.item_id")
        before = gone.get(str(line.pk), 0)
        if before + item["quantity"] > line.quantity:
            raise ItemNotRefundable(
                f"Of {line.quantity} {line.name}, {before} have been refunded already.",
                field=f"items.{n}.quantity",
            )
        total = part_of_line(line.total_minor, line.quantity, before, item["quantity"])
        gone[str(line.pk)] = before + item["quantity"]
        percent = percent_text(line.tax_percent)
        by_percent[percent] = by_percent.get(percent, 0) + total
        found.append(
            {
                "item_id": str(line.pk),
                "name": line.name,
                "quantity": item["quantity"],
                "total_minor": total,
            }
        )
    return found, by_percent


def _reversed_sale(order: Order, amount: int, by_percent: dict[str, int] | None) -> tuple[int, list[TaxLine]]:
    """How much of the sale a refund undoes, and its tax. An open bill is not sold yet; what was taken too
    much never was."""
    if order.status != Order.Status.CLOSED:
        return 0, []
    too_much = max(settling.overpaid_minor(order), 0)
    reversed_sale = max(amount - too_much, 0)
    if not reversed_sale:
        return 0, []
    earlier = Refund.objects.filter(intent__order=order.pk).exclude(state=State.FAILED)
    sold: list[TaxLine] = list(order.tax_lines)
    untaxed = order.total_minor - sum(line["gross_minor"] for line in sold)
    if untaxed:
        sold.append({"percent": UNTAXED, "gross_minor": untaxed, "net_minor": untaxed, "tax_minor": 0})
    refunded = [refund.tax_lines for refund in earlier]
    if by_percent is not None and reversed_sale == amount:
        try:
            return reversed_sale, refund_tax_lines(sold, refunded, amount, by_percent=by_percent)
        except ValueError:  # so much was refunded by amount before that its rate has less left than the item
            pass
    return reversed_sale, refund_tax_lines(sold, refunded, reversed_sale)


def _check_approved(payment: PaymentIntent, amount: int, approver: Membership | None, *, by: Staff) -> None:
    """Above the limit, all refunds of a payment taken together, a second person has to consent."""
    limit = Restaurant.objects.values_list("refund_limit_minor", flat=True).get(pk=by.restaurant_id)
    so_far = (
        payment.refunded_minor
        + payment.refund_reserved_minor
        + payment.tip_refunded_minor
        + payment.tip_refund_reserved_minor
    )
    if so_far + amount <= limit or by.has_role(Role.OWNER):
        return
    if approver is None or approver.pk == by.membership_id:
        raise ApprovalNeeded(limit)


def _reserve(payment: PaymentIntent, amount: int, tip: int) -> None:
    """Set aside what is to be given back: one UPDATE, so that two tills cannot have the same money."""
    left = PaymentIntent.objects.annotate(
        left=F("captured_minor") - F("refunded_minor") - F("refund_reserved_minor"),
        tip_left=F("tip_captured_minor") - F("tip_refunded_minor") - F("tip_refund_reserved_minor"),
    )
    if not left.filter(pk=payment.pk, left__gte=amount, tip_left__gte=tip).update(
        refund_reserved_minor=F("refund_reserved_minor") + amount,
        tip_refund_reserved_minor=F("tip_refund_reserved_minor") + tip,
    ):
        raise MoreThanTaken(payment.refundable_minor, payment.tip_refundable_minor, field="amount_minor")


def _release(refund: Refund) -> None:
    """Nothing was set aside for one that was made elsewhere."""
    if refund.source == Refund.Source.EXTERNAL:
        return
    PaymentIntent.objects.filter(pk=refund.intent_id).update(
        refund_reserved_minor=F("refund_reserved_minor") - refund.amount_minor,
        tip_refund_reserved_minor=F("tip_refund_reserved_minor") - refund.tip_minor,
    )


def _move(refund: Refund, *, back: bool, was_open: bool) -> None:
    """The money went to the guest, or (`back`) came back from the bank."""
    sign = -1 if back else 1
    if was_open:
        _release(refund)
    PaymentIntent.objects.filter(pk=refund.intent_id).update(
        refunded_minor=F("refunded_minor") + sign * refund.amount_minor,
        tip_refunded_minor=F("tip_refunded_minor") + sign * refund.tip_minor,
    )
    payment = refund.intent
    money.record_refund(payment.order_id, amount_minor=sign * refund.amount_minor, part_id=payment.part_id)
    books.book_refund(refund, back=back, at=timezone.now())


def _end(refund: Refund, state: str, *, code: str = "") -> None:
    refund.state, refund.settled_at, refund.next_check_at = state, timezone.now(), None
    refund.provider_code = code[:80]
    refund.save(update_fields=["state", "settled_at", "next_check_at", "provider_ref", "provider_code"])


def _record_error(refund_id: UUID, error: ProviderError, *, is_definite: bool = True) -> None:
    """What cannot have happened failed; of what may have, the provider is asked again."""
    refund = _lock(refund_id)
    if not refund.is_open:
        return
    if isinstance(error, Misconfigured) and refund.attempt.account_id:
        accounts.mark_degraded(refund.attempt.account_id, str(error))
    was_known = refund.state != State.UNKNOWN
    if is_definite and was_known and error.error_class in ("declined", "invalid"):
        refund.error_class = error.error_class
        refund.save(update_fields=["error_class"])
        settle_refund(refund_id, RefundSnapshot(RefundOutcome.FAILED, code=error.code))
        return
    checks = settling.UNKNOWN_CHECKS
    refund.state = State.UNKNOWN if isinstance(error, UnknownOutcome) or not was_known else refund.state
    refund.error_class, refund.provider_code = error.error_class, error.code[:80]
    refund.checks += 1
    refund.next_check_at = timezone.now() + datetime.timedelta(
        seconds=checks[min(refund.checks, len(checks) - 1)]
    )
    refund.lease_until = None
    refund.save(
        update_fields=["state", "error_class", "provider_code", "checks", "next_check_at", "lease_until"]
    )
    _tell(refund, settling.THE_SYSTEM)


def _unnamed(of_attempt: Any, amount_minor: int) -> Refund | None:
    """One of ours that is under way, for the same amount, of a provider that keeps no name of ours."""
    total = F("amount_minor") + F("tip_minor")
    waiting = of_attempt.annotate(total=total).filter(
        total=amount_minor, provider_ref="", state__in=Refund.OPEN_STATES, sent_at__isnull=False
    )
    found: Refund | None = waiting.order_by("created_at").first()
    return found


def _adopt_external(attempt: PaymentAttempt, found: RefundSnapshot) -> Refund:
    """A row for a refund that somebody made at the provider: of the bill first, then of the tip."""
    payment = PaymentIntent.objects.select_for_update().get(pk=attempt.intent_id)
    order = Order.objects.with_details().get(pk=payment.order_id)
    amount = min(found.amount_minor, payment.captured_minor - payment.refunded_minor)
    tip = min(found.amount_minor - amount, payment.tip_captured_minor - payment.tip_refunded_minor)
    about = {
        "account_id": attempt.account_id,
        "order_id": order.pk,
        "payment_id": payment.pk,
        "currency": order.currency,
    }
    if amount + tip != found.amount_minor:
        raise_issue(
            Kind.AMOUNT_DIFFERS,
            f"refund:{found.provider_ref}",
            ours_minor=amount + tip,
            theirs_minor=found.amount_minor,
            **about,
        )
    reversed_sale, tax_lines = _reversed_sale(order, amount, None)
    now = timezone.now()
    restaurant = Restaurant.objects.get(pk=require_restaurant_id())
    key = uuid.uuid5(EXTERNAL, f"{attempt.pk}:{found.provider_ref}")
    row = Refund.objects.create(
        id=key,
        client_key=key,
        intent=payment,
        attempt=attempt,
        source=Refund.Source.EXTERNAL,
        state=State.SUBMITTED,
        amount_minor=amount,
        tip_minor=tip,
        reversed_sale_minor=reversed_sale,
        tax_lines=tax_lines,
        reason="Made at the provider",
        provider_ref=found.provider_ref,
        business_date=restaurant.open_business_date(now),
        created_at=now,
        sent_at=now,
        next_check_at=now + datetime.timedelta(seconds=PENDING_CHECK_SECONDS),
    )
    raise_issue(
        Kind.EXTERNAL_REFUND,
        f"refund:{row.pk}",
        refund_id=row.pk,
        theirs_minor=found.amount_minor,
        **about,
    )
    return row


def _open(refund: Refund) -> tuple[Account, RefundRequest]:
    """The account that took the payment, and what is asked of it."""
    if refund.attempt.account_id is None:
        raise Misconfigured("Nobody was asked for this over the network.")
    request = RefundRequest(
        refund_id=refund.pk,
        attempt_id=refund.attempt_id,
        payment_ref=refund.attempt.provider_ref,
        amount_minor=refund.amount_minor + refund.tip_minor,
        currency=refund.intent.order.currency,
        idem_key=refund.idem_key,
        reason=refund.reason,
        refund_application_fee=bool(refund.attempt.application_fee_minor),
        known_refs=tuple(
            Refund.objects.filter(attempt=refund.attempt_id)
            .exclude(pk=refund.pk)
            .exclude(provider_ref="")
            .values_list("provider_ref", flat=True)
        ),
    )
    return accounts.load_account(refund.attempt.account_id), request


def _lock(refund_id: UUID) -> Refund:
    """The refund; order, payment and refund are locked, in this order."""
    refund = Refund.objects.select_related("intent").get(pk=refund_id)
    lock_order(refund.intent.order_id)
    PaymentIntent.objects.select_for_update().only("pk").get(pk=refund.intent_id)
    Refund.objects.select_for_update().only("pk").get(pk=refund_id)
    return load_refund(refund_id)


def _tell(refund: Refund, actor: dict[str, Any]) -> None:
    kind = {
        State.SUCCEEDED: "refund.succeeded",
        State.FAILED: "refund.failed",
        State.CREATED: "refund.begun",
    }.get(State(refund.state), "refund.changed")
    refund = load_refund(refund.pk)
    record_events([NewEvent(kind, refund.pk, refund_payload(refund))], actor=actor)
