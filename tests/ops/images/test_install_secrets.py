"""deploy/host/install-secrets: every secret to those who need it, nothing secret where all may read."""

import hashlib
import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from fynlo.ops import env_file
from tests.databases import ROOT

PROGRAM = ROOT / "deploy/host/install-secrets"


def install(tmp_path: Path, text: str, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    source = tmp_path / "environment"
    source.write_text(text)
    command = [PROGRAM, source, tmp_path / "etc"]
    return subprocess.run(command, capture_output=True, text=True, umask=umask)


def held(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The files of each role and what stands in them."""
    roles = sorted((tmp_path / "etc/secrets").iterdir())
    return {role.name: {file.name: file.read_text() for file in role.iterdir()} for role in roles}


@pytest.fixture
def complete() -> tuple[str, dict[str, str]]:
    """What generate_secrets writes, with every line filled in that a person fills in."""
    values, _ = env_file.make_values()
    lines = []
    for line in env_file.render(values).splitlines():
        name, equals, value = line.removeprefix("#").partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            lines.append(f"{name}={value or f'value-of-{name}'}")
    return "\n".join(lines), dict(line.split("=", 1) for line in lines)


def test_every_variable_finds_its_place(tmp_path: Path, complete: tuple[str, dict[str, str]]) -> None:
    """All that production knows: either anybody may read it, or some role is given it, never both."""
    text, values = complete
    values["BASE_URL"] = "https://pos.example"
    text = re.sub(r"(?m)^BASE_URL=.*$", "BASE_URL=https://pos.example", text)

    done = install(tmp_path, text)

    assert done.returncode == 0, done.stderr
    public = dict(line.split("=", 1) for line in (tmp_path / "etc/fynlo.env").read_text().splitlines())
    secret = {name: value for files in held(tmp_path).values() for name, value in files.items()}
    assert set(public) & set(secret) == set()
    made = {"redis.acl", "pgbouncer-users.txt", "redis-passwords.json"}
    assert set(values) - set(public) - set(secret) == {"REDIS_PASSWORD", "REDIS_MONITOR_PASSWORD"}
    assert set(secret) - made <= set(values)
    assert {name: values[name] for name in secret if name not in made} == {
        name: value for name, value in secret.items() if name not in made
    }
    looks_secret = re.compile(
        r"SECRET|PASSWORD|TOKEN|DATABASE_URL|_DSN$|WEBHOOK|IDENTITY|^REDIS_.*URL$|SEAL_KEYS"
    )
    assert [name for name in public if looks_secret.search(name)] == ["ACCESS_TOKEN_EXPIRE_MINUTES"]
    site = json.loads((tmp_path / "etc/targets/site.yml").read_text())
    assert site == [{"targets": ["https://pos.example/health"]}]


def test_each_role_has_one_login(tmp_path: Path, complete: tuple[str, dict[str, str]]) -> None:
    install(tmp_path, complete[0])

    logins = {
        role: {name for name in files if name.endswith("DATABASE_URL")}
        for role, files in held(tmp_path).items()
    }
    assert logins == {
        "app": {"DATABASE_URL", "READONLY_DATABASE_URL"},
        "platform": {"PLATFORM_DATABASE_URL"},
        "migrate": {"MIGRATION_DATABASE_URL", "ADMIN_DATABASE_URL", "DATABASE_URL", "BACKUP_DATABASE_URL"},
        "backup": {"BACKUP_DATABASE_URL", "ADMIN_DATABASE_URL"},
        **{role: set() for role in ("monitoring", "pgbouncer", "postgres", "redis")},
    }


def test_redis_learns_no_password(tmp_path: Path) -> None:
    """Only what a password's hash is; and who watches has a login of his own, if he has a password."""
    install(tmp_path, "REDIS_PASSWORD=one\nREDIS_MONITOR_PASSWORD=two\n")
    acl = held(tmp_path)["redis"]["redis.acl"]
    users = {line.split()[1]: line for line in acl.splitlines()}

    assert set(users) == {"default", "fynlo", "monitor"}
    assert f"#{hashlib.sha256(b'one').hexdigest()} " in users["fynlo"]
    assert f"#{hashlib.sha256(b'two').hexdigest()} " in users["monitor"]
    assert "SHA256" not in acl

    install(tmp_path, "REDIS_PASSWORD=one\n")
    assert "monitor" not in held(tmp_path)["redis"]["redis.acl"]


def test_only_the_role_may_read_whatever_the_umask(tmp_path: Path) -> None:
    install(tmp_path, "SECRET_KEY=s\nPOSTGRES_PASSWORD=p\nBASE_URL=https://pos.example\n", umask=0o077)
    modes = {
        str(path.relative_to(tmp_path / "etc")): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (tmp_path / "etc").rglob("*")
    }

    assert modes["secrets"] == "0o711"
    assert (modes["secrets/app"], modes["secrets/app/SECRET_KEY"]) == ("0o750", "0o440")
    assert (modes["fynlo.env"], modes["targets/site.yml"]) == ("0o644", "0o644")
    if os.geteuid() == 0:
        etc = tmp_path / "etc/secrets"
        owners = {
            name: (etc / name).stat() for name in ("app", "app/SECRET_KEY", "postgres/POSTGRES_PASSWORD")
        }
        assert {name: (at.st_uid, at.st_gid) for name, at in owners.items()} == {
            "app": (0, 10001),
            "app/SECRET_KEY": (0, 10001),
            "postgres/POSTGRES_PASSWORD": (0, 999),
        }


def test_again_after_a_change(tmp_path: Path) -> None:
    """The directories stay, for containers have them mounted; a secret that is gone goes."""
    install(tmp_path, "SECRET_KEY=old\nSENTRY_DSN=there\n")
    before = (tmp_path / "etc/secrets/app").stat().st_ino

    install(tmp_path, "SECRET_KEY=new\nSENTRY_DSN=\n")

    assert held(tmp_path)["app"] == {"SECRET_KEY": "new"}
    assert (tmp_path / "etc/secrets/app").stat().st_ino == before
    assert not (tmp_path / "etc/secrets.new").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SECRET_KEY=s\nNEW_VENDOR_SECRET=x\n", "nobody is known to need NEW_VENDOR_SECRET"),
        ("SECRET_KEY=s\nnot a line\n", "line 2: is not NAME=value."),
    ],
)
def test_what_it_does_not_know_stops_it(tmp_path: Path, text: str, complaint: str) -> None:
    done = install(tmp_path, text)

    assert done.returncode == 2
    assert complaint in done.stderr
    assert not (tmp_path / "etc").exists()
