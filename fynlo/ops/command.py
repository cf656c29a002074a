"""What every operations command shares: exit codes, `--json`, one line in the log, one row that it ran."""

import enum
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone

logger = logging.getLogger(__name__)


class Exit(enum.IntEnum):
    """How an operations command ends."""

    OK = 0
    ERROR = 1
    USAGE = 2  # used or configured wrongly
    CHECK_FAILED = 3  # it ran, and what it looked at is not as it must be
    LOCKED = 4  # another run is under way
    UNSAFE = 5  # refused: it would do harm
    UNREACHABLE = 6  # the database or another service does not answer
    LATER = 75  # nothing is wrong; try again later


@dataclass
class Outcome:
    """What a command has to say: a line for people, `data` for machines."""

    message: str
    data: dict[str, Any] = field(default_factory=dict)
    code: Exit = Exit.OK


class OpsError(Exception):
    """Ends a command with a code and a sentence that says what to do about it."""

    def __init__(self, code: Exit, message: str, **data: Any) -> None:
        super().__init__(message)
        self.outcome = Outcome(message, data, code)


class OpsCommand(BaseCommand):
    """Subclasses define `run(**options) -> Outcome` and may raise OpsError; `self.say` shows progress.

    `keeps_record = False` is for what runs where there is no database yet.
    """

    keeps_record = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")

    def run(self, *args: Any, **options: Any) -> Outcome:
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        name = type(self).__module__.rpartition(".")[2]
        started, clock = timezone.now(), time.monotonic()
        try:
            outcome = self.run(**options)
        except OpsError as error:
            outcome = error.outcome
        except CommandError as error:
            outcome = Outcome(str(error), code=Exit.USAGE)
        except OperationalError as error:
            outcome = Outcome(f"The database does not answer: {error}", code=Exit.UNREACHABLE)
        except Exception as error:
            if self.keeps_record:
                record_run(name, started, Outcome(f"{type(error).__name__}: {error}", code=Exit.ERROR))
            raise
        seconds = time.monotonic() - clock
        if not sys.stderr.isatty():  # a person is told once, below
            logger.log(
                logging.INFO if outcome.code == Exit.OK else logging.ERROR,
                *("%s ended with %s after %.1f s: %s", name, outcome.code.value, seconds, outcome.message),
            )
        if self.keeps_record:
            record_run(name, started, outcome)
        self._print(name, outcome, seconds, as_json=options["json"])
        if outcome.code != Exit.OK:
            sys.exit(outcome.code.value)

    def say(self, text: str) -> None:
        """Progress: on stderr, so that stdout holds the outcome alone."""
        self.stderr.write(text, str)  # plain: red is for what went wrong
        self.stderr.flush()

    def _print(self, name: str, outcome: Outcome, seconds: float, *, as_json: bool) -> None:
        if as_json:
            document = {
                "command": name,
                "exit": outcome.code.value,
                "status": outcome.code.name.lower(),
                "message": outcome.message,
                "seconds": round(seconds, 1),
                **outcome.data,
            }
            self.stdout.write(json.dumps(document, default=str))
        elif outcome.code == Exit.OK:
            if outcome.message:
                self.stdout.write(outcome.message)
        else:
            self.stderr.write(f"{outcome.code.name.lower()}: {outcome.message}")


def record_run(command: str, started_at: Any, outcome: Outcome) -> None:
    """Keep that a command ran, as far as the database lets us: the commands for a lost one must work."""
    from .models import OpsRun

    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ WRITE")  # the backup's login reads only, unless it says so
            OpsRun.objects.create(
                command=command,
                started_at=started_at,
                exit_code=outcome.code.value,
                message=outcome.message[:500],
            )
    except DatabaseError as error:
        logger.warning("That %s ran is not recorded: %s", command, error)


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """One run at a time over all machines, or OpsError. A killed run leaves no lock.

    The lock belongs to a transaction on a connection of its own, so that it holds through a pooler too,
    where a session is nobody's; and the work may use the other connection as it likes.
    """
    holder = connection.copy()
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"fynlo.{name}"])
            if cursor.fetchone() != (True,):
                raise OpsError(Exit.LOCKED, "Another run is under way.")
        yield
    finally:
        holder.rollback()
        holder.set_autocommit(True)
        holder.close()
