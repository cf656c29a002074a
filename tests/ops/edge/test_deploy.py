"""Deployments that go wrong: whoever was served before is served after."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.databases import ROOT

from .stage import Stage, set_stage

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here: script/tools edge, as root"),
]

# Ready for whoever asks it directly, and for nobody who comes through nginx.
SICK = """

def ready(request: HttpRequest) -> JsonResponse:
    is_public = "X-Forwarded-For" in request.headers
    return JsonResponse({"status": "unavailable" if is_public else "ok"}, status=503 if is_public else 200)
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """1.0.0 serves as blue."""
    with set_stage() as stage:
        stage.release("1.0.0")
        done = stage.run("deploy.sh", "1.0.0", "--bake", "1")
        assert done.returncode == 0
        assert version(stage) == ("1.0.0", "blue")
        yield stage


def version(stage: Stage) -> tuple[str, str]:
    told = json.loads(stage.get("/version"))
    return told["version"], told["colour"]


def history(stage: Stage) -> list[str]:
    """What was done, without when."""
    lines = (stage.directory / "state/history").read_text().splitlines()
    return [line.split(" ", 1)[1] for line in lines]


def test_without_a_version_before_there_is_no_way_back(stage):
    done = stage.run("rollback.sh")
    assert done.returncode == 5
    assert "There is no version before 1.0.0 here." in done.stderr
    assert version(stage) == ("1.0.0", "blue")


def test_one_at_a_time(stage):
    lock = stage.directory / "state/lock"
    with subprocess.Popen(["flock", lock, "sleep", "60"]) as holder:
        while not subprocess.run(["flock", "--nonblock", lock, "true"]).returncode:
            time.sleep(0.05)
        assert stage.run("deploy.sh", "1.0.0").returncode == 4
        assert stage.run("switch.sh", "blue").returncode == 4
        subprocess.run(["pkill", "--parent", str(holder.pid)], check=False)
        holder.terminate()


def test_what_cannot_even_be_asked_touches_nothing(stage):
    stage.release("broken", {"fynlo/env.py": "raise SystemExit('it does not even start')\n"})
    before = history(stage)
    done = stage.run("deploy.sh", "broken")
    assert done.returncode == 1
    assert history(stage)[len(before) :] == ["deploy-failed --version broken"]
    assert not (stage.directory / "web-green.pid").exists()
    assert version(stage) == ("1.0.0", "blue")


def test_what_does_not_do_well_is_left_again(stage):
    text = (ROOT / "fynlo/ops/health.py").read_text()
    stage.release("sick", {"fynlo/ops/health.py": text + SICK})
    before = history(stage)
    done = stage.run("deploy.sh", "sick", "--bake", "120")
    assert done.returncode == 3
    assert "green does not answer as it must" in done.stdout
    assert history(stage)[len(before) :] == [
        "switched to green sick",
        "switched to blue 1.0.0",
        "deploy-failed --version sick",
    ]
    assert version(stage) == ("1.0.0", "blue")
    assert json.loads(stage.get("/health")) == {"status": "ok"}
    assert not (stage.directory / "web-green.pid").exists()
    assert stage.run("rollback.sh").returncode == 5


def test_an_emergency_ends_a_deployment_and_goes_back(stage):
    stage.release("1.1.0")
    command = [ROOT / "deploy/bin/deploy.sh", "1.1.0", "--bake", "300"]
    with (stage.directory / "deploy.log").open("w") as log:
        deploying = subprocess.Popen(command, env=stage.environment, stdout=log, stderr=log)
        while "Watch for" not in (stage.directory / "deploy.log").read_text():
            assert deploying.poll() is None
            time.sleep(0.2)
        assert version(stage) == ("1.1.0", "green")
        assert stage.run("emergency-rollback.sh").returncode == 0
        assert deploying.wait(timeout=60) == 143
    assert version(stage) == ("1.0.0", "blue")
    assert json.loads(stage.get("/health")) == {"status": "ok"}
