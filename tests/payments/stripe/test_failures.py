"""How each failure of the network and each refusal of Stripe's is understood."""

import re
import socket
from collections.abc import Callable, Iterator

import pytest
import stripe
from django.db import transaction

from payments.providers.base import Account, Outcome
from payments.providers.errors import (
    CallInsideTransaction,
    Declined,
    InvalidRequest,
    Misconfigured,
    NotSent,
    ProviderError,
    Retryable,
    UnknownOutcome,
)
from payments.providers.stripe import StripeProvider
from payments.providers.stripe_codes import CLASS_OF_CODE, CODE_CLASSES, DECLINE_IS_SOFT, translate
from tests.payments.stripe.till import Till, charge, own_account, refund_of
from tests.peers.faults import FaultyProxy
from tests.peers.loopback import LoopbackServer, Received, Sent
from tests.processes import free_port

Proxy = Callable[..., FaultyProxy]
DECLINES_DOCUMENTED = 50


@pytest.mark.parametrize(
    ("fault", "expected", "happened"),
    [
        ("drop_before", UnknownOutcome, False),
        ("drop_after", UnknownOutcome, True),
        ("500_before", UnknownOutcome, False),
        ("500_after", UnknownOutcome, True),
        ("garbage_after", UnknownOutcome, True),
        ("429", Retryable, False),
    ],
)
def test_a_fault_and_what_became_of_the_money(
    till: Till, faulty: Proxy, fault: str, expected: type[ProviderError], happened: bool
) -> None:
    proxy = faulty(till.world.url)
    through = till.at(proxy.url)
    request = charge()
    ref = through.prepare(request)
    proxy.next(fault, path="*/confirm")
    with pytest.raises(expected) as failure:
        through.execute(ref, request)
    assert type(failure.value) is expected
    assert (through.fetch(request, ref).outcome == Outcome.SUCCEEDED) is happened
    assert through.execute(ref, request).outcome == Outcome.SUCCEEDED  # the same key: at most once
    assert till.world.taken() == 1000
    assert proxy.faults.pending == 0


def test_an_answer_that_does_not_come_is_unknown(
    till: Till, faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.providers.transport.ANSWER_SECONDS", 0.5)
    proxy = faulty(till.world.url)
    through = till.at(proxy.url)
    request = charge()
    ref = till.prepare(request)
    proxy.faults.slow_seconds = 60
    proxy.next("slow_after", path="*/confirm")
    with pytest.raises(UnknownOutcome) as late:
        through.execute(ref, request)
    assert late.value.code == "timeout"
    assert till.fetch(request, ref).outcome == Outcome.SUCCEEDED


@pytest.mark.parametrize("fault", ["drop_after", "500_after", "garbage_after"])
def test_what_was_made_is_found_though_its_answer_was_lost(till: Till, faulty: Proxy, fault: str) -> None:
    proxy = faulty(till.world.url)
    through = till.at(proxy.url)
    request = charge()
    proxy.next(fault)
    with pytest.raises(UnknownOutcome):
        through.prepare(request)
    found = through.fetch(request)
    assert found.outcome == Outcome.PAYABLE
    assert through.prepare(request) == found.provider_ref


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "500_after", "429", "dup"])
def test_a_refund_is_given_once(till: Till, faulty: Proxy, fault: str) -> None:
    request = charge()
    asked = refund_of(request, till.pay(request).provider_ref, 400)
    proxy = faulty(till.world.url)
    through = till.at(proxy.url)
    proxy.next(fault, method="POST")
    try:
        through.refund(asked)
    except (UnknownOutcome, Retryable):
        assert fault != "dup"
    assert through.refund(asked).amount_minor == 400
    assert through.stripe.fetch_refund(through.account, asked).amount_minor == 400
    assert till.world.taken() == 600


def test_a_failed_question_leaves_the_answer_open(till: Till, faulty: Proxy) -> None:
    proxy = faulty(till.world.url)
    through = till.at(proxy.url)
    request = charge()
    ref = till.pay(request).provider_ref
    proxy.next("500_before", "drop_before", method="GET")
    for _ in range(2):
        with pytest.raises(UnknownOutcome):
            through.fetch(request, ref)


def test_nobody_there_is_certain() -> None:
    refused = own_account(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotSent):
        StripeProvider().check(refused)


def test_a_name_nobody_knows_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    nowhere = own_account("http://stripe.invalid")
    with pytest.raises(NotSent):
        StripeProvider().check(nowhere)


class Answering(LoopbackServer):
    """Answers everything alike."""

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.received: list[Received] = []
        super().__init__()

    def respond(self, request: Received) -> Sent:
        self.received.append(request)
        return self.sent


