"""Taking money by a provider who is asked over the network.

    take     one transaction: set the amount aside, save the attempt (created)
    ------   no transaction
    prepare  the provider makes the charge; it moves nothing yet
    save     by what name the provider knows it (submitted)
    ------   no transaction
    execute  the provider moves the money, or the reader asks the guest for the card
    record   what became of it

A crash anywhere leaves a row that says how far it came. `check` asks the provider and goes by its answer;
it never executes: what nobody waits for any more is cancelled, and what was taken all the same is booked.
"""

import base64
import concurrent.futures
import contextvars
import dataclasses
import datetime
import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from accounts.models import Membership, Role
from accounts.staff import Staff
from fynlo.errors import NotAllowed
from fynlo.events.log import record_event
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope
from orders.errors import AmountNotDue, OrderNotOpen
from orders.models import Order
from orders.services import money
from orders.services.rows import new_row
from payments import metrics
from payments.errors import (
    CurrencyDiffers,
    NoSuchPayment,
    NotUnknown,
    PaymentNotAuthorized,
    PaymentNotOpen,
    PaymentNotOver,
    TerminalBusy,
)
from payments.models import (
    PaymentAttempt,
    PaymentIntent,
    ProviderAccount,
    ReconciliationIssue,
    Terminal,
)
from payments.payloads import payment_payload
from payments.providers import PROVIDERS
from payments.providers.base import Account, ChargeRequest, Outcome, Snapshot
from payments.providers.errors import (
    Declined,
    InvalidRequest,
    Misconfigured,
    ProviderError,
    Retryable,
    UnknownOutcome,
)
from payments.providers.transport import IN_FLIGHT_SECONDS
from payments.rows import insert_rows

from . import accounts, settling
from .calling import call, give_back_connection
from .issues import raise_issue, resolve_issue
from .rows import lock_order
from .taking import find_repeat

logger = logging.getLogger(__name__)

State = PaymentAttempt.State
Method = PaymentIntent.Method

ANSWER_WAIT_SECONDS = 3.0
RATE_LIMIT_TRIES = 3
NOT_FOUND_GRACE_SECONDS = 30
DECISION_AFTER = datetime.timedelta(hours=24)

# Providers are asked by threads of their own: a till gets its answer after three seconds whatever they do.
_drivers = concurrent.futures.ThreadPoolExecutor(max_workers=8, thread_name_prefix="payments")


def take_card(
    order_id: UUID,
    *,
    client_key: UUID,
    method: str,
    amount_minor: int | None = None,
    tip_minor: int = 0,
    part_id: UUID | None = None,
    terminal_id: UUID | None = None,
    provider: str | None = None,
    source_token: str | None = None,
    capture: bool = True,
    return_url: str | None = None,
    by: Staff,
) -> PaymentIntent:
    """Begin a card payment and answer with it as it stands after three seconds at most.

    Repeated with the same content it is the same payment (`is_repeat`). With `capture` off the money is
    only held, until `capture_payment`. Opens transactions of its own; none may be open. Raises
    NoSuchOrder, OrderNotOpen, AmountNotDue, NoSuchTerminal, TerminalBusy, NoWayToPay,
    ProviderUnavailable and PaymentIdReused.
    """
    asked = [order_id, method, amount_minor, tip_minor, part_id, terminal_id, provider, source_token, capture]
    request_hash = hashlib.sha256(orjson.dumps(asked)).hexdigest()
    with restaurant_scope(by.restaurant_id):
        repeat = find_repeat(client_key, request_hash)
        if repeat:
            return repeat
    account, terminal = accounts.choose_account(method, provider=provider, terminal_id=terminal_id)
    with restaurant_scope(by.restaurant_id):
        order = lock_order(order_id)
        repeat = find_repeat(client_key, request_hash)
        if repeat:
            return repeat
        payment = _new_payment(
            order,
            client_key=client_key,
            request_hash=request_hash,
            method=method,
            amount_minor=amount_minor,
            tip_minor=tip_minor,
            part_id=part_id,
            by=by,
        )
        attempt = _begin(
            payment,
            account,
            terminal,
            n=1,
            asked={"source_token": source_token, "capture": capture, "return_url": return_url},
        )
        record_event("payment.begun", payment.pk, payment_payload(payment), actor=by.actor)
    drive_and_wait(attempt.pk)
    with restaurant_scope(by.restaurant_id):
        return PaymentIntent.objects.with_details().get(pk=payment.pk)


