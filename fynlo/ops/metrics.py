"""What a process tells Prometheus, on an internal port of its own. No restaurant in any label.

Several workers of one server (granian) share a directory, PROMETHEUS_MULTIPROC_DIR, and a port: whichever
of them is asked answers with the sums of all.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from http.server import ThreadingHTTPServer
from pathlib import Path

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from prometheus_client import REGISTRY, CollectorRegistry, Gauge, MetricsHandler
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

logger = logging.getLogger(__name__)

SAMPLE_SECONDS = 2.0

REQUESTS_IN_FLIGHT = Gauge(
    "fynlo_requests_in_flight", "Requests being answered just now.", multiprocess_mode="livesum"
)
BUILD = Gauge(
    "fynlo_build_info", "1, for what runs.", ["version", "git_sha", "colour"], multiprocess_mode="livemax"
)
POOL_MAX = Gauge("fynlo_db_pool_max", "Connections there may be.", ["database"], multiprocess_mode="livesum")
POOL_SIZE = Gauge("fynlo_db_pool_size", "Connections there are.", ["database"], multiprocess_mode="livesum")
POOL_IDLE = Gauge(
    "fynlo_db_pool_idle", "Connections nobody uses just now.", ["database"], multiprocess_mode="livesum"
)
POOL_WAITING = Gauge(
    "fynlo_db_pool_waiting", "Requests that wait for one.", ["database"], multiprocess_mode="livesum"
)


class InFlightMiddleware:
    """Counts the requests being answered, for dashboards and for draining before a stop."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with REQUESTS_IN_FLIGHT.track_inprogress():
            return self.get_response(request)


def serve_metrics() -> None:
    """Answer on METRICS_PORT from now on, in threads of this process. Called by servers, not by commands."""
    if not settings.METRICS_PORT:
        return
    BUILD.labels(settings.VERSION, settings.GIT_SHA, settings.COLOUR).set(1)
    handler = MetricsHandler.factory(_registry())
    try:
        server = _Server((settings.METRICS_ADDRESS, settings.METRICS_PORT), handler)
    except OSError as error:
        logger.error("No metrics of this process: port %s: %s", settings.METRICS_PORT, error.strerror)
        return
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    threading.Thread(target=_sample, name="metrics-sample", daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Linux gives each question to one of the workers that listen. Without workers a second process on
    # the port is a mistake, and must fail.
    allow_reuse_port = "PROMETHEUS_MULTIPROC_DIR" in os.environ


class _Workers(MultiProcessCollector):
    """The sums of all workers. Counters of those that ended stay counted; their gauges go."""

    def collect(self) -> Iterable[Metric]:
        for pid in {int(path.stem.rpartition("_")[2]) for path in Path(self._path).glob("gauge_live*.db")}:
            if not Path(f"/proc/{pid}").exists():
                with contextlib.suppress(FileNotFoundError):  # another worker was quicker
                    mark_process_dead(pid, self._path)
        metrics: Iterable[Metric] = super().collect()
        return metrics


def _registry() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    _Workers(registry)
    return registry


def _sample() -> None:
    pause = threading.Event()
    while True:
        for alias in connections:
            pool = connections[alias].pool  # type: ignore[attr-defined]
            if pool is not None:
                _show_pool(alias, pool.get_stats())
        pause.wait(SAMPLE_SECONDS)


def _show_pool(alias: str, stats: dict[str, int]) -> None:
    POOL_MAX.labels(alias).set(stats["pool_max"])
    POOL_SIZE.labels(alias).set(stats["pool_size"])
    POOL_IDLE.labels(alias).set(stats["pool_available"])
    POOL_WAITING.labels(alias).set(stats["requests_waiting"])
