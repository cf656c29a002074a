"""Debian's Prometheus, Alertmanager and exporters; without them the tests that need them are skipped."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.databases import ROOT

MONITORING = ROOT / "deploy" / "monitoring"


def program(name: str) -> str:
    """Where it is. Installs it when root; otherwise skips, loudly."""
    search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    if not shutil.which(name, path=search):
        subprocess.run([ROOT / "script" / "tools", "watch"], check=False)
    found = shutil.which(name, path=search)
    if not found:
        pytest.skip(f"NOT TESTED: {name} is not here, and cannot be installed (script/tools watch).")
    return found


def run(*command: str | Path, cwd: Path = MONITORING) -> str:
    """What a program says, to its end. A failure shows all of it."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
