"""Figures for the watchers come from a port of their own, on loopback, and never from the public one."""

import urllib.error
import urllib.request

import pytest

from tests.processes import free_port, wait_until_ready, web_server


def test_metrics_are_on_the_internal_port_only(test_database):
    port = free_port()
    with web_server(test_database, METRICS_PORT=str(port)) as public:
        urllib.request.urlopen(f"{public}/version").read()
        wait_until_ready(f"http://127.0.0.1:{port}/metrics")
        figures = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"{public}/metrics")
    assert 'django_http_requests_total_by_method_total{method="GET"}' in figures
    assert refusal.value.code == 404
