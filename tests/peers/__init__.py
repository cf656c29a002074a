"""Payment vendors that the tests talk to over loopback HTTP: each one speaks its vendor's own protocol.

Square and SumUp are small simulators of ours, held on both sides to the vendor's OpenAPI document.
Stripe is a third party's stateful model in a process of its own, with our overlay for what it lacks;
localstripe is a second one, for signed delivery and 3-D Secure. Nothing here leaves this machine.

The vendors' documents are data and stay outside the project; script/peers installs the third parties'
models. A test that finds neither is skipped and says what is missing.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SPECS = ROOT.parent / "shared" / "specs"
PEERS = ROOT / ".data" / "peers"


def needs_specs(*names: str) -> pytest.MarkDecorator:
    """Skip a test or a module where a vendor's document is not at hand."""
    missing = [name for name in names if not (SPECS / name).is_file()]
    return pytest.mark.skipif(bool(missing), reason=f"not in {SPECS}: {', '.join(missing)}")


def spec(name: str) -> Path:
    """The path of a vendor's document; skips the test that asks where there is none."""
    path = SPECS / name
    if not path.is_file():
        pytest.skip(f"not in {SPECS}: {name}")
    return path


def peer_python(name: str) -> Path:
    """The interpreter that a third party's model runs on; skips the test that asks where there is none."""
    python = PEERS / name / "bin" / "python"
    if not (PEERS / name / ".installed").is_file():
        marker = PEERS / "unavailable"
        why = marker.read_text().strip() if marker.is_file() else "run script/peers to install it"
        pytest.skip(f"no {name} peer: {why}")
    return python