@pytest.fixture
def answering() -> Iterator[Callable[[Sent], Account]]:
    servers: list[Answering] = []

    def answer(sent: Sent) -> Account:
        servers.append(Answering(sent))
        return own_account(servers[-1].url)

    yield answer
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"type": "idempotency_error"}, UnknownOutcome),
        (400, {"type": "invalid_request_error"}, InvalidRequest),
        (400, {"type": "invalid_request_error", "code": "made_up_tomorrow"}, InvalidRequest),
        (400, {"type": "invalid_request_error", "code": "lock_timeout"}, Retryable),
        (400, {"type": "invalid_request_error", "code": "rate_limit"}, Retryable),
        (400, {"type": "invalid_request_error", "code": "terminal_reader_timeout"}, UnknownOutcome),
        (400, {"type": "invalid_request_error", "code": "charge_disputed"}, Declined),
        (400, {"type": "invalid_request_error", "code": "testmode_charges_only"}, Misconfigured),
        (401, {"type": "invalid_request_error"}, Misconfigured),
        (402, {"type": "card_error", "code": "made_up_tomorrow"}, Declined),
        (403, {"type": "invalid_request_error"}, Misconfigured),
        (404, {"type": "invalid_request_error", "code": "resource_missing"}, InvalidRequest),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, UnknownOutcome),
        (409, {"type": "invalid_request_error", "code": "lock_timeout"}, Retryable),
        (424, {"type": "api_error"}, UnknownOutcome),
        (429, {"type": "invalid_request_error", "code": "lock_timeout"}, Retryable),
        (500, {"type": "api_error", "code": "card_declined"}, UnknownOutcome),
        (503, {"type": "api_error"}, UnknownOutcome),
    ],
)
def test_an_answer_of_stripes(
    answering: Callable[[Sent], Account], status: int, error: dict[str, str], expected: type[ProviderError]
) -> None:
    headers = {"request_id": "req_1", "retry_after": "7"}
    account = answering(Sent.of_json(status, {"error": {"message": "No.", **error}}, **headers))
    with pytest.raises(ProviderError) as failure:
        StripeProvider().check(account)
    assert type(failure.value) is expected
    assert (failure.value.status, failure.value.code) == (status, error.get("code", ""))
    assert (failure.value.request_id, str(failure.value)) == ("req_1", "No.")
    if isinstance(failure.value, Retryable):
        assert failure.value.retry_after == 7.0


@pytest.mark.parametrize(
    "sent",
    [
        Sent(200, b"<html>"),
        Sent(200, b""),
        Sent(200, b"[]"),
        Sent(400, b"<html>"),
        Sent(402, b"{}"),
        Sent(404, b"nginx"),
        Sent(502, b"Bad gateway"),
    ],
)
def test_an_answer_nobody_can_read_is_unknown(answering: Callable[[Sent], Account], sent: Sent) -> None:
    account = answering(sent)
    with pytest.raises(UnknownOutcome):
        StripeProvider().check(account)


def test_a_state_that_is_new_to_us_is_unknown(answering: Callable[[Sent], Account]) -> None:
    intent = {"object": "payment_intent", "id": "pi_1", "status": "pondering", "latest_charge": None}
    account = answering(Sent.of_json(200, intent))
    with pytest.raises(UnknownOutcome):
        StripeProvider().fetch(account, charge(), "pi_1")


def test_every_decline_that_stripe_documents_is_one() -> None:
    assert len(DECLINE_IS_SOFT) == DECLINES_DOCUMENTED
    for code, is_soft in DECLINE_IS_SOFT.items():
        body = {"error": {"type": "card_error", "code": "card_declined", "decline_code": code}}
        error = stripe.CardError("No.", None, "card_declined", "{}", 402, body, {})
        declined = translate(error)
        assert isinstance(declined, Declined)
        assert (declined.code, declined.is_soft) == (code, is_soft)


def test_every_code_that_stripes_library_knows_has_one_class() -> None:
    hint = stripe.PaymentIntent.LastPaymentError.__annotations__["code"]
    known = set(re.findall(r"'(\w+)'", str(hint)))
    assert known == set(CLASS_OF_CODE)
    assert sum(map(len, CODE_CLASSES.values())) == len(CLASS_OF_CODE)


@pytest.mark.usefixtures("in_restaurant")
def test_nothing_is_sent_inside_a_transaction(till: Till) -> None:
    request = charge()
    asks: list[Callable[[], object]] = [
        lambda: till.prepare(request),
        lambda: till.execute("pi_1", request),
        lambda: till.fetch(request),
        lambda: till.capture("pi_1", request, 1000),
        lambda: till.cancel(request, "pi_1"),
        lambda: till.refund(refund_of(request, "pi_1", 100)),
        lambda: till.stripe.check(till.account),
        lambda: till.stripe.list_readers(till.account),
    ]
    for ask in asks:
        with pytest.raises(CallInsideTransaction):
            ask()
    assert till.world.calls == []


def test_after_the_transaction_it_is(till: Till) -> None:
    with transaction.atomic(), pytest.raises(CallInsideTransaction):
        till.stripe.check(till.account)
    till.stripe.check(till.account)
    assert len(till.world.calls) == 1
