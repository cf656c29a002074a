"""What every request to a provider goes through."""

from typing import Any

from django.db import connection

from .errors import CallInsideTransaction

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0
IN_FLIGHT_SECONDS = 50  # two calls at their longest: after that no answer is on its way any more


def refuse_inside_transaction(*args: Any, **kwargs: Any) -> None:
    """Raise CallInsideTransaction where a transaction is open: it would hold its locks for 20 seconds.

    Takes whatever a library's request hook is given. What is recorded before the call has to be
    committed before it, or a crash forgets money that moved.
    """
    if connection.in_atomic_block:
        raise CallInsideTransaction("A provider is called inside a transaction: commit first.")
