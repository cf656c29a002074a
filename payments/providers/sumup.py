"""SumUp: its hosted page for cards online and links, and its Solo reader for cards at the table.

References. A charge is named by its transaction's code as soon as somebody paid: payouts and the history
know no other. Until then a page is "checkout:<id>" and what a reader was given is "reader:<checkout
id>:<client transaction id>", so one attempt's reference changes once, and each kind is understood for
good. Our own id is the page's `checkout_reference`, which SumUp takes once only, and the reader's
`foreign_transaction_id`. Refunds carry nothing of ours.
"""

import datetime
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

from sumup import Sumup
from sumup._service import Resource, runtime_headers
from sumup.errors import APIConnectionError, APIError

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
    StaleWebhook,
    UnknownOutcome,
)
from .sumup_codes import LISTED, PAYOUT_LINES, READER_CHECKOUTS, TRANSACTIONS, class_of
from .sumup_money import for_reader, from_float, to_float

T = TypeVar("T")

BASE_URL = "https://api.sumup.com"
CHECKOUT = "checkout:"
READER = "reader:"
CLIENT = "client:"
SIGNATURE_HEADER = "x-sumup-webhook-signature"
SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})", re.ASCII | re.IGNORECASE)
TOLERANCE_SECONDS = 300
# One notice may come several times within this; the same words later are news of something else.
SAME_NOTICE_SECONDS = 10
TIP_RATES = (0.05, 0.1, 0.15)
PAGE = 100
PAGES = 100
PAYOUT_LIMIT = 9999  # SumUp's own


