"""Every alert fires and goes quiet in a promtool test, says how bad it is, and has a page to turn to."""

import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from tests.databases import ROOT
from tests.ops.watch.programs import MONITORING, program, run

RULES = sorted((MONITORING / "rules").glob("*.yml"))
ALERTS = {
    rule["alert"]: rule
    for path in RULES
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
TESTS = [
    check
    for path in sorted((MONITORING / "tests").glob("*.yml"))
    for test in yaml.safe_load(path.read_text())["tests"]
    for check in test["alert_rule_test"]
]
# It says that all is well by never going quiet.
ALWAYS = {"Watchdog"}
GUIDE = {
    *("HighResponseTime", "APIDown", "DatabaseConnectionPoolExhausted", "DatabaseReplicationLag"),
    *("RedisHighMemoryUsage", "PaymentProcessingFailureRate", "SuspiciousLoginActivity", "HighCPUUsage"),
    "DiskSpaceLow",
}


def headings(path: Path) -> list[str]:
    """The anchors of a page's sections, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_promtool_accepts_the_rules_and_their_tests(path):
    promtool = program("promtool")
    run(promtool, "check", "rules", path)
    run(promtool, "test", "rules", MONITORING / "tests" / path.name)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_a_rule_that_is_broken_is_found_out(path, tmp_path):
    """The same tests against rules that never fire."""
    promtool = program("promtool")
    (tmp_path / "rules").mkdir()
    (tmp_path / "tests").mkdir()
    broken = yaml.safe_load(path.read_text())
    for group in broken["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = f"({rule['expr']}) and on() vector(1) == 2"
    (tmp_path / "rules" / path.name).write_text(yaml.dump(broken))
    (tmp_path / "tests" / path.name).write_text((MONITORING / "tests" / path.name).read_text())
    with pytest.raises(AssertionError) as failures:
        run(promtool, "test", "rules", tmp_path / "tests" / path.name)
    alerts = {rule["alert"] for group in broken["groups"] for rule in group["rules"] if "alert" in rule}
    assert {alert for alert in alerts if f"alertname: {alert}," not in str(failures.value)} == set()


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_shown_to_fire_and_to_go_quiet(alert):
    of_this = [check for check in TESTS if check["alertname"] == alert]
    fires = [bool(check["exp_alerts"]) for check in of_this]
    assert True in fires
    if alert not in ALWAYS:
        assert False in fires[fires.index(True) :]


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_how_bad_it_is_and_where_to_read_on(alert):
    rule = ALERTS[alert]
    expected = {"Watchdog": "none"}.get(alert)
    assert rule["labels"]["severity"] in ({expected} if expected else {"page", "ticket"})
    assert rule["annotations"]["summary"].strip()
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert (page, anchor) == ("deploy/RUNBOOK.md", alert.lower())
    assert headings(ROOT / page).count(anchor) == 1


def test_the_runbook_has_no_section_of_an_alert_that_is_gone():
    titles = re.findall(r"^### (\w+)$", (ROOT / "deploy/RUNBOOK.md").read_text(), re.MULTILINE)
    assert sorted(titles) == sorted(ALERTS)


def test_the_commands_of_the_runbook_exist():
    text = (ROOT / "deploy/RUNBOOK.md").read_text()
    commands = set(re.findall(r"fynlo manage (\w+)", text))
    found = {path.stem for path in ROOT.glob("*/**/management/commands/[a-z]*.py")}
    assert len(commands) > 5
    assert commands - found == set()
    scripts = set(re.findall(r"deploy/bin/[\w-]+\.sh", text))
    assert {script for script in scripts if not (ROOT / script).exists()} == set()


def test_all_alerts_of_the_guide_are_here():
    assert GUIDE - ALERTS.keys() == set()


@pytest.mark.parametrize("alert", ALERTS)
def test_no_alert_looks_at_a_single_restaurant(alert):
    expression = promql_parser.parse(ALERTS[alert]["expr"])
    assert "restaurant" not in str(expression)
