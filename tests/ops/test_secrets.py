"""The environment file of a production host: complete, accepted, not overwritten, changed in use."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from django.core.exceptions import ImproperlyConfigured

from fynlo.env import read_env
from fynlo.ops import env_file
from tests.databases import ROOT

TEMPLATE = ROOT / "deploy/env/.env.production.example"


def manage(*arguments, environment=None):
    """As on a new host: with no environment at all."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True,
        text=True,
        timeout=100,
    )


def values_of(path):
    lines = Path(path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def fill_in(path):
    text = path.read_text()
    for name in env_file.needed():
        text = text.replace(f"\n{name}=\n", f"\n{name}=https://pos.example.com\n")
    path.write_text(text)


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "production.env"
    values, _ = env_file.make_values()
    env_file.write_new(path, env_file.render(values))
    return path


def test_the_file_names_every_variable_that_the_application_reads(made):
    source = (ROOT / "fynlo/env.py").read_text()
    read = set(re.findall(r'reader\.\w+\(\s*"([A-Z][A-Z0-9_]+)"', source)) | {"DATABASE_URL"}
    read |= {f"{role}_DATABASE_URL" for role in ("PLATFORM", "MIGRATION", "READONLY", "BACKUP")}
    assert len(read) > 80
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", made.read_text(), flags=re.MULTILINE))
    assert read - named == set()
    names = [variable.name for variable in env_file.variables()]
    assert len(names) == len(set(names))


def test_it_is_accepted_once_a_person_has_filled_in_the_little_that_nobody_else_knows(made):
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_env(values_of(made))
    assert str(refusal.value) == "Environment: BASE_URL is not set."

    fill_in(made)
    for role in ("app", "platform", "migrator", "backup"):
        env = read_env({**values_of(made), "DB_ROLE": role})
        assert (env.environment, env.base_url) == ("production", "https://pos.example.com")
        user = {"app": "fynlo_app", "migrator": "fynlo_migrator"}.get(role, f"fynlo_{role}")
        assert env.database_url.startswith(f"postgresql://{user}:")


def test_two_files_share_no_secret(tmp_path):
    one, other = env_file.make_values()[0], env_file.make_values()[0]
    made = [v.name for v in env_file.variables() if v.make]
    assert len(made) == 14
    assert [name for name in made if one[name] == other[name]] == []
    assert len({one[name] for name in made}) == 14


def test_the_command_writes_it_for_its_owner_alone_and_shows_the_private_key_apart(tmp_path):
    path = tmp_path / "production.env"
    done = manage("generate_secrets", "--output", str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    answer, values = json.loads(done.stdout), values_of(path)
    assert answer["to_fill_in"] == ["BASE_URL"]
    (identity,) = re.findall(r"AGE-SECRET-KEY-\w+", done.stderr)
    public = str(pyrage.x25519.Identity.from_str(identity).to_public())
    assert values["BACKUP_AGE_RECIPIENT"] == answer["recipient"] == public
    assert identity not in path.read_text() + done.stdout
    shown = done.stderr + done.stdout
    assert [v.name for v in env_file.variables() if v.make and values[v.name] in shown] == []

    before = path.read_text()
    again = manage("generate_secrets", "--output", str(path))
    assert (again.returncode, path.read_text()) == (5, before)
    assert f"{path} is there already" in again.stderr


def test_without_a_file_it_goes_to_stdout_and_the_rest_does_not():
    done = manage("generate_secrets")
    assert done.returncode == 0
    assert done.stdout.startswith("# Made by `manage.py generate_secrets`.")
    assert "AGE-SECRET-KEY" not in done.stdout
    assert "AGE-SECRET-KEY" in done.stderr
    assert manage("generate_secrets", "--json").returncode == 2


def test_the_template_is_current():
    assert TEMPLATE.read_text() == env_file.render(None), (
        f"manage.py generate_secrets --template >{TEMPLATE.relative_to(ROOT)}"
    )


def test_the_template_holds_no_secret():
    made = {variable.name for variable in env_file.variables() if variable.make}
    assert {values_of(TEMPLATE)[name] for name in made} == {""}


def test_it_is_what_the_containers_secrets_are_installed_from(made, tmp_path):
    fill_in(made)
    target = tmp_path / "etc"
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/host/install-secrets", made, target], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    values = values_of(made)
    assert (target / "secrets/app/SECRET_KEY").read_text() == values["SECRET_KEY"]
    public = (target / "fynlo.env").read_text()
    secret = [v.name for v in env_file.variables() if v.make or "DATABASE_URL" in v.name or "REDIS" in v.name]
    assert [name for name in secret if values.get(name) and values[name] in public] == []


# --- changing one


@pytest.mark.parametrize(
    ("name", "older"), [("SECRET_KEY", "SECRET_KEY_FALLBACKS"), ("JWT_SECRET_KEY", "JWT_SECRET_KEY_PREVIOUS")]
)
def test_a_signing_key_moves_to_the_old_ones(made, name, older):
    fill_in(made)
    first = values_of(made)
    env_file.rotate(made, name)
    second = values_of(made)
    assert second[older] == first[name] != second[name]
    env_file.rotate(made, name)
    third = values_of(made)
    assert third[older] == f"{second[name]},{first[name]}"
    env = read_env(third)
    accepted = {
        "SECRET_KEY": (env.secret_key, *env.secret_key_fallbacks),
        "JWT_SECRET_KEY": env.people.jwt_keys,
    }
    assert accepted[name] == (third[name], second[name], first[name])
    unchanged = {key: value for key, value in third.items() if key not in (name, older)}
    assert unchanged == {key: value for key, value in first.items() if key not in (name, older)}

    assert env_file.finish(made, name) == 2
    assert (values_of(made)[older], values_of(made)[name]) == ("", third[name])


@pytest.mark.parametrize("name", ["PAYMENTS_SEAL_KEYS", "PLATFORM_OWNER_SECRET_KEY"])
def test_a_sealing_key_is_put_before_the_old_one(made, name):
    fill_in(made)
    first = values_of(made)[name]
    env_file.rotate(made, name)
    new, old = values_of(made)[name].split(",")
    assert old == first != new
    env = read_env(values_of(made))
    keys = {"PAYMENTS_SEAL_KEYS": env.payments.seal_keys, "PLATFORM_OWNER_SECRET_KEY": env.people.owner_keys}
    assert keys[name] == (new, old)
    assert env_file.finish(made, name) == 1
    assert values_of(made)[name] == new


def test_the_command_says_what_to_do_next_and_keeps_the_file_as_it_was(made):
    made.write_text(made.read_text().replace("SECRET_KEY_FALLBACKS=\n", ""))
    made.chmod(0o640)
    comments = [line for line in made.read_text().splitlines() if line.startswith("#")]
    before = values_of(made)
    done = manage("rotate_secret", "SECRET_KEY", "--file", str(made))
    assert done.returncode == 0, done.stderr
    assert f"deploy/host/install-secrets {made}, and restart all processes" in done.stdout
    assert f"rotate_secret SECRET_KEY --file {made} --finish" in done.stdout
    assert stat.S_IMODE(made.stat().st_mode) == 0o640
    assert [line for line in made.read_text().splitlines() if line.startswith("#")] == comments
    after = values_of(made)
    assert after["SECRET_KEY_FALLBACKS"] == before["SECRET_KEY"]
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    shown = done.stdout + done.stderr
    assert after["SECRET_KEY"] not in shown
    assert before["SECRET_KEY"] not in shown


def test_a_file_that_is_not_as_expected_stays_as_it_is(made):
    twice = made.read_text() + "SECRET_KEY=another\n"
    made.write_text(twice)
    done = manage("rotate_secret", "SECRET_KEY", "--file", str(made))
    assert (done.returncode, made.read_text()) == (2, twice)
    assert "SECRET_KEY stands there 2 times. Nothing was changed." in done.stderr
    assert manage("rotate_secret", "SECRET_KEY", "--file", str(made) + "x").returncode == 2
    assert manage("rotate_secret", "NOTHING", "--file", str(made)).returncode == 2
