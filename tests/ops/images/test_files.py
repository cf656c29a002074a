"""Images, compose files, workflows, scripts and the host's files: their own linters find nothing to say."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fynlo.ops import env_file
from tests.databases import ROOT

BIN = Path(sys.executable).parent
DOCKERFILES = sorted(ROOT.glob("docker/*/Dockerfile")) + sorted(ROOT.glob("tests/**/Dockerfile"))
COMPOSE_FILES = sorted(ROOT.glob("docker/compose*.yaml"))
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
UNITS = sorted(ROOT.glob("deploy/host/systemd/*"))
FILTERS = ROOT / "deploy/host/fail2ban"
# By tag, or by digest, or by a variable that says which; never whatever is newest today.
PINNED = re.compile(r"(?::(?!latest$)[\w.+-]*\d[\w.+-]*|@sha256:[0-9a-f]{64})$")


def lint(*command: str | Path, **options: object) -> str:
    """The linter's output; its complaints are the failure's text."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return str(done.stdout)


def system_program(name: str, group: str) -> str:
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin")
    if not found:
        pytest.skip(f"NOT CHECKED: there is no {name} here (script/tools {group}, as root)")
    return found


def shell_scripts() -> list[Path]:
    """Every tracked or new file of ours that a shell reads."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = []
    for path in map(ROOT.joinpath, listed):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                first = file.readline(80)
            if path.suffix == ".sh" or re.match(rb"#!.*\b(ba)?sh\b", first):
                found.append(path)
    return found


# --- images


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_hadolint(dockerfile: Path) -> None:
    lint(BIN / "hadolint", "--failure-threshold", "style", dockerfile)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_base_images_are_arguments(dockerfile: Path) -> None:
    """So that another registry, or a home-made base, can stand in; and reading the file fetches nothing."""
    text = dockerfile.read_text()
    stages = re.findall(r"(?m)^FROM (\S+)(?: AS (\S+))?", text)

    assert stages
    assert [image for image, _ in stages if not re.fullmatch(r"\$\{[A-Z_]+_IMAGE\}", image)] == []
    assert "# syntax" not in text
    defaults = re.findall(r"(?m)^ARG [A-Z_]+_IMAGE=([^$\s]+)", text)
    assert [image for image in defaults if not PINNED.search(image)] == []


@pytest.mark.parametrize(
    "dockerfile", sorted(ROOT.glob("docker/*/Dockerfile")), ids=lambda path: path.parent.name
)
def test_images_end_as_a_user_without_rights(dockerfile: Path) -> None:
    users = re.findall(r"(?m)^USER (\S+)", dockerfile.read_text())

    assert users[-1] in ("10001:10001", "999:999")


def test_the_build_sees_only_what_it_needs() -> None:
    """A list of what may go in: whatever is new stays out until somebody says otherwise."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]

    assert lines[0] == "*"
    allowed = {line.removeprefix("!").strip("/") for line in lines if line.startswith("!")}
    assert allowed == {
        *("manage.py", "requirements.txt", "static", "templates", "docker/api"),
        *("accounts", "fynlo", "orders", "payments", "restaurants"),
    }


# --- compose


@pytest.fixture
def host(tmp_path: Path) -> dict[str, str]:
    """The variables and the file that a host has, as far as compose asks for them."""
    (tmp_path / "fynlo.env").write_text("BASE_URL=https://pos.example\n")
    return {
        "PATH": "/usr/bin:/bin",
        "FYNLO_VERSION": "1.2.3",
        "FYNLO_ETC": str(tmp_path),
        "HOME": str(tmp_path),
    }


def read_compose(host: dict[str, str], *files: Path) -> dict:
    chosen = [part for file in files for part in ("--file", file)]
    text = lint(BIN / "docker-compose", *chosen, "--profile", "*", "config", "--format", "json", env=host)
    return dict(json.loads(text))


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_schema(file: Path) -> None:
    lint(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)


