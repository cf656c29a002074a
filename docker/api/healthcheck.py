"""Whether this container's process lives. Needs nothing but Python, and no secret.

It asks the process alone, never the database: a container that is started again because the database is
away only makes things worse. Whether it can serve is /health, which deployments and alerts ask.
"""

import http.client
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ROLE = Path("/tmp/role")  # noqa: S108 - written by entrypoint.sh, on the container's own tmpfs
PORTS = {"web": 8000, "ws": 8001, "platform": 8002}
QUIET = 600  # seconds; beat writes its schedule every 180


def main() -> int:
    try:
        role = ROLE.read_text().strip()
        problem = beat_problem() if role == "beat" else http_problem(role)
    except (OSError, http.client.HTTPException) as error:
        problem = str(error) or type(error).__name__
    if problem:
        print(problem, file=sys.stderr)
    return int(bool(problem))


def http_problem(role: str) -> str:
    """Workers have no page of their own; their metrics are answered by a thread of the same process."""
    if role in PORTS:
        port, path = PORTS[role], "/health/live"
    else:
        port, path = int(os.environ.get("METRICS_PORT", "9100")), "/metrics"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    connection.request("GET", path, headers={"Host": allowed_host(), "Connection": "close"})
    status = connection.getresponse().status
    return "" if status == 200 else f"{role}: {path} answers {status}"


def allowed_host() -> str:
    """Django refuses every name that is not its own."""
    names = os.environ.get("ALLOWED_HOSTS", "")
    return names.split(",")[0] or urlsplit(os.environ.get("BASE_URL", "")).hostname or "127.0.0.1"


def beat_problem() -> str:
    # One file or several, as Python's own databases have it.
    written = [path.stat().st_mtime for path in ROLE.parent.glob("beat-schedule*")]
    age = time.time() - max(written, default=0)
    return "" if age < QUIET else f"beat: wrote its schedule {age:.0f} s ago"


if __name__ == "__main__":
    sys.exit(main())
