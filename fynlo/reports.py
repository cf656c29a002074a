"""What Sentry is told: errors that were logged, with the release and the ids, and nothing personal."""

import logging
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.logging import LoggingIntegration

from fynlo.env import Env
from fynlo.logs import context, redact

# What could hold a person, a token or a body. We send none of it; what comes later to the library neither.
DROPPED = ("user", "request", "extra", "breadcrumbs", "modules", "server_name")


def report_errors(env: Env) -> None:
    """Nothing but the logging integration: Django's costs thousands of calls a request."""
    sentry_sdk.init(
        dsn=env.sentry_dsn,
        release=env.git_sha or env.version,
        environment=env.environment,
        default_integrations=False,
        integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)],
        send_default_pii=False,
        include_local_variables=False,  # an order's customer, a till's token
        max_request_body_size="never",
        before_send=scrub,  # type: ignore[arg-type]
    )


def scrub(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    """The event with our ids as tags, and without what nobody may read."""
    tags = {name: str(value) for name, value in context(hint.get("log_record")).items() if value}
    kept = {name: value for name, value in event.items() if name not in DROPPED}
    return {**_redacted(kept), "tags": {**kept.get("tags", {}), **tags}}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in value]
    return value
