"""What Prometheus is told about money. No restaurant in any label: that is for logs and rows."""

from functools import partial

import prometheus_client
from prometheus_client import Counter, Histogram

# Every worker of a process sees the same rows: the newest look counts.
Gauge = partial(prometheus_client.Gauge, multiprocess_mode="mostrecent")

ATTEMPTS = Counter("payment_attempts", "Attempts begun.", ["provider", "method", "mode"])
SUCCESSES = Counter("payment_success", "Attempts that took money.", ["provider", "method"])
FAILURES = Counter("payment_failures", "Attempts that took none.", ["provider", "method", "class", "code"])
REQUESTS = Histogram(
    "payment_provider_request_seconds",
    "How long a provider took to answer.",
    ["provider", "operation", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30),
)
UNKNOWN_RESOLVED = Counter(
    "payment_unknown_resolved", "Unknown outcomes that became known.", ["provider", "as"]
)
CIRCUIT_STATE = Gauge("payment_circuit_state", "0 closed, 1 open, 2 half open.", ["provider"])
OVERPAID = Counter("payment_overpaid", "Payments that took more than was due.", ["provider"])
INVARIANT_VIOLATIONS = Counter("payment_invariant_violations", "Rows that break an invariant.", ["check"])
REFUNDS = Counter("refund", "Refunds by how they ended.", ["provider", "state"])
WEBHOOKS = Counter("webhook_received", "Webhooks by what became of them.", ["provider", "result"])
ISSUES = Counter("reconciliation_issues", "What somebody has to look at.", ["provider", "kind"])

# Read from the rows by the worker every few seconds (payments/tasks.py).
OPEN = Gauge("payment_open", "Attempts without an end yet.", ["provider", "state"])
OLDEST_OPEN = Gauge("payment_oldest_open_seconds", "Age of the oldest of them.", ["provider", "state"])
OLDEST_REFUND = Gauge("refund_oldest_open_seconds", "Age of the oldest refund on its way.", ["provider"])
DISPUTE_DUE = Gauge("dispute_due_seconds", "What is left to answer the next dispute.", ["provider"])
RESERVED = Gauge("payment_reserved_minor", "Set aside on open orders, over all currencies.")
WEBHOOK_BACKLOG = Gauge("webhook_backlog", "Webhooks not worked off yet.")
WEBHOOK_OLDEST = Gauge("webhook_oldest_seconds", "Age of the oldest of them.")
WEBHOOK_DEAD = Gauge("webhook_dead", "Webhooks that were given up.")
LEDGER_IMBALANCE = Gauge("ledger_imbalance_minor", "What the books do not sum to zero by.")
TERMINALS_ONLINE = Gauge("terminal_online", "Card readers that answer.", ["provider"])
CASH_VARIANCE = Counter("cash_variance_minor", "Cash missing or too much at counts, without its sign.")

# From 0, so that the very first one is an increase: these wake somebody. A breaker begins closed.
for _provider in ("cash", "external", "stripe", "square", "sumup"):
    OVERPAID.labels(_provider)
for _provider in ("stripe", "square", "sumup"):
    CIRCUIT_STATE.labels(_provider).set(0)
    for _result in ("ok", "duplicate", "ignored", "bad_signature", "stale", "unknown_account", "too_large"):
        WEBHOOKS.labels(_provider, _result)
for _number in range(1, 11):
    INVARIANT_VIOLATIONS.labels(f"I{_number}")
