"""Square: cards online by a token, cards on a Square Terminal, and payment links."""

import base64
import datetime
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import httpx
from square import Square
from square.core.api_error import ApiError
from square.core.pagination import SyncPager
from square.core.request_options import RequestOptions
from square.environment import SquareEnvironment
from square.types.payment import Payment
from square.types.payment_refund import PaymentRefund

from . import square_objects as objects
from . import wire
from .base import (
    Account,
    Capabilities,
    ChargeRequest,
    DisputeSnapshot,
    Outcome,
    ProviderPayout,
    ProviderPayoutLine,
    ProviderTransaction,
    Reader,
    RefundOutcome,
    RefundRequest,
    RefundSnapshot,
    Snapshot,
    VerifiedEvent,
)
from .errors import (
    BadSignature,
    CallInsideTransaction,
    Declined,
    InvalidRequest,
    Misconfigured,
    ProviderError,
    Retryable,
    UnknownOutcome,
)
from .square_codes import SOFT_CODES, class_of
from .square_objects import CHECKOUT, LINK, amount_of, money

T = TypeVar("T")

SIGNATURE_HEADER = "x-square-hmacsha256-signature"
KEY_LENGTH = 45  # of an idempotency key, at most
PAGE = 100
PAGES = 100  # of one listing, at most: a vendor's cursor must not lead us in a circle
ONCE: RequestOptions = {"max_retries": 0}  # the library would try again by itself, twice

# An attempt's payment is looked for by our own id within this time of the attempt.
BEFORE = datetime.timedelta(hours=1)
AFTER = datetime.timedelta(hours=48)
LOOK_BACK = datetime.timedelta(days=7)  # for an id that does not say when it was made
# A dispute takes days to come; asking earlier would only cost time.
UNDISPUTED = datetime.timedelta(hours=1)


