"""Programs that come by npm alone, kept in .data/ by the digest of the lock file that names them."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.databases import ROOT


def node_modules(folder: Path) -> Path:
    """What the package-lock.json of a folder names, installed; skips loudly where there is no npm."""
    subprocess.run([ROOT / "script/tools", "node"], check=False)
    if not shutil.which("npm"):
        pytest.skip("NOT CHECKED: there is no npm here (script/tools node, as root)")
    lock = (folder / "package-lock.json").read_bytes()
    place = ROOT / ".data" / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(folder / name, place)
        done = subprocess.run(["npm", "ci", "--silent"], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        (place / "complete").touch()
    return place / "node_modules"
