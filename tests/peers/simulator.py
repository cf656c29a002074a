"""A stateful stand-in for a vendor, held to the vendor's own OpenAPI document on both sides.

Our request is checked first, unknown fields included: what the vendor would refuse is refused here and
remembered in `violations`. Then a handler moves the state, and its own answer is checked as well, so
that a simulator cannot drift into fiction. A test ends with `assert simulator.violations == []`.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.peers.loopback import LoopbackServer, Received, Sent
from tests.peers.openapi import JSON, Document, Operation

Answer = tuple[int, Any]
Handler = Callable[..., Answer]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Call:
    """One request that a handler sees: already checked, its body parsed."""

    method: str
    path: str
    template: str
    arguments: dict[str, str]
    query: dict[str, str]
    pairs: list[tuple[str, str]]  # the query as it was sent
    many: dict[str, list[str]]  # its repeated parameters
    body: Any
    headers: dict[str, str] = field(repr=False)

    @property
    def token(self) -> str:
        """The bearer token: which of the vendor's accounts is meant."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Violation:
    """A request or an answer that the vendor's document does not allow."""

    operation: str
    side: str  # "request" is our bug, "response" the simulator's
    errors: tuple[str, ...]


def handles(method: str, template: str) -> Callable[[F], F]:
    """Mark a method as what answers an operation of the document."""

    def mark(handler: F) -> F:
        handler.operation = (method, template)  # type: ignore[attr-defined]
        return handler

    return mark


class Refusal(Exception):
    """Raised by a handler to answer with the vendor's own error."""

    def __init__(self, status: int, body: Any) -> None:
        self.answer: Answer = (status, body)
        super().__init__(status, body)


class Simulator(LoopbackServer):
    """The generic part. A vendor adds state, handlers and the shape of its errors."""

    # Answers that a vendor was seen to give although its document has none: (operation, status).
    undocumented: frozenset[tuple[str, int]] = frozenset()

    def __init__(self, document: Document) -> None:
        self.document = document
        self.lock = threading.RLock()
        self.violations: list[Violation] = []
        self.calls: list[Call] = []
        self._handlers = dict(marked(self))
        self.reset()
        super().__init__()

    def reset(self) -> None:
        """Forget everything: state, calls and violations."""
        with self.lock:
            self.violations.clear()
            self.calls.clear()
            self.forget()

    def forget(self) -> None:
        """Empty the vendor's state."""
        raise NotImplementedError

    def malformed(self, detail: str) -> Any:
        """The vendor's body of a 400."""
        raise NotImplementedError

    def admit(self, call: Call) -> None:
        """Raise Refusal where the caller has no right: by default any key will do."""

    def called(self, method: str, template: str) -> list[Call]:
        """The calls of one operation, oldest first."""
        return [call for call in list(self.calls) if (call.method, call.template) == (method, template)]

    def respond(self, request: Received) -> Sent:
        found = self.document.find(request.method, request.path)
        if found is None:
            self._note(f"{request.method} {request.path}", "request", ["no such operation"])
            return Sent.of_json(404, self.malformed("no such operation in the vendor's document"))
        operation, arguments = found
        body, errors = _parsed(request)
        errors = errors or [*operation.query_errors(request.query), *operation.body_errors(body)]
        if errors:
            self._note(operation.name, "request", errors)
            return Sent.of_json(400, self.malformed(errors[0]))
        status, answer = self._handle(operation, _call(request, operation, arguments, body))
        # An answer is encoded before it is judged: what the client will read, not what we hold.
        sent = Sent.of_json(status, answer, content_type=operation.media_type(status))
        if (operation.name, status) not in self.undocumented:
            errors = operation.response_errors(status, sent.json(), closed=True)
            self._note(operation.name, "response", errors)
        return sent

    def _handle(self, operation: Operation, call: Call) -> Answer:
        handler = self._handlers.get((operation.method, operation.template))
        if handler is None:
            self._note(operation.name, "request", ["the simulator does not know this operation"])
            return 501, self.malformed("not simulated")
        with self.lock:
            self.calls.append(call)
            try:
                self.admit(call)
                status, answer = handler(call)
            except Refusal as refusal:
                status, answer = refusal.answer
            return status, json.loads(json.dumps(answer))

    def _note(self, operation: str, side: str, errors: Sequence[str]) -> None:
        if errors:
            with self.lock:
                self.violations.append(Violation(operation, side, tuple(errors)))


def marked(simulator: object) -> Iterable[tuple[tuple[str, str], Callable[..., Any]]]:
    """The methods that handle an operation."""
    for name in dir(type(simulator)):
        operation = getattr(getattr(type(simulator), name), "operation", None)
        if operation is not None:
            yield operation, getattr(simulator, name)


def _parsed(request: Received) -> tuple[Any, list[str]]:
    if not request.raw:
        return None, []
    if not request.headers.get("content-type", "").startswith(JSON):
        return None, [f"the body is not {JSON}"]
    try:
        return json.loads(request.raw), []
    except ValueError as error:
        return None, [f"the body is not JSON: {error}"]


def _call(request: Received, operation: Operation, arguments: dict[str, str], body: Any) -> Call:
    many: dict[str, list[str]] = {}
    for name, value in request.query:
        many.setdefault(name.removesuffix("[]"), []).append(value)
    return Call(
        request.method,
        request.path,
        operation.template,
        arguments,
        {name: values[-1] for name, values in many.items()},
        request.query,
        many,
        {} if body is None else body,
        dict(request.headers),
    )
