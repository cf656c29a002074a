"""Debian's programs that check the host's files, and npm for two linters."""

import subprocess

import pytest

from tests.databases import ROOT


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Installed where that is possible; a test that misses one says so."""
    subprocess.run([ROOT / "script/tools", "host", "node"], check=False)