def retry_payment(
    payment_id: UUID,
    *,
    terminal_id: UUID | None = None,
    provider: str | None = None,
    source_token: str | None = None,
    return_url: str | None = None,
    by: Staff,
) -> PaymentIntent:
    """Try a payment that took nothing once more, perhaps on another reader or with another provider.

    A new attempt with a new key, which is only begun where the last one is definitely over. Raises
    NoSuchPayment, PaymentNotOver where the last one is not, and what `take_card` raises.
    """
    with restaurant_scope(by.restaurant_id):
        payment = _find(payment_id)
    account, terminal = accounts.choose_account(payment.method, provider=provider, terminal_id=terminal_id)
    with restaurant_scope(by.restaurant_id):
        lock_order(payment.order_id)
        payment = _find(payment_id)
        if payment.state not in (PaymentIntent.State.FAILED, PaymentIntent.State.CANCELED):
            raise PaymentNotOver
        last = payment.tries[-1]
        PaymentIntent.objects.filter(pk=payment_id).update(state=PaymentIntent.State.OPEN, settled_at=None)
        payment.state, payment.settled_at = PaymentIntent.State.OPEN, None
        attempt = _begin(
            payment,
            account,
            terminal,
            n=last.n + 1,
            asked={
                "source_token": source_token,
                "capture": last.request.get("capture", True),
                "return_url": return_url,
            },
        )
        payment.tries.append(attempt)
        record_event("payment.begun", payment.pk, payment_payload(payment), actor=by.actor)
    drive_and_wait(attempt.pk)
    with restaurant_scope(by.restaurant_id):
        return _find(payment_id)


def cancel_payment(payment_id: UUID, *, by: Staff) -> PaymentIntent:
    """Give a payment up that is under way. The guest may just have paid: then it is paid.

    What is set aside stays so until the provider says that nobody can pay it any more. Raises
    NoSuchPayment, PaymentNotOpen.
    """
    with restaurant_scope(by.restaurant_id):
        attempt = _open_attempt(_find(payment_id))
        if not settling.record_cancel_pending(attempt.pk, actor=by.actor):
            raise PaymentNotOpen
    wait_for(lambda: cancel_at_provider(attempt.pk))
    with restaurant_scope(by.restaurant_id):
        return _find(payment_id)


def capture_payment(payment_id: UUID, *, amount_minor: int | None = None, by: Staff) -> PaymentIntent:
    """Take what was authorised, or less of it; two at once take it once.

    Raises NoSuchPayment, PaymentNotAuthorized, AmountNotDue, and CaptureUnderWay while another amount is
    being captured.
    """
    with restaurant_scope(by.restaurant_id):
        payment = _find(payment_id)
        if payment.tries[-1].state != State.AUTHORIZED:
            raise PaymentNotAuthorized
        amount = payment.amount_minor if amount_minor is None else amount_minor
        if not 0 < amount <= payment.amount_minor:
            raise AmountNotDue(payment.amount_minor)
        attempt = settling.record_capturing(payment.tries[-1].pk, amount)
        if attempt is None:
            return payment
        account, request = _open(attempt)

    def take() -> None:
        provider = PROVIDERS[account.provider]
        _carry(
            attempt,
            lambda: call(
                *("capture", provider.capture, account, attempt.provider_ref, request),
                amount + request.tip_minor,
                attempt_id=attempt.pk,
            ),
        )

    wait_for(take)
    with restaurant_scope(by.restaurant_id):
        return _find(payment_id)


def check_payment(payment_id: UUID) -> PaymentIntent:
    """Ask the provider now what became of a payment that is under way. Raises NoSuchPayment."""
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        payment = _find(payment_id)
        attempt = payment.tries[-1] if payment.tries else None
    if attempt and attempt.is_open and attempt.account_id:
        wait_for(lambda: check(attempt.pk))
    with restaurant_scope(restaurant_id):
        return _find(payment_id)


