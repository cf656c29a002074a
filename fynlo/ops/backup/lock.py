"""One run at a time, also where there is no database to ask."""

import contextlib
import fcntl
from collections.abc import Iterator

from django.conf import settings
from django.db import OperationalError

from fynlo.ops.command import Exit, OpsError, only_one

from .logical import Say, admin
from .storage import local_folder


@contextlib.contextmanager
def only_one_run(name: str, say: Say) -> Iterator[None]:
    """Over all machines while the database answers; on this one always. Raises OpsError."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_only_one_here(name))
        try:
            stack.enter_context(only_one(name))
        except OperationalError as error:
            say(f"The database does not answer; going on without its lock: {str(error).strip()}")
        yield


@contextlib.contextmanager
def only_one_restore(say: Say) -> Iterator[None]:
    """The same for a restore: its lock is on the server, for the database itself may be replaced."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_only_one_here("restore"))
        if settings.ENV.backup.admin_url:
            try:
                connection = stack.enter_context(admin())
            except OpsError as error:
                say(f"Going on without a lock on the server: {error}")
            else:
                lock = connection.execute("SELECT pg_try_advisory_lock(hashtextextended('fynlo.restore', 0))")
                if lock.fetchone() != (True,):
                    raise OpsError(Exit.LOCKED, "Another restore is under way.")
        yield


@contextlib.contextmanager
def _only_one_here(name: str) -> Iterator[None]:
    with (local_folder().root / f".{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OpsError(Exit.LOCKED, "Another run is under way on this machine.") from error
        yield
