"""Serves the third party's Stripe model on loopback: run_stripe.py PORT, until its standard input closes.

Started by tests.peers.stripe on a Python and packages of its own (script/peers). The package asks for
Python 3.14 only because its annotations are lazy there; compiled with PEP 563's it runs on 3.13 as well.
"""

import __future__

import importlib.machinery
import os
import sys
import threading
from typing import Any

if sys.version_info < (3, 14):
    # Never a .pyc that was made without the flag.
    sys.pycache_prefix = os.path.join(sys.prefix, "pyc")
    _compile = importlib.machinery.SourceFileLoader.source_to_code

    def _with_lazy_annotations(
        self: Any, data: Any, path: Any, fullname: Any = None, *, _optimize: int = -1
    ) -> Any:
        if "/seahaven" in str(path):
            flag = __future__.annotations.compiler_flag
            return compile(data, path, "exec", flags=flag, dont_inherit=True, optimize=_optimize)
        return _compile(self, data, path, _optimize=_optimize)

    importlib.machinery.SourceFileLoader.source_to_code = _with_lazy_annotations  # type: ignore[method-assign]


def end_with_parent() -> None:
    """A run of the tests that is killed must not leave this behind."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    from seahaven import http  # type: ignore[import-not-found]
    from seahaven_stripe_world import world  # type: ignore[import-not-found]
    from seahaven_stripe_world.http_api import handle  # type: ignore[import-not-found]

    threading.Thread(target=end_with_parent, daemon=True).start()
    http.serve(
        world,
        handle,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        reset_options={"startup": {"livemode": False}},
        max_instances=0,
    )


main()