def decide_payment(
    payment_id: UUID, *, was_taken: bool, reference: str = "", reason: str, by: Staff
) -> PaymentIntent:
    """A manager says what became of a payment that nobody could find out about for 24 hours.

    Should the provider ever report money after "nothing was taken", it is booked then. Raises
    NotAllowed, NoSuchPayment, NotUnknown.
    """
    if not by.has_role(Role.MANAGER, Role.OWNER):
        raise NotAllowed("A manager or the owner decides what became of a payment.")
    with restaurant_scope(by.restaurant_id):
        attempt = settling.lock_attempt(_open_attempt(_find(payment_id)).pk)
        is_old = attempt.created_at < timezone.now() - DECISION_AFTER
        if attempt.state not in (State.UNKNOWN, State.CANCEL_PENDING) or not is_old:
            raise NotUnknown
        kind = ReconciliationIssue.Kind.UNKNOWN_TOO_LONG
        resolve_issue(kind, f"attempt:{attempt.pk}", f"{by.name}: {reason}"[:300])
        if was_taken:
            taken = Snapshot(
                Outcome.SUCCEEDED,
                attempt.intent.amount_minor,
                attempt.intent.tip_minor,
                provider_ref=attempt.provider_ref or reference[:120],
            )
            settling.settle(attempt, taken, at=timezone.now(), actor=by.actor)
        else:
            settling.record(attempt.pk, Snapshot(Outcome.CANCELED, code="decided"), actor=by.actor)
        payment = _find(payment_id)
        payload = {**payment_payload(payment), "was_taken": was_taken, "reason": reason}
        record_event("payment.decided", payment.pk, payload, actor=by.actor)
        return payment


def drive_and_wait(attempt_id: UUID) -> None:
    """Carry a new attempt to its provider; waits a few seconds, and no longer, for what becomes of it."""
    wait_for(lambda: drive(attempt_id))


def drive(attempt_id: UUID) -> None:
    """Prepare, save, execute, record. Runs once, right after the attempt was committed."""
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        attempt = PaymentAttempt.objects.select_related("intent", "account").get(pk=attempt_id)
        if attempt.state != State.CREATED:
            return
        account, request = _open(attempt)
    provider = PROVIDERS[account.provider]
    ref = ""
    try:
        if provider.capabilities.two_step:
            ref = _patiently(
                lambda: call("prepare", provider.prepare, account, request, attempt_id=attempt_id)
            ).provider_ref
        with restaurant_scope(restaurant_id):
            goes_on = settling.record_submitted(attempt_id, ref)
    except UnknownOutcome as error:
        with restaurant_scope(restaurant_id):
            settling.record_unknown(attempt_id, error)
        return
    except ProviderError as error:  # it moves no money, so whatever is definite means that none moved
        _fail(attempt, error)
        return
    if not goes_on:
        _withdraw(attempt_id, ref)
        return
    _carry(
        attempt,
        lambda: _patiently(
            lambda: call("execute", provider.execute, account, ref, request, attempt_id=attempt_id)
        ),
    )


def check(attempt_id: UUID) -> None:
    """Ask what became of an attempt and go by the answer; give it up where nobody waits for it any more.

    Raises ProviderError only for one that is over: nobody asks about it again but whoever had the hint.
    """
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        attempt = PaymentAttempt.objects.select_related("intent", "account").get(pk=attempt_id)
        if attempt.account_id is None:
            return
        if attempt.state == State.CREATED and _is_being_driven(attempt):
            return
        try:
            account, request = _open(attempt)
        except Misconfigured as error:  # its credentials cannot be read
            _not_known_yet(attempt, error)
            return
    provider = PROVIDERS[account.provider]
    try:
        found = call("fetch", provider.fetch, account, request, attempt.provider_ref, attempt_id=attempt_id)
    except ProviderError as error:
        if not attempt.is_open:
            raise
        with restaurant_scope(restaurant_id):
            _not_known_yet(attempt, error)
        return
    if found.outcome in (Outcome.PAYABLE, Outcome.NOT_FOUND) and _is_being_driven(attempt):
        return
    if attempt.is_open and _is_to_be_cancelled(attempt, found):
        with restaurant_scope(restaurant_id):
            code = found.code if found.outcome == Outcome.DECLINED else None
            if not settling.record_cancel_pending(attempt_id, decline_code=code):
                return
        cancel_at_provider(attempt_id, found.provider_ref)
        return
    if found.outcome == Outcome.NOT_FOUND:
        with restaurant_scope(restaurant_id):
            settling.record_unknown(attempt_id)
        return
    with restaurant_scope(restaurant_id):
        settling.record(attempt_id, found)