class SquareProvider:
    """Takes money in one step: an unknown outcome is settled by looking our own id up, or by key.

    Square's lists may lag some seconds behind, so a charge that is looked up by our id and not found may
    appear a moment later.
    """

    name: ClassVar[str] = "square"
    capabilities: ClassVar[Capabilities] = Capabilities(
        application_fee=True,
        methods=frozenset({"card_online", "card_present", "link"}),
    )

    def prepare(self, account: Account, request: ChargeRequest) -> Snapshot:
        raise InvalidRequest("Square takes a payment in one step.")

    def execute(self, account: Account, ref: str, request: ChargeRequest) -> Snapshot:
        """Charge a token, arm the Terminal or make a link. Repeated with its key it answers the same."""
        if not 0 < len(request.idem_key) <= KEY_LENGTH:
            raise InvalidRequest(f"An idempotency key has 1 to {KEY_LENGTH} characters.")
        with _asking(account) as square:
            if request.method == "card_present":
                return _arm(square, request)
            if request.method == "link":
                return _make_link(square, account, request)
            return _create_payment(square, account, request)

    def fetch(self, account: Account, request: ChargeRequest, ref: str = "") -> Snapshot:
        with _asking(account) as square:
            if ref.startswith(CHECKOUT) or (not ref and request.method == "card_present"):
                checkout = _checkout(square, request, ref)
                return _checkout_snapshot(square, request, checkout) if checkout else _not_found()
            if ref.startswith(LINK):
                return _link_snapshot(square, account, request, ref)
            payment = _payment(square, ref) if ref else _payment_by_our_id(square, account, request)
            return _full_snapshot(square, payment, request) if payment else _not_found()

    def capture(self, account: Account, ref: str, request: ChargeRequest, amount_minor: int) -> Snapshot:
        """Complete an approved payment. `amount_minor` includes the tip: of less, the bill comes first."""
        with _asking(account) as square:
            payment = _charged(square, account, request, ref)
            if payment is None:
                raise InvalidRequest("There is no payment to complete.")
            payment_id = str(payment.id)
            if payment.status == "APPROVED":
                _lower(square, payment, request, amount_minor)
                _tried(lambda: square.payments.complete(payment_id, request_options=ONCE))
                payment = _payment(square, payment_id)
            return objects.charge(_given(payment), request)

    def cancel(self, account: Account, ref: str, request: ChargeRequest) -> Snapshot:
        """Void the payment, ask the Terminal to let go, or withdraw the link; then say how it stands.

        A payment without a reference that is not found is cancelled by its key, which undoes it if it was
        made after all; not while an answer may be on its way that calls it paid. The Terminal only promises
        to let go: the answer is PENDING until it did, or the guest was faster.
        """
        with _asking(account) as square:
            if ref.startswith(CHECKOUT) or (not ref and request.method == "card_present"):
                return _release(square, request, ref)
            if ref.startswith(LINK) or (not ref and request.method == "link"):
                return _withdraw_link(square, account, request, ref)
            if not ref and (payment := _payment_by_our_id(square, account, request)):
                ref = str(payment.id)
            if ref:
                return _void(square, request, ref)
            if wire.is_in_flight(request.attempt_id):
                return Snapshot(Outcome.CANCELED)  # it is not there yet; whoever asks looks again
            return _cancel_by_key(square, account, request)

    def refund(self, account: Account, request: RefundRequest) -> RefundSnapshot:
        """Square answers PENDING first. Unless the fee goes back too, the platform keeps all of its own."""
        with _asking(account) as square:
            payment_id = request.payment_ref
            payment = None
            if payment_id.startswith((CHECKOUT, LINK)) or not request.refund_application_fee:
                payment = _charged(square, account, None, payment_id)
                payment_id = str(payment.id) if payment else ""
            if not payment_id:
                raise InvalidRequest("There is no payment to give back.")
            fee: dict[str, Any] = {}
            if payment and payment.app_fee_money and not request.refund_application_fee:
                fee = {"app_fee_money": money(0, request.currency)}
            answer = square.refunds.refund_payment(
                idempotency_key=request.idem_key,
                amount_money=money(request.amount_minor, request.currency),
                payment_id=payment_id,
                reason=objects.reason_with(request.reason, request.refund_id),
                request_options=ONCE,
                **fee,
            )
            return objects.refunded(_given(answer.refund))

    def fetch_refund(self, account: Account, request: RefundRequest, ref: str = "") -> RefundSnapshot:
        with _asking(account) as square:
            found = _refund(square, ref) if ref else _refund_by_our_id(square, account, request)
            return objects.refunded(found) if found else RefundSnapshot(RefundOutcome.NOT_FOUND)

    def parse_webhook(
        self, account: Account, headers: Mapping[str, str], raw: bytes, url: str, now: datetime.datetime
    ) -> VerifiedEvent:
        """Square signs the URL that it calls and the body, but no time: a repeat shows by its event's id."""
        given = {name.lower(): value for name, value in headers.items()}.get(SIGNATURE_HEADER, "")
        if not any(_signs(key, url, raw, given) for key in account.secrets.get("webhook_signature_keys", ())):
            raise BadSignature("Square did not sign this.")
        return _event(raw)

    def list_transactions(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[ProviderTransaction]:
        """All payments and refunds begun in the time. Raises UnknownOutcome rather than leave some out."""
        with _asking(account) as square:
            for payment in _payments(square, account, since, until):
                yield objects.payment_row(payment)
            for refund in _refunds(square, account, since, until):
                yield objects.refund_row(refund)

    def list_payouts(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[ProviderPayout]:
        with _asking(account) as square:
            during = _during(account, since, until)
            for payout in _pages(square.payouts.list(limit=PAGE, request_options=ONCE, **during)):
                entries = square.payouts.list_entries(payout.id, limit=PAGE, request_options=ONCE)
                yield ProviderPayout(
                    provider_ref=payout.id,
                    amount_minor=amount_of(payout.amount_money),
                    currency=str(payout.amount_money.currency) if payout.amount_money else "",
                    status=str(payout.status or "").lower(),
                    created_at=objects.moment(payout.created_at),
                    arrives_on=_date(payout.arrival_date),
                    lines=tuple(_payout_line(entry) for entry in _pages(entries)),
                )

    def disputed_charges(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[str]:
        """Square lists disputes by their state only: of all, those that were made in the time."""
        with _asking(account) as square:
            for dispute in _listed_disputes(square, account.location_id):
                made = dispute.created_at and since <= objects.moment(dispute.created_at) < until
                if made and dispute.disputed_payment and dispute.disputed_payment.payment_id:
                    yield dispute.disputed_payment.payment_id

    def list_readers(self, account: Account) -> list[Reader]:
        """The paired Terminals, by the id that a checkout wants: the device's serial number."""
        with _asking(account) as square:
            where: dict[str, Any] = {"location_id": account.location_id} if account.location_id else {}
            listed = square.devices.list(limit=PAGE, request_options=ONCE, **where)
            return [
                Reader(
                    reader_id=str(device.id).removeprefix("device:"),
                    label=device.attributes.name or str(device.id),
                    is_online=bool(device.status and device.status.category != "OFFLINE"),
                    location_id=account.location_id,
                    device_type=device.attributes.model or str(device.attributes.type),
                )
                for device in _pages(listed)
            ]

    def check(self, account: Account) -> None:
        """Ask for the location. Raises Misconfigured where there is none, or of another currency."""
        with _asking(account) as square:
            found = _found(lambda: square.locations.get(account.location_id or "main", request_options=ONCE))
            location = found.location if found else None
            if location is None or location.status == "INACTIVE":
                raise Misconfigured("Square has no such location, or it is not active.")
            if location.currency and str(location.currency) != account.currency:
                raise Misconfigured(f"The location sells in {location.currency}, not {account.currency}.")


# Asking.


@contextmanager
def _asking(account: Account) -> Iterator[Square]:
    """A client for the account. What goes wrong in the block comes out as one of `errors`."""
    with square_client(
        wire.secret(account.secrets, "access_token"),
        base_url=account.base_url,
        sandbox=account.mode == "test",
    ) as client:
        yield client


@contextmanager
def square_client(token: str, *, base_url: str | None, sandbox: bool) -> Iterator[Square]:
    """The same for a bare token."""
    seconds: Any = wire.timeouts()
    client = Square(
        base_url=base_url or None,
        environment=SquareEnvironment.SANDBOX if sandbox else SquareEnvironment.PRODUCTION,
        token=token,
        timeout=seconds,
        httpx_client=wire.client(),
    )
    try:
        yield client
    except (ProviderError, CallInsideTransaction):
        raise
    except ApiError as error:
        raise _of_answer(error) from error
    except Exception as error:
        raise wire.failure(error) from error


def _of_answer(error: ApiError) -> ProviderError:
    """One of `errors` for an answer that was none: the first of Square's own errors decides."""
    first = error.errors[0] if error.errors else None
    code, detail = (str(first.code), str(first.detail or "")) if first else ("", "")
    kind = class_of(code, error.status_code)
    headers = httpx.Headers(error.headers or {})
    more: dict[str, Any] = {
        "code": code,
        "status": error.status_code,
        "request_id": headers.get("x-request-id", headers.get("square-request-id", "")),
    }
    if kind is Declined:
        more["is_soft"] = code in SOFT_CODES
    elif kind is Retryable:
        more["retry_after"] = wire.retry_after(headers)
    return kind(detail[:300] or code or f"HTTP {error.status_code}", **more)


def _found(ask: Callable[[], T]) -> T | None:
    """The answer, or None where Square knows no such object."""
    try:
        return ask()
    except ApiError as error:
        if error.status_code == 404:
            return None
        raise


def _tried(ask: Callable[[], T]) -> T | None:
    """The answer, or None where the object is no longer in a state for it: the caller looks what it is."""
    try:
        return ask()
    except ApiError as error:
        if error.status_code in (400, 404, 409) and class_of(_code(error), error.status_code) in (
            InvalidRequest,
            UnknownOutcome,
        ):
            return None
        raise


def _code(error: ApiError) -> str:
    return str(error.errors[0].code) if error.errors else ""


def _given(value: T | None) -> T:
    if value is None:
        raise UnknownOutcome("Square's answer lacks what was asked for.")
    return value


def _pages(pager: SyncPager[T, Any]) -> Iterator[T]:
    """All items of a listing. Raises UnknownOutcome where it does not end."""
    for number, page in enumerate(pager.iter_pages(), start=1):
        yield from page.items or ()
        if number == PAGES and page.has_next:
            raise UnknownOutcome(f"Square's list goes on after {PAGES} pages.")


def _not_found() -> Snapshot:
    return Snapshot(Outcome.NOT_FOUND)


# Payments.


def _create_payment(square: Square, account: Account, request: ChargeRequest) -> Snapshot:
    if not request.source_token:
        raise InvalidRequest("A card payment online needs the token of a card.")
    more = _common(request)
    if request.tip_minor:
        more["tip_money"] = money(request.tip_minor, request.currency)
    if account.location_id:
        more["location_id"] = account.location_id
    if request.metadata.get("verification_token"):
        more["verification_token"] = request.metadata["verification_token"]
    answer = square.payments.create(
        source_id=request.source_token,
        idempotency_key=request.idem_key,
        amount_money=money(request.amount_minor, request.currency),
        autocomplete=request.capture,
        request_options=ONCE,
        **more,
    )
    return objects.charge(_given(answer.payment), request)


def _common(request: ChargeRequest) -> dict[str, Any]:
    """What a payment and a Terminal checkout are given alike."""
    more: dict[str, Any] = {"reference_id": str(request.attempt_id)}
    if request.description:
        more["note"] = request.description[:500]
    if request.application_fee_minor:
        more["app_fee_money"] = money(request.application_fee_minor, request.currency)
    return more


def _payment(square: Square, payment_id: str) -> Payment | None:
    found = _found(lambda: square.payments.get(payment_id, request_options=ONCE))
    return _given(found.payment) if found else None


def _payment_by_our_id(square: Square, account: Account, request: ChargeRequest) -> Payment | None:
    ours = str(request.attempt_id)
    since, until = _around(request.attempt_id)
    listed = _payments(square, account, since, until)
    return objects.best_of(payment for payment in listed if ours in (payment.reference_id, payment.note))


def _payments(
    square: Square, account: Account, since: datetime.datetime, until: datetime.datetime
) -> Iterator[Payment]:
    during = _during(account, since, until)
    return _pages(square.payments.list(limit=PAGE, request_options=ONCE, **during))


def _around(row_id: Any) -> tuple[datetime.datetime, datetime.datetime]:
    """The time in which whatever we made for a row of ours was made."""
    made = wire.made_at(row_id)
    now = datetime.datetime.now(datetime.UTC)
    return (made - BEFORE, made + AFTER) if made else (now - LOOK_BACK, now + BEFORE)


def _during(account: Account, since: datetime.datetime, until: datetime.datetime) -> dict[str, Any]:
    during = {"begin_time": since.isoformat(), "end_time": until.isoformat(), "sort_order": "ASC"}
    return during | ({"location_id": account.location_id} if account.location_id else {})


def _charged(square: Square, account: Account, request: ChargeRequest | None, ref: str) -> Payment | None:
    """The payment behind a reference of any kind."""
    if ref.startswith(CHECKOUT):
        found = _found(
            lambda: square.terminal.checkouts.get(ref.removeprefix(CHECKOUT), request_options=ONCE)
        )
        return _paid_at_terminal(square, found.checkout) if found else None
    if ref.startswith(LINK):
        return _paid_by_link(square, account, None, ref)
    return _payment(square, ref)


def _full_snapshot(square: Square, payment: Payment, request: ChargeRequest) -> Snapshot:
    """How a payment stands, with its refunds and disputes."""
    if payment.status != "COMPLETED":
        return objects.charge(payment, request)
    refunds = [_refund(square, refund_id) for refund_id in payment.refund_ids or ()]
    return objects.charge(
        payment,
        request,
        refunds=tuple(objects.refunded(refund) for refund in refunds if refund),
        disputes=_disputes(square, payment),
    )


def _disputes(square: Square, payment: Payment) -> tuple[DisputeSnapshot, ...]:
    """The disputes about a payment."""
    age = datetime.datetime.now(datetime.UTC) - objects.moment(payment.created_at)
    if age < UNDISPUTED:
        return ()
    about = [
        dispute
        for dispute in _listed_disputes(square, payment.location_id)
        if dispute.disputed_payment and dispute.disputed_payment.payment_id == payment.id
    ]
    return tuple(objects.disputed(dispute) for dispute in about)


def _listed_disputes(square: Square, location_id: str | None) -> list[Any]:
    """Where our credentials may not see disputes there are none to show."""
    where: dict[str, Any] = {"location_id": location_id} if location_id else {}
    try:
        return list(_pages(square.disputes.list(request_options=ONCE, **where)))
    except ApiError as error:
        if error.status_code == 403:
            return []
        raise


def _lower(square: Square, payment: Payment, request: ChargeRequest, amount_minor: int) -> None:
    """Bring an approved payment down to what is to be taken of it."""
    tip = amount_of(payment.tip_money)
    bill = amount_of(payment.total_money) - tip
    if amount_minor >= bill + tip:
        return
    taken = min(bill, amount_minor)
    wanted: Any = {"amount_money": money(taken, request.currency)}
    if tip:
        wanted["tip_money"] = money(amount_minor - taken, request.currency)
    square.payments.update(
        str(payment.id),
        idempotency_key=_derived(request.idem_key, amount_minor),
        payment=wanted,
        request_options=ONCE,
    )


def _derived(key: str, amount_minor: int) -> str:
    return hashlib.sha256(f"{key} lowered to {amount_minor}".encode()).hexdigest()[:KEY_LENGTH]


def _void(square: Square, request: ChargeRequest, payment_id: str) -> Snapshot:
    _tried(lambda: square.payments.cancel(payment_id, request_options=ONCE))
    payment = _payment(square, payment_id)
    return _full_snapshot(square, payment, request) if payment else _not_found()


def _cancel_by_key(square: Square, account: Account, request: ChargeRequest) -> Snapshot:
    _tried(
        lambda: square.payments.cancel_by_idempotency_key(
            idempotency_key=request.idem_key, request_options=ONCE
        )
    )
    payment = _payment_by_our_id(square, account, request)
    return _full_snapshot(square, payment, request) if payment else Snapshot(Outcome.CANCELED)


# The Terminal.


def _arm(square: Square, request: ChargeRequest) -> Snapshot:
    if not request.reader_id:
        raise InvalidRequest("A card payment at the table needs a reader.")
    device: dict[str, Any] = {"device_id": request.reader_id}
    checkout: Any = {
        "amount_money": money(request.amount_minor, request.currency),
        "device_options": device,
        "payment_options": {"autocomplete": request.capture},
        **_common(request),
    }
    # Square takes a tip that is known before, or has the guest asked for it: not both.
    if request.tip_minor:
        checkout["tip_money"] = money(request.tip_minor, request.currency)
    elif request.tip_on_reader:
        device["tip_settings"] = {"allow_tipping": True, "separate_tip_screen": True}
    answer = square.terminal.checkouts.create(
        idempotency_key=request.idem_key, checkout=checkout, request_options=ONCE
    )
    return _checkout_snapshot(square, request, _given(answer.checkout))


def _checkout(square: Square, request: ChargeRequest, ref: str) -> Any | None:
    """The Terminal checkout of a reference or, without one, of our own id."""
    if ref:
        found = _found(
            lambda: square.terminal.checkouts.get(ref.removeprefix(CHECKOUT), request_options=ONCE)
        )
        return _given(found.checkout) if found else None
    ours = str(request.attempt_id)
    made = [checkout for checkout in _checkouts(square, request) if checkout.reference_id == ours]
    return max(made, key=lambda checkout: bool(checkout.payment_ids), default=None)


def _checkouts(square: Square, request: ChargeRequest) -> Iterator[Any]:
    since, until = _around(request.attempt_id)
    during = {"start_at": since.isoformat(), "end_at": until.isoformat()}
    query: Any = {"filter": {"created_at": during}, "sort": {"sort_order": "ASC"}}
    more: dict[str, Any] = {}
    for _ in range(PAGES):
        answer = square.terminal.checkouts.search(query=query, limit=PAGE, request_options=ONCE, **more)
        yield from answer.checkouts or ()
        if not answer.cursor:
            return
        more = {"cursor": answer.cursor}
    raise UnknownOutcome(f"Square's list goes on after {PAGES} pages.")


def _checkout_snapshot(square: Square, request: ChargeRequest, checkout: Any) -> Snapshot:
    ref = f"{CHECKOUT}{checkout.id}"
    if checkout.status in ("PENDING", "IN_PROGRESS"):
        tap = {"type": "tap", "reader_id": checkout.device_options.device_id}
        return Snapshot(Outcome.REQUIRES_ACTION, provider_ref=ref, next_action=tap)
    if checkout.status == "CANCEL_REQUESTED":
        return Snapshot(Outcome.PENDING, provider_ref=ref)
    payment = _paid_at_terminal(square, checkout)
    if payment:
        return _full_snapshot(square, payment, request)
    if checkout.status == "CANCELED":
        return Snapshot(Outcome.CANCELED, provider_ref=ref, code=str(checkout.cancel_reason or ""))
    raise UnknownOutcome(f"Square calls a checkout {checkout.status!r} and names no payment.")


def _paid_at_terminal(square: Square, checkout: Any) -> Payment | None:
    found = [_payment(square, payment_id) for payment_id in (checkout.payment_ids or ())]
    return objects.best_of(payment for payment in found if payment)


def _release(square: Square, request: ChargeRequest, ref: str) -> Snapshot:
    checkout = _checkout(square, request, ref)
    if checkout is None:
        return _not_found()
    checkout_id = str(checkout.id)
    if checkout.status in ("PENDING", "IN_PROGRESS"):
        _tried(lambda: square.terminal.checkouts.cancel(checkout_id, request_options=ONCE))
        checkout = _given(_checkout(square, request, f"{CHECKOUT}{checkout_id}"))
    seen = _checkout_snapshot(square, request, checkout)
    # The card was tapped and is held, not charged: that is let go of as well.
    return _void(square, request, seen.provider_ref) if seen.outcome is Outcome.AUTHORIZED else seen


# Links.


def _make_link(square: Square, account: Account, request: ChargeRequest) -> Snapshot:
    link = _create_link(square, account, request)
    return Snapshot(
        Outcome.REQUIRES_ACTION,
        provider_ref=_link_ref(link),
        next_action={"type": "open", "url": str(link.url)},
    )


def _create_link(square: Square, account: Account, request: ChargeRequest) -> Any:
    if not account.location_id:
        raise Misconfigured("A payment link needs the account's location.")
    quick: Any = {
        "name": request.description[:255] or "Bill",
        "price_money": money(request.amount_minor + request.tip_minor, request.currency),
        "location_id": account.location_id,
    }
    options: Any = {"allow_tipping": False}
    if request.return_url:
        options["redirect_url"] = request.return_url
    if request.application_fee_minor:
        options["app_fee_money"] = money(request.application_fee_minor, request.currency)
    answer = square.checkout.payment_links.create(
        idempotency_key=request.idem_key,
        quick_pay=quick,
        checkout_options=options,
        payment_note=str(request.attempt_id),
        request_options=ONCE,
    )
    return _given(answer.payment_link)


def _link_ref(link: Any) -> str:
    return f"{LINK}{link.id}:{link.order_id}"


def _link_snapshot(square: Square, account: Account, request: ChargeRequest, ref: str) -> Snapshot:
    payment = _paid_by_link(square, account, request, ref)
    if payment:
        return _full_snapshot(square, payment, request)
    link_id = ref.removeprefix(LINK).split(":")[0]
    found = _found(lambda: square.checkout.payment_links.get(link_id, request_options=ONCE))
    if found is None:
        return Snapshot(Outcome.CANCELED, provider_ref=ref)
    url = str(_given(found.payment_link).url)
    return Snapshot(Outcome.REQUIRES_ACTION, provider_ref=ref, next_action={"type": "open", "url": url})


def _paid_by_link(
    square: Square, account: Account, request: ChargeRequest | None, ref: str
) -> Payment | None:
    """What was paid on a link's page. A card that was declined there leaves the page open."""
    order_id = ref.removeprefix(LINK).split(":")[-1]
    now = datetime.datetime.now(datetime.UTC)
    made = wire.made_at(request.attempt_id) if request else None
    listed = _payments(square, account, made - BEFORE if made else now - LOOK_BACK, now + BEFORE)
    return objects.best_of(
        payment for payment in listed if payment.order_id == order_id and payment.status != "FAILED"
    )


def _withdraw_link(square: Square, account: Account, request: ChargeRequest, ref: str) -> Snapshot:
    # The same key answers with the same link: that is how one is found whose answer was lost.
    ref = ref or _link_ref(_create_link(square, account, request))
    link_id = ref.removeprefix(LINK).split(":")[0]
    _tried(lambda: square.checkout.payment_links.delete(link_id, request_options=ONCE))
    return _link_snapshot(square, account, request, ref)


# Refunds.


def _refund(square: Square, refund_id: str) -> PaymentRefund | None:
    found = _found(lambda: square.refunds.get(refund_id, request_options=ONCE))
    return _given(found.refund) if found else None


def _refunds(
    square: Square, account: Account, since: datetime.datetime, until: datetime.datetime
) -> Iterator[PaymentRefund]:
    during = _during(account, since, until)
    return _pages(square.refunds.list(limit=PAGE, request_options=ONCE, **during))


def _refund_by_our_id(square: Square, account: Account, request: RefundRequest) -> PaymentRefund | None:
    """The refund whose reason ends in our id: among the payment's own, then among all of the time."""
    payment = _charged(square, account, None, request.payment_ref) if request.payment_ref else None
    of_payment = (
        (_refund(square, refund_id) for refund_id in (payment.refund_ids or ()) if payment) if payment else ()
    )
    listed = _refunds(square, account, *_around(request.refund_id))
    candidates: Iterable[PaymentRefund | None] = itertools.chain(of_payment, listed)
    return next((r for r in candidates if r and objects.refund_id_in(r.reason) == request.refund_id), None)


# Payouts.


LINE_KINDS = {
    "CHARGE": "charge",
    "REFUND": "refund",
    "THIRD_PARTY_FEE": "application_fee",
    "THIRD_PARTY_FEE_REFUND": "application_fee_refund",
}


def _payout_line(entry: Any) -> ProviderPayoutLine:
    kind = str(entry.type or "OTHER")
    return ProviderPayoutLine(
        provider_ref=_subject(entry, kind),
        kind=LINE_KINDS.get(kind, kind.lower()),
        amount_minor=amount_of(entry.gross_amount_money),
        fee_minor=amount_of(entry.fee_amount_money),
    )


def _subject(entry: Any, kind: str) -> str:
    """What a line of a payout is about: its refund or its payment, else the line itself."""
    details = getattr(entry, f"type_{kind.lower()}_details", None)
    for name in ("refund_id", "payment_id"):
        if getattr(details, name, None):
            return str(getattr(details, name))
    return str(entry.id)


def _date(text: str | None) -> datetime.date | None:
    return datetime.date.fromisoformat(text[:10]) if text else None


# Webhooks.


def _signs(key: str, url: str, raw: bytes, given: str) -> bool:
    digest = hmac.new(key.encode(), url.encode() + raw, hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(digest), given.encode())


def _event(raw: bytes) -> VerifiedEvent:
    try:
        event = json.loads(raw)
        kind, data = str(event["type"]), event["data"]
        row = next((inner for inner in (data.get("object") or {}).values() if isinstance(inner, dict)), {})
        ours = row.get("reference_id") or row.get("note")
        return VerifiedEvent(
            event_id=str(event["event_id"]),
            kind=kind,
            object_ref=_object_ref(kind, str(data.get("id", "")), row),
            livemode=None,
            attempt_id=wire.as_uuid(ours),
            account_ref=str(event.get("merchant_id", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSignature("Signed, but not an event of Square's.") from error


def _object_ref(kind: str, object_id: str, row: Mapping[str, Any]) -> str:
    """The charge to ask about: of a refund or a dispute its payment."""
    family = kind.split(".")[0]
    if family == "terminal":
        return f"{CHECKOUT}{object_id}"
    if family == "refund":
        return str(row.get("payment_id") or object_id)
    if family == "dispute":
        return str((row.get("disputed_payment") or {}).get("payment_id") or object_id)
    return object_id
