"""What we promise, as Prometheus measured it."""

import math

import httpx

# The same series as the burn-rate alerts use (deploy/monitoring/rules/slo.yml).
OF_PEOPLE = 'job="fynlo-web",view!~"fynlo[.]ops[.]health[.].*"'
RESPONSES = "django_http_responses_total_by_status_view_method_total"
LATENCY = "django_http_requests_latency_seconds_by_view_method_bucket"
ERROR_RATIO = (
    f'(sum(increase({RESPONSES}{{{{{OF_PEOPLE},status=~"5.."}}}}[{{window}}])) or vector(0))'
    f" / sum(increase({RESPONSES}{{{{{OF_PEOPLE}}}}}[{{window}}]))"
)
P95 = f"histogram_quantile(0.95, sum by (le) (rate({LATENCY}{{{{{OF_PEOPLE}}}}}[{{window}}])))"
REQUESTS = f"sum(increase({RESPONSES}{{{{{OF_PEOPLE}}}}}[{{window}}]))"

AVAILABLE = 0.999
FAST = 0.5  # seconds


class NoAnswer(Exception):
    """Prometheus does not answer, or not as Prometheus does."""


def ask(prometheus: str, query: str) -> float | None:
    """One number, or None where there is no data. Raises NoAnswer."""
    try:
        answer = httpx.get(f"{prometheus.rstrip('/')}/api/v1/query", params={"query": query}, timeout=30)
        document = answer.json()
        if document["status"] != "success":
            raise NoAnswer(f"Prometheus refuses: {document.get('error', answer.status_code)}")
        result = document["data"]["result"]
    except httpx.HTTPError as error:
        raise NoAnswer(f"Prometheus does not answer: {error or type(error).__name__}") from None
    except (ValueError, KeyError, TypeError):
        raise NoAnswer(f"{prometheus} is not Prometheus") from None
    if not result:
        return None
    value = float(result[0]["value"][1])
    return None if math.isnan(value) else value