def cancel_at_provider(attempt_id: UUID, ref: str = "") -> None:
    """Ask the provider that nobody can pay an attempt any more, and record what it answers."""
    restaurant_id = require_restaurant_id()
    with restaurant_scope(restaurant_id):
        attempt = PaymentAttempt.objects.select_related("intent", "account").get(pk=attempt_id)
        account, request = _open(attempt)
    provider = PROVIDERS[account.provider]
    try:
        answer = call(
            *("cancel", provider.cancel, account, attempt.provider_ref or ref, request),
            attempt_id=attempt_id,
        )
    except ProviderError as error:
        with restaurant_scope(restaurant_id):
            _not_known_yet(attempt, error)
        return
    with restaurant_scope(restaurant_id):
        if not answer.provider_ref and _may_arrive_yet(attempt):
            settling.record_unknown(attempt_id)  # it stays to be cancelled, and is asked about again
        else:
            settling.record(attempt_id, answer)


# Steps


def _new_payment(
    order: Order,
    *,
    client_key: UUID,
    request_hash: str,
    method: str,
    amount_minor: int | None,
    tip_minor: int,
    part_id: UUID | None,
    by: Staff,
) -> PaymentIntent:
    """The payment, not saved yet, of an order that is locked."""
    if order.status != Order.Status.OPEN:
        raise OrderNotOpen(order.number, order.status)
    due = money.due_minor(order, part_id)
    amount = due if amount_minor is None else amount_minor
    if not 0 < amount <= due:
        raise AmountNotDue(due)
    return new_row(
        PaymentIntent,
        related={"order": order, "taken_by": Membership(id=by.membership_id, name=by.name)},
        id=client_key,
        restaurant_id=by.restaurant_id,
        client_key=client_key,
        request_hash=request_hash,
        order_id=order.pk,
        method=method,
        amount_minor=amount,
        tip_minor=tip_minor,
        part_id=part_id,
        business_date=order.business_date,
        taken_by_id=by.membership_id,
        device_id=by.device_id,
        created_at=timezone.now(),
    )


def _begin(
    payment: PaymentIntent,
    account: Account,
    terminal: Terminal | None,
    *,
    n: int,
    asked: dict[str, Any],
) -> PaymentAttempt:
    """Set the amount aside and save the attempt with all that will be asked of the provider."""
    order = payment.order
    if order.currency != account.currency:
        raise CurrencyDiffers
    if terminal and PaymentAttempt.objects.filter(terminal=terminal.pk, settled_at=None).exists():
        raise TerminalBusy(field="terminal_id")
    money.reserve(order.pk, payment.amount_minor, part_id=payment.part_id)
    attempt_id = uuid7()
    now = timezone.now()
    row = accounts.row_of(account.id)
    charge = ChargeRequest(
        attempt_id=attempt_id,
        amount_minor=payment.amount_minor,
        tip_minor=payment.tip_minor,
        currency=order.currency,
        method=payment.method,
        idem_key=idem_key(attempt_id, "c", n),
        application_fee_minor=_share(payment.amount_minor, row.application_fee_percent)
        if PROVIDERS[account.provider].capabilities.application_fee
        else 0,
        reader_id=terminal.reader_id if terminal else None,
        tip_on_reader=terminal is not None and payment.tip_minor == 0 and asked["capture"],
        description=f"Order {order.number}",
        metadata={
            "attempt": str(attempt_id),
            "order": str(order.pk),
            "restaurant": str(account.restaurant_id),
        },
        webhook_url=webhook_address(account),
        **{**asked, "return_url": asked["return_url"] or settings.BASE_URL},
    )
    attempt = new_row(
        PaymentAttempt,
        related={"intent": payment, "account": row, "terminal": terminal},
        id=attempt_id,
        restaurant_id=account.restaurant_id,
        intent_id=payment.pk,
        n=n,
        provider=account.provider,
        account_id=account.id,
        terminal_id=terminal.pk if terminal else None,
        idem_key=charge.idem_key,
        request=orjson.loads(orjson.dumps({**dataclasses.asdict(charge), "attempt_id": str(attempt_id)})),
        application_fee_minor=charge.application_fee_minor,
        fee_estimated_minor=_share(payment.amount_minor + payment.tip_minor, row.fee_percent)
        + row.fee_fixed_minor,
        created_at=now,
        next_check_at=now + datetime.timedelta(seconds=IN_FLIGHT_SECONDS),
    )
    if n == 1:
        insert_rows([payment])
    try:
        with transaction.atomic():
            insert_rows([attempt])
    except IntegrityError as error:  # another till was quicker at this reader
        raise TerminalBusy(field="terminal_id") from error
    payment.tries = [*getattr(payment, "tries", []), attempt]
    payment.order.reserved_minor += payment.amount_minor
    method, mode, name = payment.method, account.mode, account.provider
    transaction.on_commit(lambda: metrics.ATTEMPTS.labels(name, method, mode).inc(), robust=True)
    return attempt