def test_compose_wants_to_know_which_release(host: dict[str, str]) -> None:
    del host["FYNLO_VERSION"]
    done = subprocess.run(
        [BIN / "docker-compose", "--file", ROOT / "docker/compose.yaml", "config", "--quiet"],
        env=host,
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "FYNLO_VERSION" in done.stderr
    assert "which release" in done.stderr


def test_every_container_is_shut_in(host: dict[str, str]) -> None:
    """No rights, no writable root, no way to grow without end; and only nginx is reached from outside."""
    services = read_compose(host, ROOT / "docker/compose.yaml")["services"]
    allowed = {"nginx": ["CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"]}

    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service.get("cap_add", []) == allowed.get(name, []), name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["init"] is True, name
        assert service["logging"]["options"] == {"max-file": "3", "max-size": "10m"}, name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert "container_name" not in service, name
        assert not service.get("privileged"), name
    assert {name for name, service in services.items() if service.get("ports")} == {"nginx"}
    assert [port["target"] for port in services["nginx"]["ports"]] == [80, 443]


def test_the_data_network_has_no_way_out(host: dict[str, str]) -> None:
    read = read_compose(host, ROOT / "docker/compose.yaml")

    assert read["networks"]["data"]["internal"] is True
    for name in ("postgres", "redis", "redis-cache", "pgbouncer"):
        assert "edge" not in read["services"][name]["networks"], name
    assert set(read["services"]["nginx"]["networks"]) == {"edge", "monitoring"}


def test_the_two_colours_differ_only_in_colour(host: dict[str, str]) -> None:
    services = read_compose(host, ROOT / "docker/compose.yaml")["services"]

    for kind in ("web", "ws"):
        blue, green = services[f"{kind}-blue"], services[f"{kind}-green"]
        assert blue["environment"]["COLOUR"] == "blue"
        assert green["environment"].pop("COLOUR") == "green"
        del blue["environment"]["COLOUR"]
        assert (blue.pop("profiles"), green.pop("profiles")) == (["blue"], ["green"])
        assert blue == green


def test_no_role_is_given_another_roles_secrets(host: dict[str, str]) -> None:
    services = read_compose(host, ROOT / "docker/compose.yaml")["services"]
    given = {
        name: Path(volume["source"]).name
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if volume["target"] == "/run/secrets" and volume["read_only"]
    }

    assert given == {
        **dict.fromkeys(["web-blue", "web-green", "ws-blue", "ws-green", "worker", "beat"], "app"),
        **{"platform": "platform", "backup": "backup", "migrate": "migrate", "manage": "migrate"},
        **{"postgres": "postgres", "pgbouncer": "pgbouncer", "redis": "redis", "redis-cache": "redis"},
    }


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda path: path.name)
def test_every_image_is_pinned(file: Path, host: dict[str, str]) -> None:
    services = read_compose(host, *sorted({ROOT / "docker/compose.yaml", file}))["services"]

    assert [s["image"] for s in services.values() if not PINNED.search(s["image"])] == []


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda path: path.name)
def test_what_is_mounted_from_the_repository_exists(file: Path, host: dict[str, str]) -> None:
    """Docker makes an empty directory of what is missing, and the container wonders."""
    services = read_compose(host, *sorted({ROOT / "docker/compose.yaml", file}))["services"]
    sources = {
        Path(volume["source"])
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    }
    ours = {source for source in sources if source.is_relative_to(ROOT)}

    assert len(ours) >= 4
    assert [str(source) for source in ours if not source.exists()] == []


