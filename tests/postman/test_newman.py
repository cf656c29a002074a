"""The smoke tests that run against production after a release, here against a web process of our own."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.accounts.conftest import give_password
from tests.node import node_modules
from tests.processes import web_server

HERE = Path(__file__).parent
PASSWORD = "smoke-tests-only-2026"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def newman() -> Path:
    return node_modules(HERE) / ".bin/newman"


def run(newman, tmp_path, **variables):
    """The exit code, and each request's name with its failed assertions (None where it was skipped)."""
    report = tmp_path / "report.json"
    command = [
        *(newman, "run", HERE / "production-smoke-tests.json"),
        *("--environment", HERE / "production-env.json", "--reporters", "json"),
        *("--reporter-json-export", report, "--timeout-request", "30000"),
    ]
    for name, value in variables.items():
        command += ["--env-var", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert report.exists(), done.stdout + done.stderr
    found = {}
    for execution in json.loads(report.read_text())["run"]["executions"]:
        assertions = execution.get("assertions")
        failed = [a["assertion"] for a in assertions or () if a.get("error")]
        found[execution["item"]["name"]] = failed if assertions else None
    return done.returncode, found


def names():
    return [item["name"] for item in json.loads((HERE / "production-smoke-tests.json").read_text())["item"]]


SIGNED_IN = ["sign in", "menu", "floor", "today's takings"]


def test_what_serves_passes_and_what_does_not_fails(newman, tmp_path, test_database, owner):
    email = give_password(owner, PASSWORD)
    with web_server(test_database, VERSION="7.1.0") as url:
        patient = {"base_url": url, "slowest_ms": 20_000}

        code, found = run(newman, tmp_path, **patient, email=email, password=PASSWORD)
        assert (code, found) == (0, {name: [] for name in names()})

        code, found = run(newman, tmp_path, **patient, expect_version="7.1.0")
        assert (code, [name for name in names() if found.get(name) is None]) == (0, SIGNED_IN)

        code, found = run(newman, tmp_path, **patient, expect_version="7.2.0")
        assert (code, found["version"], found["health"]) == (1, ["the version deployed"], [])

    code, found = run(newman, tmp_path, base_url=url)
    assert code == 1


def test_the_lock_names_no_registry():
    lock = json.loads((HERE / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert lock["packages"]["node_modules/newman"]["version"] == "6.2.2"
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_no_secret_is_kept_in_the_environment():
    values = json.loads((HERE / "production-env.json").read_text())["values"]
    assert {value["key"]: value["value"] for value in values} == {
        "base_url": "https://pos.example.com",
        "expect_version": "",
        "slowest_ms": "500",
        "email": "",
        "password": "",
    }