def _carry(attempt: PaymentAttempt, ask: Callable[[], Snapshot]) -> None:
    """Ask for the money and record what becomes of it."""
    restaurant_id = require_restaurant_id()
    try:
        answer = ask()
    except UnknownOutcome as error:
        with restaurant_scope(restaurant_id):
            settling.record_unknown(attempt.pk, error)
    except Declined as error:
        _decline(attempt, error.code)
    except InvalidRequest as error:  # our mistake; yet ask before believing that nothing happened
        logger.error("%s finds our request wrong: %s %s", attempt.provider, error.code, error)
        if attempt.state == State.AUTHORIZED:
            with restaurant_scope(restaurant_id):
                settling.record_not_captured(attempt.pk)
            return
        with restaurant_scope(restaurant_id):
            settling.record_cancel_pending(attempt.pk)
        cancel_at_provider(attempt.pk)
    except ProviderError as error:
        if attempt.state == State.AUTHORIZED:  # what is held stays so, to be captured later
            logger.warning("%s could not be captured: %s %s", attempt.pk, error.error_class, error)
            with restaurant_scope(restaurant_id):
                settling.record_not_captured(attempt.pk)
            return
        _fail(attempt, error)
    else:
        if answer.outcome == Outcome.DECLINED:
            _decline(attempt, answer.code)
            return
        with restaurant_scope(restaurant_id):
            settling.record(attempt.pk, answer)


def _decline(attempt: PaymentAttempt, code: str) -> None:
    """A definite no. Where the charge could still be paid with another card, it is cancelled first."""
    with restaurant_scope(require_restaurant_id()):
        if not PROVIDERS[attempt.provider].capabilities.two_step:
            settling.record_failure(attempt.pk, Declined("Declined", code=code))
            return
        settling.record_cancel_pending(attempt.pk, decline_code=code)
    cancel_at_provider(attempt.pk)


def _fail(attempt: PaymentAttempt, error: ProviderError) -> None:
    with restaurant_scope(require_restaurant_id()):
        if isinstance(error, Misconfigured) and attempt.account_id:
            accounts.mark_degraded(attempt.account_id, str(error))
        settling.record_failure(attempt.pk, error)


def _not_known_yet(attempt: PaymentAttempt, error: ProviderError) -> None:
    """Asking failed, whatever the reason: that says nothing about the money."""
    if isinstance(error, Misconfigured) and attempt.account_id:
        accounts.mark_degraded(attempt.account_id, str(error))
    if attempt.state == State.REQUIRES_ACTION and not settling.is_out_of_time(attempt):
        settling.record_not_seen(attempt.pk)
        return
    settling.record_unknown(attempt.pk, error)
    if attempt.is_open and attempt.created_at < timezone.now() - DECISION_AFTER:
        raise_issue(
            ReconciliationIssue.Kind.UNKNOWN_TOO_LONG,
            f"attempt:{attempt.pk}",
            detail=f"{error.error_class} {error.code}"[:300],
            account_id=attempt.account_id,
            order_id=attempt.intent.order_id,
            payment_id=attempt.intent_id,
            ours_minor=attempt.intent.amount_minor,
        )