def test_who_watches_is_shut_in_too(host: dict[str, str]) -> None:
    """Pages only for whoever is on the host; Docker's socket and the host's processes for one each."""
    files = [ROOT / "docker/compose.yaml", ROOT / "docker/compose.monitoring.yaml"]
    application = set(read_compose(host, files[0])["services"])
    services = read_compose(host, *files)["services"]
    watchers = {name: service for name, service in services.items() if name not in application}

    assert len(watchers) == 10
    for name, service in watchers.items():
        assert (service["cap_drop"], service.get("cap_add"), service["read_only"]) == (["ALL"], None, True), (
            name
        )
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["networks"] == {"monitoring": None}, name
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
    ports = {
        (name, port["host_ip"]) for name, service in watchers.items() for port in service.get("ports", [])
    }
    assert ports == {("prometheus", "127.0.0.1"), ("grafana", "127.0.0.1")}
    sources = {
        name: {volume["source"] for volume in service.get("volumes", [])}
        for name, service in watchers.items()
    }
    assert [name for name, found in sources.items() if "/var/run/docker.sock" in found] == ["alloy"]
    assert [name for name, found in sources.items() if "/" in found] == ["node-exporter"]
    assert [name for name, service in watchers.items() if service.get("pid")] == ["node-exporter"]


def test_everything_that_prometheus_asks_is_there(host: dict[str, str]) -> None:
    """Each name in its configuration is a service that is on its network."""
    files = [ROOT / "docker/compose.yaml", ROOT / "docker/compose.monitoring.yaml"]
    services = read_compose(host, *files)["services"]
    text = (ROOT / "deploy/monitoring/prometheus.yml").read_text()
    asked = set(re.findall(r'"(?:redis://)?([a-z][a-z-]+):\d+"', text)) - {"localhost"}

    assert len(asked) >= 15
    assert (
        sorted(asked - {name for name, s in services.items() if "monitoring" in s.get("networks", ())}) == []
    )


# --- DigitalOcean's variant


def test_the_app_platform_spec() -> None:
    """One image; the schema is expanded before; no variable that nobody reads, and no secret in it."""
    spec = yaml.safe_load((ROOT / "deploy/do/app.yaml").read_text())
    parts = spec["services"] + spec["workers"] + spec["jobs"]

    known = {"name", "region", "envs", "services", "workers", "jobs", "ingress", "domains", "alerts"}
    assert set(spec) == known  # doctl refuses any other
    assert {part["name"]: part["run_command"] for part in parts} == {
        **{name: f"fynlo {name}" for name in ("web", "ws", "platform", "worker", "beat")},
        "migrate": "fynlo migrate --phase expand",
    }
    assert spec["jobs"][0]["kind"] == "PRE_DEPLOY"
    assert {part["image"]["repository"] for part in parts} == {"fynlo", "fynlo-backup"}
    assert len({part["image"]["tag"] for part in parts}) == 1
    variables = [variable for part in (spec, *parts) for variable in part.get("envs", [])]
    read = {variable.name for section in env_file.SECTIONS.values() for variable in section}
    assert sorted({variable["key"] for variable in variables} - read) == []
    assert {v["value"] for v in variables if v.get("type") == "SECRET"} == {"SET ME"}
    beat = next(part for part in parts if part["name"] == "beat")
    assert beat["instance_count"] == 1


# --- scripts and workflows