class SumUpProvider:
    """Makes a page or arms a reader; who pays, and when, is for the guest.

    SumUp has no idempotency keys. A page is made once by its reference; a reader is armed, and money
    given back, only after looking whether that was done before.
    """

    name: ClassVar[str] = "sumup"
    capabilities: ClassVar[Capabilities] = Capabilities(
        methods=frozenset({"card_online", "card_present", "link"}),
    )

    def prepare(self, account: Account, request: ChargeRequest) -> Snapshot:
        raise InvalidRequest("SumUp takes a payment in one step.")

    def execute(self, account: Account, ref: str, request: ChargeRequest) -> Snapshot:
        """Make the page, or arm the reader. An application fee is not SumUp's to take, and is left out."""
        if not request.capture:
            raise InvalidRequest("SumUp takes the money at once, or not at all.")
        with _asking(account) as sumup:
            if request.method == "card_present":
                return _arm(sumup, account, request)
            return _make_page(sumup, account, request)

    def fetch(self, account: Account, request: ChargeRequest, ref: str = "") -> Snapshot:
        with _asking(account) as sumup:
            return _look(sumup, account, request, ref)

    def capture(self, account: Account, ref: str, request: ChargeRequest, amount_minor: int) -> Snapshot:
        raise InvalidRequest("SumUp takes the money at once: there is nothing to capture.")

    def cancel(self, account: Account, ref: str, request: ChargeRequest) -> Snapshot:
        """Close the page, or ask the reader to let go: PENDING until the transaction says how it ended."""
        with _asking(account) as sumup:
            seen = _look(sumup, account, request, ref)
            if seen.outcome not in (Outcome.REQUIRES_ACTION, Outcome.PENDING, Outcome.NOT_FOUND):
                return seen
            if request.method == "card_present":
                return _release(sumup, account, request, ref)
            return _close_page(sumup, account, request, seen)

    def refund(self, account: Account, request: RefundRequest) -> RefundSnapshot:
        """Give back, unless the transaction shows that this was done already."""
        with _asking(account) as sumup:
            transaction = _transaction(sumup, account, request.payment_ref)
            if transaction is None or not transaction.id:
                raise InvalidRequest("There is no transaction to give back.")
            done = _own_refund(transaction, request)
            if done:
                return done
            _send_refund(sumup, account, transaction.id, request)
            return _after_refund(sumup, account, request)

    def fetch_refund(self, account: Account, request: RefundRequest, ref: str = "") -> RefundSnapshot:
        """Without a reference: the one of its amount that is not known to be another's."""
        with _asking(account) as sumup:
            transaction = _transaction(sumup, account, request.payment_ref)
            if transaction is None:
                return RefundSnapshot(RefundOutcome.NOT_FOUND)
            if ref:
                named = [refund for refund in _refunds(transaction) if refund.provider_ref == ref]
                return named[0] if named else RefundSnapshot(RefundOutcome.NOT_FOUND)
            return _own_refund(transaction, request) or RefundSnapshot(RefundOutcome.NOT_FOUND)

    def parse_webhook(
        self, account: Account, headers: Mapping[str, str], raw: bytes, url: str, now: datetime.datetime
    ) -> VerifiedEvent:
        """A signed event, or an unsigned callback to the account's own address.

        A callback says only what to ask about; anybody who knows the address could have sent it.
        """
        given = {name.lower(): value for name, value in headers.items()}.get(SIGNATURE_HEADER)
        body = _body(raw)
        if given is not None:
            _verify(account, given, raw, now)
            return _signed(body)
        if str(account.public_id) not in urlsplit(url).path:
            raise BadSignature("Neither signed, nor sent to the account's own address.")
        return _callback(body, url, now)

    def list_transactions(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[ProviderTransaction]:
        """Payments by their transaction code, and refunds. The history knows neither tips nor our own ids."""
        with _asking(account) as sumup:
            for item in _history(sumup, account, since, until):
                if item.type in ("PAYMENT", "REFUND"):
                    yield _row(item)

    def list_payouts(
        self, account: Account, since: datetime.datetime, until: datetime.datetime
    ) -> Iterator[ProviderPayout]:
        """Payouts of the days, put together from SumUp's records of single transactions."""
        with _asking(account) as sumup:
            records = sumup.payouts.list(
                _merchant(account), start_date=since.date(), end_date=until.date(), limit=PAYOUT_LIMIT
            )
            if len(records) >= PAYOUT_LIMIT:
                raise UnknownOutcome(f"SumUp lists no more than {PAYOUT_LIMIT} records of payouts.")
            together: dict[str, list[Any]] = {}
            for record in records:
                together.setdefault(record.reference or f"record:{record.id}", []).append(record)
            for reference, parts in together.items():
                yield _payout(reference, parts)

    def list_readers(self, account: Account) -> list[Reader]:
        with _asking(account) as sumup:
            found = sumup.readers.list(_merchant(account)).items
            return [_reader(sumup, account, reader) for reader in found if reader.status != "expired"]

    def check(self, account: Account) -> None:
        """Ask for the merchant. Raises Misconfigured where there is none, or of another currency."""
        with _asking(account) as sumup:
            merchant = _found(lambda: sumup.merchants.get(_merchant(account)))
            if merchant is None:
                raise Misconfigured("SumUp does not know this merchant.")
            if merchant.default_currency != account.currency:
                raise Misconfigured(
                    f"The merchant sells in {merchant.default_currency}, not {account.currency}."
                )


# Asking.


class _Client(Sumup):
    """SumUp's library on this process's connections: its own constructor takes no client."""

    def __init__(self, account: Account) -> None:
        self.api_key = wire.secret(account.secrets, "api_key")
        headers = {
            "Accept": "application/problem+json, application/json",
            "User-Agent": f"sumup-py/{self.version()}",
            "Authorization": f"Bearer {self.api_key}",
            **runtime_headers(),
        }
        Resource.__init__(self, wire.client(base_url=account.base_url or BASE_URL, headers=headers))


@contextmanager
def _asking(account: Account) -> Iterator[Any]:
    """A client for the account. What goes wrong in the block comes out as one of `errors`."""
    try:
        yield _Client(account)
    except (ProviderError, CallInsideTransaction):
        raise
    except APIConnectionError as error:
        cause = error.__cause__
        raise wire.failure(cause if isinstance(cause, Exception) else error) from error
    except APIError as error:
        raise _of_answer(error) from error
    except Exception as error:
        raise wire.failure(error) from error


def _of_answer(error: Any) -> ProviderError:
    code = _code(error)
    kind = class_of(error.status, code)
    headers = error.response.headers if error.response is not None else {}
    more = {"code": code, "status": error.status, "request_id": headers.get("x-request-id", "")}
    if kind is Retryable:
        more["retry_after"] = wire.retry_after(headers)
    return kind(error.message[:300], **more)


def _code(error: Any) -> str:
    """The code in an answer's body. Readers put theirs into `errors`, and call it a type."""
    try:
        body = error.response.json()
    except (AttributeError, ValueError):
        return ""
    body = body if isinstance(body, dict) else {}
    inner = body.get("errors")
    return str((inner.get("type") if isinstance(inner, dict) else body.get("error_code")) or "")


def _found(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except APIError as error:
        if error.status == 404:
            return None
        raise


def _accepted(ask: Callable[[], Any]) -> None:
    """Ask for something whose answer says nothing. SumUp has said 204 where it now documents 201 or 202.

    A 200 it never says: that is somebody between us.
    """
    try:
        ask()
    except APIError as error:
        if error.status not in (201, 202, 204):
            raise


def _merchant(account: Account) -> str:
    if not account.external_account_id:
        raise Misconfigured("The account lacks its SumUp merchant code.")
    return account.external_account_id


# Charges.


def _look(sumup: Any, account: Account, request: ChargeRequest, ref: str) -> Snapshot:
    """How a charge stands, by a reference of any kind or by our own id."""
    if ref.startswith(CHECKOUT):
        checkout = _found(lambda: sumup.checkouts.get(ref.removeprefix(CHECKOUT)))
        return _page(sumup, account, request, checkout) if checkout else Snapshot(Outcome.NOT_FOUND)
    if not ref and request.method != "card_present":
        return _page_by_our_id(sumup, account, request)
    transaction = _transaction(sumup, account, ref, request)
    if transaction is not None:
        return _charge(transaction, request, ref)
    return _armed(sumup, account, request, ref) if ref.startswith(READER) else Snapshot(Outcome.NOT_FOUND)


def _transaction(sumup: Any, account: Account, ref: str, request: ChargeRequest | None = None) -> Any:
    """The transaction behind a reference of any kind or our own id; None where there is none (yet)."""
    by: dict[str, str]
    if ref.startswith(CHECKOUT):
        checkout = _found(lambda: sumup.checkouts.get(ref.removeprefix(CHECKOUT)))
        if checkout is None or not checkout.transaction_id:
            return None
        by = {"id": checkout.transaction_id}
    elif ref.startswith((READER, CLIENT)):
        by = {"client_transaction_id": ref.rsplit(":", 1)[-1]}
    elif ref:
        by = {"transaction_code": ref}
    elif request is not None:
        by = {"foreign_transaction_id": str(request.attempt_id)}
    else:
        return None
    return _found(lambda: sumup.transactions.get(_merchant(account), **by))


def _charge(transaction: Any, request: ChargeRequest, ref: str) -> Snapshot:
    """How a transaction stands. A tip that was agreed before is in its amount and not named by SumUp."""
    outcome = TRANSACTIONS.get(str(transaction.status))
    if outcome is None:
        raise UnknownOutcome(f"SumUp calls a transaction {transaction.status!r}.")
    if outcome is Outcome.PENDING:
        return _waiting(transaction, request, ref)
    currency = str(transaction.currency or request.currency)
    taken = outcome is Outcome.SUCCEEDED
    total = from_float(transaction.amount, currency) if taken else 0
    tip = _tip(transaction, request, total, currency)
    card = transaction.card
    return Snapshot(
        outcome,
        captured_minor=total - tip,
        tip_minor=tip,
        provider_ref=str(transaction.transaction_code or ref),
        refunded_minor=_refunded(transaction) if taken else 0,
        fee_minor=from_float(transaction.fee_amount, currency)
        if transaction.fee_amount is not None
        else None,
        code=str(transaction.status) if outcome is Outcome.DECLINED else "",
        card_brand=str(card.type or "").lower()[:20] if card else "",
        card_last4=str(card.last_4_digits or "") if card else "",
        refunds=tuple(_refunds(transaction)) if taken else (),
        disputes=tuple(_disputes(transaction, currency)),
    )


def _waiting(transaction: Any, request: ChargeRequest, ref: str) -> Snapshot:
    ref = ref or f"{CLIENT}{transaction.client_transaction_id}"
    if request.method != "card_present":
        return Snapshot(Outcome.PENDING, provider_ref=ref)
    tap = {"type": "tap", "reader_id": request.reader_id or ""}
    return Snapshot(Outcome.REQUIRES_ACTION, provider_ref=ref, next_action=tap)


def _tip(transaction: Any, request: ChargeRequest, total: int, currency: str) -> int:
    named = from_float(transaction.tip_amount or 0, currency)
    return min(named or request.tip_minor, total)


# The hosted page.


def _make_page(sumup: Any, account: Account, request: ChargeRequest) -> Snapshot:
    more: dict[str, Any] = {"description": request.description or None, "redirect_url": request.return_url}
    more["return_url"] = _return_url(request)
    try:
        checkout = sumup.checkouts.create(
            checkout_reference=str(request.attempt_id),
            amount=to_float(request.amount_minor + request.tip_minor, request.currency),
            currency=request.currency,
            merchant_code=_merchant(account),
            hosted_checkout={"enabled": True},
            **{name: value for name, value in more.items() if value},
        )
    except APIError as error:
        # It was made before, by a request whose answer we did not get.
        if error.status == 409:
            return _page_by_our_id(sumup, account, request)
        raise
    return _page(sumup, account, request, checkout)


def _return_url(request: ChargeRequest) -> str | None:
    """Where SumUp tells us of a change. Its callbacks do not name our attempt, so the address does."""
    if not request.webhook_url:
        return None
    mark = "&" if urlsplit(request.webhook_url).query else "?"
    return f"{request.webhook_url}{mark}{urlencode({'attempt': str(request.attempt_id)})}"


def _page_by_our_id(sumup: Any, account: Account, request: ChargeRequest) -> Snapshot:
    found = sumup.checkouts.list(checkout_reference=str(request.attempt_id))
    pages = [_page(sumup, account, request, checkout) for checkout in found]
    paid = [page for page in pages if page.outcome is Outcome.SUCCEEDED]
    return (paid or pages or [Snapshot(Outcome.NOT_FOUND)])[0]


def _page(sumup: Any, account: Account, request: ChargeRequest, checkout: Any) -> Snapshot:
    """How a page stands. A card that failed on it leaves it open: the guest may take another one."""
    ref = f"{CHECKOUT}{checkout.id}"
    if checkout.status == "PAID":
        transaction = _transaction(sumup, account, ref)
        if transaction is None:
            raise UnknownOutcome("SumUp calls a checkout paid and names no transaction.")
        return _charge(transaction, request, ref)
    if checkout.status == "EXPIRED":
        return Snapshot(Outcome.CANCELED, provider_ref=ref, code="EXPIRED")
    if checkout.status not in ("PENDING", "FAILED"):
        raise UnknownOutcome(f"SumUp calls a checkout {checkout.status!r}.")
    return Snapshot(
        Outcome.REQUIRES_ACTION,
        provider_ref=ref,
        code="FAILED" if checkout.status == "FAILED" else "",
        next_action={"type": "open", "url": str(checkout.hosted_checkout_url or "")},
    )


def _close_page(sumup: Any, account: Account, request: ChargeRequest, seen: Snapshot) -> Snapshot:
    if not seen.provider_ref.startswith(CHECKOUT):
        return seen
    try:
        sumup.checkouts.deactivate(seen.provider_ref.removeprefix(CHECKOUT))
    except APIError as error:
        if error.status not in (404, 409):
            raise
    return _look(sumup, account, request, seen.provider_ref)


# The reader.


def _arm(sumup: Any, account: Account, request: ChargeRequest) -> Snapshot:
    seen = _look(sumup, account, request, "")
    if seen.outcome is not Outcome.NOT_FOUND:
        return seen
    given = _reader_request(account, request)
    try:
        answer = sumup.readers.create_checkout(_merchant(account), request.reader_id, **given)
    except APIError as error:
        # Busy, perhaps, with what we asked of it ourselves and had no answer to.
        if class_of(error.status, _code(error)) is Retryable:
            seen = _look(sumup, account, request, "")
            if seen.outcome is not Outcome.NOT_FOUND:
                return seen
        raise
    ref = f"{READER}{answer.data.checkout_id or ''}:{answer.data.client_transaction_id}"
    tap = {"type": "tap", "reader_id": request.reader_id}
    return Snapshot(Outcome.REQUIRES_ACTION, provider_ref=ref, next_action=tap)


def _reader_request(account: Account, request: ChargeRequest) -> dict[str, Any]:
    if not request.reader_id:
        raise InvalidRequest("A card payment at the table needs a reader.")
    key, app_id = account.secrets.get("affiliate_key"), account.secrets.get("app_id")
    if not key or not app_id:
        # Without these SumUp keeps no id of ours, and a lost answer could never be found again.
        raise Misconfigured("The account lacks its affiliate key and app id.")
    given: dict[str, Any] = {
        "total_amount": for_reader(request.amount_minor + request.tip_minor, request.currency),
        "affiliate": {"key": key, "app_id": app_id, "foreign_transaction_id": str(request.attempt_id)},
    }
    if request.description:
        given["description"] = request.description
    if request.tip_on_reader and not request.tip_minor:
        given["tip_rates"] = TIP_RATES
    if _return_url(request):
        given["return_url"] = _return_url(request)
    return given


def _armed(sumup: Any, account: Account, request: ChargeRequest, ref: str) -> Snapshot:
    """How a reader's checkout stands that has no transaction yet."""
    checkout_id = ref.removeprefix(READER).split(":")[0]
    if not checkout_id or not request.reader_id:
        return Snapshot(Outcome.NOT_FOUND)
    found = _found(lambda: sumup.readers.get_checkout(_merchant(account), request.reader_id, checkout_id))
    if found is None:
        return Snapshot(Outcome.NOT_FOUND)
    outcome = READER_CHECKOUTS.get(str(found.data.status).lower(), Outcome.PENDING)
    code = str(found.data.payment_failure_reason or found.data.status) if outcome is Outcome.DECLINED else ""
    return Snapshot(outcome, provider_ref=ref, code=code[:80])


def _release(sumup: Any, account: Account, request: ChargeRequest, ref: str) -> Snapshot:
    """Ask the reader to let go. An open attempt has its reader to itself, so nobody else's is ended.

    Raises Retryable where the reader is away with a payment that a guest may still tap.
    """
    refused: APIError | None = None
    if request.reader_id:
        try:
            _accepted(lambda: sumup.readers.terminate_checkout(_merchant(account), request.reader_id))
        except APIError as error:
            if error.status not in (400, 404, 422):
                raise
            refused = error
    seen = _look(sumup, account, request, ref)
    if seen.outcome is Outcome.REQUIRES_ACTION:
        if refused is not None:
            raise refused
        return Snapshot(Outcome.PENDING, provider_ref=seen.provider_ref)
    return seen


def _reader(sumup: Any, account: Account, reader: Any) -> Reader:
    try:
        status = sumup.readers.get_status(_merchant(account), reader.id).data.status
    except APIError as error:
        if error.status not in (400, 404, 422):
            raise
        status = "OFFLINE"
    is_online = reader.status == "paired" and status == "ONLINE"
    return Reader(str(reader.id), str(reader.name), is_online, device_type=str(reader.device.model))


# Refunds.


def _events(transaction: Any, kind: str) -> Iterator[Any]:
    return (event for event in transaction.events or () if event.type == kind and event.amount is not None)


def _refunds(transaction: Any) -> Iterator[RefundSnapshot]:
    outcomes = {"FAILED": RefundOutcome.FAILED, "PENDING": RefundOutcome.PENDING}
    for event in _events(transaction, "REFUND"):
        outcome = outcomes.get(str(event.status), RefundOutcome.SUCCEEDED)
        amount = from_float(abs(event.amount), str(transaction.currency))
        code = str(event.status) if outcome is RefundOutcome.FAILED else ""
        yield RefundSnapshot(outcome, provider_ref=str(event.id), amount_minor=amount, code=code)


def _refunded(transaction: Any) -> int:
    done = [refund for refund in _refunds(transaction) if refund.outcome is RefundOutcome.SUCCEEDED]
    return sum(refund.amount_minor for refund in done)


def _disputes(transaction: Any, currency: str) -> Iterator[DisputeSnapshot]:
    """SumUp says nothing of a dispute before the money is gone."""
    for event in _events(transaction, "CHARGE_BACK"):
        amount = from_float(abs(event.amount), currency)
        yield DisputeSnapshot(
            provider_ref=f"chargeback:{event.id}", amount_minor=amount, status="lost", taken_minor=amount
        )


def _own_refund(transaction: Any, request: RefundRequest) -> RefundSnapshot | None:
    """The refund that a request has led to, as far as can be told.

    SumUp keeps no id of ours. Where the request says which refunds are known to be others'
    (`known_refs`), the oldest of the rest that has its amount is as good as its own. Where it does not,
    any of its amount is taken to be it: rather one too few than one too many.
    """
    others = getattr(request, "known_refs", ())
    found = [
        refund
        for refund in _refunds(transaction)
        if refund.amount_minor == request.amount_minor
        and refund.provider_ref not in others
        and refund.outcome is not RefundOutcome.FAILED
    ]
    return found[0] if found else None


def _send_refund(sumup: Any, account: Account, transaction_id: str, request: RefundRequest) -> None:
    amount = to_float(request.amount_minor, request.currency)
    try:
        _accepted(lambda: sumup.transactions.refund(_merchant(account), transaction_id, amount=amount))
    except APIError as error:
        if error.status in (409, 422):
            code = _code(error) or f"HTTP_{error.status}"
            raise Declined(error.message[:300], code=code, status=error.status) from error
        raise


def _after_refund(sumup: Any, account: Account, request: RefundRequest) -> RefundSnapshot:
    """What became of a refund that SumUp accepted. Not to see it now does not undo that."""
    pending = RefundSnapshot(RefundOutcome.PENDING, amount_minor=request.amount_minor)
    try:
        transaction = _transaction(sumup, account, request.payment_ref)
        return (_own_refund(transaction, request) if transaction else None) or pending
    except (APIError, ProviderError, ValueError):
        return pending


# Listing.


def _history(
    sumup: Any, account: Account, since: datetime.datetime, until: datetime.datetime
) -> Iterator[Any]:
    """All entries of the time, oldest first. Raises UnknownOutcome where the list does not end."""
    more: dict[str, Any] = {}
    for _ in range(PAGES):
        answer = sumup.transactions.list(
            _merchant(account),
            order="ascending",
            limit=PAGE,
            oldest_time=since,
            newest_time=until,
            **more,
        )
        yield from answer.items or ()
        onward = [link.href for link in answer.links or () if link.rel == "next"]
        if not onward:
            return
        asked = parse_qs(onward[0].lstrip("?"))
        more = {name: asked[name][0] for name in ("oldest_ref", "newest_ref") if name in asked}
        if not more:
            raise UnknownOutcome("SumUp's list goes on, and does not say where.")
    raise UnknownOutcome(f"SumUp's list goes on after {PAGES} pages.")


def _row(item: Any) -> ProviderTransaction:
    code = str(item.transaction_code or "")
    is_refund = item.type == "REFUND"
    return ProviderTransaction(
        provider_ref=str(item.id) if is_refund else code,
        kind="refund" if is_refund else "charge",
        amount_minor=from_float(abs(item.amount), str(item.currency)),
        currency=str(item.currency),
        status=LISTED.get(str(item.status), "pending"),
        created_at=item.timestamp,
        payment_ref=code if is_refund else "",
        description=str(item.product_summary or ""),
    )


def _payout(reference: str, records: list[Any]) -> ProviderPayout:
    lines = tuple(_payout_line(record) for record in records)
    day = records[0].date
    return ProviderPayout(
        provider_ref=reference,
        amount_minor=sum(line.amount_minor - line.fee_minor for line in lines),
        currency=str(records[0].currency),
        status="failed" if any(record.status == "FAILED" for record in records) else "paid",
        created_at=datetime.datetime.combine(day, datetime.time(), datetime.UTC),
        arrives_on=day,
        lines=lines,
    )


def _payout_line(record: Any) -> ProviderPayoutLine:
    """SumUp's amount is what is paid, its fee already off; deductions are negative here, however signed."""
    currency = str(record.currency)
    net = from_float(record.amount, currency)
    fee = from_float(record.fee, currency)
    if str(record.type).endswith("_DEDUCTION"):
        net = -abs(net)
    kind = PAYOUT_LINES.get(str(record.type), str(record.type).lower())
    return ProviderPayoutLine(str(record.transaction_code), kind, net + fee, fee)


# Webhooks.


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise BadSignature("Not an event of SumUp's.") from error
    if not isinstance(body, dict):
        raise BadSignature("Not an event of SumUp's.")
    return body


def _verify(account: Account, given: str, raw: bytes, now: datetime.datetime) -> None:
    parts = SIGNATURE.fullmatch(given.strip())
    if parts is None or not any(_signs(s, parts, raw) for s in account.secrets.get("webhook_secrets", ())):
        raise BadSignature("SumUp did not sign this.")
    if abs(now.timestamp() - int(parts[1])) > TOLERANCE_SECONDS:
        raise StaleWebhook("SumUp signed this at another time.")


def _signs(secret: str, parts: re.Match[str], raw: bytes) -> bool:
    digest = hmac.new(secret.encode(), b"v1:" + parts[1].encode() + b":" + raw, hashlib.sha256)
    return hmac.compare_digest(digest.hexdigest(), parts[2].lower())


def _signed(body: dict[str, Any]) -> VerifiedEvent:
    about = body.get("object")
    if not isinstance(about, dict) or not all(isinstance(body.get(name), str) for name in ("id", "type")):
        raise BadSignature("Signed, but not an event of SumUp's.")
    object_id = str(about.get("id", ""))
    ref = f"{CHECKOUT}{object_id}" if about.get("type") == "checkout" else object_id
    return VerifiedEvent(body["id"], body["type"], ref, livemode=None)


def _callback(body: dict[str, Any], url: str, now: datetime.datetime) -> VerifiedEvent:
    """What an unsigned callback is about. Its id comes from its content, and never is a signed event's.

    A page's callback says the same for each change: what comes a while later is another event.
    """
    payload = body.get("payload") if isinstance(body.get("payload"), dict) else {}
    kind, ref, status = _subject(str(body.get("event_type", "")), body, payload or {})
    period = int(now.timestamp()) // SAME_NOTICE_SECONDS
    digest = hashlib.sha256(json.dumps([kind, ref, status, period]).encode()).hexdigest()
    asked = parse_qs(urlsplit(url).query).get("attempt", [""])[0]
    attempt_id: UUID | None = wire.as_uuid(asked)
    return VerifiedEvent(f"unsigned:{digest[:40]}", kind, ref, livemode=None, attempt_id=attempt_id)


def _subject(kind: str, body: dict[str, Any], payload: dict[str, Any]) -> tuple[str, str, str]:
    """The kind, the object and the claimed status of a callback of a known shape."""
    status = str(payload.get("status", ""))
    if kind == "CHECKOUT_STATUS_CHANGED" and wire.as_uuid(body.get("id")):
        return "checkout.status_changed", f"{CHECKOUT}{body['id']}", ""
    if kind == "checkout.status.updated" and wire.as_uuid(payload.get("checkout_id")):
        return kind, f"{CHECKOUT}{payload['checkout_id']}", status
    if kind == "solo.transaction.updated" and wire.as_uuid(payload.get("client_transaction_id")):
        return kind, f"{CLIENT}{payload['client_transaction_id']}", status
    raise BadSignature("Not a callback of SumUp's.")