def _withdraw(attempt_id: UUID, ref: str) -> None:
    """Somebody gave the attempt up before anything was asked for it: nor will it be."""
    if ref:
        cancel_at_provider(attempt_id, ref)
        return
    with restaurant_scope(require_restaurant_id()):
        settling.record(attempt_id, Snapshot(Outcome.CANCELED))


def _is_being_driven(attempt: PaymentAttempt) -> bool:
    """Whether whoever began it may be between two calls: a webhook or a look from the till is too early."""
    return attempt.state in (State.CREATED, State.SUBMITTED) and _is_young(attempt)


def _may_arrive_yet(attempt: PaymentAttempt) -> bool:
    """Whether what was asked for in one step may be on its way to a provider who does not know it yet."""
    is_two_step = PROVIDERS[attempt.provider].capabilities.two_step
    return attempt.sent_at is not None and not is_two_step and _is_young(attempt)


def _is_young(attempt: PaymentAttempt) -> bool:
    return timezone.now() < attempt.created_at + datetime.timedelta(seconds=IN_FLIGHT_SECONDS)


def _is_to_be_cancelled(attempt: PaymentAttempt, found: Snapshot) -> bool:
    """Whether nobody waits at the till for this any more, or nobody can."""
    if attempt.state == State.CANCEL_PENDING:
        return found.outcome not in (Outcome.SUCCEEDED, Outcome.CANCELED, Outcome.PENDING)
    match found.outcome:
        case Outcome.DECLINED:
            return PROVIDERS[attempt.provider].capabilities.two_step
        case Outcome.PAYABLE:
            return attempt.state != State.REQUIRES_ACTION or settling.is_out_of_time(attempt)
        case Outcome.REQUIRES_ACTION:
            return attempt.state == State.UNKNOWN or settling.is_out_of_time(attempt)
        case Outcome.NOT_FOUND:  # our request may still be on its way: only a cancellation makes sure
            age = timezone.now() - attempt.created_at
            return age > datetime.timedelta(seconds=NOT_FOUND_GRACE_SECONDS)
    return False


def _patiently(ask: Callable[[], Snapshot]) -> Snapshot:
    """Ask again, with the same key, while the provider only says that it is asked too often."""
    for n in range(RATE_LIMIT_TRIES - 1):
        try:
            return ask()
        except Retryable as error:
            if error.status != 429:
                raise
            time.sleep(min(error.retry_after, 2.0) * (n + 1) / 2)
    return ask()


def wait_for(work: Callable[[], None]) -> None:
    """Let a thread of its own do the work, and wait for it a few seconds at most."""
    context = contextvars.copy_context()

    def run() -> None:
        try:
            context.run(work)
        except Exception:
            logger.exception("A payment was left half way; it is taken up again within a minute")
        finally:
            connections.close_all()

    give_back_connection()
    concurrent.futures.wait([_drivers.submit(run)], timeout=ANSWER_WAIT_SECONDS)


def _open(attempt: PaymentAttempt) -> tuple[Account, ChargeRequest]:
    if attempt.account is None:
        raise Misconfigured("Nobody was asked for this over the network.")
    request = {name: value for name, value in attempt.request.items() if name != "capture_minor"}
    return accounts.open_account(attempt.account), ChargeRequest(**{**request, "attempt_id": attempt.pk})


def _find(payment_id: UUID) -> PaymentIntent:
    payment = PaymentIntent.objects.with_details().filter(pk=payment_id).first()
    if payment is None:
        raise NoSuchPayment
    return payment


def _open_attempt(payment: PaymentIntent) -> PaymentAttempt:
    for attempt in payment.tries:
        if attempt.is_open:
            return attempt
    raise PaymentNotOpen


def idem_key(row_id: UUID, operation: str, n: int) -> str:
    """The key of a request, made from its row: the same whenever it is made, 30 characters or less."""
    return f"fy{base64.b32encode(row_id.bytes).decode().rstrip('=').lower()}{operation}{n}"


def webhook_address(account: Account | ProviderAccount) -> str:
    """Where this account's provider tells us what happened."""
    return f"{settings.BASE_URL}/webhooks/{account.provider}/{account.restaurant_id}/{account.public_id}"


def _share(amount_minor: int, percent: Any) -> int:
    """A percentage of an amount, half a minor unit rounded up."""
    return (amount_minor * int(percent * 1000) * 2 + 100_000) // 200_000