def test_shellcheck() -> None:
    scripts = shell_scripts()

    assert len(scripts) >= 15
    lint(BIN / "shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *scripts)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_schema(file: Path) -> None:
    lint(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", file)


def test_zizmor() -> None:
    """Rights, pins, templates that run what a stranger wrote."""
    lint(BIN / "zizmor", "--offline", "--no-progress", ROOT / ".github")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_and_rights_are_few(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    uses = re.findall(r"uses: (\S+)", file.read_text())

    assert workflow["permissions"] == {}
    assert [
        action
        for action in uses
        if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)
        and not action.startswith("./.github/workflows/")
    ] == []
    assert [name for name, job in workflow["jobs"].items() if "permissions" not in job] == []


def test_known_vulnerabilities_are_looked_up_strictly() -> None:
    """Without --strict pip-audit is content with packages that it could not look up."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]

    assert [c for c in commands if re.search(r"pip-audit --strict\b.* -r requirements\.txt$", c)]


# --- the host


def test_systemd_units(tmp_path: Path) -> None:
    """Verified as if the repository were where they expect it."""
    analyze = system_program("systemd-analyze", "host")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/fynlo", str(ROOT)))
    lint(analyze, "verify", "--man=no", *sorted(tmp_path.iterdir()))


def test_timers_mean_what_they_say() -> None:
    analyze = system_program("systemd-analyze", "host")
    for unit in UNITS:
        for when in re.findall(r"(?m)^OnCalendar=(.+)$", unit.read_text()):
            lint(analyze, "calendar", when)


def test_nftables() -> None:
    lint(system_program("nft", "host"), "--check", "--file", ROOT / "deploy/host/nftables.conf")


def test_fail2ban_finds_what_nginx_writes(tmp_path: Path) -> None:
    """Lines in the format of deploy/nginx/snippets/logs.conf, whose variables are filled in here."""
    program = system_program("fail2ban-regex", "host")
    snippet = (ROOT / "deploy/nginx/snippets/logs.conf").read_text()
    (form,) = re.findall(r"log_format security '(.+)';", snippet)
    knocks = [
        ("203.0.113.9", "401", "POST", "/api/v1/sign-in"),
        ("2001:db8::5", "429", "GET", "/api/v1/restaurants/1/orders"),
        ("203.0.113.9", "404", "GET", "/.env"),
    ]
    lines = [filled(form, *knock) for knock in knocks]
    lines += [line.replace(" 401 ", " 200 ") for line in lines[:1]]  # which nginx would not write
    log = tmp_path / "security.log"
    log.write_text("\n".join(lines) + "\n")

    found = subprocess.run(
        [program, "--out", "ip", log, FILTERS / "filter.d/fynlo-auth.conf"], capture_output=True, text=True
    )

    assert found.stdout.split() == ["203.0.113.9", "2001:db8::5", "203.0.113.9"]


def filled(form: str, address: str, status: str, method: str, path: str) -> str:
    values = {
        "time_iso8601": "2026-11-24T18:30:00+00:00",
        "remote_addr": address,
        "status": status,
        "request_method": method,
        "logged_path": path,
        "request_id": "5f0c0d7e9a7b4c1d8e2f3a4b5c6d7e8f",
    }
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], form)


def test_fail2ban_accepts_the_jails(tmp_path: Path) -> None:
    """Beside Debian's own files, whose jail of ssh would look for a log that is no longer there."""
    program = system_program("fail2ban-client", "host")
    shutil.copytree("/etc/fail2ban", tmp_path / "etc")
    (tmp_path / "security.log").touch()
    jails = (FILTERS / "jail.local").read_text().replace("/var/log/fynlo/nginx", str(tmp_path))
    (tmp_path / "etc/jail.local").write_text(jails)
    shutil.copytree(FILTERS / "filter.d", tmp_path / "etc/filter.d", dirs_exist_ok=True)

    lint(program, "-c", tmp_path / "etc", "-t")


def test_bootstrap_writes_everything_once(tmp_path: Path) -> None:
    """Into a directory; the second time it has nothing to do."""
    bootstrap = ["bash", ROOT / "deploy/host/bootstrap.sh"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DESTDIR": str(tmp_path)}

    first = lint(*bootstrap, env=environment)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    second = lint(*bootstrap, env=environment)

    assert written == {
        *("etc/docker/daemon.json", "etc/logrotate.d/fynlo", "etc/sysctl.d/60-fynlo.conf"),
        *("etc/fail2ban/jail.d/fynlo.local", "etc/fail2ban/filter.d/fynlo-auth.conf"),
        *(f"etc/systemd/system/{unit.name}" for unit in UNITS),
    }
    assert first.count("writing") == len(written)
    assert second == "bootstrap: done.\n"
