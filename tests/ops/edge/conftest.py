"""nginx for these tests, where it may be installed."""

import os
import shutil
import subprocess

from tests.databases import ROOT

os.environ["PATH"] += ":/usr/sbin:/usr/local/sbin"  # where Debian has it
if not (shutil.which("nginx") and shutil.which("openssl")):
    subprocess.run([ROOT / "script/tools", "edge"], check=False)
