"""Serves localstripe on loopback: run_localstripe.py PORT, until its standard input closes.

Started by tests.peers.localstripe. The package's own command binds every interface of the machine.
"""

import os
import sys
import threading

from aiohttp import web  # type: ignore[import-not-found]
from localstripe.server import app  # type: ignore[import-not-found]


def end_with_parent() -> None:
    """A run of the tests that is killed must not leave this behind."""
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_parent, daemon=True).start()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
