"""What deploy/bin tells Docker. The containers themselves are started in tests/ops/images."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.databases import ROOT

DOCKER = """#!/bin/bash
[[ $1 == compose ]] || exit 64
while [[ $2 == --* ]]; do shift 2; done
shift
said=${*//$'\\n'/ }
echo "$FYNLO_VERSION $FYNLO_BACKUP_VERSION | $said" | sed 's/ -c .*//; s/ sh$/ reload/' >>"$HOST/told"
[[ " $* " != *" $FAILS "* ]] || exit 3
[[ $* != *9100* ]] || printf 'fynlo_requests_in_flight 0.0\\nfynlo_kitchen_sockets 0.0\\n'
"""
CURL = """#!/bin/bash
colour=$(basename "$(readlink "$DEPLOY_UPSTREAMS/active.conf")" .conf)
printf '{"status": "ok", "version": "x", "colour": "%s"}' "$colour"
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """1.0.0 serves as blue, by a Docker and a curl that only say what they were told."""
    for name in ("bin", "state", "upstreams", "etc"):
        (tmp_path / name).mkdir()
    for name, text in (("docker", DOCKER), ("curl", CURL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "upstreams/active.conf").symlink_to("blue.conf")
    (tmp_path / "etc/fynlo.env").write_text("BASE_URL=https://pos.example\n")
    (tmp_path / "state/active").write_text("blue\n")
    (tmp_path / "state/blue").write_text("1.0.0@sha256:0a\n")
    return tmp_path


def run(host: Path, script: str, *arguments: str, fails: str = "nothing") -> tuple[int, list[str]]:
    environment = {
        "PATH": f"{host}/bin:{os.environ['PATH']}",
        "HOST": str(host),
        "FAILS": fails,
        "FYNLO_ETC": str(host / "etc"),
        "DEPLOY_STATE": str(host / "state"),
        "DEPLOY_UPSTREAMS": str(host / "upstreams"),
    }
    command = [ROOT / "deploy/bin" / script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    print(done.stdout, done.stderr)
    told = host / "told"
    lines = told.read_text().splitlines() if told.exists() else []
    told.unlink(missing_ok=True)
    return done.returncode, lines


NEW, OLD = "2.0.0@sha256:0b 2.0.0 |", "1.0.0@sha256:0a 1.0.0 |"
IN_FLIGHT = "exec -T web-{0} python"
LEAVE = ["exec -T web-{0} fynlo manage drain", "exec -T ws-{0} fynlo manage drain", "exec -T ws-{0} python"]


def leaving(colour: str) -> list[str]:
    return [line.format(colour) for line in (IN_FLIGHT, *LEAVE)]


def test_a_deployment(host):
    code, told = run(host, "deploy.sh", "2.0.0@sha256:0b", "--bake", "0")
    assert code == 0
    assert told == [
        f"{NEW} {line}"
        for line in (
            "run --rm -T --no-deps manage manage check_deploy",
            "run --rm -T --no-deps manage manage migrate_safely --phase expand",
            "pull --quiet --policy missing web-green ws-green",
            "run --rm -T collect",
            "up --detach --wait --no-deps --force-recreate web-green ws-green",
            "exec -T web-green fynlo manage verify_deployment --base-url http://web-green:8000 "
            "--expect-version 2.0.0",
            "exec -T nginx reload",
            *leaving("blue"),
            "exec -T web-green python",
            "stop web-blue ws-blue",
            "up --detach --no-deps --wait platform worker beat backup",
            "exec -T web-green fynlo manage warm_cache",
            "run --rm -T --no-deps manage manage notify --event deploy-done --version 2.0.0@sha256:0b",
        )
    ]
    assert (host / "upstreams/active.conf").readlink() == Path("green.conf")
    assert (host / "state/green").read_text() == "2.0.0@sha256:0b\n"


def test_a_version_that_does_not_verify_is_stopped_and_nobody_sent_to_it(host):
    code, told = run(host, "deploy.sh", "2.0.0@sha256:0b", fails="verify_deployment")
    assert code == 3
    assert [line.partition(" | ")[2] for line in told[-2:]] == [
        "stop web-green ws-green",
        "run --rm -T --no-deps manage manage notify --event deploy-failed --version 2.0.0@sha256:0b",
    ]
    assert not [line for line in told if "nginx" in line or "blue" in line]
    assert (host / "upstreams/active.conf").readlink() == Path("blue.conf")
    assert not (host / "state/green").exists()


def test_a_configuration_that_nginx_refuses_is_taken_back(host):
    code, told = run(host, "deploy.sh", "2.0.0@sha256:0b", fails="nginx")
    assert code == 1
    assert (host / "upstreams/active.conf").readlink() == Path("blue.conf")
    assert (host / "state/active").read_text() == "blue\n"
    assert f"{NEW} stop web-green ws-green" in told


def test_a_rollback(host):
    (host / "state/green").write_text("2.0.0@sha256:0b\n")
    (host / "state/active").write_text("green\n")
    (host / "upstreams/active.conf").unlink()
    (host / "upstreams/active.conf").symlink_to("green.conf")
    code, told = run(host, "rollback.sh", "1.0.0")
    assert code == 0
    assert told == [
        f"{OLD} {line}"
        for line in (
            "start web-blue ws-blue",
            "up --detach --wait --no-deps --no-recreate web-blue ws-blue",
            "exec -T web-blue fynlo manage drain --undo",
            "exec -T ws-blue fynlo manage drain --undo",
            "exec -T nginx reload",
            *leaving("green"),
            "up --detach --no-deps --wait platform worker beat backup",
            "run --rm -T --no-deps manage manage notify --event rollback-done --version 1.0.0@sha256:0a",
        )
    ]
    assert (host / "upstreams/active.conf").readlink() == Path("blue.conf")
    code, told = run(host, "rollback.sh")
    assert (code, told) == (5, [])


def test_the_driver_names_services_that_there_are():
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    named = (
        "web-blue",
        "web-green",
        "ws-blue",
        "ws-green",
        "collect",
        "manage",
        "platform",
        "worker",
        "beat",
    )
    assert set(named) | {"backup", "nginx"} <= set(services)
