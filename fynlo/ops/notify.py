"""Telling people of deployments: a Slack channel, and a component of a Statuspage page."""

from typing import Any

import httpx
from django.conf import settings

from .command import Exit, OpsError

EVENTS = {
    "deploy-started": ":hourglass: {app} {version} is being deployed to {environment}.",
    "deploy-done": ":white_check_mark: {app} {version} serves {environment}.",
    "deploy-failed": ":x: {app} {version} did not make it to {environment}; what served before still serves.",
    "rollback-done": ":leftwards_arrow_with_hook: {environment} is back on {app} {version}.",
    "backup-failed": ":x: A backup of {app} in {environment} failed.",
    "restore-done": ":warning: {app} in {environment} was restored from a backup.",
    "maintenance": ":construction: {app} in {environment}: maintenance.",
}
STATUSES = ("operational", "under_maintenance", "degraded_performance", "partial_outage", "major_outage")
TIMEOUT = 10.0


def message(event: str, version: str, text: str) -> str:
    told = EVENTS[event].format(
        app=settings.APP_NAME, version=version or "(version not told)", environment=settings.ENV.environment
    )
    return f"{told} {text}".strip()


def tell_slack(text: str) -> None:
    """Post to the incoming webhook. Raises OpsError; never names the URL, which is a secret."""
    url = settings.ENV.notify.slack_webhook
    if not url:
        raise OpsError(Exit.USAGE, "SLACK_WEBHOOK is not set: nobody was told.")
    answer = _send("POST", "Slack", url, json={"text": text})
    if answer.status_code != 200 or answer.text.strip() != "ok":
        raise OpsError(
            Exit.CHECK_FAILED, f"Slack refused it: {answer.status_code} {answer.text.strip()[:100]}"
        )


def set_component_status(status: str) -> None:
    """A component's state, not an incident: a deployment is none."""
    notify = settings.ENV.notify
    names = {
        "STATUSPAGE_ID": notify.statuspage_id,
        "STATUSPAGE_TOKEN": notify.statuspage_token,
        "API_COMPONENT_ID": notify.statuspage_component,
    }
    if missing := [name for name, value in names.items() if not value]:
        raise OpsError(Exit.USAGE, f"{', '.join(missing)} not set: the status page stays as it is.")
    answer = _send(
        "PATCH",
        "Statuspage",
        f"{notify.statuspage_base}/pages/{notify.statuspage_id}/components/{notify.statuspage_component}",
        json={"component": {"status": status}},
        headers={"Authorization": f"OAuth {notify.statuspage_token}"},
    )
    if answer.status_code != 200:
        raise OpsError(
            Exit.CHECK_FAILED, f"Statuspage refused it: {answer.status_code} {answer.text.strip()[:100]}"
        )


def _send(method: str, name: str, url: str, **options: Any) -> httpx.Response:
    try:
        return httpx.request(method, url, timeout=TIMEOUT, **options)
    except httpx.HTTPError as error:
        raise OpsError(Exit.UNREACHABLE, f"{name} does not answer: {type(error).__name__}.") from None
