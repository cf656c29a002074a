"""The configuration of what watches. Prometheus and Alertmanager check their own.

Loki, Alloy and Grafana are not in Debian: of theirs only the structure is looked at, and no process has
read them here.
"""

import json
import re

import pytest
import yaml

from fynlo.logs import JsonFormatter
from tests.databases import ROOT
from tests.ops.watch.programs import MONITORING, program, run

DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
# Of Grafana: https://grafana.com/docs/grafana/latest/ says what a unit is called.
UNITS = {"none", "s", "d", "bytes", "Bps", "percentunit", "reqps", "ops", "opm"}


def test_prometheus_accepts_its_configuration():
    run(program("promtool"), "check", "config", MONITORING / "prometheus.yml")


def test_alertmanager_accepts_its_configuration():
    run(program("amtool"), "check-config", MONITORING / "alertmanager.yml")


@pytest.mark.parametrize(
    ("alert", "severity", "receiver"),
    [("APIDown", "page", "pages"), ("DiskFillingUp", "ticket", "tickets"), ("Watchdog", "none", "watchdog")],
)
def test_alerts_go_where_they_should(alert, severity, receiver):
    labels = (f"alertname={alert}", f"severity={severity}")
    config = f"--config.file={MONITORING / 'alertmanager.yml'}"
    assert run(program("amtool"), "config", "routes", "test", config, *labels).strip() == receiver


def test_the_secret_of_slack_is_a_file():
    config = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    assert config["global"]["slack_api_url_file"] == "/run/secrets/SLACK_WEBHOOK"
    assert "hooks.slack.com" not in json.dumps(config)


def test_the_blackbox_exporter_accepts_its_configuration():
    config = f"--config.file={MONITORING / 'blackbox.yml'}"
    run(program("prometheus-blackbox-exporter"), config, "--config.check")


def test_both_colours_and_every_process_are_asked():
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    asked = {target for job in jobs for group in job.get("static_configs", []) for target in group["targets"]}
    assert asked == {
        *("web-blue:9100", "web-green:9100", "ws-blue:9100", "ws-green:9100", "platform:9100"),
        *("worker:9100", "beat:9100", "backup:9100", "postgres-exporter:9187", "node-exporter:9100"),
        *("redis://redis:6379", "redis://redis-cache:6379", "nginx-exporter:9113", "localhost:9090"),
        *("alertmanager:9093", "loki:3100"),
    }


# Structure only, from here on.


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_in_the_form_that_provisioning_reads(path):
    board = json.loads(path.read_text())
    assert "dashboard" not in board  # that is the form of Grafana's API
    assert re.fullmatch(r"[a-z-]+", board["uid"])
    assert board["title"]
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(panels) > 10
    for panel in panels:
        assert panel["type"] in {"timeseries", "stat", "logs"}, panel["title"]
        assert set(panel["gridPos"]) == {"x", "y", "w", "h"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["datasource"]["uid"] in {"prometheus", "loki"}
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert target["expr"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_do_not_cover_each_other(path):
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads(path.read_text())["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


def test_dashboards_have_the_panels_of_the_guide():
    titles = {
        panel["title"] for panel in json.loads((DASHBOARDS[0].parent / "fynlo.json").read_text())["panels"]
    }
    assert {
        *("Request rate", "Response time (95 %)", "Payment success rate", "Active websockets"),
        *("Database connections", "Redis memory", "Error budget left of 30 days", "Queues"),
        "Age of the last backup",
    } <= titles
    uids = [json.loads(path.read_text())["uid"] for path in DASHBOARDS]
    assert len(set(uids)) == len(uids) == 3


def test_grafana_knows_the_sources_that_the_panels_name():
    provisioning = MONITORING / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "fynlo.yml").read_text())["datasources"]
    assert {source["uid"]: source["url"] for source in sources} == {
        "prometheus": "http://prometheus:9090",
        "loki": "http://loki:3100",
    }
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "fynlo.yml").read_text())["providers"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/etc/grafana/dashboards")


def test_loki_keeps_logs_for_thirty_days_and_then_deletes_them():
    config = yaml.safe_load((MONITORING / "loki" / "config.yaml").read_text())
    (schema,) = config["schema_config"]["configs"]
    assert (schema["store"], schema["schema"], schema["index"]["period"]) == ("tsdb", "v13", "24h")
    assert config["limits_config"]["retention_period"] == "720h"
    assert config["compactor"]["retention_enabled"] is True
    assert config["compactor"]["delete_request_store"] == "filesystem"
    text = json.dumps(config)
    assert not [gone for gone in ("shared_store", "enforce_metric_name", "boltdb") if gone in text]


def test_alloy_reads_the_fields_that_the_application_writes():
    import logging

    text = (MONITORING / "alloy" / "config.alloy").read_text()
    asked = set(re.findall(r'^ {6}\w+ += "(\w+)",$', text, re.MULTILINE))
    record = logging.LogRecord("fynlo", logging.INFO, __file__, 1, "said", None, None)
    written = set(json.loads(JsonFormatter().format(record)))
    assert asked == {"time", "level", "logger", "request_id", "restaurant_id", "membership_id"}
    assert asked - written == set()
    (labels,) = re.findall(r"stage\.labels \{\s+values = \{\s+(.*?)\s+\}", text, re.DOTALL)
    assert labels == 'level = "",'  # a label for each request or restaurant would break Loki


def test_alloy_sends_from_docker_to_loki():
    text = (MONITORING / "alloy" / "config.alloy").read_text()
    assert text.count("{") == text.count("}")
    components = set(re.findall(r'^([\w.]+) "(\w+)" \{$', text, re.MULTILINE))
    named = {f"{kind}.{label}" for kind, label in components}
    wired = set(re.findall(r"\b((?:discovery|loki)\.\w+\.\w+)\.(?:receiver|output|targets)\b", text))
    assert wired - named == set()
    assert 'url = "http://loki:3100/loki/api/v1/push"' in text


def test_what_runs_is_where_the_compose_files_mount_it():
    wanted = ("prometheus.yml", "alertmanager.yml", "blackbox.yml", "targets/site.yml", "loki/config.yaml")
    assert [name for name in wanted if not (ROOT / "deploy" / "monitoring" / name).is_file()] == []
